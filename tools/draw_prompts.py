"""Draw the small hands that the recording shows beside its prompts, with the project's own hand: two poses a prompt.

    python tools/draw_prompts.py record/prompts

Writes NAME.webp: first and second pose, (SIDE, 2 SIDE) grey with alpha, a right hand as its owner sees it in a mirror.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np

from semihand.synth.hand import HandPoseAngles, load_hand, pose_hand
from semihand.synth.pose import Hand, draw_gesture
from semihand.synth.raster import rasterise, vertex_normals

SIDE, _FINER = 128, 4
#: Metres that a tile shows, and where it ends below the wrist.
_VIEW, _ARM_END = 0.235, -0.03
_CURL = np.array([78.0, 0.0, 100.0, 62.0])
_THUMB_OUT, _THUMB_IN = np.array([-15.0, -25.0, 0.0, -10.0]), np.array([25.0, 15.0, 35.0, 45.0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    folder = parser.parse_args().out
    folder.mkdir(parents=True, exist_ok=True)
    for name, pair in Poses().prompts().items():
        path = folder / f"{name.replace(' ', '-')}.webp"
        cv2.imwrite(str(path), np.hstack(pair), [cv2.IMWRITE_WEBP_QUALITY, 80])


class Poses:
    """Tiles (SIDE, SIDE, 2 or 4) of poses of an average grown-up's hand."""

    def __init__(self) -> None:
        self.asset = load_hand()
        self.shape = len(self.asset.vertices) // 2
        self.hand = Hand(self.asset, self.shape)

    def prompts(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Two tiles by the prompt's name."""
        open_hand, fist = self.tile(self.angles()), self.tile(self.angles((1, 2, 3, 4), _THUMB_IN))
        names = ("thumb", "index", "middle", "ring", "little")
        bent = {name: self.tile(self.angles((finger,))) for finger, name in enumerate(names) if finger}
        bent["thumb"] = self.tile(self.angles((), _THUMB_IN))
        pointing = self.tile(self.angles((2, 3, 4), _THUMB_IN))
        pairs = {name: (open_hand, tile) for name, tile in bent.items()}
        pairs["index"] = pointing, fist
        return pairs | {
            "open": (self.tile(self.angles(spread=0.9)), self.tile(self.angles(spread=-1.0))),
            "fist": (fist, open_hand),
            "pinch": (self.tile(self.gesture("ok", 3)), open_hand),
            "turn": (self.tile(self.angles(), turn=75), self.tile(self.angles(), turn=180)),
            "near and far": (self.tile(self.angles(), size=1.15), self.tile(self.angles(), size=0.45)),
            "other light": (dimmed(open_hand, 0.45), open_hand),
            "your own": (self.tile(self.gesture("peace", 2)), self.tile(self.gesture("call", 1))),
        }

    def angles(self, curled: tuple[int, ...] = (), thumb: np.ndarray = _THUMB_OUT, spread: float = 0.0) -> np.ndarray:
        """Angles (5, 4) in radians of an open hand with these fingers curled."""
        degrees = np.zeros((5, 4))
        degrees[0] = thumb
        degrees[1:, 1] = -spread * np.array([14.0, -2.0, -9.0, -20.0])
        for finger in curled:
            degrees[finger] = _CURL
        angles = self.hand.limit(degrees)
        self.hand.settle(angles, 0.1)
        return angles

    def gesture(self, name: str, seed: int) -> np.ndarray:
        """Angles (5, 4) in radians of a gesture of the pose sampler."""
        angles = draw_gesture(np.random.default_rng(seed), self.hand, name)
        self.hand.settle(angles, 0.1)
        return angles

    def tile(self, angles: np.ndarray, turn: float = 0.0, size: float = 1.0) -> np.ndarray:
        """Grey and alpha (SIDE, SIDE, 4) BGRA of one pose, lit from above; turn: degrees about the forearm."""
        _, vertices = pose_hand(self.asset, self.shape, HandPoseAngles(angles, np.zeros(2)))
        c, s = np.cos(np.deg2rad(turn)), np.sin(np.deg2rad(turn))
        vertices = vertices @ np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]], np.float32).T
        side = SIDE * _FINER
        scale = size * side / _VIEW
        # The palm looks along +z, at the viewer; in a mirror x stays as it is seen from behind.
        points = np.stack([-vertices[:, 0] * scale + side / 2, side * (0.5 + 0.36 * size) - vertices[:, 1] * scale], -1)
        kept = self.asset.rest[self.asset.triangles, 1].min(axis=1) > _ARM_END
        triangles = np.ascontiguousarray(self.asset.triangles[kept])
        inverse, chosen = np.empty((side, side), np.float32), np.empty((side, side), np.int32)
        weights = np.zeros((side, side, 2), np.float32)
        rasterise(
            points.astype(np.float32), (1.0 - vertices[:, 2]).astype(np.float32), triangles, inverse, chosen, weights
        )
        normals = vertex_normals(vertices.astype(np.float32), self.asset.triangles)
        light = np.array([-0.35, 0.55, 0.75], np.float32)
        bright = np.clip(normals @ light / np.linalg.norm(light), 0, 1)[triangles[chosen]]
        first = 1 - weights.sum(axis=-1)
        shade = (bright * np.stack([first, weights[..., 0], weights[..., 1]], -1)).sum(-1).astype(np.float32)
        shown = (chosen >= 0).astype(np.float32)
        grey = cv2.resize((70 + 175 * shade) * shown, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        alpha = cv2.resize(shown, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        grey = (grey / np.maximum(alpha, 1e-3)).clip(0, 255).astype(np.uint8)
        return cv2.merge([grey, grey, grey, (255 * alpha).astype(np.uint8)])


def dimmed(tile: np.ndarray, share: float) -> np.ndarray:
    """The tile in less light."""
    return np.dstack([(tile[..., :3] * share).astype(np.uint8), tile[..., 3]])


if __name__ == "__main__":
    main()
