"""Unit quaternions (..., 4) ordered x y z w, and rotation matrices (..., 3, 3) that act on columns."""

from __future__ import annotations

import numpy as np

_NEXT, _LAST = np.array([1, 2, 0]), np.array([2, 0, 1])


def cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Cross product of (..., 3); several times faster than numpy's on small arrays."""
    return a.take(_NEXT, -1) * b.take(_LAST, -1) - a.take(_LAST, -1) * b.take(_NEXT, -1)


def dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Dot product (..., 1) of (..., 3), kept broadcastable."""
    return (a * b).sum(-1, keepdims=True)


def unit(v: np.ndarray, least: float = 1e-9) -> np.ndarray:
    """v (..., 3) over its length; vectors shorter than `least` stay short instead of becoming NaN."""
    return v / np.maximum(np.sqrt(dot(v, v)), least)


def _four_qq() -> tuple[np.ndarray, np.ndarray]:
    """C (9, 16) and c (16,) with 4 q q^T = R C + c, both matrices flattened."""
    C, c = np.zeros((9, 4, 4)), np.eye(4)
    for axis in range(3):
        C[4 * axis, range(4), range(4)] = [1 if row in (axis, 3) else -1 for row in range(4)]
        i, j = (axis + 1) % 3, (axis + 2) % 3
        C[3 * i + j, i, j] = C[3 * i + j, j, i] = C[3 * j + i, i, j] = C[3 * j + i, j, i] = 1
        C[3 * j + i, axis, 3] = C[3 * j + i, 3, axis] = 1
        C[3 * i + j, axis, 3] = C[3 * i + j, 3, axis] = -1
    return C.reshape(9, 16), c.reshape(16)


_C, _c = _four_qq()


def from_matrix(R: np.ndarray) -> np.ndarray:
    """Quaternions (..., 4), w >= 0, of rotation matrices (..., 3, 3)."""
    rows = (R.reshape(-1, 9) @ _C + _c).reshape(-1, 4, 4)
    # Every row is the quaternion up to scale; that with the largest diagonal is the exact one.
    best = rows[:, range(4), range(4)].argmax(-1)
    q = rows[np.arange(len(rows)), best]
    q *= np.copysign(1 / np.sqrt((q * q).sum(-1)), q[:, 3])[:, None]
    return q.reshape(*R.shape[:-2], 4)


def to_matrix(q: np.ndarray) -> np.ndarray:
    """Rotation matrices (..., 3, 3) of unit quaternions (..., 4)."""
    x, y, z, w = np.moveaxis(np.asarray(q, float), -1, 0)
    rows = [
        1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w),
        2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w),
        2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y),
    ]  # fmt: skip
    return np.stack(rows, axis=-1).reshape(*x.shape, 3, 3)


def in_axes(q: np.ndarray, B: np.ndarray) -> np.ndarray:
    """The same rotations (..., 4) told in other axes: B (3, 3) orthogonal maps old coordinates to new ones.

    B may be a reflection (left-handed axes); its determinant turns the rotation's sense then.
    """
    q = np.asarray(q, float)
    return np.concatenate([np.linalg.det(B) * (q[..., :3] @ B.T), q[..., 3:]], axis=-1)


def near(q: np.ndarray, before: np.ndarray) -> np.ndarray:
    """q (..., 4) with the sign, of the two that mean the same rotation, that is nearer to `before` (..., 4)."""
    return np.where((q * before).sum(-1, keepdims=True) < 0, -q, q)


def angle_between(R: np.ndarray, S: np.ndarray) -> np.ndarray:
    """Degrees (...) of the rotation from R to S (..., 3, 3)."""
    # Through the chord: exact for small angles, where the arc cosine of the trace is not.
    chord = np.sqrt(((R - S) ** 2).sum((-1, -2)))
    return np.rad2deg(2 * np.arcsin(np.clip(chord / np.sqrt(8), 0, 1)))
