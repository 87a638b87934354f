"""Finding a bank card or a sheet of A4 in a picture, and where the camera stood above it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from ..models.camera import Lens

#: Millimetres, long side first: ISO/IEC 7810 ID-1 and ISO 216.
SIZES = {"bank card": (85.60, 53.98), "sheet of A4": (297.0, 210.0)}
#: Pixels of the longer side in which candidates are looked for; their corners are then fitted in the whole picture.
_SEARCH_PX = 900
#: Share of the picture that a candidate covers, of its own area that its outline's hull fills, and levels of threshold.
_AREA, _FILLED, _LEVELS = (0.003, 0.9), 0.94, 12
#: Strengths of edges by whose lines outlines are looked for too.
_EDGES = (8, 15, 25, 45)
#: Of each side: points at which its edge is looked for, how far off in shares of the side, and the share that must agree.
_POINTS, _REACH, _AGREE = 60, 0.03, 0.5
#: How far the sides' ratio and the right angles may be off under a lens that is assumed.
_RATIO, _SQUARE = 0.09, 0.12


@dataclass(frozen=True)
class Sheet:
    """A flat thing of known size. kind: one of SIZES; corners (4, 2) pixels, the first two along a long side.

    rotation (3, 3) and place (3,): from its own axes (mm, x along the long side, z into the table) to the camera's.
    """

    kind: str
    corners: np.ndarray
    rotation: np.ndarray
    place: np.ndarray

    def joints_mm(self, uv_image: np.ndarray, lens: Lens, above: np.ndarray) -> np.ndarray:
        """Points (N, 3) mm in its own axes that are seen at pixels (N, 2) and lie so many mm (N,) above the table."""
        rays = np.column_stack([lens.straight(uv_image), np.ones(len(uv_image))]) @ np.linalg.inv(lens.K).T
        rays, eye = rays @ self.rotation, -self.place @ self.rotation
        far = (-above - eye[2]) / rays[:, 2]
        return eye + far[:, None] * rays


def find_sheets(image: np.ndarray, lens: Lens) -> list[Sheet]:
    """What may be a card or a sheet in a picture (H, W, 3) BGR, the surest first. Both kinds may stand for one outline."""
    found: list[tuple[float, Sheet]] = []
    edges = _edges(image)
    for corners in _candidates(image):
        fitted = _fitted(edges, corners)
        if fitted is None:
            continue
        corners, agree = fitted
        for kind in SIZES:
            placed = _placed(kind, corners, lens)
            if placed is not None:
                found.append((agree - placed[1], placed[0]))
    return [sheet for _, sheet in sorted(found, key=lambda one: -one[0])]


def _candidates(image: np.ndarray) -> Iterator[np.ndarray]:
    """Corners (4, 2) of outlines that fill a quadrangle, in pixels of the whole picture; each once."""
    shrink = max(max(image.shape[:2]) / _SEARCH_PX, 1.0)
    small = cv2.resize(image, None, fx=1 / shrink, fy=1 / shrink, interpolation=cv2.INTER_AREA)
    area, known = small.shape[0] * small.shape[1], []
    for mask in _masks(cv2.GaussianBlur(small, (0, 0), 1.0)):
        for outline in cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)[0]:
            hull = cv2.convexHull(outline)
            size = cv2.contourArea(hull)
            if not _AREA[0] * area < size < _AREA[1] * area or len(hull) < 4:
                continue
            quad = cv2.approxPolyN(hull, 4, ensure_convex=True).reshape(-1, 2).astype(float)
            if len(quad) != 4 or size < _FILLED * cv2.contourArea(quad.astype(np.float32)):
                continue
            corners = (_in_order(quad) + 0.5) * shrink - 0.5
            if all(np.abs(corners - other).max() > 0.02 * np.ptp(corners) for other in known):
                known.append(corners)
                yield corners


def _masks(image: np.ndarray) -> Iterator[np.ndarray]:
    """Black and white pictures in which a sheet may stand out: brighter or darker, or of another colour."""
    lab = cv2.cvtColor(image, cv2.COLOR_BGR2LAB)
    for channel in (*cv2.split(lab), cv2.split(cv2.cvtColor(image, cv2.COLOR_BGR2HSV))[1]):
        for level in np.unique(np.percentile(channel, np.linspace(3, 97, _LEVELS)).astype(int)):
            _, mask = cv2.threshold(channel, int(level), 255, cv2.THRESH_BINARY)
            yield mask
            yield cv2.bitwise_not(mask)
    for strength in _EDGES:
        lines = np.max([cv2.Canny(channel, strength, 3 * strength) for channel in cv2.split(lab)], axis=0)
        lines = cv2.dilate(lines, np.ones((3, 3), np.uint8))
        yield lines
        yield cv2.bitwise_not(lines)


def _in_order(quad: np.ndarray) -> np.ndarray:
    """Corners clockwise in the picture."""
    around = quad - quad.mean(0)
    return quad[np.argsort(np.arctan2(around[:, 1], around[:, 0]))]


def _edges(image: np.ndarray) -> np.ndarray:
    """(H, W, 3) float32, smoothed a little: what an edge is looked for in."""
    return cv2.GaussianBlur(image, (0, 0), 1.2).astype(np.float32)


def _fitted(image: np.ndarray, corners: np.ndarray) -> tuple[np.ndarray, float] | None:
    """Corners where lines through the sides' own edges meet, and the share of edge points that lie on them.

    A card's corners are round and an arm may cross a side, so that the middle of each side and most of its points count.
    """
    lines, agree = [], []
    for start, end in zip(corners, np.roll(corners, -1, 0)):
        found = _side(image, start, end)
        if found is None:
            return None
        lines.append(found[0])
        agree.append(found[1])
    meet = np.array([np.cross(lines[i - 1], lines[i]) for i in range(4)])
    if (np.abs(meet[:, 2]) < 1e-9).any():
        return None
    fitted = meet[:, :2] / meet[:, 2:]
    height, width = image.shape[:2]
    inside = ((fitted > -1) & (fitted < (width, height))).all()
    near = np.abs(fitted - corners).max() < 2.5 * _REACH * max(np.linalg.norm(corners - np.roll(corners, 1, 0), axis=1))
    return (fitted, float(np.mean(agree))) if inside and near else None


def _side(image: np.ndarray, start: np.ndarray, end: np.ndarray) -> tuple[np.ndarray, float] | None:
    """The line (3,) through the strongest edges beside a side, and the share of them that lie on it."""
    length = np.linalg.norm(end - start)
    along = (end - start) / length
    across = np.array([-along[1], along[0]])
    reach = max(_REACH * length, 3.0)
    steps = np.arange(-reach, reach + 0.25, 0.5)
    at = start + np.linspace(0.12, 0.88, _POINTS)[:, None] * (end - start)
    points = (at[:, None] + steps[:, None] * across).astype(np.float32)
    profile = cv2.remap(image, points[..., 0], points[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    slope = np.linalg.norm(np.gradient(profile, axis=1), axis=-1)
    best = slope[:, 1:-1].argmax(1) + 1
    rows = np.arange(_POINTS)
    low, middle, high = (slope[rows, best + step] for step in (-1, 0, 1))
    offset = steps[best] + 0.5 * np.clip((low - high) / (2 * np.minimum(low - 2 * middle + high, -1e-6)), -1, 1)
    edge = at + offset[:, None] * across
    if np.median(middle) < 1.0:
        return None
    inner = _consensus(np.linspace(0.12, 0.88, _POINTS) * length, offset, max(1.0, 0.003 * length))
    if inner.mean() < _AGREE:
        return None
    vx, vy, x, y = cv2.fitLine(edge[inner].astype(np.float32), cv2.DIST_HUBER, 0, 0.01, 0.001).ravel()
    return np.array([-vy, vx, vy * x - vx * y], float), float(inner.mean())


def _consensus(t: np.ndarray, offset: np.ndarray, within: float) -> np.ndarray:
    """Which points (N,) lie on the straight line that most of them agree on, tried through pairs."""
    best = np.zeros(len(t), bool)
    for i in range(0, len(t), 3):
        for j in range(i + len(t) // 3, len(t), 3):
            slope = (offset[j] - offset[i]) / (t[j] - t[i])
            inner = np.abs(offset - offset[i] - slope * (t - t[i])) < within
            best = inner if inner.sum() > best.sum() else best
    return best


def _placed(kind: str, corners: np.ndarray, lens: Lens) -> tuple[Sheet, float] | None:
    """The outline as a thing of that kind, and how far its sides' ratio is off; None where it is something else."""
    long, short = SIZES[kind]
    straight = lens.straight(corners).astype(np.float32)
    for turn in range(2):
        image_corners = np.roll(straight, turn, 0)
        square = np.float32([[0, 0], [1, 0], [1, 1], [0, 1]])
        H = np.linalg.inv(lens.K) @ cv2.getPerspectiveTransform(square, image_corners)
        x, y = np.linalg.norm(H[:, 0]), np.linalg.norm(H[:, 1])
        off = abs(x / y * short / long - 1)
        if off > _RATIO or abs(H[:, 0] @ H[:, 1]) > _SQUARE * x * y:
            continue
        model = np.array([[0, 0, 0], [long, 0, 0], [long, short, 0], [0, short, 0]], np.float64)
        ok, vector, place = cv2.solvePnP(model, image_corners.astype(float), lens.K, None, flags=cv2.SOLVEPNP_IPPE)
        if ok:
            return Sheet(kind, np.roll(corners, turn, 0), cv2.Rodrigues(vector)[0], place.ravel()), off
    return None
