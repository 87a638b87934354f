"""Painted rooms, pictures of the user's choice, and the random windows into both."""

import cv2
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from semihand.errors import SemihandError
from semihand.synth.background import load_pictures, paint, painted_pool, window


def write_picture(path, width, height, bgr=(10, 20, 200)):
    assert cv2.imwrite(str(path), np.full((height, width, 3), bgr, np.uint8))


def test_painted_rooms_are_pictures_of_one_seed():
    rooms = [paint(np.random.default_rng(seed)) for seed in (0, 0, 1)]
    assert rooms[0].shape == (300, 400, 3) and rooms[0].dtype == np.uint8
    assert_array_equal(rooms[0], rooms[1])
    assert np.abs(rooms[0].astype(float) - rooms[2]).mean() > 5


def test_every_block_of_pictures_has_its_own_rooms():
    pool, other = painted_pool(4, 0, 2), painted_pool(4, 1, 2)
    assert len(pool) == 2
    assert_array_equal(pool[1], painted_pool.__wrapped__(4, 0, 2)[1])
    assert (pool[0] != other[0]).any() and (pool[0] != painted_pool(5, 0, 2)[0]).any()


def test_window_is_a_float_square_of_one_seed():
    picture = paint(np.random.default_rng(2))
    squares = [window(np.random.default_rng(seed), picture, 48) for seed in range(12)]
    for square in squares:
        assert square.shape == (48, 48, 3) and square.dtype == np.float32 and square.flags.c_contiguous
        assert np.isfinite(square).all() and -60 < square.min() and square.max() < 400
    assert_array_equal(squares[3], window(np.random.default_rng(3), picture, 48))
    assert (squares[3] != squares[4]).any()


def test_pictures_come_as_rgb_no_longer_than_asked(tmp_path):
    (tmp_path / "deep").mkdir()
    write_picture(tmp_path / "a.png", 900, 600)
    write_picture(tmp_path / "deep" / "b.JPG", 100, 120)
    pictures = load_pictures(tmp_path, longest=300)
    assert sorted(p.shape for p in pictures) == [(120, 100, 3), (200, 300, 3)]
    assert_array_equal(pictures[0][5, 5], [200, 20, 10])


def test_unreadable_and_tiny_pictures_are_left_out(tmp_path):
    write_picture(tmp_path / "good.png", 80, 80)
    write_picture(tmp_path / "tiny.png", 60, 200)
    (tmp_path / "broken.png").write_bytes(b"not a picture")
    (tmp_path / "notes.txt").write_text("hello")
    assert [p.shape for p in load_pictures(tmp_path)] == [(80, 80, 3)]


def test_a_long_panorama_does_not_break_the_window(tmp_path):
    write_picture(tmp_path / "good.png", 80, 80)
    write_picture(tmp_path / "panorama.png", 3000, 100)
    for picture in load_pictures(tmp_path):
        for seed in range(20):
            assert window(np.random.default_rng(seed), picture, 32).shape == (32, 32, 3)


@pytest.mark.parametrize("content", [None, "empty", "broken"])
def test_a_folder_without_pictures_is_said_by_name(tmp_path, content):
    folder = tmp_path / "pictures"
    if content:
        folder.mkdir()
    if content == "broken":
        (folder / "a.jpg").write_bytes(b"\xff\xd8 truncated")
    with pytest.raises(SemihandError, match="No readable picture in .*pictures"):
        load_pictures(folder)
