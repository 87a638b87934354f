"""Measure where MediaPipe's landmark model puts joints on synthetic pictures: the constants of adapt/labels/definition.py.

    semihand synth cache pictures/ --count 4096
    python tools/measure_definition.py pictures/ [--count 3500]

Only the half of the pictures on which it agrees best with the true joints counts: on the others it is wrong, which
says nothing about where it means to put them.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from tqdm import tqdm

from semihand.adapt.frames.landmarks import MIN_PRESENCE, depth_of
from semihand.adapt.labels.definition import SHIFTED, fit_depth_gain, fit_shifts
from semihand.models.joints import JOINT_NAMES, PRIOR_BONE_LENGTHS, ROOT
from semihand.models.lifting import bone_lengths, unit_length
from semihand.synth.cache import Cache, open_cache
from semihand.tracker.detect import HandLandmarker
from semihand.tracker.palm import box_from_landmarks

#: Pictures with more hidden joints, or on which the joints lie further apart (shares of their box), are left out.
LEAST_VISIBLE = 0.6
SAME_HAND = 0.15


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", type=Path, help="folder of rendered pictures")
    parser.add_argument("--count", type=int, default=3500)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    points, true, apart = read(open_cache(options.pictures), options.count, options.seed)
    best = apart <= np.median(apart)
    shifts = fit_shifts(points[best], true[best])
    print(f"{best.sum()} pictures; shares of the way to the joint before and to the one behind")
    for joint in SHIFTED:
        print(f"  {JOINT_NAMES[joint]:<12} {shifts[joint, 0]:+.2f} {shifts[joint, 1]:+.2f}")
    print(f"depth gain {fit_depth_gain(points[best], true[best], shifts):.2f}")


def read(cache: Cache, count: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Landmarks and true joints (N, 21, 3) in unit bones, and how far they lie apart (N,) in shares of the box."""
    rows = np.sort(np.random.default_rng(seed).choice(len(cache), min(count, len(cache)), replace=False))
    landmarker, found = HandLandmarker(), []
    for row in tqdm(rows, unit="picture"):
        if cache.present[row] and cache.visible[row].mean() >= LEAST_VISIBLE:
            found += _look(landmarker, cache, row)
    points, true, apart = (np.array(column) for column in zip(*found))
    return points, true, apart


def _look(landmarker: HandLandmarker, cache: Cache, row: int) -> list:
    """[(landmarks, true joints, distance)], or nothing where the hand is not seen."""
    image, uv_true = np.ascontiguousarray(cache.image[row][..., ::-1]), cache.uv[row].astype(float)
    first = landmarker(image, box_from_landmarks(uv_true))
    seen = landmarker(image, box_from_landmarks(first.uv_image))
    apart = np.linalg.norm(seen.uv_image - uv_true, axis=-1).mean() / np.ptp(uv_true, axis=0).max()
    if min(first.presence, seen.presence) < MIN_PRESENCE or apart >= SAME_HAND:
        return []
    depth, xyz = depth_of(seen), cache.xyz[row].astype(float)
    points = np.column_stack([seen.uv_image, depth - depth[ROOT]])
    pixels = np.linalg.norm(bone_lengths(points)) / np.linalg.norm(PRIOR_BONE_LENGTHS)
    depth_true = (xyz[:, 2] - xyz[ROOT, 2]) / unit_length(xyz)
    return [(points / pixels, np.column_stack([uv_true / pixels, depth_true]), apart)]


if __name__ == "__main__":
    main()
