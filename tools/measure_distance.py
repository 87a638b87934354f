"""Measure how far tracked wrists are from where they are, with nothing known, camera known, hand known, and both.

    python tools/measure_distance.py --data real/ge-real-a        labelled pictures of one person, each by itself
    python tools/measure_distance.py --clips 8 --view 78          rendered films of several people, followed and smoothed

Hand known: the median lengths of the labels' bones. Camera known: the labels' K.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from semihand.datasets.sequence import read_sequence
from semihand.models.camera import Lens
from semihand.models.joints import WRIST
from semihand.models.lifting import bone_lengths
from semihand.synth.clip import Clip, ClipConfig
from semihand.text import table
from semihand.tracker.lens import Lenses
from semihand.tracker.open import HandTracker

KNOWN = (("nothing", False, False), ("camera", True, False), ("hand", False, True), ("camera and hand", True, True))


class View(NamedTuple):
    """A picture (H, W, 3) BGR at `time` seconds through K (3, 3), and the joints (21, 3) metres of the hand in it."""

    image: np.ndarray
    time: float
    K: np.ndarray
    xyz: np.ndarray


class Film(NamedTuple):
    """Views of one person. independent: no picture has to do with the one before."""

    views: list[View]
    independent: bool


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="a sequence folder of one person with xyz_mm and K")
    parser.add_argument("--clips", type=int, default=8)
    parser.add_argument("--frames", type=int, default=90, help="of each clip")
    parser.add_argument("--view", type=float, default=78.0, help="the clips' horizontal view in degrees")
    parser.add_argument("--model", help="name or file [default: the default model]")
    options = parser.parse_args()
    films = labelled(options.data) if options.data else rendered(options.clips, options.frames, options.view)
    off = {name: [] for name, _, _ in KNOWN}
    for film in films:
        bones = np.median([bone_lengths(view.xyz) for view in film.views], axis=0)
        for name, camera, hand in KNOWN:
            off[name] += list(offsets(film, options.model, camera, bones if hand else None))
    print(
        table(("known", "frames", "missed", "wrist mm", "median", "p90", "bias away mm"), map(row, off, off.values()))
    )


def labelled(folder: Path) -> list[Film]:
    """The labelled pictures of a folder."""
    frames = [frame for frame in read_sequence(folder).frames if frame.xyz is not None and frame.K is not None]
    return [Film([View(frame.read(), i / 30, frame.K, frame.xyz) for i, frame in enumerate(frames)], True)]


def rendered(count: int, frames: int, view: float) -> Iterator[Film]:
    """Clips of different people."""
    for seed in range(count):
        clip = Clip(ClipConfig(frames=frames, view_degrees=view, seed=seed))
        yield Film([View(frame.image, frame.time, clip.K, frame.hands[0].xyz) for frame in clip], False)


def offsets(film: Film, model: str | None, camera: bool, bones: np.ndarray | None) -> Iterator[np.ndarray]:
    """Tracked minus true wrist (3,) in mm of every view, NaN where there is no hand."""
    with HandTracker(model, hands=1, smooth=not film.independent) as tracker:
        tracker.bones = bones
        tracker.use(tracker.model)
        for view in film.views:
            if film.independent:
                tracker.reset()
            tracker.lens = (lambda _, lens=Lens(view.K): lens) if camera else Lenses()
            hands = tracker(view.image, view.time)
            yield 1e3 * (hands[0].xyz_cam[WRIST] - view.xyz[WRIST]) if hands else np.full(3, np.nan)


def row(name: str, off: list[np.ndarray]) -> list[str]:
    """Of one kind of knowledge."""
    found = np.array([one for one in off if np.isfinite(one).all()])
    far = np.linalg.norm(found, axis=1)
    figures = (far.mean(), np.median(far), np.percentile(far, 90), found[:, 2].mean())
    return [name, str(len(off)), str(len(off) - len(found)), *(f"{value:.1f}" for value in figures)]


if __name__ == "__main__":
    main()
