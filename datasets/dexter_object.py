"""Dexter+Object (Sridhar et al., ECCV 2016): six recordings of a left hand with an object, fingertips only.

    data/Grasp1/color/*.png                   640 x 480 pictures; depth/ beside it
    data/Grasp1/annotations/Grasp13D.txt      a line a picture: "x, y, z; x, y, z; ..." thumb to little fingertip
    (Grasp1, Grasp2, Occlusion, Rigid, Pinch, Rotate; the folder data/ may be left out)

Coordinates are millimetres in the depth camera's frame with x and y pointing left and up, so both change their
sign before the depth-to-colour calibration; a depth of 32001 stands for no measurement. This, the calibration
and that the pictures' names sort in time order are as read by two public readers (Minimal-Hand-pytorch and
3D-Hand-Pose-Estimation); the set's own page gives no text format. If more than half of the labels fall outside
their pictures the reader says so.

The set has no box. `box` is made from the fingertips: a square of 20 cm at their depth round their centre,
grown to hold them all, so that crops have room for the palm.
"""

from __future__ import annotations

import logging
import re
from pathlib import Path

import numpy as np

from ..errors import SemihandError
from ..models.joints import NUM_JOINTS, TIPS
from ..models.lifting import project
from .reader import Reader, camera, complete, label_or_none, numbers, required, usable_xyz
from .sequence import Sequence, SequenceFrame

logger = logging.getLogger(__name__)

TITLE = "Dexter+Object"
RECORDINGS = ("Grasp1", "Grasp2", "Occlusion", "Rigid", "Pinch", "Rotate")
SIZE = (640, 480)
CAMERA = camera(587.45209, 600.67456, 325.0, 249.0)
#: Depth camera to color camera, millimetres.
DEPTH_TO_COLOR = np.array(
    [[0.9999, 0.0034, 0.0161, 19.0473], [-0.0033, 1.0, -0.0079, -1.8514], [-0.0162, 0.0079, 0.9998, -4.7501]]
)
NO_DEPTH_MM = 32000.0
BOX_METRES = 0.2


def read(folder: Path, split: str) -> Sequence:
    """All recordings or one. Raises SemihandError on missing files and lines that are no labels."""
    frames: list[SequenceFrame] = []
    for recording in RECORDINGS if split == "all" else (split,):
        frames += _recording(folder, recording)
    _warn_outside(frames)
    return Sequence(
        f"Dexter+Object {split}",
        folder,
        complete(TITLE, frames),
        source="Dexter+Object, Sridhar et al., ECCV 2016",
        licence="as stated at handtracker.mpi-inf.mpg.de/projects/RealtimeHO",
    )


def read_tips(file: Path) -> np.ndarray:
    """A 3D annotation file as fingertips (N, 5, 3) metres in the color camera's frame, NaN where unlabelled."""
    lines = [line.strip().rstrip(";") for line in file.read_text(encoding="utf-8", errors="replace").splitlines()]
    tips = [re.split(r"[;,]", line) for line in lines if line]
    for number, values in enumerate(tips):
        if len(values) != 15:
            raise SemihandError(f"{TITLE}: line {number + 1} of {file} holds {len(values)} numbers instead of 15.")
    depth_mm = numbers(TITLE, file, tips, (-1, 15)).reshape(-1, len(TIPS), 3)
    measured = np.isfinite(depth_mm).all(-1) & (depth_mm[..., 2] > 0) & (depth_mm[..., 2] < NO_DEPTH_MM)
    if not measured.all():
        logger.info("%s: %d of %d fingertips in %s have no depth.", TITLE, (~measured).sum(), measured.size, file)
    color_mm = depth_mm * (-1, -1, 1) @ DEPTH_TO_COLOR[:, :3].T + DEPTH_TO_COLOR[:, 3]
    return usable_xyz(f"{TITLE} {file.stem}", np.where(measured[..., None], color_mm / 1000, np.nan))


def _recording(folder: Path, recording: str) -> list[SequenceFrame]:
    name = f"{recording}/annotations/{recording}3D.txt"
    file = required(TITLE, folder, f"data/{name}", name)
    pictures = _pictures(required(TITLE, file.parents[1], "color"))
    tips = read_tips(file)
    if len(pictures) != len(tips):
        raise SemihandError(
            f"{TITLE}: {file} labels {len(tips)} pictures, but {file.parents[1] / 'color'} holds {len(pictures)}. "
            "The download is not complete; unpack or fetch it again."
        )
    return [_frame(picture, hand, recording) for picture, hand in zip(pictures, tips)]


def _pictures(folder: Path) -> list[Path]:
    """The pictures of a folder ordered by the numbers in their names."""
    found = [path for path in folder.iterdir() if path.suffix.lower() in (".png", ".jpg", ".jpeg", ".bmp")]
    return sorted(found, key=lambda path: ([int(n) for n in re.findall(r"\d+", path.stem)], path.name))


def _frame(picture: Path, tips: np.ndarray, recording: str) -> SequenceFrame:
    xyz = np.full((NUM_JOINTS, 3), np.nan)
    xyz[list(TIPS)] = tips
    return SequenceFrame(picture, CAMERA, "left", _box(tips), xyz=label_or_none(xyz), gesture=recording)


def _box(tips: np.ndarray) -> np.ndarray | None:
    """[x, y, w, h] pixels round the labelled fingertips (5, 3), None without any."""
    labelled = tips[np.isfinite(tips).all(axis=-1)]
    if not len(labelled):
        return None
    uv, centre = project(labelled, CAMERA), labelled.mean(axis=0)
    half = BOX_METRES / 2 * CAMERA[[0, 1], [0, 1]] / centre[2]
    middle = project(centre[None], CAMERA)[0]
    low, high = np.minimum(uv.min(0), middle - half), np.maximum(uv.max(0), middle + half)
    return np.concatenate([low, high - low])


def _warn_outside(frames: list[SequenceFrame]) -> None:
    labelled = [frame.uv_label()[list(TIPS)] for frame in frames if frame.xyz is not None]
    uv = np.concatenate(labelled) if labelled else np.zeros((0, 2))
    uv = uv[np.isfinite(uv).all(axis=-1)]
    outside = ((uv < 0) | (uv > np.array(SIZE))).any(axis=-1).sum()
    if 2 * outside > len(uv):
        logger.warning("%s: %d of %d fingertips fall outside their pictures.", TITLE, outside, len(uv))


READER = Reader(
    "dexter-object",
    TITLE,
    ("all", *RECORDINGS),
    tuple(f"{data}{name}/annotations/{name}3D.txt" for data in ("data/", "") for name in RECORDINGS),
    read,
)
