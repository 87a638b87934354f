"""Rendered photographs with known truth: the board through a known lens, a flat hand beside a card or on a sheet."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from semihand.calibrate.board import board_picture
from semihand.models.camera import Lens, default_intrinsics
from semihand.synth import materials, shade
from semihand.synth.canvas import MM, SHADOW_CELLS, Canvas, Mesh, hand_surface, join
from semihand.synth.clip import _bare_look
from semihand.synth.hand import HandPoseAngles, load_hand, pose_hand, rest_flexion

LENS = Lens(np.array([[700.0, 0, 331], [0, 700.0, 236], [0, 0, 1]]), np.array([-0.25, 0.08, 0, 0, 0]))


def rotation(x: float, y: float, z: float) -> np.ndarray:
    """(3, 3) by degrees about the camera's axes."""
    return cv2.Rodrigues(np.deg2rad([x, y, 0.0]))[0] @ cv2.Rodrigues(np.deg2rad([0.0, 0.0, z]))[0]


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
    turn, z = rotation(*rng.uniform(-tilt, tilt, 2), rng.uniform(-15, 15)), rng.uniform(1.1, 1.9)
    where = np.array([*rng.uniform(-inside, inside, 2) * z, z])
    on_plane = np.array([[1 / width, 0, -0.5], [0, 1 / width, -0.5 * height / width], [0, 0, 1]])
    to_image = lens.K @ np.column_stack([turn[:, 0], turn[:, 1], where]) @ on_plane
    seen = cv2.GaussianBlur(photograph(picture, to_image, lens, size, 90), (0, 0), 0.7) + rng.normal(0, 3, size[::-1])
    return cv2.cvtColor(np.clip(seen, 0, 255).astype(np.uint8), cv2.COLOR_GRAY2BGR)


def flat_hand(shape: int, spread: float = 4.0) -> tuple[np.ndarray, np.ndarray]:
    """Joints (21, 3) and vertices (V, 3) in mm of a flat right hand, back up, on the plane z = 0: x right, y down in a
    picture from above, z away from the camera. The ball of the thumb is pressed into the plane, as on a table."""
    asset = load_hand()
    angles = -rest_flexion(asset.joints[shape])
    angles[0, 1] = np.deg2rad(-50)  # the thumb lies beside the hand
    angles[1:, 0] += np.deg2rad(5)
    angles[1:, 1] = np.deg2rad(spread) * np.array([-1.5, 0, 1, 2])
    joints, vertices = pose_hand(asset, shape, HandPoseAngles(angles, np.zeros(2)))
    joints, vertices = (MM * points * (-1.0, -1.0, 1.0) for points in (joints, vertices))
    above = np.array([0, 0, -14.0 - joints[9, 2]])
    return joints + above, vertices + above


