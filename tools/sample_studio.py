"""Make the small sample of the second world that ships with the project: every n-th picture of a bake, made smaller.

semihand studio bake --out studio-set
python tools/sample_studio.py studio-set studio/sample [--train 40] [--test 24] [--size 160]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np

from semihand.datasets.sequence import Sequence, SequenceFrame, SequenceWriter, read_sequence


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bake", type=Path, help="folder that `semihand studio bake` wrote")
    parser.add_argument("out", type=Path)
    parser.add_argument("--train", type=int, default=40)
    parser.add_argument("--test", type=int, default=24)
    parser.add_argument("--size", type=int, default=160)
    options = parser.parse_args()
    for split, count in (("train", options.train), ("test", options.test)):
        write_sample(read_sequence(options.bake / split), options.out / split, count, options.size)


def write_sample(sequence: Sequence, folder: Path, count: int, size: int) -> None:
    """Write `count` frames spread over a sequence as a sequence of its own, `size` pixels a side."""
    rows = np.linspace(0, len(sequence.frames) - 1, count).round().astype(int)
    header = dict(source=sequence.source, licence=sequence.licence, note=f"{count} pictures of: {sequence.note}")
    with SequenceWriter(folder, name=f"{sequence.name}-sample", quality=88, **header) as writer:
        for row in rows:
            writer.add(**shrink(sequence.frames[row], size))


def shrink(frame: SequenceFrame, size: int) -> dict:
    """A frame's picture and labels at `size` pixels a side, as SequenceWriter.add takes them."""
    image = frame.read()
    scale = size / image.shape[1]
    K = frame.K.copy()
    K[:2] *= scale
    K[:2, 2] += 0.5 * scale - 0.5  # pixel centres are at integers
    small, mask = (cv2.resize(x, (size, size), interpolation=cv2.INTER_AREA) for x in (image, frame.read_mask()))
    return dict(image=small, K=K, handedness=frame.handedness, xyz=frame.xyz, mask=mask, gesture=frame.gesture)


if __name__ == "__main__":
    main()
