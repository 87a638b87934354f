"""Contact geometry of the posed hand: how far fingers pass through each other, and thumbs that reach a finger.

Fingers and palm are capsules (bones with the skin's mean thickness). Everything is numba; lengths in metres, angles in
radians, frames and angle meanings as in `hand`.
"""

from __future__ import annotations

import numba
import numpy as np

from .hand import pose_finger

#: The palm's capsules run from this share of the way between wrist and knuckle to the knuckle.
PALM_START = 0.35
#: Thickness of a phalanx's capsule over its skin's mean distance from the bone; the first is wide where it joins the web.
FLESH = (0.88, 0.95, 1.0)
#: The same for the palm, whose flesh gives way under a fist's fingertips; its thickness is that of the proximal phalanx.
PALM_FLESH = 0.85
#: How far from the tip, in shares of the last bone, the middle of the thumb's pad lies.
PAD_SHARE = 0.3
#: Weight of the distance to the starting angles (metres squared per radian squared) while fingers are moved.
INERTIA = 2e-6


@numba.njit(cache=True)
def segment_distance(p, q, r, s):
    """Smallest distance between the segments p-q and r-s (Ericson, Real-Time Collision Detection, Sec. 5.1.9)."""
    a = b = c = d = e = f = 0.0
    for i in range(3):
        u, v, w = q[i] - p[i], s[i] - r[i], p[i] - r[i]
        a += u * u
        b += u * v
        c += u * w
        e += v * v
        f += v * w
    denominator = a * e - b * b
    t = 0.0
    if denominator > 1e-14:
        t = min(1.0, max(0.0, (b * f - c * e) / denominator))
    k = (b * t + f) / e
    if k < 0.0:
        k, t = 0.0, min(1.0, max(0.0, -c / a))
    elif k > 1.0:
        k, t = 1.0, min(1.0, max(0.0, (b - c) / a))
    for i in range(3):
        gap = p[i] + t * (q[i] - p[i]) - r[i] - k * (s[i] - r[i])
        d += gap * gap
    return np.sqrt(d)


@numba.njit(cache=True)
def _excess(f, posed, radius, others_from, allowed):
    """Of finger f against the palm and the fingers from `others_from` on: sum of squares and largest overlap - allowed."""
    total = worst = 0.0
    for i in range(1 if f == 0 else 0, 3):
        start, end = posed[1 + 4 * f + i], posed[2 + 4 * f + i]
        for g in range(others_from, 5):
            if g == f:
                continue
            for j in range(1 if g == 0 else 0, 3):
                gap = segment_distance(start, end, posed[1 + 4 * g + j], posed[2 + 4 * g + j])
                over = radius[f, i] * FLESH[i] + radius[g, j] * FLESH[j] - gap - allowed
                if over > 0.0:
                    total += over * over
                    worst = max(worst, over)
        if f == 0 and i == 1 or f > 0 and i == 0:
            continue
        for g in range(1, 5):
            knuckle = posed[1 + 4 * g]
            gap = segment_distance(start, end, posed[0] + PALM_START * (knuckle - posed[0]), knuckle)
            over = radius[f, i] * FLESH[i] + radius[g, 0] * PALM_FLESH - gap - allowed
            if over > 0.0:
                total += over * over
                worst = max(worst, over)
    return total, worst


@numba.njit(cache=True)
def penetration(posed, radius):
    """Deepest overlap in metres (0 or more) of fingers with each other and with the palm.

    posed (21, 3), radius (5, 3). The thumb's metacarpal, which is inside the palm's flesh, is left out.
    """
    worst = 0.0
    for f in range(5):
        worst = max(worst, _excess(f, posed, radius, f + 1, 0.0)[1])
    return worst


