"""Realism meter: do networks trained on real hands take the synthetic ones for hands, with the joints where we put them?

MediaPipe's palm and landmark models look at undegraded synthetic pictures. Not found, or found with joints elsewhere,
means an unreal pose, body or material; an offset that is the same in most pictures means a joint placed wrongly.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from ..models.joints import BONES, INDEX_MCP, JOINT_NAMES, LITTLE_MCP, MIDDLE_MCP, WRIST
from ..picture_file import write_picture
from ..progress import Progress
from ..synth.background import load_pictures
from ..synth.scene import Sample, SceneConfig, SceneRenderer
from ..synth.sensor import SensorConfig
from ..text import table
from ..tracker.text import write
from .labels.predict import HandFinder

#: Pictures whose mean disagreement is below this share of the box tell where joints are placed.
AGREEING = 0.15
#: Only palms seen at least this broad and long (shares of the box) tell directions in the hand's frame.
MIN_PALM = 0.25
#: Joints further off than this share of the box are another hand, or none.
SAME_HAND = 0.5
TILE = 128


@dataclass(frozen=True)
class Realism:
    """What the meter read.

    disagreement (N,): mean joint distance over the longer side of the joints' box, NaN where no hand was found;
    handed (N,) bool: found as the right hand that it is; along, across (21,): median offset (found minus label) in units
    of wrist to middle MCP, along that line and toward the index side; pictures: the samples, for a sheet.
    """

    disagreement: np.ndarray
    handed: np.ndarray
    along: np.ndarray
    across: np.ndarray
    pictures: list[Sample]

    @property
    def found(self) -> float:
        """Share of the pictures on which a hand was found."""
        return float(np.isfinite(self.disagreement).mean())

    @property
    def median_disagreement(self) -> float:
        """Median over the found hands, NaN if there are none."""
        seen = self.disagreement[np.isfinite(self.disagreement)]
        return float(np.median(seen)) if len(seen) else float("nan")

    @property
    def handedness_right(self) -> float:
        """Share of the found hands called right hands, which they all are."""
        seen = np.isfinite(self.disagreement)
        return float(self.handed[seen].mean()) if seen.any() else float("nan")


def plain_scenes(size: int = 256, upright: float = 0.8) -> SceneConfig:
    """Scenes with one bare hand and a perfect camera; crops as wide as MediaPipe likes them."""
    return SceneConfig(
        size=size, crop_factor=2.2, upright=upright, second_hand=0.0, held_object=0.0, occluder=0.0, empty=0.0,
        sensor=SensorConfig(strength=0.0),
    )  # fmt: skip


def measure_realism(
    count: int = 300, seed: int = 0, config: SceneConfig | None = None, backgrounds=None, finder=None
) -> Realism:
    """Show `count` pictures of `seed` to `finder` (MediaPipe's models unless another is given)."""
    renderer = SceneRenderer(config or plain_scenes(), seed, load_pictures(backgrounds) if backgrounds else None)
    finder = finder or _mediapipe()
    pictures = [renderer.render(index) for index in range(count)]
    readings = [_read(finder, sample) for sample in Progress(pictures, unit="picture")]
    disagreement = np.array([reading[0] for reading in readings])
    handed = np.array([reading[1] for reading in readings])
    agreeing = [(s.uv, r[2]) for s, r in zip(pictures, readings, strict=True) if r[0] < AGREEING]
    along, across = joint_offsets(agreeing)
    return Realism(disagreement, handed, along, across, pictures)


def joint_offsets(pairs) -> tuple[np.ndarray, np.ndarray]:
    """Median signed offsets (21,), (21,) along and across the palm, from pairs (label (21, 2), found (21, 2))."""
    rows = []
    for label, found in pairs:
        up, side = label[MIDDLE_MCP] - label[WRIST], label[INDEX_MCP] - label[LITTLE_MCP]
        length, box = np.linalg.norm(up), np.ptp(label, axis=0).max()
        y = up / max(length, 1e-9)
        x = side - (side @ y) * y
        breadth = np.linalg.norm(x)
        if min(length, breadth) < MIN_PALM * box:
            continue
        rows.append([(found - label) @ y / length, (found - label) @ (x / breadth) / length])
    if not rows:
        return np.full(21, np.nan), np.full(21, np.nan)
    along, across = np.median(rows, axis=0)
    return along, across


def run_realism(count: int, seed: int, upright: float, as_json: bool, sheet: Path | None, backgrounds=None) -> str:
    """The command `semihand synth realism`: measure, write the sheet, return what to print."""
    result = measure_realism(count, seed, plain_scenes(upright=upright), backgrounds)
    if sheet:
        worst_sheet(result, sheet)
    return json.dumps(as_dict(result)) if as_json else as_text(result)


def as_text(result: Realism) -> str:
    """A short table for the terminal."""
    rows = [
        ["pictures", str(len(result.disagreement))],
        ["hand found", f"{result.found:.1%}"],
        ["median disagreement / box", f"{result.median_disagreement:.4f}"],
        ["handedness right", f"{result.handedness_right:.1%}"],
    ]
    offsets = zip(JOINT_NAMES, result.along, result.across, strict=True)
    told = [[name, f"{along:+.3f}", f"{across:+.3f}"] for name, along, across in offsets]
    return table(["", ""], rows).lstrip() + "\n\n" + table(["median offset / palm length", "along", "across"], told)


def as_dict(result: Realism) -> dict:
    """The same as plain numbers, for JSON."""
    return {
        "pictures": len(result.disagreement),
        "found": result.found,
        "median_disagreement": result.median_disagreement,
        "handedness_right": result.handedness_right,
        "offset_along": [round(float(v), 4) for v in result.along],
        "offset_across": [round(float(v), 4) for v in result.across],
    }


def worst_sheet(result: Realism, path: Path, count: int = 60, columns: int = 10) -> None:
    """Write the pictures that failed worst: not found first, then by disagreement, labels drawn on every other one."""
    order = np.argsort(-np.where(np.isfinite(result.disagreement), result.disagreement, np.inf), kind="stable")
    tiles = [_tile(result.pictures[i], result.disagreement[i], k % 2 == 1) for k, i in enumerate(order[:count])]
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % columns)
    rows = [np.concatenate(tiles[k : k + columns], 1) for k in range(0, len(tiles), columns)]
    write_picture(path, np.concatenate(rows)[..., ::-1])


