"""The overlay: mask, skeleton coloured by finger, joints coloured by confidence, id, hand, speed."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from ..models.camera import GRID
from ..models.joints import BONES, FINGERS, NUM_JOINTS, TIPS
from .types import HandPose

#: BGR of thumb, index, middle, ring and little finger.
FINGER_COLORS = ((60, 90, 255), (40, 190, 255), (80, 220, 80), (255, 190, 60), (255, 90, 200))
SIDE_COLORS = {"left": (255, 200, 80), "right": (80, 200, 255)}
_FINGER_OF_JOINT = (0,) + tuple(finger for finger in range(len(FINGERS)) for _ in range(4))
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_TINT = 0.35
#: Sub-pixel bits of OpenCV's drawing.
_SHIFT = 3


def draw(
    image: np.ndarray,
    poses: Sequence[HandPose],
    mirror: bool = False,
    fps: float = 0.0,
    latency_ms: float = 0.0,
) -> np.ndarray:
    """A new picture (H, W, 3) BGR with the hands drawn on it; `image` stays as it is.

    mirror: flip the picture, and the hands with it, but not the writing. fps and latency_ms are written where above 0.
    """
    canvas = cv2.flip(image, 1) if mirror else image.copy()
    width = image.shape[1]
    for pose in poses:
        _draw_mask(canvas, pose, width if mirror else None)
    for pose in poses:
        uv = pose.uv_image * (-1, 1) + (width - 1, 0) if mirror else pose.uv_image
        _draw_skeleton(canvas, uv, pose.confidence)
        _draw_label(canvas, uv, pose)
    _draw_speed(canvas, fps, latency_ms)
    return canvas


def _draw_mask(canvas: np.ndarray, pose: HandPose, mirrored_width: int | None) -> None:
    """Tint the hand's mask. Only the part of the picture under the crop is touched."""
    to_crop = pose.image_to_crop
    if mirrored_width is not None:
        to_crop = to_crop @ np.array([[-1.0, 0, mirrored_width - 1], [0, 1, 0], [0, 0, 1]])
    to_image = np.linalg.inv(to_crop)
    region = _covered(to_image, canvas.shape[1], canvas.shape[0])
    if region is None:
        return
    left, top, right, bottom = region
    shift = np.array([[1.0, 0, -left], [0, 1, -top], [0, 0, 1]])
    mask8 = (pose.mask_crop * (255 * _TINT)).astype(np.uint8)
    alpha = cv2.warpPerspective(mask8, shift @ to_image, (right - left, bottom - top), flags=cv2.INTER_LINEAR)
    part = canvas[top:bottom, left:right]
    color = np.full_like(part, SIDE_COLORS[pose.handedness])
    weights = cv2.merge([alpha] * 3)
    # part + alpha (color - part), all in 8 bits.
    cv2.add(
        cv2.multiply(part, cv2.bitwise_not(weights), scale=1 / 255),
        cv2.multiply(color, weights, scale=1 / 255),
        dst=part,
    )


def _covered(to_image: np.ndarray, width: int, height: int) -> tuple[int, int, int, int] | None:
    """[left, top, right, bottom] of the picture's pixels under the crop's grid, None where there are none."""
    low, high = -0.5, GRID - 0.5
    corners = np.array([[low, low, 1], [high, low, 1], [high, high, 1], [low, high, 1]]) @ to_image.T
    if (corners[:, 2] <= 0).any():
        return 0, 0, width, height
    corners = corners[:, :2] / corners[:, 2:]
    left, top = np.clip(np.floor(corners.min(axis=0)), 0, (width, height)).astype(int).tolist()
    right, bottom = np.clip(np.ceil(corners.max(axis=0)) + 1, 0, (width, height)).astype(int).tolist()
    return (left, top, right, bottom) if left < right and top < bottom else None


def _draw_skeleton(canvas: np.ndarray, uv: np.ndarray, confidence: np.ndarray) -> None:
    size = float(np.ptp(uv, axis=0).max())
    thick = max(1, round(size / 90))
    points = np.rint(np.clip(uv, -1e5, 1e5) * (1 << _SHIFT)).astype(int).tolist()
    for parent, child in BONES:
        color = FINGER_COLORS[_FINGER_OF_JOINT[child]]
        cv2.line(canvas, points[parent], points[child], color, thick, cv2.LINE_AA, _SHIFT)
    for joint in range(NUM_JOINTS):
        radius = (thick + (1.5 if joint in TIPS else 1)) * (1 << _SHIFT)
        cv2.circle(
            canvas, points[joint], int(radius), confidence_color(confidence[joint]), -1, cv2.LINE_AA, _SHIFT
        )


def confidence_color(confidence: float) -> tuple[int, int, int]:
    """BGR from red (0) over yellow (0.5) to green (1)."""
    sure = min(max(float(confidence), 0.0), 1.0)
    return 0, int(255 * min(1.0, 2 * sure)), int(255 * min(1.0, 2 * (1 - sure)))


def _draw_label(canvas: np.ndarray, uv: np.ndarray, pose: HandPose) -> None:
    text = f"{pose.id} {pose.handedness} {pose.score:.2f}"
    _write(
        canvas,
        text,
        uv[:, 0].min(),
        uv[:, 1].min() - 6 * _text_scale(canvas) / 0.5,
        SIDE_COLORS[pose.handedness],
    )


def _draw_speed(canvas: np.ndarray, fps: float, latency_ms: float) -> None:
    parts = [f"{fps:.0f} fps"] * (fps > 0) + [f"{latency_ms:.1f} ms"] * (latency_ms > 0)
    if parts:
        _write(canvas, "  ".join(parts), 8, 24 * _text_scale(canvas) / 0.5, (255, 255, 255))


def _text_scale(canvas: np.ndarray) -> float:
    return max(0.4, max(canvas.shape[:2]) / 1280 * 0.6)


def _write(canvas: np.ndarray, text: str, x: float, y: float, color: tuple[int, int, int]) -> None:
    """Outlined text with its lower left corner at (x, y), moved into the picture."""
    scale = _text_scale(canvas)
    (width, height), _ = cv2.getTextSize(text, _FONT, scale, 1)
    x = int(min(max(x, 2), max(canvas.shape[1] - width - 2, 2)))
    y = int(min(max(y, height + 2), max(canvas.shape[0] - 4, height + 2)))
    thick = max(1, round(scale * 2))
    cv2.putText(canvas, text, (x, y), _FONT, scale, (0, 0, 0), thick + 2, cv2.LINE_AA)
    cv2.putText(canvas, text, (x, y), _FONT, scale, color, thick, cv2.LINE_AA)