@numba.njit(cache=True)
def settle(joints, axes, radius, angles, low, high, allowed):
    """Move fingers out of each other and of the palm, in place, by the smallest changes found; returns the excess.

    angles, low, high (5, 4). Overlaps up to `allowed` metres stay (flesh gives way). Pattern search, finger by finger.
    """
    posed, transforms = joints.copy(), np.zeros((17, 3, 4))
    for f in range(5):
        pose_finger(f, joints, axes, angles, posed, transforms)
    start = angles.copy()
    step = 0.16
    while step > 0.03:
        for f in range(5):
            best = _excess(f, posed, radius, 0, allowed)[0]
            if best == 0.0:
                continue
            best += _inertia(angles, start, f)
            for k in range(4):
                for sign in (-1.0, 1.0):
                    old = angles[f, k]
                    angles[f, k] = min(high[f, k], max(low[f, k], old + sign * step))
                    pose_finger(f, joints, axes, angles, posed, transforms)
                    cost = _excess(f, posed, radius, 0, allowed)[0] + _inertia(angles, start, f)
                    if cost < best:
                        best = cost
                        break
                    angles[f, k] = old
            pose_finger(f, joints, axes, angles, posed, transforms)
        step *= 0.75
    return max(0.0, penetration(posed, radius) - allowed)


@numba.njit(cache=True)
def _inertia(angles, start, f):
    total = 0.0
    for k in range(4):
        total += INERTIA * (angles[f, k] - start[f, k]) ** 2
    return total


@numba.njit(cache=True)
def _reach_cost(joints, axes, radius, angles, start, where, posed, transforms):
    """Squared distance of the thumb's pad to its target, plus inertia and the depth of thumb-finger overlap."""
    finger, part = int(where[0]), int(where[1])
    pose_finger(0, joints, axes, angles, posed, transforms)
    pose_finger(finger, joints, axes, angles, posed, transforms)
    bone = 1 + 3 * finger + part
    a, b = 1 + 4 * finger + part, 2 + 4 * finger + part
    cost = 0.0
    for i in range(3):
        pad = posed[4, i] + PAD_SHARE * (posed[3, i] - posed[4, i])
        point = posed[a, i] + where[2] * (posed[b, i] - posed[a, i])
        for k in range(3):
            pad += 0.9 * radius[0, 2] * transforms[3, i, k] * axes[0, 1, k]
            outward = np.sin(where[3]) * axes[finger, 0, k] + np.cos(where[3]) * axes[finger, 1, k]
            point += 0.9 * radius[finger, part] * transforms[bone, i, k] * outward
        cost += (pad - point) ** 2
    for i in range(1, 3):
        for j in range(3):
            gap = segment_distance(posed[1 + i], posed[2 + i], posed[1 + 4 * finger + j], posed[2 + 4 * finger + j])
            cost += 4.0 * max(0.0, FLESH[i] * radius[0, i] + FLESH[j] * radius[finger, j] - gap - 0.002) ** 2
    return cost + _inertia(angles, start, 0) + _inertia(angles, start, finger)


@numba.njit(cache=True)
def reach(joints, axes, radius, angles, low, high, where, move_finger):
    """Bend the thumb (and the finger, if `move_finger`) in place until its pad touches a point of the finger.

    angles, low, high (5, 4). where = (finger, phalanx, share along it, direction around it): direction 0 is the palm
    side, pi/2 the thumb's side, pi the back. Pattern search inside the limits; returns the remaining gap in metres.
    """
    start = angles.copy()
    posed, transforms = joints.copy(), np.zeros((17, 3, 4))
    best = _reach_cost(joints, axes, radius, angles, start, where, posed, transforms)
    step = 0.22
    while step > 0.008:
        improved = False
        for chain in range(2 if move_finger else 1):
            f = 0 if chain == 0 else int(where[0])
            for k in range(4):
                for sign in (-1.0, 1.0):
                    old = angles[f, k]
                    angles[f, k] = min(high[f, k], max(low[f, k], old + sign * step))
                    cost = _reach_cost(joints, axes, radius, angles, start, where, posed, transforms)
                    if cost < best - 1e-9:
                        best, improved = cost, True
                        break
                    angles[f, k] = old
        if not improved:
            step *= 0.5
    return np.sqrt(best)