def _mediapipe() -> HandFinder:
    from ..tracker.detect import HandDetector, HandLandmarker

    return HandFinder(HandDetector(threads=1), HandLandmarker(threads=1), max_hands=1)


def _read(finder, sample: Sample) -> tuple[float, bool, np.ndarray | None]:
    """(disagreement or NaN, called a right hand, its joints) of the best hand found in one picture."""
    best = (np.nan, False, None)
    box = np.ptp(sample.uv, axis=0).max()
    for uv, handedness in finder(np.ascontiguousarray(sample.image[..., ::-1])):
        distance = float(np.linalg.norm(uv - sample.uv, axis=1).mean() / box)
        if distance < SAME_HAND and not distance > best[0]:
            best = (distance, handedness == "right", uv)
    return best


def _tile(sample: Sample, disagreement: float, labelled: bool) -> np.ndarray:
    image = cv2.resize(sample.image, (TILE, TILE), interpolation=cv2.INTER_AREA)
    if labelled:
        scale = TILE / sample.image.shape[0]
        points = ((sample.uv + 0.5) * scale * 8).astype(int)
        for parent, child in BONES:
            cv2.line(image, points[parent].tolist(), points[child].tolist(), (80, 255, 80), 1, cv2.LINE_AA, 3)
    text = "none" if np.isnan(disagreement) else f"{disagreement:.2f}"
    write(image, text, 3, 1, 11)
    return image
