"""What every output takes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from ..kinematics.hand import Hand
from ..tracker.types import Frame


class Writer(ABC):
    """Takes every frame's hands. Its methods raise SemihandError where they cannot be written."""

    @abstractmethod
    def begin(self, first_line: dict) -> None:
        """What holds for the whole run (`record.header`), before the first frame."""

    @abstractmethod
    def write(self, frame: Frame, hands: Sequence[Hand], ms: dict[str, float], camera: dict) -> None:
        """One frame. camera: `record.camera_record` of the frame's picture."""

    def change_model(self, model: dict) -> None:
        """Another model (name, sha256, device) answers from the next frame on. Not every output can tell it."""

    @abstractmethod
    def close(self) -> None:
        """Finish; calling it twice does no harm."""

    def notes(self) -> list[str]:
        """Sentences for the summary, after the end: what was sent and what was dropped."""
        return []
