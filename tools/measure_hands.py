"""Measure how well `semihand calibrate --user --hand` measures rendered people, photographed flat beside a card or on a sheet.

    python tools/measure_hands.py [--people 40] [--save DIR]

Of each person it says how large the measured hand is against the true one, and how far a wrist is put off that is tracked
before a camera with a known lens, with an average hand and with the measured one.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from semihand.calibrate.hand import drawn, measure_hand
from semihand.errors import SemihandError
from semihand.models.camera import default_intrinsics
from semihand.models.joints import WRIST
from semihand.models.lifting import bone_lengths
from semihand.synth import materials, shade
from semihand.synth.canvas import MM, SHADOW_CELLS, Canvas, Mesh, hand_surface, join
from semihand.synth.clip import _bare_look
from semihand.synth.hand import HandPoseAngles, load_hand, pose_hand, rest_flexion
from semihand.tracker.open import HandTracker

SIZE, VIEW = (1280, 960), 65.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=40)
    parser.add_argument("--save", type=Path, help="write the pictures with what was measured in them into this folder")
    options = parser.parse_args()
    sizes, bones, off, refused = [], [], [], []
    with HandTracker(smooth=False) as tracker:
        for seed in tqdm(range(options.people), unit="person"):
            image, joints = drawn_at_random(seed)
            try:
                measured = measure_hand(image, tracker, f"person {seed}")
            except SemihandError as error:
                refused.append(str(error))
                continue
            if options.save:
                options.save.mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(options.save / f"{seed}.png"), drawn(image, measured))
            true = bone_lengths(joints) / MM
            sizes.append(np.linalg.norm(measured.bones) / np.linalg.norm(true))
            bones.append(np.abs(measured.bones - true).mean() * MM)
            off.append([wrist_off(seed, known) for known in (None, measured.bones)])
    average, known = np.array(off).T
    print(f"{len(sizes)} of {options.people} people measured; {len(refused)} refused: {sorted(set(refused))}")
    print(f"size of the hand: {np.mean(sizes):.3f} of the true one, standard deviation {np.std(sizes):.3f}")
    print(f"single bones: {np.mean(bones):.1f} mm off on average")
    print(
        f"wrist, lens known: {np.nanmean(average):.1f} mm off with an average hand, {np.nanmean(known):.1f} mm with the measured one"
    )


def drawn_at_random(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Person `seed`'s photo and joints (21, 3) mm: every second one beside a card, the others on a sheet."""
    rng = np.random.default_rng([seed, 1])
    return photographed_hand(
        seed, ("card", "a4")[seed % 2], _shape(seed), turn=rng.uniform(-25, 25), tilt=tuple(rng.uniform(-12, 12, 2)),
        height=rng.uniform(420, 520), dark=rng.random() < 0.6,
    )  # fmt: skip


def wrist_off(seed: int, bones: np.ndarray | None) -> float:
    """Distance in mm of the tracked wrist from the true one in another picture of the person, NaN where none is seen."""
    rng = np.random.default_rng([seed, 2])
    image, joints = photographed_hand(
        seed + 1000, "", _shape(seed), turn=rng.uniform(-25, 25), tilt=tuple(rng.uniform(-25, 25, 2)), height=rng.uniform(350, 700)
    )  # fmt: skip
    with HandTracker(hands=1, focal=_focal(), smooth=False) as tracker:
        tracker.bones = bones
        tracker.use(tracker.model)
        for look in range(3):
            hands = tracker(image, look / 10)
    return float(np.linalg.norm(MM * hands[0].xyz_cam[WRIST] - joints[WRIST])) if hands else np.nan


def _shape(seed: int) -> int:
    return int(np.random.default_rng(seed).integers(len(load_hand().vertices)))


def _focal(view: float = VIEW, size=SIZE) -> float:
    return 0.5 * size[0] / np.tan(np.deg2rad(view) / 2)


def rotation(x: float, y: float, z: float) -> np.ndarray:
    """(3, 3) by degrees about the camera's axes."""
    return cv2.Rodrigues(np.deg2rad([x, y, 0.0]))[0] @ cv2.Rodrigues(np.deg2rad([0.0, 0.0, z]))[0]


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
    seed: int = 0, sheet: str = "card", shape: int = 0, size=SIZE, view=VIEW, height=450.0, tilt=(8.0, -6.0),
    turn=0.0, dark=True,
):  # fmt: skip
    """A photo (H, W, 3) BGR from `height` mm above, of a flat hand beside a "card", on an "a4" or on the bare
    desk (""), and the joints (21, 3) mm."""
    rng = np.random.default_rng(seed)
    focal = _focal(view, size)
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


if __name__ == "__main__":
    main()
