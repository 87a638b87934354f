"""tools/readme_picture.py: a moving picture that is small enough, or a sentence."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from semihand.errors import SemihandError

TOOLS = Path(__file__).resolve().parents[2] / "tools"


@pytest.fixture
def tool(monkeypatch):
    monkeypatch.syspath_prepend(str(TOOLS))
    yield importlib.import_module("readme_picture")
    sys.modules.pop("readme_picture")


def moving(count=8) -> list[np.ndarray]:
    """Noise that moves: nothing compresses worse."""
    noise = np.random.default_rng(0).integers(0, 255, (60, 80, 3), np.uint8)
    return [np.roll(noise, 5 * number, axis=1) for number in range(count)]


def test_it_moves_for_ever_at_its_rate(tool, tmp_path):
    path = tmp_path / "a.webp"
    size = tool.write_animation(path, moving(), 10.0)
    with Image.open(path) as image:
        assert image.n_frames == 8 and image.info["loop"] == 0 and image.size == (80, 60)
        image.seek(1)
        image.load()
        assert image.info["duration"] == 100
    assert size == path.stat().st_size


def test_the_quality_falls_until_it_fits(tool, tmp_path):
    path = tmp_path / "a.webp"
    whole = tool.write_animation(path, moving(), 10.0)
    assert tool.write_animation(path, moving(), 10.0, whole - 1) < whole
    with pytest.raises(SemihandError, match="Take fewer seconds, or less height"):
        tool.write_animation(path, moving(), 10.0, 1000)
    assert not path.exists()


def test_a_stretch_of_a_film_by_two_models(tool, tmp_path, monkeypatch):
    import argparse

    import cv2

    film = tmp_path / "film.avi"
    writer = cv2.VideoWriter(str(film), cv2.VideoWriter.fourcc(*"MJPG"), 30, (64, 48))
    for number in range(60):
        writer.write(np.full((48, 64, 3), 4 * number, np.uint8))
    writer.release()

    class Nobody:
        def step(self, frame):
            return []

    monkeypatch.setattr(tool, "HandTracker", lambda *_, **__: Nobody())
    options = argparse.Namespace(
        film=film, before="a", after="b", start=0.5, seconds=1.0, fps=10.0, height=240, credit="Film: me"
    )
    pictures = tool.film_pictures(options)
    assert len(pictures) == 10 and pictures[0].shape == (240 + 30, 2 * 320 + 4, 3)
    greys = [picture[100, 20, 0] for picture in pictures]
    assert abs(int(greys[0]) - 60) < 9 and abs(int(greys[-1]) - 168) < 9
    options.start = 9.0
    with pytest.raises(SemihandError, match="ends before 9.0 seconds"):
        tool.film_pictures(options)
