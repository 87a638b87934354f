"""Stereo Hand Pose Tracking Benchmark, STB (Zhang et al., ICIP 2017), as published.

    images/B1Counting/SK_color_0.png ...     B1 to B6, Counting and Random, 1500 pictures each and camera
    images/B1Counting/BB_left_0.png ...      (the folders B1Counting ... may also lie beside labels/)
    labels/B1Counting_SK.mat                 `handPara` (3, 21, 1500) millimetres; also ..._BB.mat

SK labels stand in the depth camera's frame, BB labels in the left camera's. "Rotation and translation vector
can transform the coordinates relative to color camera to those relative to depth camera" (README of the set), so
color = R^T (depth - t). All hands are left hands. B1 is the test set, B2 to B6 are the training set.

Joint 0 of the set is the palm's centre, not the wrist. `wrist` names the convention that makes it one:
    bihand    wrist = J9 + 2.2 (palm - J9), J9 the middle MCP (Yang et al., BMVC 2020, public code); the default
    hand3d    wrist = J13 + 2.0 (palm - J13), J13 the ring MCP (Zimmermann and Brox, ICCV 2017, public code)
    none      joint 0 has no label: the palm's centre is none of the 21 joints
"""

from __future__ import annotations

import zlib
from pathlib import Path

import cv2
import numpy as np

from ..errors import SemihandError
from ..models.joints import MIDDLE_MCP, RING_MCP, WRIST
from .reader import Reader, camera, complete, label_or_none, numbers, required, usable_xyz
from .sequence import Sequence, SequenceFrame

TITLE = "STB"
#: mediapipe21 joint i is joint ORDER[i] of STB.
ORDER = (0, 17, 18, 19, 20, 13, 14, 15, 16, 9, 10, 11, 12, 5, 6, 7, 8, 1, 2, 3, 4)
CAMERAS = {
    "sk": camera(607.92271, 607.88192, 314.78337, 236.42484),
    "bb": camera(822.79041, 822.79041, 318.47345, 250.31296),
}
PICTURES = {"sk": "SK_color", "bb": "BB_left"}
COLOR_TO_DEPTH_ROTATION = (0.00531, -0.01196, 0.00301)
COLOR_TO_DEPTH_MM = (-24.0381, -0.4563, -1.2326)
RECORDINGS = {
    "test": ("B1Counting", "B1Random"),
    "train": tuple(f"B{i}{kind}" for i in range(2, 7) for kind in ("Counting", "Random")),
}
#: wrist = joint + factor (palm - joint)
WRISTS = {"bihand": (MIDDLE_MCP, 2.2), "hand3d": (RING_MCP, 2.0), "none": None}


def read(folder: Path, split: str, wrist: str = "bihand") -> Sequence:
    """One camera's split; wrist: the convention for joint 0. Raises SemihandError on missing or broken files."""
    if wrist not in WRISTS:
        raise SemihandError(f"{TITLE}: unknown wrist convention {wrist!r}; choose {', '.join(WRISTS)}.")
    sensor, part = split.split("-")
    frames: list[SequenceFrame] = []
    for recording in RECORDINGS[part]:
        frames += _recording(folder, recording, sensor, wrist)
    return Sequence(
        f"STB {split}",
        folder,
        complete(TITLE, frames),
        source="Stereo Hand Pose Tracking Benchmark, Zhang et al., ICIP 2017",
        licence="MIT",
        note=f"wrist by the convention {wrist!r}",
    )


def read_labels(file: Path) -> np.ndarray:
    """`handPara` of a label file as (N, 21, 3) metres in its own camera's frame, joint 0 the palm's centre.

    Raises SemihandError where the file is no MATLAB file with this variable or SciPy is not installed.
    """
    try:
        from scipy.io.matlab import MatReadError, loadmat
    except ImportError as error:
        raise SemihandError("STB's labels need SciPy: pip install 'semihand[train]'.") from error
    try:
        values = loadmat(str(file), variable_names=("handPara",)).get("handPara")
    except (MatReadError, zlib.error, ValueError, TypeError, OSError, RuntimeError) as error:
        raise SemihandError(f"{TITLE}: {file} is no complete MATLAB file ({error}). Download it again.") from error
    if values is None:
        raise SemihandError(f"{TITLE}: {file} holds no variable handPara. Is this the set's original file?")
    return numbers(TITLE, f"handPara in {file}", values, (3, 21, -1)).transpose(2, 1, 0)[:, list(ORDER)] / 1000


def depth_to_color(xyz_depth: np.ndarray) -> np.ndarray:
    """Points (..., 3) metres of the SK depth camera's frame in its color camera's frame."""
    rotation, _ = cv2.Rodrigues(np.array(COLOR_TO_DEPTH_ROTATION))
    return (xyz_depth - np.array(COLOR_TO_DEPTH_MM) / 1000) @ rotation  # rows: R^T (depth - t)


def with_wrist(xyz: np.ndarray, convention: str) -> np.ndarray:
    """Hands (..., 21, 3) with the palm's centre as joint 0 to hands with a wrist, NaN for "none"."""
    hands = xyz.copy()
    if WRISTS[convention] is None:
        hands[..., WRIST, :] = np.nan
        return hands
    joint, factor = WRISTS[convention]
    hands[..., WRIST, :] = xyz[..., joint, :] + factor * (xyz[..., WRIST, :] - xyz[..., joint, :])
    return hands


def _recording(folder: Path, recording: str, sensor: str, wrist: str) -> list[SequenceFrame]:
    xyz = read_labels(required(TITLE, folder, f"labels/{recording}_{sensor.upper()}.mat"))
    xyz = usable_xyz(f"{TITLE} {recording}", depth_to_color(xyz) if sensor == "sk" else xyz)
    pictures = required(TITLE, folder, f"images/{recording}", recording)
    return [
        SequenceFrame(
            pictures / f"{PICTURES[sensor]}_{i}.png",
            CAMERAS[sensor],
            "left",
            xyz=label_or_none(hand),
            gesture=recording,
        )
        for i, hand in enumerate(with_wrist(xyz, wrist))
    ]


READER = Reader(
    "stb",
    TITLE,
    ("sk-test", "sk-train", "bb-test", "bb-train"),
    ("labels/B?Counting_??.mat", "labels/B?Random_??.mat"),
    read,
    ("wrist",),
)
