"""Tiny pictures and a hand whose joints all differ, for data sets written in their original layouts."""

import cv2
import numpy as np
import pytest


def write_picture(path, size=(8, 8), value=90):
    """A grey picture of (width, height) at the path; folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full(size[::-1], value, np.uint8))
    return path


@pytest.fixture
def picture():
    """picture(path, size=(8, 8), value=90) writes a tiny grey picture."""
    return write_picture


@pytest.fixture
def hand():
    """Joints (21, 3) metres in mediapipe21 order, all different, before a camera."""
    i = np.arange(21.0)[:, None]
    return np.concatenate([0.004 * i - 0.04, 0.003 * i - 0.03, 0.5 + 0.001 * i], axis=1)
