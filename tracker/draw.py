"""The overlay: the hand's outline, a skeleton coloured by finger that fades where the network doubts, a label, the speed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import cv2
import numpy as np

from ..models.joints import BONES, FINGERS, MIDDLE_MCP, NUM_JOINTS, TIPS, WRIST
from .text import plate, plate_size, text_height
from .types import HandPose

#: BGR of thumb, index, middle, ring and little finger.
FINGER_COLORS = ((84, 107, 255), (60, 200, 255), (112, 214, 88), (255, 190, 70), (255, 120, 220))
#: BGR of the mask's edge and of the tint inside: white and grey-blue, which no finger has and no skin.
EDGE_COLOR, _TINT_COLOR, _TINT = (255, 250, 245), (150, 70, 50), 0.3
_RIM_COLOR = (30, 26, 24)
_FINGER_OF_JOINT = (0,) + tuple(finger for finger in range(len(FINGERS)) for _ in range(4))
#: A hand is called unsure below this mean confidence: the highest level at which, on rendered pictures, more than half of
#: the hands and joints below are off by more than a tenth of the hand's size. `tools/measure_doubt.py` measures it. When it
#: was chosen, of 777 rendered hands 61 % of those below were wrong with `base` and 66 % with `lite`, and 6 and 7 % of the
#: others. On 290 real hands (ge-real-a) `base` called none unsure, and 2 were wrong; `lite` 41, of which 46 % were wrong.
UNSURE = 0.5
#: Joints are solid from the second confidence on and nearly gone below the first. By the same command 54 % of the rendered
#: joints below the second were wrong with `base` (59 % with `lite`) and 7 % (8 %) of the others; of real ones 76 % (43 %)
#: and 2 % (9 %).
_FADE = (0.2, UNSURE)
#: Opacities in which bones are drawn, the faintest first.
_LEVELS = (0.25, 0.5, 0.75, 1.0)
#: Sub-pixel bits of OpenCV's drawing.
_SHIFT = 3
#: The mask is drawn this many times finer than the crop's grid.
_FINER = 4


@dataclass(frozen=True)
class Look:
    """What the overlay shows beside bones and speed."""

    mask: bool = True
    dots: bool = True
    labels: bool = True
    ids: bool = False

    @classmethod
    def of(cls, names: str) -> Look:
        """From a list as "mask,dots", or "none". Raises ValueError on an unknown name."""
        given = [] if names == "none" else names.split(",")
        unknown = [name for name in given if name not in PARTS]
        if unknown:
            raise ValueError(f"--show {unknown[0]} is unknown. Known: {', '.join(PARTS)}, none.")
        return cls(**{name: name in given for name in PARTS})


#: What can be switched, in the order of the window's keys 1 to 4.
PARTS = tuple(field.name for field in fields(Look))


def draw(
    image: np.ndarray,
    poses: Sequence[HandPose],
    mirror: bool = False,
    fps: float = 0.0,
    latency_ms: float = 0.0,
    look: Look = Look(),
) -> np.ndarray:
    """A new picture (H, W, 3) BGR with the hands drawn on it; `image` stays as it is.

    mirror: flip the picture, and the hands with it, but not the writing. fps and latency_ms are written where above 0.
    """
    canvas = cv2.flip(image, 1) if mirror else image.copy()
    width = image.shape[1]
    hands = [pose.uv_image * (-1, 1) + (width - 1, 0) if mirror else pose.uv_image for pose in poses]
    if look.mask:
        for pose in poses:
            _draw_mask(canvas, pose, width if mirror else None)
    for uv, pose in zip(hands, poses):
        draw_skeleton(canvas, uv, pose.confidence, look.dots)
    for uv, pose in zip(hands, poses):
        _draw_label(canvas, uv, label(pose, look))
    _draw_speed(canvas, fps, latency_ms)
    return canvas


def label(pose: HandPose, look: Look) -> str:
    """What is written beside a hand; empty for nothing."""
    words = [f"#{pose.id}"] * look.ids + [pose.handedness] * look.labels
    return " ".join(words) + ", unsure" * (look.labels and pose.score < UNSURE)


def _draw_mask(canvas: np.ndarray, pose: HandPose, mirrored_width: int | None) -> None:
    """Tint the hand's mask and draw its edge. Only the part of the picture under the mask is touched."""
    to_crop = pose.image_to_crop
    if mirrored_width is not None:
        to_crop = to_crop @ np.array([[-1.0, 0, mirrored_width - 1], [0, 1, 0], [0, 0, 1]])
    outlines = _outlines(pose.mask_crop, np.linalg.inv(to_crop))
    if not outlines:
        return
    points = np.concatenate(outlines)
    low = np.clip(np.floor(points.min(axis=0)), 0, canvas.shape[1::-1]).astype(int)
    high = np.clip(np.ceil(points.max(axis=0)) + 1, 0, canvas.shape[1::-1]).astype(int)
    part = canvas[low[1] : high[1], low[0] : high[0]]
    if not part.size:
        return
    outlines = [_fixed(outline - low) for outline in outlines]
    inside = np.zeros(part.shape[:2], np.uint8)
    cv2.fillPoly(inside, outlines, 255, cv2.LINE_8, _SHIFT)
    cv2.copyTo(cv2.LUT(part, _TINTED), inside, part)
    thick = max(1, round(float(np.ptp(points, axis=0).max()) / 200))
    cv2.polylines(part, outlines, True, EDGE_COLOR, thick, cv2.LINE_AA, _SHIFT)


