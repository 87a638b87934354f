"""FreiHAND (Zimmermann et al., ICCV 2019), version 2, as published.

    training/rgb/00000000.jpg ...    32 560 hands before a green screen, then the same hands three times more
                                     with other backgrounds: homogenised, sampled, automatically coloured
    training/mask/00000000.jpg ...   32 560 masks, hand white
    training_K.json, training_xyz.json, training_scale.json       32 560 entries
    evaluation/rgb/, evaluation_K.json, evaluation_xyz.json       3 960 entries, xyz released after the contest

xyz (21, 3) metres in the camera frame in mediapipe21 order, K (3, 3) pixels; scale is the length of the middle
proximal phalanx and follows from xyz. All hands are right hands (README of the set). Where evaluation_xyz.json
is missing (it comes in a download of its own) the pictures count as unlabelled and the reader says so.
"""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np

from ..errors import SemihandError
from .reader import Reader, complete, label_or_none, numbers, read_json, required, usable_cameras, usable_xyz
from .sequence import Sequence, SequenceFrame

logger = logging.getLogger(__name__)

TITLE = "FreiHAND"
#: Split: the file names' part, and which of the four versions of the pictures.
SPLITS = {
    "evaluation": ("evaluation", 0),
    "training": ("training", 0),
    "training-homogenised": ("training", 1),
    "training-sampled": ("training", 2),
    "training-auto": ("training", 3),
}


def read(folder: Path, split: str) -> Sequence:
    """One split. Raises SemihandError on missing, broken or unequal files."""
    part, version = SPLITS[split]
    file = required(TITLE, folder, f"{part}_K.json")
    K = usable_cameras(TITLE, file, numbers(TITLE, file, read_json(TITLE, file), (-1, 3, 3)))
    xyz = _labels(folder, part, len(K))
    masks = folder / part / "mask"
    has_masks = masks.is_dir()
    frames = [
        SequenceFrame(
            folder / part / "rgb" / f"{version * len(K) + i:08d}.jpg",
            K[i],
            "right",
            xyz=None if xyz is None else label_or_none(xyz[i]),
            mask=masks / f"{i:08d}.jpg" if has_masks else None,
        )
        for i in range(len(K))
    ]
    return Sequence(
        f"FreiHAND {split}",
        folder,
        complete(TITLE, frames),
        source="FreiHAND, Zimmermann et al., ICCV 2019",
        licence="research only, no commercial use",
    )


def _labels(folder: Path, part: str, count: int) -> np.ndarray | None:
    """xyz (N, 21, 3) metres; None where the evaluation's labels were not fetched."""
    file = folder / f"{part}_xyz.json"
    if part == "evaluation" and not file.is_file():
        logger.warning("%s: %s is missing; the pictures count as unlabelled.", TITLE, file)
        return None
    xyz = numbers(TITLE, file, read_json(TITLE, required(TITLE, folder, file.name)), (-1, 21, 3))
    if len(xyz) != count:
        raise SemihandError(f"{TITLE}: {file} holds {len(xyz)} entries, {part}_K.json {count}. Download both again.")
    return usable_xyz(TITLE, xyz)


READER = Reader("freihand", TITLE, tuple(SPLITS), ("training_K.json", "evaluation_K.json"), read)
