"""Text on pictures: the same letters with every OpenCV, inside the picture, on plates that can be read."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from semihand.tracker.text import banner, fitted, plate, plate_size, text_height, text_size, wrapped, write

REFERENCE = Path(__file__).parent / "text_reference.png"


def written() -> np.ndarray:
    """What the reference picture shows: light and dark ground, two sizes, with plate and without."""
    picture = np.full((96, 240, 3), 235, np.uint8)
    picture[48:] = (40, 50, 60)
    for top in (0, 48):
        plate(picture, "#2 right, unsure", 4, top + 4, 14)
        write(picture, "30 fps  12 ms", 150, top + 4, 13, (90, 110, 120))
        write(picture, "QgjpÅy", 150, top + 20, 20, (84, 107, 255))
    return picture


def test_text_looks_like_the_reference_picture():
    expected = cv2.imread(str(REFERENCE)).astype(int)
    difference = np.abs(written().astype(int) - expected)
    assert difference.mean() < 1.0 and np.quantile(difference, 0.99) < 40
    # the reference itself would not pass with other words
    other = written()
    other[4:26, 4:140] = 235
    assert np.abs(other.astype(int) - expected).mean() > 3


@pytest.mark.parametrize("x, y", [(-50, -50), (500, 500), (10, 95)])
def test_text_is_moved_into_the_picture(x, y):
    blank = np.zeros((100, 200, 3), np.uint8)
    moved, home = blank.copy(), blank.copy()
    write(moved, "semihand", x, y, 16)
    write(home, "semihand", 0, 0, 16)
    assert moved.sum() == home.sum() > 0


@pytest.mark.parametrize("shape", [(1, 1, 3), (5, 300, 3), (300, 5, 3)])
def test_pictures_smaller_than_the_text(shape):
    picture = np.zeros(shape, np.uint8)
    plate(picture, "right", 3, 3, 16)
    assert picture.shape == shape and picture.any() == (shape != (1, 1, 3))


def test_a_plate_makes_any_ground_dark():
    for ground in (0, 128, 255):
        picture = np.full((40, 120, 3), ground, np.uint8)
        plate(picture, "right", 0, 0, 20)
        width, height = plate_size("right", 20)
        assert picture[height // 2, 4].max() < 110  # beside the letters
        assert picture[:height, :width].max() >= 240  # the letters
        assert (picture[height + 1 :] == ground).all() and (picture[:, width + 1 :] == ground).all()


def test_lines_are_as_wide_as_allowed():
    text = "Turn your hand: palm, edge, back; lean it left and right, tilt it up and down."
    lines = wrapped(text, 16, 200)
    assert " ".join(lines) == text and len(lines) > 2
    assert all(text_size(line, 16)[0] <= 200 for line in lines)
    assert wrapped("pneumonoultramicroscopic", 16, 20) == ["pneumonoultramicroscopic"]


def test_size_grows_with_the_picture_and_not_with_its_shape():
    sizes = [text_height(np.empty((height, width, 1), np.uint8)) for width, height in
             ((160, 120), (640, 480), (1280, 720), (720, 1280), (3840, 2160))]  # fmt: skip
    assert sizes[0] == sizes[1] == 13 and sizes[2] == sizes[3] == 21 and sizes[4] == 63


@pytest.mark.parametrize("width, height", [(640, 480), (240, 426), (1920, 1080)])
def test_a_banner_is_whole_and_in_the_middle(width, height):
    picture = np.full((height, width, 3), 235, np.uint8)
    banner(picture, "The camera gives no pictures. Waiting for it to come back; q ends it.")
    rows, columns = np.nonzero((picture != 235).any(axis=2))
    assert 0 < columns.min() and columns.max() < width - 1
    assert abs(columns.min() + columns.max() - width) < 4 and abs(rows.min() + rows.max() - height) < 4
    inside = picture[rows.min() : rows.max(), columns.min() : columns.max()]
    assert (inside > 240).any() and (inside < 110).mean() > 0.5


def test_long_text_gets_smaller_rather_than_cut():
    text = "Hold your open hand up and move it slowly about, fingers spread, then together."
    size, lines = fitted(text, 20, 380, 2)
    assert size < 20 and len(lines) == 2 and " ".join(lines) == text
    assert len(wrapped(text, size + 1, 380)) > 2  # no smaller than it must be
    assert fitted("Done", 20, 380, 2) == (20, ["Done"])
