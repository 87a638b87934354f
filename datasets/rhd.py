"""Rendered Hand Pose Dataset, RHD (Zimmermann and Brox, ICCV 2017), version 1.1, as published.

    training/anno_training.pickle        {number: {"uv_vis" (42, 3), "xyz" (42, 3), "K" (3, 3)}}
    training/color/00000.png             320 x 320 pictures; mask/ and depth/ beside it, same names
    evaluation/anno_evaluation.pickle    evaluation/color, mask, depth

Joints 0-20 are the left hand and 21-41 the right one, each the wrist, then every finger from its tip to the
palm; xyz in metres in the camera frame (x right, y down, z forward); uv_vis pixels and a visibility. Grey values
of a mask: 0 background, 1 person, 2-17 left hand, 18-33 right hand (README of the data set).

A picture counts once, by the hand with more pixels in its mask, as in the set's first paper. The mask is read
only where both hands, or none, have a visible joint; else the hand with visible joints is the one.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np

from ..errors import SemihandError
from ..models.joints import NUM_JOINTS
from ..progress import Progress
from .arrays_pickle import load_arrays
from .reader import Reader, complete, field, label_or_none, numbers, required, usable_cameras, usable_uv, usable_xyz
from .sequence import Sequence, SequenceFrame, read_picture

TITLE = "RHD"
#: mediapipe21 joint i is joint ORDER[i] of an RHD hand.
ORDER = (0, 4, 3, 2, 1, 8, 7, 6, 5, 12, 11, 10, 9, 16, 15, 14, 13, 20, 19, 18, 17)
HANDS = ("left", "right")
MASK_IDS = {"left": (2, 17), "right": (18, 33)}


def read(folder: Path, split: str) -> Sequence:
    """One split. Raises SemihandError where a file is missing, broken or asks for code to be run."""
    file = required(TITLE, folder, f"{split}/anno_{split}.pickle")
    samples = load_arrays(file)
    if not isinstance(samples, dict) or not samples:
        raise SemihandError(f"{TITLE}: {file} holds no samples. Is this the set's original file?")
    ids = sorted(samples)
    uv_vis, xyz, K = (
        numbers(TITLE, f"{name} in {file}", [field(TITLE, file, samples[i], name, i) for i in ids], shape)
        for name, shape in (("uv_vis", (-1, 42, 3)), ("xyz", (-1, 42, 3)), ("K", (-1, 3, 3)))
    )
    usable_cameras(TITLE, file, K)
    part = file.parent
    complete(TITLE, [_frame(part, i) for i in ids])
    side = _larger_hands([part / "mask" / _name(i) for i in ids], uv_vis)
    joints = side[:, None] * NUM_JOINTS + np.array(ORDER)
    uv = usable_uv(TITLE, np.take_along_axis(uv_vis[..., :2], joints[..., None], axis=1))
    xyz = usable_xyz(TITLE, np.take_along_axis(xyz, joints[..., None], axis=1))
    frames = [_frame(part, i, HANDS[side[n]], K[n], uv[n], xyz[n]) for n, i in enumerate(ids)]
    return Sequence(
        f"RHD {split}",
        folder,
        tuple(frames),
        source="Rendered Hand Pose Dataset, Zimmermann and Brox, ICCV 2017",
        licence="research only, no commercial use",
    )


def _name(number: int) -> str:
    return f"{number:05d}.png"


def _frame(part: Path, number: int, hand: str | None = None, K=None, uv=None, xyz=None) -> SequenceFrame:
    return SequenceFrame(
        part / "color" / _name(number),
        K,
        hand,
        uv=None if uv is None else label_or_none(uv),
        xyz=None if xyz is None else label_or_none(xyz),
        mask=part / "mask" / _name(number),
        mask_ids=MASK_IDS.get(hand),
    )


def _larger_hands(masks: list[Path], uv_vis: np.ndarray) -> np.ndarray:
    """0 left or 1 right (N,) for every picture: the hand with more pixels in its mask."""
    visible = (uv_vis[..., 2] > 0).reshape(-1, 2, NUM_JOINTS).any(axis=-1)
    side = visible[:, 1].astype(int)
    doubtful = np.flatnonzero(visible[:, 0] == visible[:, 1])
    with ThreadPoolExecutor() as pool:
        found = pool.map(_larger_hand, [masks[i] for i in doubtful])
        side[doubtful] = list(Progress(found, f"{TITLE}: which hand", len(doubtful), "pictures"))
    return side


def _larger_hand(mask: Path) -> int:
    ids = read_picture(mask, cv2.IMREAD_GRAYSCALE)
    left, right = (cv2.countNonZero(cv2.inRange(ids, low, high)) for low, high in MASK_IDS.values())
    return int(right > left)


READER = Reader(
    "rhd",
    TITLE,
    ("evaluation", "training"),
    ("evaluation/anno_evaluation.pickle", "training/anno_training.pickle"),
    read,
)