_TINTED = np.rint(np.arange(256)[None, :, None] * (1 - _TINT) + np.array(_TINT_COLOR)[None, None] * _TINT).astype(
    np.uint8
)


def _outlines(mask: np.ndarray, to_image: np.ndarray) -> list[np.ndarray]:
    """The edges (N, 2) of a mask (64, 64) in the picture's pixels, smooth; specks are left out."""
    fine = cv2.resize(np.rint(mask * 255).astype(np.uint8), None, fx=_FINER, fy=_FINER, interpolation=cv2.INTER_CUBIC)
    # A border, so that a mask that reaches the crop's rim has an edge there too.
    fine = cv2.copyMakeBorder(fine, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    found, _ = cv2.findContours((fine > 127).astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    edges = []
    for contour in found:
        if len(contour) < 12 * _FINER:
            continue
        grid = (_smooth(contour[:, 0].astype(np.float32))[::3] - 0.5) / _FINER - 0.5
        edges.append(cv2.perspectiveTransform(grid[None].astype(np.float64), to_image)[0])
    return edges


def _smooth(points: np.ndarray, width: int = 9) -> np.ndarray:
    """A moving average along a closed line (N, 2)."""
    half = width // 2
    return cv2.blur(np.concatenate([points[-half:], points, points[:half]]), (1, width))[half:-half]


def _fixed(points: np.ndarray) -> np.ndarray:
    """Whole numbers with sub-pixel bits for OpenCV's drawing."""
    return np.rint(np.clip(points, -1e5, 1e5) * (1 << _SHIFT)).astype(np.int32)


def draw_skeleton(canvas: np.ndarray, uv: np.ndarray, confidence: np.ndarray | None = None, dots: bool = True) -> None:
    """Draw joints uv (21, 2) in place, each finger in its colour on a dark rim; what has little confidence (21,) fades."""
    size = float(np.ptp(uv, axis=0).max())
    thick = max(1, round(size / 75))
    levels = np.full(NUM_JOINTS, len(_LEVELS) - 1) if confidence is None else _levels(confidence)
    bones = [min(levels[parent], levels[child]) for parent, child in BONES]
    margin = 3 * thick + 3
    low = np.clip(np.floor(uv.min(axis=0) - margin), 0, canvas.shape[1::-1]).astype(int)
    high = np.clip(np.ceil(uv.max(axis=0) + margin), 0, canvas.shape[1::-1]).astype(int)
    part = canvas[low[1] : high[1], low[0] : high[0]]
    if not part.size:
        return
    points = _fixed(uv - low).tolist()
    for level, opacity in enumerate(_LEVELS):
        lines = [bone for bone, of in zip(BONES, bones) if of == level]
        joints = [joint for joint in range(NUM_JOINTS) if dots and levels[joint] == level]
        if lines or joints:
            layer = part if opacity == 1 else part.copy()
            _draw_parts(layer, points, lines, joints, thick)
            if opacity < 1:
                cv2.addWeighted(layer, opacity, part, 1 - opacity, 0, dst=part)


def _levels(confidence: np.ndarray) -> list[int]:
    """Index of _LEVELS of every joint."""
    share = np.clip((np.asarray(confidence, float) - _FADE[0]) / (_FADE[1] - _FADE[0]), 0, 1)
    return np.floor(share * (len(_LEVELS) - 1) + 1e-9).astype(int).tolist()


def _draw_parts(canvas: np.ndarray, points: list, bones: list, joints: list, thick: int) -> None:
    rim = max(1, round(thick / 3))
    for parent, child in bones:
        cv2.line(canvas, points[parent], points[child], _RIM_COLOR, thick + 2 * rim, cv2.LINE_AA, _SHIFT)
    for parent, child in bones:
        color = FINGER_COLORS[_FINGER_OF_JOINT[child]]
        cv2.line(canvas, points[parent], points[child], color, thick, cv2.LINE_AA, _SHIFT)
    for joint in joints:
        radius = (thick + (0.5 if joint in TIPS else 0)) * (1 << _SHIFT)
        color = FINGER_COLORS[_FINGER_OF_JOINT[joint]] if joint else EDGE_COLOR
        cv2.circle(canvas, points[joint], int(radius) + (rim << _SHIFT), _RIM_COLOR, -1, cv2.LINE_AA, _SHIFT)
        cv2.circle(canvas, points[joint], int(radius), color, -1, cv2.LINE_AA, _SHIFT)


def _draw_label(canvas: np.ndarray, uv: np.ndarray, text: str) -> None:
    """On a plate under the wrist, away from the fingers; where that is outside, beside the hand."""
    if not text or not np.isfinite(uv).all():
        return
    size = text_height(canvas)
    plate(canvas, text, *_label_place(canvas, uv, plate_size(text, size)), size)


def _label_place(canvas: np.ndarray, uv: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Upper left corner (2,) of a plate inside the picture that covers no fingertip, if there is one."""
    away = uv[WRIST] - uv[MIDDLE_MCP]
    away = away / max(float(np.linalg.norm(away)), 1e-9)
    across, half = np.array([-away[1], away[0]]), np.array(size) / 2
    room = np.maximum(np.array(canvas.shape[1::-1]) - size, 0)
    clear = half + size[1] / 2
    best, most = np.zeros(2), -np.inf
    for way in (away, across, -across, -away):
        # From the wrist, or past all joints on that side, by the plate's own half in that direction.
        reach = max(float(((uv - uv[WRIST]) @ way).max()), 0.0) + float(np.abs(way) @ clear)
        corner = np.clip(uv[WRIST] + reach * way - half, 0, room)
        gap = np.abs(uv[list(TIPS)] - (corner + half)) - clear
        free = float(gap.max(axis=1).min())
        if free >= 0:
            return corner
        if free > most:
            best, most = corner, free
    return best


def _draw_speed(canvas: np.ndarray, fps: float, latency_ms: float) -> None:
    parts = [f"{fps:.0f} fps"] * (fps > 0) + [f"{latency_ms:.0f} ms"] * (latency_ms > 0)
    if parts:
        size = text_height(canvas)
        plate(canvas, "  ".join(parts), size / 2, size / 2, size)
