"""Figures that the paper prints, for comparison and never as ours: Yang, Chen, Yao, "SemiHand: Semi-supervised Hand Pose
Estimation with Consistency", ICCV 2021."""

from __future__ import annotations

import re
from dataclasses import dataclass

PAPER = "SemiHand, ICCV 2021"
#: Short name of a data set: how it is told in a sequence's name, letters and digits alone.
_SETS = {
    "STB": ("stb",), "DO": ("dexterobject", "dexter"), "YT3D": ("youtube3d", "yt3d"), "H3D": ("hand3dstudio", "h3d"),
    "HSD": ("hsd",),
}  # fmt: skip

#: Table 1, EPE in mm on STB (train, test) by our row; labels of RHD, unlabelled pictures of STB train.
TABLE_1 = {
    "baseline": (23.41, 23.83), "vc": (19.98, 21.03), "cc": (20.59, 20.92), "vc+cc": (19.18, 19.93),
    "pseudo-labels": (15.68, 16.31), "paper": (13.82, 14.60),
}  # fmt: skip
#: Table 1, last rows: EPE in mm on STB (train, test) of the full method by what it adapts to.
TABLE_1_SETS = {"train": (13.82, 14.60), "test": (15.83, 14.51), "both": (13.78, 13.95)}
#: Fig. 7 and 8: area under the 3D PCK curve before and after (our rows), by data set, and the curve's ends in mm.
AREAS = {"STB": {"baseline": 0.774, "paper": 0.927}, "DO": {"baseline": 0.546, "paper": 0.747}}
AREA_ENDS = {"STB": (20, 50), "DO": (0, 100)}
#: Fig. 10: EPE in mm on STB test by per cent of the unlabelled pictures, as far as the text gives numbers.
SHARES = {5: 17.31, 100: 14.60}
#: Fig. 10: by how many mm the EPE on STB test falls with weak labels, and with none.
GAINS = {"masks": 4.0, "2D labels": 7.1, "no labels": 9.2}


@dataclass(frozen=True)
class Comparison:
    """Whether a data set is one of the paper's. name: of the paper's set, None: another one."""

    name: str | None

    def note(self, published_on: str) -> str:
        """What to print beside a published figure."""
        same = "" if self.name == published_on else f" on {published_on}, another set: not comparable"
        return f"published{same} ({PAPER})"


def comparison(data: str) -> Comparison:
    """Which of the paper's sets a data set of this name is."""
    words = re.sub(r"[^a-z0-9]+", " ", data.lower()).split()
    joined = "".join(words)
    for name, marks in _SETS.items():
        if any(mark in words or (len(mark) > 4 and mark in joined) for mark in marks):
            return Comparison(name)
    return Comparison(None)


def published_beside(figure: str, data: str) -> list[str]:
    """Lines that say what the paper prints for a figure, each with whether it can be compared."""
    here = comparison(data)
    if figure == "auc":
        areas = {name: (values["baseline"], values["paper"], AREA_ENDS[name]) for name, values in AREAS.items()}
        return [f"  AUC {low} to {high} mm {before:.3f}, adapted {after:.3f}: {here.note(name)}"
                for name, (before, after, (low, high)) in areas.items()]  # fmt: skip
    if figure == "share":
        gains = ", ".join(f"{gain} mm with {name}" for name, gain in GAINS.items())
        return [f"  EPE {SHARES[5]} mm with 5 %, {SHARES[100]:.2f} mm with all; better by {gains}: {here.note('STB')}"]
    if figure == "sets":
        values = ", ".join(f"{test:.2f} mm after {name}" for name, (_, test) in TABLE_1_SETS.items())
        return [f"  EPE on the test part {values}: {here.note('STB')}"]
    return []