def card_picture(rng, width: int, height: int, plain: bool) -> tuple[np.ndarray, np.ndarray]:
    """A bank card (H, W, 3), or a plain white sheet, and its opacity (H, W) with a card's round corners."""
    if plain:
        return np.full((height, width, 3), 235, np.uint8), np.full((height, width), 255, np.uint8)
    low, high = rng.integers(30, 120, 3), rng.integers(90, 220, 3)
    shares = np.linspace(0, 1, width)[None, :, None]
    card = np.repeat((low + (high - low) * shares), height, 0).astype(np.uint8)
    cv2.rectangle(card, (width // 10, height // 3), (width // 4, height // 2), (90, 190, 220), -1)
    cv2.putText(card, "1234 5678", (width // 10, 3 * height // 4), 0, height / 300, (230, 230, 230), 3)
    radius, opacity = round(width * 3.18 / 85.6), np.zeros((height, width), np.uint8)
    cv2.rectangle(opacity, (radius, 0), (width - 1 - radius, height - 1), 255, -1)
    cv2.rectangle(opacity, (0, radius), (width - 1, height - 1 - radius), 255, -1)
    for x in (radius, width - 1 - radius):
        for y in (radius, height - 1 - radius):
            cv2.circle(opacity, (x, y), radius, 255, -1)
    return card, opacity


def photographed_hand(
    seed: int = 0, sheet: str = "card", shape: int = 0, size=(1280, 960), view=65.0, height=450.0, tilt=(8.0, -6.0),
    turn=0.0, dark=True,
):  # fmt: skip
    """A photo (H, W, 3) BGR from `height` mm above, of a flat hand beside a "card", on an "a4" or on the bare
    desk (""), and the joints (21, 3) mm."""
    rng = np.random.default_rng(seed)
    focal = 0.5 * size[0] / np.tan(np.deg2rad(view) / 2)
    K = default_intrinsics(*size, focal)
    joints, vertices = flat_hand(shape)
    middle = np.append(joints[[0, 12], :2].mean(0), 0)
    about = rotation(0, 0, turn)
    joints, vertices = ((points - middle) @ about.T for points in (joints, vertices))
    camera, at = rotation(*tilt, 0), np.array([-20.0 if sheet == "card" else 0.0, 0.0, height])
    joints, vertices = (points @ camera.T + at for points in (joints, vertices))
    asset, look = load_hand(), _bare_look(rng)
    solid = join([Mesh(vertices, np.ascontiguousarray(asset.triangles), asset.rest * MM, hand_surface(asset), 0)])
    canvas = Canvas(size[1], size[0])
    light = materials.draw_light(rng, solid.vertices, SHADOW_CELLS)
    canvas.draw(solid, focal, K[:2, 2] + 0.5, look, light, rng.uniform(1000, 2000, 6))
    shade.encode(canvas.rgb, canvas.coverage, 0.9, 1 / 2.2)
    image = _desk(rng, size, dark)
    if sheet:
        _lay(rng, image, sheet, K, camera, at)
    shadow = cv2.GaussianBlur(np.roll(canvas.coverage, (8, 10), (0, 1)), (0, 0), 9)
    image *= 1 - 0.4 * shadow[..., None]
    image = image * (1 - canvas.coverage[..., None]) + canvas.rgb[..., ::-1]
    image = cv2.GaussianBlur(image, (0, 0), 0.7) + rng.normal(0, 3, image.shape)
    return np.clip(image, 0, 255).astype(np.uint8), joints


def _desk(rng, size, dark: bool) -> np.ndarray:
    grain = cv2.resize(rng.normal(0, 1, (40, 6)), size, interpolation=cv2.INTER_CUBIC)
    base = np.array([40.0, 60, 85]) if dark else np.array([120.0, 160, 190])
    return base + 10 * grain[..., None]


def _lay(rng, image, sheet, K, camera, at) -> None:
    """Put the card or sheet onto the desk, in place."""
    long, short = (85.60, 53.98) if sheet == "card" else (297.0, 210.0)
    px = 8 if sheet == "card" else 4
    picture, opacity = card_picture(rng, round(long * px), round(short * px), sheet != "card")
    x, y, degrees = (130.0, -10.0, 80.0) if sheet == "card" else (0.0, 20.0, 92.0)
    about = rotation(0, 0, degrees)
    mm = np.array([[1 / px, 0, -long / 2], [0, 1 / px, -short / 2], [0, 0, 1]])
    on_desk = np.array([*about[0, :2], x, *about[1, :2], y, 0, 0, 1]).reshape(3, 3)
    to_image = K @ np.column_stack([camera[:, 0], camera[:, 1], at]) @ on_desk @ mm
    size = image.shape[1], image.shape[0]
    alpha = cv2.warpPerspective(opacity, to_image, size, flags=cv2.INTER_AREA) / 255.0
    image *= 1 - alpha[..., None]
    image += alpha[..., None] * cv2.warpPerspective(picture, to_image, size)


@pytest.fixture(scope="session")
def board_photo():
    """board_photo(rng, tilt=35.0): the board through LENS, see `photographed_board`."""
    return photographed_board


@pytest.fixture(scope="session")
def hand_photo():
    """hand_photo(seed, sheet="card" | "a4" | "", shape=0, ...): see `photographed_hand`."""
    return photographed_hand


@pytest.fixture(scope="session")
def on_table():
    """on_table(shape): joints and vertices of a flat hand, see `flat_hand`."""
    return flat_hand


@pytest.fixture(scope="session")
def known_lens():
    """The lens of `board_photo`."""
    return LENS


@pytest.fixture
def own_data(tmp_path, monkeypatch):
    """A data folder of the test's own."""
    monkeypatch.setenv("SEMIHAND_DATA", str(tmp_path / "data"))
    return tmp_path / "data"
