"""`semihand calibrate` through its runner: the board's picture, a typed length, and wrong usage."""

import cv2
import pytest
from typer.testing import CliRunner

from semihand.calibrate.board import find_corners
from semihand.cli import app
from semihand.models.calibration import read_person


def command(*arguments):
    return CliRunner().invoke(app, ["calibrate", *map(str, arguments)])


def test_the_boards_picture_can_be_found_again(tmp_path):
    result = command("--board", tmp_path / "board.png")
    assert result.exit_code == 0 and "board.png: print it" in result.stderr
    assert len(find_corners(cv2.imread(str(tmp_path / "board.png"))).ids) == 28


def test_a_typed_length_makes_a_profile(own_data):
    result = command("--user", "ann", "--length", 182)
    assert result.exit_code == 0 and "semihand track --user ann" in result.stderr
    assert read_person("ann").measured == "typed length"


def test_a_picture_without_a_board_is_told(own_data, hand_photo, tmp_path):
    cv2.imwrite(str(tmp_path / "hand.png"), hand_photo(1, "")[0])
    result = command("--images", tmp_path / "hand.png", "--name", "phone")
    assert result.exit_code == 1 and "The board was seen in none of 1 pictures" in str(result.exception)
    assert not (own_data / "cameras").exists()


@pytest.mark.parametrize(
    "options, told",
    [
        (("--user", "ann"), "one of --hand PICTURE and --length MM"),
        (("--length", 182), "one of --hand PICTURE and --length MM"),
        (("--user", "ann", "--length", 182, "--hand", "x.png"), "one of --hand PICTURE and --length MM"),
        (("--user", "ann", "--length", 20), "100"),
        (("--user", "ann", "--length", 182, "--camera", 0), "--user and --camera exclude each other"),
        (("--board", "b.png", "--images", "x"), "--board and --images exclude each other"),
        (("--images", "x"), "--name is missing"),
        (("--images", "x", "--name", ""), "--name is missing"),
        (("--viewer", "rerun"), "--viewer rerun shows no board"),
        (("--save-picture", "x.png"), "give --hand too"),
        (("--camera", 0, "--video", "x.mp4", "--name", "x"), "exclude each other"),
    ],
)
def test_wrong_usage(options, told):
    result = command(*options)
    assert result.exit_code == 2 and told in " ".join(result.stderr.split())
