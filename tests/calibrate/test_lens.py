"""The board, the lens that is measured from it, and what happens where it cannot be told."""

import cv2
import numpy as np
import pytest
from numpy.testing import assert_allclose

from semihand.calibrate import camera
from semihand.calibrate.board import COLUMNS, ROWS, board_picture, find_corners
from semihand.calibrate.camera import CameraOptions, calibrate_camera, drawn, watch
from semihand.calibrate.lens import Views
from semihand.errors import SemihandError
from semihand.models.calibration import find_camera_record
from semihand.models.camera import Lens, default_intrinsics
from semihand.picture_file import write_picture
from semihand.tracker.camera import Source
from semihand.tracker.options import TrackOptions
from semihand.tracker.types import Frame


class Film(Source):
    """Pictures of the board as a camera delivers them, each held for a while."""

    name, camera, live = "camera 3", "Desk Cam", True

    def __init__(self, pictures, held=3):
        self.pictures = [picture for picture in pictures for _ in range(held)]

    def frames(self):
        for index, picture in enumerate(self.pictures):
            yield Frame(picture, index / 30, index)

    def close(self):
        """Nothing is open."""


@pytest.fixture(scope="module")
def photos(board_photo):
    rng = np.random.default_rng(1)
    return [board_photo(rng) for _ in range(14)]


def test_the_board_is_found_whole_in_its_own_picture():
    corners = find_corners(cv2.cvtColor(board_picture(), cv2.COLOR_GRAY2BGR))
    assert len(corners.ids) == (COLUMNS - 1) * (ROWS - 1)
    # One square is 200 pixels, the border half of it.
    assert_allclose(corners.uv, 200 * corners.on_board + 99.5, atol=0.6)


def test_no_board_is_no_corners():
    assert find_corners(np.full((480, 640, 3), 90, np.uint8)) is None


def test_a_known_lens_is_measured(photos, known_lens):
    views = Views(every=True)
    for photo in photos:
        views.look(photo)
    solution = views.solve()
    assert_allclose(solution.lens.K, known_lens.K, atol=6.0)
    assert abs(solution.lens.K[0, 0] - 700) < 4 * solution.focal_error
    assert solution.error_px < 0.4
    grid = np.stack(np.meshgrid(np.linspace(40, 600, 8), np.linspace(40, 440, 6)), -1).reshape(-1, 2)
    rays = [(lens.straight(grid) - lens.K[:2, 2]) / lens.K[0, 0] for lens in (solution.lens, known_lens)]
    assert np.abs(rays[0] - rays[1]).max() < 0.01


def test_boards_that_all_face_the_camera_tell_no_focal_length(board_photo):
    rng, views = np.random.default_rng(2), Views(every=True)
    for _ in range(8):
        views.look(board_photo(rng, tilt=0.0))
    with pytest.raises(SemihandError, match="Tilt the board"):
        views.solve()


def test_too_few_and_no_boards_are_told(photos):
    views = Views(every=True)
    for photo in photos[:3]:
        views.look(photo)
    with pytest.raises(SemihandError, match="seen from 3 sides; 6"):
        views.solve()
    blind = Views(every=True)
    blind.look(np.zeros((480, 640, 3), np.uint8))
    with pytest.raises(SemihandError, match="none of 1 pictures"):
        blind.solve()


def test_pictures_of_two_sizes_are_refused(photos):
    views = Views(every=True)
    views.look(photos[0])
    with pytest.raises(SemihandError, match="640x480 and of 320x240"):
        views.look(cv2.resize(photos[0], (320, 240)))


def test_before_a_camera_only_new_and_still_boards_are_kept(photos):
    moving = watch(Film(photos, held=1), "none")
    assert moving.kept == [] and moving.seen == 14 and moving.hint == "hold it still"
    assert len(watch(Film(photos[:5]), "none").kept) == 5
    assert len(watch(Film(photos[:1], held=9), "none").kept) == 1


def test_a_camera_ends_once_its_lens_is_known(photos):
    views = watch(Film(photos), "none")
    assert 10 <= len(views.kept) < 14
    assert abs(views.solve().lens.K[0, 0] - 700) < 10


def test_the_window_shows_what_to_do_next(photos):
    views = Views()
    corners = views.look(photos[0])
    picture = drawn(photos[0], corners, views)
    assert picture.shape == photos[0].shape and views.hint
    u, v = np.rint(corners.uv[0]).astype(int)
    assert (picture[v - 6 : v + 7, u - 6 : u + 7] != photos[0][v - 6 : v + 7, u - 6 : u + 7]).any()


def test_a_window_shows_every_picture_and_q_is_enough(photos, monkeypatch):
    shown = []

    class Screen:
        def __init__(self, title, keys):
            shown.append(title)

        def show(self, picture):
            shown.append(picture.shape)

        def command(self, ms):
            return "quit" if len(shown) == 22 else None

        def close(self):
            shown.append("closed")

    monkeypatch.setattr(camera, "Screen", Screen)
    monkeypatch.setattr(camera, "display_trouble", lambda: None)
    views = watch(Film(photos))
    assert len(views.kept) == 6 and views.looked == 21  # two of the seven photos show the board in nearly one place
    assert shown == ["semihand: calibrate", *[(480, 640, 3)] * 21, "closed"]


def test_no_display_is_told_where_a_window_was_asked_for(photos, monkeypatch):
    monkeypatch.setattr(camera, "display_trouble", lambda: "There is no display.")
    assert watch(Film(photos[:1])).seen == 3
    with pytest.raises(SemihandError, match="There is no display. Use --viewer none"):
        watch(Film(photos[:1]), "window")


def test_pictures_of_the_board_become_a_stored_lens(photos, own_data, tmp_path):
    (tmp_path / "boards").mkdir()
    for number, photo in enumerate(photos):
        write_picture(tmp_path / "boards" / f"{number}.png", photo)
    told = calibrate_camera(CameraOptions(TrackOptions(images=str(tmp_path / "boards")), "phone"))
    assert told.startswith("phone at 640x480: focal length 69") or told.startswith("phone at 640x480: focal length 70")
    assert "--calibration phone" in told
    lens = find_camera_record("phone").lenses[640, 480]
    assert abs(lens.K[0, 0] - 700) < 10 and not lens.assumed
    assert list(own_data.glob("cameras/.*.part")) == []


def test_a_file_needs_its_cameras_name():
    with pytest.raises(ValueError, match="--name is missing"):
        CameraOptions(TrackOptions(video="board.mp4"))


def test_a_lens_straightens_what_it_bends():
    lens = Lens(default_intrinsics(640, 480, 500.0), np.array([-0.3, 0.1, 0.001, 0.0, 0.0]))
    xyz = np.random.default_rng(3).uniform((-0.2, -0.15, 0.5), (0.2, 0.15, 0.7), (21, 3))
    bent = cv2.projectPoints(xyz, np.zeros(3), np.zeros(3), lens.K, lens.distortion)[0].reshape(21, 2)
    pinhole = xyz[:, :2] / xyz[:, 2:] * 500.0 + lens.K[:2, 2]
    assert np.abs(bent - pinhole).max() > 3
    assert_allclose(lens.straight(bent), pinhole, atol=0.02)
    assert_allclose(lens.straight(bent[9]), pinhole[9], atol=0.02)
    assert Lens(lens.K).straight(bent) is bent
