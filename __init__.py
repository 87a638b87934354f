"""semihand: real-time hand tracking that adapts to your hands (SemiHand, Yang, Chen and Yao, ICCV 2021)."""

__version__ = "0.1.0"
