"""Synthetic pictures as a labelled sequence folder, for anything that reads one."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from ..datasets.sequence import SequenceWriter
from ..progress import Progress
from .background import load_pictures
from .scene import Sample, SceneConfig, SceneRenderer


def mirror(sample: Sample) -> Sample:
    """The same picture seen in a mirror: a left hand, with all labels mirrored."""
    width = sample.image.shape[1]
    uv, xyz, K = sample.uv.copy(), sample.xyz * np.float32([-1, 1, 1]), sample.K.copy()
    uv[:, 0], K[2] = width - 1 - uv[:, 0], width - 1 - K[2]
    return Sample(
        np.ascontiguousarray(sample.image[:, ::-1]), np.ascontiguousarray(sample.mask[:, ::-1]),
        uv, xyz, K, sample.visible, sample.present,
    )  # fmt: skip


def export_synthetic(folder: Path, count: int, seed: int = 0, config: SceneConfig = SceneConfig(size=256),
                     backgrounds=None, left_share: float = 0.5) -> None:  # fmt: skip
    """Write `count` pictures with uv, xyz, K, mask and handedness; empty pictures come without joints.

    With `backgrounds` the folder claims no licence: theirs is not ours to give.
    """
    licence = {} if backgrounds else {"licence": "CC0-1.0"}
    renderer = SceneRenderer(config, seed, load_pictures(backgrounds) if backgrounds else None)
    sides = np.random.default_rng([seed, 3]).random(count) < left_share
    with SequenceWriter(folder, source=f"semihand synth export --seed {seed}", **licence) as writer:
        for index in Progress(range(count), unit="picture"):
            sample = renderer.render(index)
            sample = mirror(sample) if sides[index] else sample
            fx, fy, cx, cy = (float(value) for value in sample.K)
            labels = dict(uv=sample.uv, xyz=sample.xyz) if sample.present else {}
            writer.add(
                cv2.cvtColor(sample.image, cv2.COLOR_RGB2BGR), K=[[fx, 0, cx], [0, fy, cy], [0, 0, 1]],
                handedness="left" if sides[index] else "right",
                mask=cv2.resize(sample.mask, sample.image.shape[1::-1], interpolation=cv2.INTER_LINEAR) / 255.0,
                **labels,
            )  # fmt: skip
