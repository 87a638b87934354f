"""A few words over the top of a picture: what is wrong with the camera."""

from __future__ import annotations

import cv2
import numpy as np

_FONT = cv2.FONT_HERSHEY_SIMPLEX


def write_banner(picture: np.ndarray, text: str) -> None:
    """Write `text` into the middle of a picture (H, W, 3) BGR on a dark band, as large as it fits."""
    height, width = picture.shape[:2]
    scale = min(0.9, 0.9 * width / cv2.getTextSize(text, _FONT, 1.0, 2)[0][0])
    thickness = max(round(2 * scale), 1)
    (length, tall), _ = cv2.getTextSize(text, _FONT, scale, thickness)
    top, bottom = max(height // 2 - tall, 0), min(height // 2 + tall + 2, height)
    picture[top:bottom] //= 3
    place = ((width - length) // 2, height // 2 + tall // 2)
    cv2.putText(picture, text, place, _FONT, scale, (255, 255, 255), thickness, cv2.LINE_AA)
