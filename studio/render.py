"""Renders takes with Mitsuba 3 (extra `studio`): path traced light, thin lens, rough layered materials.

The joints and the mask are computed beside the picture from the same vertices. The mask is what a pinhole camera sees
of the skin from 5 mm below the wrist joint to the fingertips, in front of the sleeve: synth's convention, except that
defocus does not soften it and that nothing is ever held or worn.
"""

from __future__ import annotations

import logging
import subprocess
import sys
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ..errors import SemihandError
from .body import Body, build_body, draw_mask
from .camera import develop
from .furnish import bitmap, furnish, mesh
from .hand import load_hand
from .room import ROOMS
from .skin import paint_skin
from .takes import PERSONS, Take

logger = logging.getLogger(__name__)

#: Mitsuba's variants, the fast one first.
VARIANTS = ("llvm_ad_rgb", "scalar_rgb")
#: Pictures are windows of this share of the camera's frame, per side; focal lengths belong to windows of FRAME_SIDE.
WINDOW, FRAME_SIDE = 0.5, 240
#: Renders a small scene in its own process: an LLVM that is too old ends the process instead of raising.
_PROBE = """
import sys, mitsuba as mi
mi.set_variant(sys.argv[1])
mi.render(mi.load_dict({"type": "scene", "integrator": {"type": "path", "max_depth": 4}, "light": {"type": "constant"},
    "camera": {"type": "thinlens", "aperture_radius": 0.1, "focus_distance": 1.0,
               "film": {"type": "hdrfilm", "width": 8, "height": 8}},
    "ball": {"type": "sphere", "bsdf": {"type": "principled"}}}), spp=1).numpy()
"""


@dataclass(frozen=True)
class RenderConfig:
    """size: side of a picture in pixels; samples: light paths a pixel; depth: most bounces + 1."""

    size: int = 240
    samples: int = 8
    depth: int = 4

    def __post_init__(self):
        if self.size < 64 or self.size % 4:
            raise SemihandError(f"Picture size {self.size} is not a multiple of 4 of at least 64 pixels.")
        if self.samples < 1 or self.depth < 2:
            raise SemihandError(f"{self.samples} samples, depth {self.depth}: give at least 1 sample and depth 2.")


@dataclass(frozen=True)
class Shot:
    """A finished picture: image (S, S, 3) uint8 BGR; mask (S, S) float 0 to 1; xyz (21, 3) metres; K (3, 3)."""

    image: np.ndarray
    mask: np.ndarray
    xyz: np.ndarray
    K: np.ndarray


@lru_cache(maxsize=1)
def load_mitsuba():
    """The mitsuba module with its fastest variant that works here. Raises SemihandError where there is none."""
    try:
        import mitsuba
    except ModuleNotFoundError as error:
        raise SemihandError("Rendering needs Mitsuba: pip install -c constraints.txt -e .[studio]") from error
    variant = next((name for name in VARIANTS if _works(name)), None)
    if variant is None:
        raise SemihandError(f"Mitsuba {mitsuba.__version__} renders with none of {', '.join(VARIANTS)} here.")
    mitsuba.set_variant(variant)
    if variant == VARIANTS[0]:
        import drjit

        drjit.set_thread_count(1)
    else:
        logger.warning(
            "Mitsuba renders without LLVM here, some 30 times slower. Install LLVM (19 is tried) and let"
            " DRJIT_LIBLLVM_PATH point to its libLLVM."
        )
    return mitsuba


def _works(variant: str) -> bool:
    result = subprocess.run([sys.executable, "-c", _PROBE, variant], capture_output=True, check=False)
    return result.returncode == 0


