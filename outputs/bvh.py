"""BVH motion files, one for each side, as animation programs import them.

Centimetres, y up, z toward the camera (the camera's frame turned by half a turn about x). The offsets are those of the
bones in the rest pose of `kinematics.skeleton`, of the first frame's lengths; the root carries the wrist's place and the palm's
rotation, every bone its rotation against its parent. Frames come at the rate of the track; where a hand was not seen it
stays as it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..errors import SemihandError
from ..kinematics.hand import Hand
from ..kinematics.quaternion import to_matrix
from ..kinematics.skeleton import BONE_NAMES, BONE_START, MIRROR, REST
from .axes import Y_UP_FROM_CAMERA
from .files import LineFile
from .lost import SIDES
from .writer import Writer

_CENTIMETRES = 100.0
_ROTATION = "Zrotation Xrotation Yrotation"


class BvhWriter(Writer):
    """Keeps rotations in memory (about 400 bytes a hand and frame) and writes NAME-left.bvh and NAME-right.bvh at the end."""

    def __init__(self, path: str) -> None:
        """path: NAME.bvh. Raises SemihandError when files cannot be made there."""
        self._path = Path(path)
        if not self._path.parent.is_dir():
            raise SemihandError(
                f"{path} cannot be written: the folder {self._path.parent} does not exist. Create it first."
            )
        self._times: list[float] = []
        self._rows: dict[str, list[np.ndarray | None]] = {side: [] for side in SIDES}
        self._first: dict[str, Hand] = {}
        self._written: list[str] = []
        self._open = True

    def begin(self, first_line: dict) -> None:
        """A BVH file has no place for it."""

    def write(self, frame, hands: Sequence[Hand], ms, camera) -> None:
        self._times.append(frame.time)
        for side in SIDES:
            hand = next((one for one in hands if one.handedness == side), None)
            self._rows[side].append(None if hand is None else _channels(hand))
            if hand is not None:
                self._first.setdefault(side, hand)

    def close(self) -> None:
        if not self._open:
            return
        self._open = False
        for side, hand in self._first.items():
            path = self._path.with_name(f"{self._path.stem}-{side}.bvh")
            rows = _held(self._rows[side])
            file = LineFile(str(path))
            try:
                file.write(_hierarchy(hand) + _motion(rows, self._times))
            finally:
                file.close()
            self._written.append(f"{path}: {len(rows)} frames")

    def notes(self) -> list[str]:
        return self._written or ["No hand, no BVH file."]


def _held(rows: list[np.ndarray | None]) -> list[np.ndarray]:
    """Every frame with the last hand before it, at the start with the first."""
    last = next(row for row in rows if row is not None)
    held = []
    for row in rows:
        last = last if row is None else row
        held.append(last)
    return held


def _channels(hand: Hand) -> np.ndarray:
    """Place of the wrist and 16 rotations, (51,)."""
    turned = np.concatenate([Y_UP_FROM_CAMERA @ to_matrix(hand.palm_rotation)[None], to_matrix(hand.bone_local)])
    place = Y_UP_FROM_CAMERA @ hand.xyz_cam[0] * _CENTIMETRES
    return np.append(place, euler_zxy(turned).ravel()).astype(np.float32)


def euler_zxy(R: np.ndarray) -> np.ndarray:
    """Degrees (..., 3) about z, x and y with R = R_z R_x R_y, of rotation matrices (..., 3, 3)."""
    x = np.arcsin(np.clip(R[..., 2, 1], -1, 1))
    z = np.arctan2(-R[..., 0, 1], R[..., 1, 1])
    y = np.arctan2(-R[..., 2, 0], R[..., 2, 2])
    return np.rad2deg(np.stack([z, x, y], axis=-1))


def _hierarchy(hand: Hand) -> str:
    """The HIERARCHY of this hand's bones at rest."""
    mirror = MIRROR if hand.handedness == "left" else np.ones(3)
    first = (hand.xyz_cam[BONE_START[:, 0]] - hand.xyz_cam[0]) @ to_matrix(hand.palm_rotation)
    lengths = np.linalg.norm(np.diff(hand.xyz_cam[1:].reshape(5, 4, 3), axis=1), axis=-1)
    along = REST * mirror * lengths[..., None]
    lines = ["HIERARCHY", f"ROOT {hand.handedness}_hand", "{", "\tOFFSET 0 0 0",
             f"\tCHANNELS 6 Xposition Yposition Zposition {_ROTATION}"]  # fmt: skip
    for finger in range(5):
        offsets = [first[finger], *along[finger]]
        for part in range(3):
            lines += _joint(part + 1, BONE_NAMES[3 * finger + part], offsets[part])
        lines += [*_end(4, offsets[3]), *("\t" * depth + "}" for depth in (3, 2, 1))]
    return "\n".join([*lines, "}", ""])


def _joint(depth: int, name: str, offset: np.ndarray) -> list[str]:
    tabs = "\t" * depth
    return [f"{tabs}JOINT {name}", f"{tabs}{{", f"{tabs}\tOFFSET {_text(offset * _CENTIMETRES)}",
            f"{tabs}\tCHANNELS 3 {_ROTATION}"]  # fmt: skip


def _end(depth: int, offset: np.ndarray) -> list[str]:
    tabs = "\t" * depth
    return [f"{tabs}End Site", f"{tabs}{{", f"{tabs}\tOFFSET {_text(offset * _CENTIMETRES)}", f"{tabs}}}"]


def _motion(rows: list[np.ndarray], times: list[float]) -> str:
    step = float(np.median(np.diff(times))) if len(times) > 1 else 1 / 30
    lines = ["MOTION", f"Frames: {len(rows)}", f"Frame Time: {step:.6f}", *map(_text, rows)]
    return "\n".join(lines) + "\n"


def _text(values: np.ndarray) -> str:
    return " ".join(f"{value:.4f}" for value in values + 0.0)
