"""Hands on their crops as SVG text: the picture once in the page, the joints drawn over it as sharp lines."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable

import cv2
import numpy as np

from ..models.camera import GRID
from ..models.joints import FINGERS, WRIST
from ..tracker.draw import FINGER_COLORS

_QUALITY = 88
#: Grid pixels of the dark frame that keeps joints just outside the crop visible.
_RIM = 3.0

STYLE = """
svg.tile { display: block; width: 100%; height: auto; border-radius: 6px; background: #22262b; }
svg.tile path { fill: none; stroke-linejoin: round; stroke-linecap: round; }
svg.tile .halo { stroke: #000; stroke-opacity: .55; }
svg.tile .mask { fill: #5bd0ff; fill-opacity: .1; stroke: #9fe3ff; stroke-width: .45; }
svg.tile .pale { stroke: #fff; stroke-width: .65; stroke-dasharray: 1.6 1; }
""" + "".join(
    f"svg.tile .f{i} {{ stroke: rgb({red}, {green}, {blue}); }}\n" for i, (blue, green, red) in enumerate(FINGER_COLORS)
)


def picture_store(pictures: dict[str, np.ndarray]) -> str:
    """Hidden SVG that holds each picture (S, S, 3) uint8 RGB once, under its name, for the tiles to use."""
    held = "".join(
        f'<image id="{name}" x="-0.5" y="-0.5" width="{GRID}" height="{GRID}" href="{_data(image)}"/>'
        for name, image in pictures.items()
    )
    return f'<svg width="0" height="0" style="position:absolute" aria-hidden="true"><defs>{held}</defs></svg>'


def tile(picture: str, parts: Iterable[str], label: str) -> str:
    """One crop by its name in the store with drawings over it; label: for readers that don't see it."""
    box = f"{-0.5 - _RIM} {-0.5 - _RIM} {GRID + 2 * _RIM} {GRID + 2 * _RIM}"
    return (
        f'<svg class="tile" role="img" aria-label="{label}" viewBox="{box}"><use href="#{picture}"/>'
        + "".join(parts) + "</svg>"
    )  # fmt: skip


def skeleton(uv: np.ndarray) -> str:
    """Joints (21, 2) on the 64-grid in the colours of the fingers; joints that are not finite are left out."""
    lines, dots = _fingers(uv), _dots(uv)
    parts = [f'<path class="halo" stroke-width="1.7" d="{"".join(lines)}"/>']
    parts += [f'<path class="f{f}" stroke-width=".9" d="{line}"/>' for f, line in enumerate(lines)]
    parts += [f'<path class="f{f}" stroke-width="2" d="{dot}"/>' for f, dot in enumerate(dots)]
    return "".join(parts)


def pale_skeleton(uv: np.ndarray) -> str:
    """The same as thin dashed white lines: another opinion about the same hand."""
    path = "".join(_fingers(uv))
    return f'<path class="halo" stroke-width="1.3" d="{path}"/><path class="pale" d="{path}"/>'


def marks(uv: np.ndarray) -> str:
    """Joints (21, 2) as small white dots."""
    at = "".join(f"M{u:.1f} {v:.1f}h0" for u, v in uv[np.isfinite(uv).all(axis=1)])
    return (
        f'<path class="halo" stroke-width="1.8" d="{at}"/><path stroke="#fff" stroke-width="1" d="{at}"/>' if at else ""
    )


def outline(mask: np.ndarray) -> str:
    """The edge of a mask (64, 64) in [0, 1], cut at one half."""
    inside = np.ascontiguousarray(np.nan_to_num(mask) >= 0.5, np.uint8)
    rings, _ = cv2.findContours(inside, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
    path = "".join("M" + "L".join(f"{u} {v}" for u, v in ring[:, 0]) + "Z" for ring in rings if len(ring) > 2)
    return f'<path class="mask" d="{path}"/>' if path else ""


def _fingers(uv: np.ndarray) -> list[str]:
    """Path of every finger from the wrist through its four joints; it breaks where a joint is not finite."""
    joints, paths = uv.tolist(), []
    for finger in range(len(FINGERS)):
        path, pen = "", "M"
        for u, v in (joints[WRIST], *joints[4 * finger + 1 : 4 * finger + 5]):
            known = math.isfinite(u + v)
            path += f"{pen}{u:.1f} {v:.1f}" if known else ""
            pen = "L" if known else "M"
        paths.append(path)
    return paths


def _dots(uv: np.ndarray) -> list[str]:
    """Path of dots of every finger; the wrist belongs to the thumb's."""
    paths = [""] * len(FINGERS)
    for joint, (u, v) in enumerate(uv.tolist()):
        paths[max(joint - 1, 0) // 4] += f"M{u:.1f} {v:.1f}h0" if math.isfinite(u + v) else ""
    return paths


def _data(image: np.ndarray) -> str:
    coded = cv2.imencode(".jpg", np.ascontiguousarray(image[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1]
    return "data:image/jpeg;base64," + base64.b64encode(coded).decode()