class TakeRenderer:
    """Renders the frames of one take; the room is built once."""

    def __init__(self, take: Take, config: RenderConfig, seed: int = 0) -> None:
        self.take, self.config, self.seed = take, config, seed
        self.mi = load_mitsuba()
        self.room, person = ROOMS[take.room], PERSONS[take.person]
        self._bodies = [build_body(person, frame, take.handedness) for frame in take.frames]
        self._focal = self.room.camera.focal * config.size / FRAME_SIDE
        self._offset = self._window()
        self._static, self._cloth = furnish(self.mi, self.room, person)
        self._skin = self._skin_material(person)

    def _window(self) -> np.ndarray:
        """Left top corner (2,) of the window in the camera's frame: the middle of where the hand is in this take."""
        frame = self.config.size / WINDOW
        points = np.concatenate([body.joints for body in self._bodies])
        uv = points[:, :2] / points[:, 2:] * self._focal + frame / 2
        middle = (uv.min(0) + uv.max(0)) / 2
        return np.clip(np.round(middle - self.config.size / 2), 0, frame - self.config.size).astype(int)

    @property
    def K(self) -> np.ndarray:
        """(3, 3) of the window; pixel centres at integers."""
        center = self.config.size / WINDOW / 2 - self._offset - 0.5
        return np.array([[self._focal, 0, center[0]], [0, self._focal, center[1]], [0, 0, 1.0]])

    def render(self, index: int) -> Shot:
        """Frame `index` of the take."""
        body, frame = self._bodies[index], self.config.size / WINDOW
        rng = np.random.default_rng([self.seed, self.take.number, index, self.take.split == "test"])
        take_rng = np.random.default_rng([self.seed, self.take.number, 77])
        linear = self._trace(body, int(rng.integers(2**31)))
        image = develop(rng, take_rng, linear, self.room.camera, self._offset, frame)
        return Shot(image, draw_mask(body, self.K, self.config.size), body.joints, self.K)

    def _trace(self, body: Body, seed: int) -> np.ndarray:
        """Linear RGB radiance (S, S, 3)."""
        shapes = {"hand": mesh(
            self.mi, "hand", body.vertices, body.triangles, self._skin, body.normals, load_hand().uv
        )}  # fmt: skip
        if body.sleeve is not None:
            shapes["sleeve"] = mesh(self.mi, "sleeve", *body.sleeve, self._cloth)
        integrator = {"type": "path", "max_depth": self.config.depth, "rr_depth": 3}
        scene = self.mi.load_dict(
            {"type": "scene", "integrator": integrator, "sensor": self._sensor(), **self._static, **shapes}
        )
        return np.array(self.mi.render(scene, spp=self.config.samples, seed=seed))[..., :3]

    def _sensor(self) -> dict:
        frame, camera = int(self.config.size / WINDOW), self.room.camera
        return {
            "type": "thinlens", "fov": float(np.degrees(2 * np.arctan(frame / 2 / self._focal))), "fov_axis": "x",
            "aperture_radius": camera.aperture, "focus_distance": camera.focus, "near_clip": 0.02,
            "to_world": self.mi.ScalarTransform4f().look_at([0, 0, 0], [0, 0, 1], [0, -1, 0]),
            "film": {
                "type": "hdrfilm", "width": frame, "height": frame, "rfilter": {"type": "box"}, "pixel_format": "rgb",
                "component_format": "float32", "crop_offset_x": int(self._offset[0]),
                "crop_offset_y": int(self._offset[1]), "crop_width": self.config.size, "crop_height": self.config.size,
            },
            "sampler": {"type": "independent", "sample_count": self.config.samples},
        }  # fmt: skip

    def _skin_material(self, person):
        skin = paint_skin(person)
        return self.mi.load_dict({
            "type": "bumpmap", "texture": bitmap(self.mi, skin.height), "scale": 0.0012,
            "bsdf": {
                "type": "principled", "base_color": bitmap(self.mi, skin.albedo),
                "roughness": bitmap(self.mi, skin.roughness), "specular": 0.42, "flatness": 0.6, "sheen": 0.15,
            },
        })  # fmt: skip
