"""Pinhole cameras, the virtual camera of a hand crop, and the crop itself (numpy and OpenCV only).

A crop is not a cut-out of the picture but the picture of a *virtual camera* that stands where the real one
stands and looks at the hand's centre (Perspective Crop Layers, Yu et al. 2021). In its frame, turning the
crop about its centre turns the hand about the optical axis, so relative depth does not change, and K_crop is
the same for every crop but for the focal length.

Frames: camera x right, y down, z forward, metres. Image and crop pixels u right, v down, centres at integers.
Crop grid: GRID x GRID pixels, centre (31.5, 31.5). A picture of S x S pixels of the same crop has
u_S = (u_crop + .5) * S / GRID - .5.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

GRID = 64
GRID_CENTER = (GRID - 1) / 2
#: Focal length over the longer side of the picture where nothing is known: about 61 degrees field of view.
DEFAULT_FOCAL = 0.85
#: What stands outside the picture: its edge, mid grey, or black (for masks).
BORDERS: dict[str, tuple[int, float | tuple[int, int, int]]] = {
    "replicate": (cv2.BORDER_REPLICATE, 0),
    "grey": (cv2.BORDER_CONSTANT, (128, 128, 128)),
    "black": (cv2.BORDER_CONSTANT, 0),
}
#: Rays nearer than this to the camera's plane (or behind it) are treated as this far in front of it.
_MIN_W = 1e-6


@dataclass(frozen=True)
class Crop:
    """The virtual camera of one hand crop.

    image_to_crop (3, 3): homography from image pixels to the 64-grid, mirroring included.
    K_crop (3, 3): intrinsics on the 64-grid, [f, f, 31.5, 31.5] (the same when mirrored).
    rotation (3, 3): camera -> virtual camera, a proper rotation; `mirrored` flips x after it (left hands).
    """

    image_to_crop: np.ndarray
    K_crop: np.ndarray
    rotation: np.ndarray
    mirrored: bool = False

    @cached_property
    def crop_to_image(self) -> np.ndarray:
        """(3, 3) homography from the 64-grid to image pixels."""
        return np.linalg.inv(self.image_to_crop)

    @cached_property
    def _to_virtual(self) -> np.ndarray:
        return np.diag([-1.0, 1.0, 1.0]) @ self.rotation if self.mirrored else self.rotation

    def uv_to_crop(self, uv_image: np.ndarray) -> np.ndarray:
        """Image pixels (..., 2) to the 64-grid (..., 2)."""
        return _apply_homography(self.image_to_crop, uv_image)

    def uv_to_image(self, uv_crop: np.ndarray) -> np.ndarray:
        """64-grid (..., 2) to image pixels (..., 2)."""
        return _apply_homography(self.crop_to_image, uv_crop)

    def xyz_to_virtual(self, xyz_cam: np.ndarray) -> np.ndarray:
        """Camera frame (..., 3) to the virtual camera's frame (..., 3), mirrored where the crop is."""
        return np.asarray(xyz_cam, float) @ self._to_virtual.T

    def xyz_to_camera(self, xyz_virtual: np.ndarray) -> np.ndarray:
        """Virtual camera's frame (..., 3) to the camera frame (..., 3); undoes `xyz_to_virtual`."""
        return np.asarray(xyz_virtual, float) @ self._to_virtual


@dataclass(frozen=True)
class Lens:
    """A camera at one size of its pictures.

    K (3, 3): intrinsics in pixels; assumed: they are a guess. distortion (5,): k1 k2 p1 p2 k3 (Brown, as in OpenCV),
    None for a pinhole.
    """

    K: np.ndarray
    distortion: np.ndarray | None = None
    assumed: bool = False

    def straight(self, uv_image: np.ndarray) -> np.ndarray:
        """Pixels (..., 2) of the picture where a pinhole of the same K would have them."""
        if self.distortion is None:
            return uv_image
        flat = np.ascontiguousarray(uv_image, float).reshape(-1, 1, 2)
        return cv2.undistortPoints(flat, self.K, self.distortion, P=self.K).reshape(np.shape(uv_image))


def default_intrinsics(width: int, height: int, fx: float | None = None) -> np.ndarray:
    """(3, 3) intrinsics of an unknown camera: f = 0.85 of the longer side (or `fx`), centred."""
    focal = DEFAULT_FOCAL * max(width, height) if fx is None else float(fx)
    if not (width > 0 and height > 0 and focal > 0):
        raise ValueError(f"No camera has a picture of {width} x {height} pixels and a focal length of {focal}.")
    return np.array([[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1.0]])


