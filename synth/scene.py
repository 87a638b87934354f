"""One labelled picture: pose, view, materials, light, objects, background and camera defects drawn from one seed.

Everything is rendered in the virtual camera of the crop, whose axis passes through the crop's centre, with the hand as
a right hand. Picture `index` of `seed` is always the same picture, whichever process renders it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np

from ..errors import SemihandError
from . import background, materials, sensor, shade
from .canvas import MM, SHADOW_CELLS, SUPERSAMPLE, Canvas, Mesh, hand_surface, join
from .hand import load_hand, pose_hand
from .objects import draw_object
from .pose import sample_pose

NEAREST_MM = 80.0
BLOCK = 256


@dataclass(frozen=True)
class SceneConfig:
    """What to draw. size: pixels of the picture; crop_factor: its side over the longer side of the joints' box.

    upright: share of raised hands as a webcam sees them, own_eyes: as their owner sees them; the rest from all sides.
    second_hand, held_object, occluder, empty: shares of pictures with another hand, a thing in the hand, one before
    it, and no hand at all. distance_m: of the hand from the camera.
    """

    size: int = 160
    crop_factor: float = 1.9
    upright: float = 0.7
    own_eyes: float = 0.3
    second_hand: float = 0.25
    held_object: float = 0.18
    occluder: float = 0.06
    empty: float = 0.03
    distance_m: tuple = (0.25, 1.2)
    sensor: sensor.SensorConfig = field(default_factory=sensor.SensorConfig)

    def __post_init__(self):
        if self.size < 32 or self.size % 4:
            raise SemihandError(f"Synthetic picture size {self.size} is not a multiple of 4 of at least 32 pixels.")
        if not 1.0 <= self.crop_factor <= 4.0:
            raise SemihandError(f"Crop factor {self.crop_factor} is not between 1 and 4.")


@dataclass(frozen=True)
class Sample:
    """One labelled picture of a right hand.

    image (S, S, 3) uint8 RGB; mask (S/2, S/2) uint8, soft edges; uv (21, 2) pixels of the image, centres at integers;
    xyz (21, 3) metres in the crop's virtual camera; K (4,) = fx, fy, cx, cy of the image; visible (21,) bool;
    present: False where the picture shows background only (a negative example: ignore the joints, the mask is empty).
    """

    image: np.ndarray
    mask: np.ndarray
    uv: np.ndarray
    xyz: np.ndarray
    K: np.ndarray
    visible: np.ndarray
    present: bool


def _turn(axis: int, angle: float):
    c, s = np.cos(angle), np.sin(angle)
    out = np.eye(3)
    i, j = (axis + 1) % 3, (axis + 2) % 3
    out[i, i], out[i, j], out[j, i], out[j, j] = c, -s, s, c
    return out


def _any_rotation(rng):
    q, r = np.linalg.qr(rng.normal(size=(3, 3)))
    q = q * np.sign(np.diag(r))
    return q * np.sign(np.linalg.det(q))


def draw_view(rng, upright: float, own_eyes: float = 0.0):
    """(3, 3) hand frame (y to the fingers, z out of the palm) -> camera; mostly raised hands as a webcam sees them.

    Views along the arm from the elbow are left out: there the arm hides the hand.
    """
    kind = rng.random()
    if kind < own_eyes:
        return _owners_view(rng)
    if kind > own_eyes + upright * (1 - own_eyes):
        view = _any_rotation(rng)
        while view[2, 1] > 0.8:
            view = _any_rotation(rng)
        return view
    facing = np.diag([1.0, -1.0, -1.0])
    if rng.random() < 0.4:
        facing = _turn(1, np.pi) @ facing
    roll = rng.normal(0, 0.4) if rng.random() < 0.92 else rng.uniform(-np.pi, np.pi)
    pitch = np.clip(rng.normal(0, 0.5), -1.0, 1.5)
    yaw = rng.normal(0, 0.7) if rng.random() < 0.75 else rng.uniform(-2.4, 2.4)  # seen from its edge and beyond
    return _turn(2, roll) @ _turn(0, pitch) @ _turn(1, yaw) @ facing


def _owners_view(rng):
    """A hand before its owner's own eyes: its back or the thumb's side, the arm coming from below, fingers up or away."""
    facing = np.diag([1.0, -1.0, -1.0])
    if rng.random() < 0.75:
        facing = _turn(1, np.pi) @ facing
    pitch = rng.uniform(-1.0, 0.3)  # mostly with the fingers' end away from the eyes
    yaw = rng.normal(0, 0.6)
    if rng.random() < 0.5:  # the thumb comes towards the eyes, and may point at them
        yaw = (1 if facing[0, 0] > 0 else -1) * rng.uniform(0.3, 1.7)
    view = _turn(2, rng.normal(0, 0.6)) @ _turn(0, pitch) @ _turn(1, yaw) @ facing
    return view if view[2, 1] < 0.8 else _owners_view(rng)


def _draw_hand(rng, asset, view, scale, shape, mirrored=False):
    """Posed joints (21, 3) and vertices (V, 3) in camera mm, root at the origin; mirrored: the other hand."""
    joints, vertices = pose_hand(asset, shape, sample_pose(rng, asset, shape))
    joints, vertices = joints * MM, vertices * MM
    if mirrored:
        joints, vertices = joints * [-1, 1, 1], vertices * [-1, 1, 1]
    center = joints.mean(0)
    return scale * (joints - center) @ view.T, scale * (vertices - center) @ view.T


class SceneRenderer:
    """Renders numbered pictures. `pictures`: optional backgrounds beside the painted ones (list of RGB uint8)."""

    def __init__(self, config: SceneConfig = SceneConfig(), seed: int = 0, pictures: list | None = None):
        self.config, self.seed, self.pictures = config, seed, pictures or []
        self.asset = load_hand()
        self._surface = hand_surface(self.asset)
        cells = int(config.size * SUPERSAMPLE)
        self._canvas = Canvas(cells, cells)

    def render(self, index: int) -> Sample:
        """Picture number `index`. A pose that reaches into the camera or out of sight is drawn again."""
        for attempt in range(20):
            rng = np.random.default_rng([self.seed, index, attempt])
            sample = self._try_render(rng, index // BLOCK)
            if sample is not None:
                return sample
        raise SemihandError(f"Picture {index} of seed {self.seed} found no hand in front of the camera in 20 draws.")

    def _try_render(self, rng, block):
        joints, meshes, look_objects = self._draw_meshes(rng)
        if min(mesh.vertices[:, 2].min() for mesh in meshes) < NEAREST_MM:
            return None
        focal, center = self._aim(joints)
        look = materials.draw_look(rng, look_objects)
        rgb, coverage, mask = self._draw_pixels(rng, meshes, focal, center, look)
        present = rng.random() >= self.config.empty
        if not present:
            coverage[:], rgb[:], mask[:] = 0, 0, 0
        image = self._compose(rng, rgb, coverage, look, block)
        return self._label(image, mask, joints, focal, center, present)

    def _draw_meshes(self, rng):
        """Joints (21, 3) mm of the main hand and all meshes, in the crop's virtual camera."""
        config, asset = self.config, self.asset
        view, scale, shape = (
            draw_view(rng, config.upright, config.own_eyes),
            rng.uniform(0.93, 1.07),
            int(rng.integers(len(asset.vertices))),
        )
        joints, vertices = _draw_hand(rng, asset, view, scale, shape)
        distance = np.exp(rng.uniform(*np.log(config.distance_m))) * MM
        shift = self._centering_shift(joints, distance)
        joints, vertices = joints + shift, vertices + shift
        rest, surface = asset.rest * MM, self._surface
        meshes = [Mesh(vertices, asset.triangles, rest, surface, shade.MAIN_HAND)]
        if rng.random() < config.second_hand:
            meshes.append(self._second_hand(rng, shift, scale, shape, rest, surface))
        objects = 0
        for chance, place in ((config.held_object, self._in_hand), (config.occluder, self._in_front)):
            if rng.random() < chance:
                solid, triangles = draw_object(rng)
                solid = solid @ _any_rotation(rng).T + place(rng, joints)
                still = np.tile(np.float32([-1, 0, -1]), (len(solid), 1))
                meshes.append(Mesh(solid, triangles, solid.astype(np.float32), still, shade.FIRST_OBJECT + objects))
                objects += 1
        return joints, meshes, objects

    @staticmethod
    def _centering_shift(joints, distance):
        """Translation that puts the centre of the joints' projected box on the optical axis at this distance."""
        shift = np.array([0.0, 0.0, distance])
        for _ in range(4):
            moved = joints + shift
            on_plane = moved[:, :2] / moved[:, 2:]
            shift[:2] -= 0.5 * (on_plane.min(0) + on_plane.max(0)) * distance
        return shift

    def _second_hand(self, rng, shift, scale, shape, rest, surface):
        mirrored = rng.random() < 0.85
        other = draw_view(rng, self.config.upright)
        _, vertices = _draw_hand(rng, self.asset, other, scale, shape, mirrored)
        angle, reach, depth = rng.uniform(0, 2 * np.pi), rng.uniform(45, 170), rng.normal(0, 60)
        if rng.random() < 0.5:  # the hands touch
            reach, depth = rng.uniform(30, 100), rng.choice((-1, 1)) * rng.uniform(15, 55)
        aside = np.array([np.cos(angle) * reach, 0.6 * np.sin(angle) * reach, depth])
        triangles = self.asset.triangles[:, ::-1] if mirrored else self.asset.triangles
        return Mesh(vertices + shift + aside, np.ascontiguousarray(triangles), rest, surface, shade.OTHER_HAND)

    @staticmethod
    def _in_hand(rng, joints):
        palm, tips = joints[[0, 5, 9, 13, 17]].mean(0), joints[[4, 8, 12, 16]].mean(0)
        return palm + rng.uniform(0.4, 1.0) * (tips - palm) + rng.normal(0, 8, 3)

    @staticmethod
    def _in_front(rng, joints):
        middle = joints.mean(0)
        toward = rng.uniform(0.75, 0.9)
        return middle * toward + np.append(rng.normal(0, 55, 2), 0.0)

    def _aim(self, joints):
        """Focal length and principal point in raster pixels that frame the joints' box as configured."""
        cells = self.config.size * SUPERSAMPLE
        on_plane = joints[:, :2] / joints[:, 2:]
        low, high = on_plane.min(0), on_plane.max(0)
        focal = cells / (self.config.crop_factor * (high - low).max())
        return focal, cells / 2 - focal * 0.5 * (low + high)

    def _draw_pixels(self, rng, meshes, focal, center, look):
        solid, canvas = join(meshes), self._canvas
        if look.sleeve_end > materials.NONE:
            solid.puff_sleeve(look.sleeve_end, rng.uniform(1.5, 9), len(meshes[0].vertices))
        light = materials.draw_light(rng, solid.vertices, SHADOW_CELLS)
        canvas.draw(solid, focal, center, look, light, offset=rng.uniform(1000, 2000, 6))
        return canvas.rgb, canvas.coverage, canvas.mask

    def _background(self, rng, block):
        painted = background.painted_pool(self.seed, block)
        pool = self.pictures if self.pictures and rng.random() < 0.6 else painted
        return background.window(rng, pool[rng.integers(len(pool))], self.config.size)

    def _compose(self, rng, rgb, coverage, look, block):
        """Expose and gamma-encode the linear render, lay it over a background, and send it through the camera."""
        size = self.config.size
        bright = shade.brightness(rgb, coverage)
        exposure = 0.25 + 0.75 * rng.uniform(0.55, 1.15) / max(0.25, bright) * (0.35 + 0.65 * max(look.skin) ** 0.5)
        shade.encode(rgb, coverage, exposure, 1 / rng.uniform(1.9, 2.5))
        front = cv2.resize(rgb, (size, size), interpolation=cv2.INTER_AREA)
        alpha = cv2.resize(coverage, (size, size), interpolation=cv2.INTER_AREA)
        if rng.random() < 0.5:
            sigma = rng.uniform(0.3, 0.8)
            front, alpha = cv2.GaussianBlur(front, (0, 0), sigma), cv2.GaussianBlur(alpha, (0, 0), sigma)
        behind = self._background(rng, block)
        if rng.random() < 0.3:
            behind *= self._cast_shadow(rng, alpha)
        return sensor.degrade(rng, behind * (1 - alpha[..., None]) + front, self.config.sensor)

    @staticmethod
    def _cast_shadow(rng, alpha):
        move = np.float32([[1, 0, rng.uniform(-12, 12)], [0, 1, rng.uniform(-12, 12)]])
        soft = cv2.GaussianBlur(cv2.warpAffine(alpha, move, alpha.shape[::-1]), (0, 0), rng.uniform(2, 8))
        return 1 - np.float32(rng.uniform(0.1, 0.5)) * soft[..., None]

    def _label(self, image, mask, joints, focal, center, present):
        half = (self.config.size // 2,) * 2
        soft = cv2.resize(mask, half, interpolation=cv2.INTER_AREA)
        at = joints[:, :2] / joints[:, 2:] * focal + center
        cells = np.clip(at.astype(int), 0, len(mask) - 1)
        seen = 1.0 / np.maximum(self._canvas.inverse_depth[cells[:, 1], cells[:, 0]], 1e-6)
        principal = center / SUPERSAMPLE - 0.5
        return Sample(
            image=image,
            mask=(soft * 255).astype(np.uint8),
            uv=(at / SUPERSAMPLE - 0.5).astype(np.float32),
            xyz=(joints / MM).astype(np.float32),
            K=np.array([focal / SUPERSAMPLE, focal / SUPERSAMPLE, *principal], np.float32),
            visible=(joints[:, 2] < seen + 20.0) & present,
            present=present,
        )
