"""Rendered photographs with known truth: the board through a known lens, a flat hand beside a card or on a sheet."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import cv2
import numpy as np
import pytest

from semihand.calibrate.board import board_picture
from semihand.models.camera import Lens

spec = importlib.util.spec_from_file_location("measure_hands", Path(__file__).parents[2] / "tools" / "measure_hands.py")
measure_hands = importlib.util.module_from_spec(spec)
spec.loader.exec_module(measure_hands)
LENS = Lens(np.array([[700.0, 0, 331], [0, 700.0, 236], [0, 0, 1]]), np.array([-0.25, 0.08, 0, 0, 0]))


def photograph(picture: np.ndarray, to_image: np.ndarray, lens: Lens, size: tuple[int, int], outside=0.0) -> np.ndarray:
    """A flat picture seen through a lens, by its homography (3, 3) to the pixels of a pinhole with the same K."""
    u, v = np.meshgrid(np.arange(size[0], dtype=float), np.arange(size[1], dtype=float))
    straight = lens.straight(np.stack([u, v], -1).reshape(-1, 2))
    at = np.column_stack([straight, np.ones(len(straight))]) @ np.linalg.inv(to_image).T
    at = (at[:, :2] / at[:, 2:]).reshape(size[1], size[0], 2).astype(np.float32)
    return cv2.remap(picture, at[..., 0], at[..., 1], cv2.INTER_LINEAR, borderValue=outside)


def photographed_board(rng, lens: Lens = LENS, size=(640, 480), tilt=35.0, inside=0.25) -> np.ndarray:
    """(H, W, 3) BGR of the board, turned at random by up to `tilt` degrees."""
    picture = board_picture()
    height, width = picture.shape
    turn, z = measure_hands.rotation(*rng.uniform(-tilt, tilt, 2), rng.uniform(-15, 15)), rng.uniform(1.1, 1.9)
    where = np.array([*rng.uniform(-inside, inside, 2) * z, z])
    on_plane = np.array([[1 / width, 0, -0.5], [0, 1 / width, -0.5 * height / width], [0, 0, 1]])
    to_image = lens.K @ np.column_stack([turn[:, 0], turn[:, 1], where]) @ on_plane
    seen = cv2.GaussianBlur(photograph(picture, to_image, lens, size, 90), (0, 0), 0.7) + rng.normal(0, 3, size[::-1])
    return cv2.cvtColor(np.clip(seen, 0, 255).astype(np.uint8), cv2.COLOR_GRAY2BGR)


@pytest.fixture(scope="session")
def board_photo():
    """board_photo(rng, tilt=35.0): the board through LENS, see `photographed_board`."""
    return photographed_board


@pytest.fixture(scope="session")
def hand_photo():
    """hand_photo(seed, sheet="card" | "a4" | "", shape=0, ...): see `photographed_hand`."""
    return measure_hands.photographed_hand


@pytest.fixture(scope="session")
def on_table():
    """on_table(shape): joints and vertices of a flat hand, see `flat_hand`."""
    return measure_hands.flat_hand


@pytest.fixture(scope="session")
def known_lens():
    """The lens of `board_photo`."""
    return LENS


@pytest.fixture
def own_data(tmp_path, monkeypatch):
    """A data folder of the test's own."""
    monkeypatch.setenv("SEMIHAND_DATA", str(tmp_path / "data"))
    return tmp_path / "data"