def crop_camera(K: np.ndarray, center: np.ndarray, side: float, roll: float = 0.0, mirrored: bool = False) -> Crop:
    """The virtual camera that looks at `center` and sees the square of `side` pixels round it edge to edge.

    K (3, 3): the picture's intrinsics. center (2,), side: image pixels. roll: radians, clockwise in the
    picture; the crop is turned back by it, so that a box whose fingers point along its roll comes out with
    fingers up. The rotation is the smallest that takes the centre's ray to +z, then the roll about z. An
    off-axis square is not a square in the virtual camera (the picture stretches radially by 1 / cos^2 and
    sideways by 1 / cos of the angle off the axis), so the focal length keeps its *area* to first order:
    f = 64 / side * f_image / cos^1.5.
    Raises ValueError on a side that is not positive or values that are not finite.
    """
    fx, fy, cx, cy = float(K[0][0]), float(K[1][1]), float(K[0][2]), float(K[1][2])
    u, v, side, roll = float(center[0]), float(center[1]), float(side), float(roll)
    if not (side > 0 and fx > 0 and fy > 0 and np.isfinite(u + v + side + roll + fx + fy + cx + cy)):
        raise ValueError(f"No crop of side {side} round ({u}, {v}), roll {roll}, focal lengths {fx}, {fy}.")
    ray = np.array([(u - cx) / fx, (v - cy) / fy, 1.0])
    ray /= np.sqrt(ray @ ray)
    rotation = _turn_about_z(-roll) @ _rotation_to_z(ray)
    focal = GRID / side * np.sqrt(fx * fy) / ray[2] ** 1.5
    K_crop = np.array([[focal, 0, GRID_CENTER], [0, focal, GRID_CENTER], [0, 0, 1.0]])
    K_inverse = np.array([[1 / fx, 0, -cx / fx], [0, 1 / fy, -cy / fy], [0, 0, 1.0]])
    image_to_crop = K_crop @ rotation @ K_inverse
    if mirrored:
        image_to_crop[0] = (GRID - 1) * image_to_crop[2] - image_to_crop[0]
    return Crop(image_to_crop, K_crop, rotation, bool(mirrored))


def warp_crop(image: np.ndarray, crop: Crop, size: int, margin: float = 0.0, border: str = "replicate") -> np.ndarray:
    """The crop's picture, (size, size, 3) uint8 in the channel order of `image` (H, W, 3) uint8.

    `margin`: grid pixels added on every side, so that `size` pixels cover GRID + 2 margin grid pixels.
    `border`: what stands outside the picture, one of BORDERS. Where the crop shrinks the picture by two or
    more, the part that it sees is first averaged down by an even number: anti-aliasing at little cost.
    """
    to_size = _grid_to_size(size, margin) @ crop.image_to_crop
    from_size = np.linalg.inv(to_size)
    central_pixel = _apply_homography(from_size, _square(1) + (size - 1) / 2)
    shrink = 2 * int(np.sqrt(_quad_area(central_pixel)) / 2)
    if shrink >= 2:
        image, offset = _shrunk_region(image, _apply_homography(from_size, _square(size)), shrink)
        to_size = to_size @ _from_shrunk(offset, shrink)
    mode, value = BORDERS[border]
    return cv2.warpPerspective(image, to_size, (size, size), flags=cv2.INTER_LINEAR, borderMode=mode, borderValue=value)


def _shrunk_region(image: np.ndarray, corners: np.ndarray, shrink: int) -> tuple[np.ndarray, np.ndarray]:
    """The part of the picture round `corners`, a pixel for each shrink x shrink block, and where it begins.

    A block's pixel is the mean of four of its own, half a block apart: far fewer than all of them, so that a
    hand that fills a large picture costs no more time than a small one.
    """
    limit = np.array([image.shape[1], image.shape[0]])
    low = np.clip(np.floor(corners.min(axis=0)) - shrink, 0, limit - 1).astype(int)
    high = np.clip(np.ceil(corners.max(axis=0)) + 1 + shrink, low + 1, limit).astype(int)
    blocks = np.maximum((high - low) // shrink, 1)
    # Whole blocks only: up to shrink - 1 pixels at the far edge are left out, a fraction of a crop pixel.
    high = np.minimum(low + blocks * shrink, limit)
    region = image[low[1] : high[1], low[0] : high[0]]
    if shrink > 2:
        region = cv2.resize(region, (2 * int(blocks[0]), 2 * int(blocks[1])), interpolation=cv2.INTER_NEAREST)
    return cv2.resize(region, (int(blocks[0]), int(blocks[1])), interpolation=cv2.INTER_AREA), low


def _from_shrunk(offset: np.ndarray, shrink: int) -> np.ndarray:
    """(3, 3) from pixels of the shrunk region to the picture's: a block's four average at shrink / 4."""
    shift = offset + 0.25 * shrink
    return np.array([[shrink, 0, shift[0]], [0, shrink, shift[1]], [0, 0, 1.0]])


def _grid_to_size(size: int, margin: float) -> np.ndarray:
    """(3, 3) from the 64-grid to a picture of `size` pixels that shows `margin` grid pixels all round."""
    scale = size / (GRID + 2 * margin)
    shift = (0.5 + margin) * scale - 0.5
    return np.array([[scale, 0, shift], [0, scale, shift], [0, 0, 1.0]])


def _square(size: int) -> np.ndarray:
    """The outer corners (4, 2) of a picture of `size` pixels."""
    low, high = -0.5, size - 0.5
    return np.array([[low, low], [high, low], [high, high], [low, high]])


def _quad_area(corners: np.ndarray) -> float:
    """Area of a four-cornered polygon (4, 2) (shoelace)."""
    (a, b), (c, d) = corners[2] - corners[0], corners[3] - corners[1]
    return 0.5 * abs(a * d - b * c)


def _apply_homography(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    mapped = np.asarray(points, float) @ matrix[:, :2].T + matrix[:, 2]
    return mapped[..., :2] / np.maximum(mapped[..., 2:], _MIN_W)


def _rotation_to_z(ray: np.ndarray) -> np.ndarray:
    """The smallest rotation (3, 3) that takes the unit vector `ray` (3,), z > 0, to +z (Rodrigues)."""
    x, y, z = ray
    k = 1.0 / (1.0 + z)
    return np.array([[1 - k * x * x, -k * x * y, -x], [-k * x * y, 1 - k * y * y, -y], [x, y, z]])


def _turn_about_z(angle: float) -> np.ndarray:
    """Rotation by `angle` radians about z: clockwise in the picture where positive."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]])
