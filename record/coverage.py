"""Which poses, orientations and distances a recording covers, in bins that a meter can show.

From the landmark model's metric joints: how far each finger is curled (sum of its bends), where the palm faces
(yaw, pitch), how the hand leans (roll), and how far away it is. Counts, not labels: it steers the user, nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..models.joints import FINGERS, INDEX_MCP, LITTLE_MCP, MIDDLE_MCP, WRIST

#: Cells of the meter by group: each axis with the names of its bins.
AXES = {
    "pose": {finger: ("straight", "half", "curled") for finger in FINGERS},
    "orientation": {
        "palm": ("to the camera", "to the left", "to the right", "away"),
        "tilt": ("down", "level", "up"),
        "lean": ("left", "upright", "right"),
    },
    "distance": {"distance": ("near", "middle", "far")},
}
_FINGER_CUTS, _THUMB_CUTS = (70.0, 150.0), (25.0, 55.0)
_TILT_CUTS = _LEAN_CUTS = (-25.0, 25.0)
_DISTANCE_CUTS = (0.45, 0.7)


@dataclass(frozen=True)
class PoseFeatures:
    """Degrees: curl (5,) of thumb to little finger; yaw of the palm (0 to the camera, positive to the picture's right,
    180 away), pitch (positive up), roll (positive: fingers lean to the picture's right). distance: metres, by the
    assumed focal length and an average hand."""

    curl: np.ndarray
    yaw: float
    pitch: float
    roll: float
    distance: float


def pose_features(xyz_world: np.ndarray, uv_image: np.ndarray, handedness: str, focal: float) -> PoseFeatures:
    """xyz_world (21, 3) metres, x right, y down, z away; uv_image (21, 2) and focal in the picture's pixels."""
    up = xyz_world[MIDDLE_MCP] - xyz_world[WRIST]
    across = xyz_world[INDEX_MCP] - xyz_world[LITTLE_MCP]
    normal = np.cross(across, up) if handedness == "right" else np.cross(up, across)
    normal = normal / max(float(np.linalg.norm(normal)), 1e-9)
    return PoseFeatures(
        curl=np.array([_curl(xyz_world, finger) for finger in range(len(FINGERS))]),
        yaw=float(np.degrees(np.arctan2(normal[0], -normal[2]))),
        pitch=float(np.degrees(np.arcsin(np.clip(-normal[1], -1, 1)))),
        roll=float(np.degrees(np.arctan2(up[0], -up[1]))),
        distance=_distance(xyz_world, uv_image, focal),
    )


def _curl(xyz: np.ndarray, finger: int) -> float:
    """Sum of the bends along a finger in degrees; the thumb's without that at the wrist."""
    chain = xyz[[WRIST, *range(1 + 4 * finger, 5 + 4 * finger)]]
    steps = np.diff(chain[1:] if finger == 0 else chain, axis=0)
    steps = steps / np.maximum(np.linalg.norm(steps, axis=1, keepdims=True), 1e-9)
    return float(np.degrees(np.arccos(np.clip((steps[:-1] * steps[1:]).sum(axis=1), -1, 1))).sum())


def _distance(xyz: np.ndarray, uv: np.ndarray, focal: float) -> float:
    """Of a weak-perspective camera: the focal length over pixels per metre."""
    metres = np.linalg.norm(xyz[:, :2] - xyz[:, :2].mean(axis=0))
    pixels = np.linalg.norm(uv - uv.mean(axis=0))
    return float(focal * metres / max(float(pixels), 1e-9))


class Coverage:
    """Counts frames per bin of every axis. A bin counts as covered from `enough` frames on."""

    def __init__(self, enough: int = 3) -> None:
        self.enough = enough
        self._counts = {axis: np.zeros(len(bins), int) for group in AXES.values() for axis, bins in group.items()}
        self._frames: list[tuple[int, dict[str, int]]] = []

    def add(self, features: PoseFeatures, segment: int = 0) -> None:
        """One kept frame of a segment."""
        cells = bins_of(features)
        self._frames.append((segment, cells))
        for axis, cell in cells.items():
            self._counts[axis][cell] += 1

    def forget_from(self, segment: int) -> None:
        """Frames of this and later segments count no more."""
        for number, cells in self._frames:
            for axis, cell in cells.items():
                self._counts[axis][cell] -= number >= segment
        self._frames = [entry for entry in self._frames if entry[0] < segment]

    def share(self, group: str) -> float:
        """Share in [0, 1] of a group's bins that are covered; group: a key of AXES."""
        counts = np.concatenate([self._counts[axis] for axis in AXES[group]])
        return float((counts >= self.enough).mean())

    def missing(self) -> list[str]:
        """Names of the bins that are not covered, as "index curled"."""
        return [
            f"{axis} {name}"
            for group in AXES.values()
            for axis, bins in group.items()
            for name, count in zip(bins, self._counts[axis])
            if count < self.enough
        ]

    def to_dict(self) -> dict:
        """Shares by group and counts by axis, for a summary."""
        counts = {axis: values.tolist() for axis, values in self._counts.items()}
        return {"shares": {group: round(self.share(group), 3) for group in AXES}, "counts": counts}

    def sentence(self) -> str:
        """One line for people."""
        return "covered: " + ", ".join(f"{group} {100 * self.share(group):.0f} %" for group in AXES)


def bins_of(features: PoseFeatures) -> dict[str, int]:
    """The bin of each axis into which a hand falls."""
    cuts = (_THUMB_CUTS, *(_FINGER_CUTS,) * 4)
    cells = {finger: int(np.searchsorted(cut, value)) for finger, cut, value in zip(FINGERS, cuts, features.curl)}
    cells["palm"] = _facing(features.yaw)
    cells["tilt"] = int(np.searchsorted(_TILT_CUTS, features.pitch))
    cells["lean"] = int(np.searchsorted(_LEAN_CUTS, features.roll))
    cells["distance"] = int(np.searchsorted(_DISTANCE_CUTS, features.distance))
    return cells


def _facing(yaw: float) -> int:
    if abs(yaw) <= 40:
        return 0
    return 3 if abs(yaw) >= 140 else (2 if yaw > 0 else 1)
