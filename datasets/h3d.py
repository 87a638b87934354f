"""Hand-3D-Studio, H3D (Zhao et al., ICASSP 2020), in the form that its one public reader documents.

    annotation.json          a list of {"name", "keypoint2d" (21, 2), "keypoint3d" (21, 3),
                             "intrinsic_matrix" (3, 3), "without_object" 0 | 1}
    part1/ ... part5/        the pictures that `name` points at
    (the folder that holds them is called H3D_crop; the one above it may be given too)

This is the set as cropped round the hands and read by the Transfer-Learning-Library (Jiang et al.); it is the
form that papers on domain adaptation report on. The layout of the 4K originals is not documented in a public
reader, so they cannot be read here. Joints stand in mediapipe21 order. Two things are not documented: the unit
of keypoint3d, which is told from the size of the hands (metres, centimetres or millimetres) and logged, and
which hand it is, which stays unknown.

Splits are that reader's: the samples that `objects` leaves are shuffled by Python's random generator with the
seed 42; the first fifth, at most 3 200, is the test set. `objects`: "without" (its default), "with" or "all".
"""

from __future__ import annotations

import logging
import random
from pathlib import Path

import numpy as np

from ..errors import SemihandError
from ..models.joints import ROOT, WRIST
from .reader import (
    Reader,
    complete,
    field,
    label_or_none,
    numbers,
    read_json,
    required,
    usable_cameras,
    usable_uv,
    usable_xyz,
)
from .sequence import Sequence, SequenceFrame

logger = logging.getLogger(__name__)

TITLE = "Hand-3D-Studio"
OBJECTS = {"without": (1,), "with": (0,), "all": (0, 1)}
TEST_SHARE, MOST_TEST = 0.2, 3200
#: Metres per unit, and the wrist to middle MCP of a hand of that unit, at least and at most.
UNITS = {"metres": 1.0, "centimetres": 0.01, "millimetres": 0.001}
PALM_METRES = (0.05, 0.15)


def read(folder: Path, split: str, objects: str = "without") -> Sequence:
    """One split. Raises SemihandError on a missing or broken file and on hands of no plausible size."""
    if objects not in OBJECTS:
        raise SemihandError(f"{TITLE}: objects is {objects!r}; choose {', '.join(OBJECTS)}.")
    file = required(TITLE, folder, "annotation.json", "H3D_crop/annotation.json")
    samples = read_json(TITLE, file)
    if not isinstance(samples, list) or not samples:
        raise SemihandError(f"{TITLE}: {file} holds no list of samples. Is this the set's original file?")
    chosen = _split(file, samples, split, objects)
    if not chosen:
        raise SemihandError(f"{TITLE}: {file} holds no sample for split {split!r}, objects {objects!r}.")
    columns = (("keypoint2d", (-1, 21, 2)), ("keypoint3d", (-1, 21, 3)), ("intrinsic_matrix", (-1, 3, 3)))
    uv, xyz, K = (
        numbers(TITLE, f"{name} in {file}", [field(TITLE, file, s, name, i) for i, s in enumerate(chosen)], shape)
        for name, shape in columns
    )
    xyz, uv = usable_xyz(TITLE, xyz * _metres_per_unit(xyz)), usable_uv(TITLE, uv)
    usable_cameras(TITLE, file, K)
    frames = [
        SequenceFrame(
            file.parent / str(field(TITLE, file, sample, "name", i)),
            K[i],
            uv=label_or_none(uv[i]),
            xyz=label_or_none(xyz[i]),
            gesture="hand alone" if int(sample["without_object"]) else "with object",
        )
        for i, sample in enumerate(chosen)
    ]
    return Sequence(
        f"H3D {split}",
        folder,
        complete(TITLE, frames),
        source="Hand-3D-Studio, Zhao et al., ICASSP 2020",
        licence="as stated at yangangwang.com",
        note=f"objects: {objects}",
    )


def _split(file: Path, samples: list, split: str, objects: str) -> list:
    flags = [field(TITLE, file, sample, "without_object", i) for i, sample in enumerate(samples)]
    flags = numbers(TITLE, f"without_object in {file}", flags, (-1,)).astype(int)
    chosen = [sample for sample, flag in zip(samples, flags) if flag in OBJECTS[objects]]
    if split == "all":
        return chosen
    random.Random(42).shuffle(chosen)
    test = min(int(len(chosen) * TEST_SHARE), MOST_TEST)
    return chosen[:test] if split == "test" else chosen[test:]


def _metres_per_unit(xyz: np.ndarray) -> float:
    """The unit of hands (N, 21, 3), told from the median distance of wrist and middle MCP."""
    palm = float(np.nanmedian(np.linalg.norm(xyz[:, ROOT] - xyz[:, WRIST], axis=-1)))
    for unit, metres in UNITS.items():
        if PALM_METRES[0] <= palm * metres < PALM_METRES[1]:
            logger.info("%s: keypoint3d is read as %s (median palm %.3g of them).", TITLE, unit, palm)
            return metres
    raise SemihandError(
        f"{TITLE}: wrist to middle MCP is {palm:.3g} in keypoint3d, which is no hand in {', '.join(UNITS)}."
    )


READER = Reader(
    "h3d", TITLE, ("test", "train", "all"), ("H3D_crop/annotation.json", "annotation.json"), read, ("objects",)
)
