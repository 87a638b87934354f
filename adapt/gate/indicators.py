"""How good a network is on crops without labels: indicators that the gate compares before and after a fine-tuning.

| indicator          | says                                                                                   | better |
|--------------------|----------------------------------------------------------------------------------------|--------|
| view_consistency   | grid pixels between the joints of a crop and those of the same crop under T, led back  | low    |
| view_depth         | unit bones between their depths                                                        | low    |
| turn_consistency   | view_consistency under mild A: other turns, sizes and places                           | low    |
| pose_mask_iou      | overlap of the circles on the joints with the network's own mask                       | high   |
| source_mask_iou    | the same with the mask of the network before, which no training could bend             | high   |
| bone_distance      | grid pixels between the pose and its registration to one hand's bones                  | low    |
| bone_variance      | coefficient of variation of the lifted bones' lengths, mean over the bones             | low    |
| bone_deviation     | how far a crop's lifted bones are off their medians over the crops, as a share of them | low    |
| jitter             | second difference in time over the hand's size, within segments of near frames         | low    |
| detector_agreement | distance to the landmark model's joints over the hand's size                           | low    |
| confidence, seen   | the network's own confidence, and the share of crops where it is not far below usual   | high   |
| spread             | how far a hand's joints lie apart, grid pixels; falls when heatmaps flatten            |        |
| diversity          | how far the crops' poses differ, in spreads; 0 where all crops get the same pose       |        |
| synthetic_nme      | 2D error over the joints' box on rendered pictures: what was forgotten                 | low    |

The views are drawn from a seed, so the networks before and after look at the same ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from ...models.circles import load_circles, overlap, pixels_per_unit, render
from ...models.joints import PRIOR_BONE_LENGTHS, ROOT
from ...models.lifting import MAX_ROOT_DEPTH, bone_lengths, lift
from ...models.network import Hourglass
from ...models.registration import register
from ...synth.cache import Cache
from ...train import validate
from ...train.losses import on_grid
from ..frames.crops import CropSet
from ..views import Poses, View, ViewConfig, draw_diversity, draw_perturbation, predict

PER_CROP = (
    "view_consistency", "turn_consistency", "view_depth", "pose_mask_iou", "source_mask_iou", "bone_distance",
    "bone_deviation", "jitter", "detector_agreement", "confidence", "spread", "seen",
)  # fmt: skip
#: T of the view indicators: small changes and right angles; and the mild A.
STEADY = ViewConfig(kinds=("shift", "tilt"))
QUARTER = ViewConfig(kinds=("quarter",))
MILD = ViewConfig(turn=25.0, scale=(0.85, 1.2), move=0.05)
#: Frames further apart in time, seconds, are no neighbours.
NEAR = 0.25
#: Crops with less than this share of the usual confidence hardly show a hand.
SEEN = 0.5
#: Mean confidence of a hand that is hardly seen, where no rendered pictures tell what is usual.
USUAL_CONFIDENCE = 0.5
#: Crops with landmarks from which on the variety of the landmark model's poses says something.
LEAST_MARKED = 10
#: Crops that count as one observation: neighbours in time resemble each other.
BLOCK = (5, 15)


@dataclass(frozen=True)
class Indicators:
    """Indicators of one network; see the module's table.

    per_crop: name -> (N,), NaN where it can't be had. whole: those of all crops together. synthetic: nme (M,) of the
    rendered pictures, empty without any. block (N,) int: crops of one block are neighbours in time. poses: the answers.
    """

    per_crop: dict[str, np.ndarray]
    whole: dict[str, float]
    synthetic: np.ndarray
    block: np.ndarray
    poses: Poses

    def __len__(self) -> int:
        return len(self.block)

    def values(self) -> dict[str, float | None]:
        """Name -> mean over the crops, None where it can't be had: plain JSON."""
        means = {name: _mean(values) for name, values in self.per_crop.items()}
        return {
            name: None if not np.isfinite(value) else float(value) for name, value in {**means, **self.whole}.items()
        }

    @property
    def per_crop_cost(self) -> np.ndarray:
        """(N,) grid pixels: each crop's own inconsistency, between views and with a hand's bones."""
        return self.per_crop["view_consistency"] + self.per_crop["turn_consistency"] + self.per_crop["bone_distance"]


def synthetic_slice(pictures, count: int = 192, seed: int = 0) -> Cache:
    """`count` rendered pictures kept in memory, the same ones for before and after. pictures: see `synth.feed.Pictures`."""
    arrays = pictures.draw(count, np.random.default_rng(seed))
    config = {"crop_factor": pictures.crop_factor, "size": arrays["image"].shape[1]}
    return Cache(**{name: np.asarray(array) for name, array in arrays.items()}, config=config, provenance={})


def measure(network: Hourglass, crops: CropSet, device="cpu", synthetic: Cache | None = None, seed: int = 0,
            reference: Hourglass | None = None) -> Indicators:  # fmt: skip
    """Indicators of `network` on crops that it has not learned from.

    synthetic: some rendered pictures with labels. reference: the network before, whose mask tells where the hand is;
    None: `network` is the one before.
    """
    poses = predict(network, crops, device)
    if not (np.isfinite(poses.uv).all() and np.isfinite(poses.depth).all()):
        return _nothing(poses, crops)
    source_mask = poses.mask if reference is None else predict(reference, crops, device).mask
    per_crop = _views(network, crops, poses, device, seed)
    per_crop["pose_mask_iou"] = pose_mask_iou(poses, poses.mask, crops)
    per_crop["source_mask_iou"] = pose_mask_iou(poses, source_mask, crops)
    per_crop["bone_distance"] = bone_distance(poses, crops)
    per_crop["bone_deviation"], bone_variance = bone_changes(poses, crops)
    per_crop["jitter"] = jitter(poses, crops)
    per_crop["detector_agreement"] = detector_agreement(poses, crops)
    per_crop["confidence"] = poses.confidence.mean(1)
    per_crop["spread"] = poses.uv.std(1).mean(1)
    whole = {"bone_variance": bone_variance, "diversity": diversity(poses.uv)}
    marked = np.isfinite(crops.marks_uv).all((1, 2))
    if marked.sum() >= LEAST_MARKED:
        whole["marks_diversity"] = diversity(crops.marks_uv[marked])
    errors, rendered = np.zeros(0), {}
    if synthetic is not None:
        errors, rendered = _on_rendered(network, synthetic, device)
    usual = rendered.get("synthetic_confidence", USUAL_CONFIDENCE)
    per_crop["seen"] = (per_crop["confidence"] >= SEEN * usual).astype(float)
    return Indicators(per_crop, whole | rendered, errors, blocks(crops.segment), poses)


def blocks(segment: np.ndarray) -> np.ndarray:
    """(N,) int: number of each crop's block of neighbours, for crops in the order of time with segments (N,).

    A block ends with its segment, or after 15 crops; segments of fewer than 5 crops share one.
    """
    least, most = BLOCK
    numbers, size = np.zeros(len(segment), int), 0
    for i in range(1, len(segment)):
        size += 1
        ends = size >= most or (size >= least and segment[i] != segment[i - 1])
        numbers[i] = numbers[i - 1] + ends
        size = 0 if ends else size
    return numbers


def _views(network, crops: CropSet, plain: Poses, device, seed: int) -> dict[str, np.ndarray]:
    """The three view indicators, means over several draws each."""
    generator, count = torch.Generator().manual_seed(seed), len(crops)
    steady = [draw_perturbation(count, STEADY, generator) for _ in range(2)]
    quarter = [draw_perturbation(count, QUARTER, generator)]
    mild = [draw_diversity(count, MILD, generator) for _ in range(3)]
    apart = [view_distance(plain, predict(network, crops, device, view=view), view) for view in steady + quarter + mild]
    across, along = (np.stack(column) for column in zip(*apart))
    perturbed = len(steady) + len(quarter)
    return {
        "view_consistency": across[:perturbed].mean(0),
        "turn_consistency": across[perturbed:].mean(0),
        "view_depth": along.mean(0),
    }


def view_distance(plain: Poses, seen: Poses, view: View) -> tuple[np.ndarray, np.ndarray]:
    """Mean distance of joints in plain grid pixels, and of depths in unit bones, (N,) each, of a view to the plain crop.

    Joints that the view doesn't show don't count.
    """
    shown = on_grid(view.pose(torch.from_numpy(plain.uv)).numpy())
    across = np.linalg.norm(view.back(torch.from_numpy(seen.uv)).numpy() - plain.uv, axis=-1)
    count = np.maximum(shown.sum(1), 1)
    return (across * shown).sum(1) / count, (np.abs(seen.depth - plain.depth) * shown).sum(1) / count


@torch.no_grad()
def pose_mask_iou(poses: Poses, mask: np.ndarray, crops: CropSet) -> np.ndarray:
    """IoU (N,) of the circles on the joints with masks (N, 64, 64), over the cells that the camera saw."""
    circles, parts = load_circles(), []
    for rows in np.array_split(np.arange(len(crops)), -(-len(crops) // 64)):
        uv, depth = torch.from_numpy(poses.uv[rows]), torch.from_numpy(poses.depth[rows])
        s_px = pixels_per_unit(uv, depth, torch.from_numpy(crops.K_crop[rows]))
        drawn = render(circles.signed_distance(uv, s_px))
        valid = torch.from_numpy(crops.visible[rows])
        parts.append(overlap(drawn, torch.from_numpy(mask[rows]), valid).numpy())
    return np.concatenate(parts).astype(float)


def bone_distance(poses: Poses, crops: CropSet) -> np.ndarray:
    """(N,) grid pixels in three dimensions between each pose and its registration to the average hand."""
    uv, depth = register(poses.uv, poses.depth, crops.K_crop)
    scale = pixels_per_unit(*(torch.from_numpy(a) for a in (poses.uv, poses.depth, crops.K_crop))).numpy()
    away = (depth - (poses.depth - poses.depth[:, ROOT, None])) * scale[:, None]
    return np.sqrt(((uv - poses.uv) ** 2).sum(-1) + away**2).mean(1)


def bone_changes(poses: Poses, crops: CropSet) -> tuple[np.ndarray, float]:
    """Each crop's mean relative deviation (N,) of the lifted bones from their median lengths over the crops, and the
    coefficient of variation of each bone's length, mean over the bones; 0 for one crop."""
    lengths = bone_lengths(
        lift(poses.uv, poses.depth, crops.K_crop, PRIOR_BONE_LENGTHS, 1.0, fallback_depth=MAX_ROOT_DEPTH)
    )
    usual, mean = np.median(lengths, axis=0), lengths.mean(0)
    deviation = np.abs(lengths / np.maximum(usual, 1e-6) - 1).mean(1)
    return deviation, float((lengths.std(0) / np.maximum(mean, 1e-6)).mean())


def jitter(poses: Poses, crops: CropSet) -> np.ndarray:
    """(N,): mean norm of the joints' second difference in the picture over the hand's size, NaN but for the middle of
    three near frames of a segment."""
    uv = np.stack([crop.uv_to_image(joints) for crop, joints in zip(crops.crops, poses.uv)])
    found = np.full(len(crops), np.nan)
    step = np.diff(crops.time)
    joined = (np.diff(crops.segment) == 0) & (step > 0) & (step <= NEAR)
    middle = 1 + np.flatnonzero(joined[:-1] & joined[1:])
    size = (uv.max(1) - uv.min(1)).max(-1)
    second = np.linalg.norm(uv[middle + 1] - 2 * uv[middle] + uv[middle - 1], axis=-1).mean(1)
    found[middle] = second / np.maximum(size[middle], 1.0)
    return found


def detector_agreement(poses: Poses, crops: CropSet) -> np.ndarray:
    """(N,): mean distance to the landmark model's joints over the longer side of their box, NaN where it saw none."""
    marks = crops.marks_uv
    size = np.maximum((marks.max(1) - marks.min(1)).max(-1), 1.0)
    return np.linalg.norm(poses.uv - marks, axis=-1).mean(1) / size


def diversity(uv: np.ndarray) -> float:
    """How far poses uv (N, 21, 2) differ after each is moved to its middle and scaled by its spread: 0 for one pose."""
    away = uv - uv.mean(1, keepdims=True)
    shape = away / np.maximum(np.sqrt((away**2).sum(-1).mean(1)), 1e-6)[:, None, None]
    return float(np.sqrt(shape.var(0).sum(-1).mean()))


def _on_rendered(network, cache: Cache, device) -> tuple[np.ndarray, dict[str, float]]:
    """nme (M,) on the rendered pictures that show a hand, and what is usual there."""
    rows, batches = np.flatnonzero(np.asarray(cache.present)), []
    for part in np.array_split(rows, max(1, -(-len(rows) // 64))):
        uv, depth, uv_true, _, confidence = validate.predict(network.eval(), cache, part, False, torch.device(device))
        epe, nme, _ = validate.errors(cache, part, uv, depth, uv_true, network.config.crop_factor)
        batches.append((uv, epe, nme, confidence))
    uv, epe, nme, confidence = (np.concatenate(column) for column in zip(*batches))
    whole = {"synthetic_nme": nme.mean(), "synthetic_epe_mm": epe.mean(), "synthetic_diversity": diversity(uv),
             "synthetic_confidence": np.median(confidence)}  # fmt: skip
    return nme, {name: float(value) for name, value in whole.items()}


def _nothing(poses: Poses, crops: CropSet) -> Indicators:
    """Of a network that gives no numbers any more."""
    missing = {name: np.full(len(crops), np.nan) for name in PER_CROP}
    return Indicators(
        missing, {"bone_variance": np.nan, "diversity": np.nan}, np.zeros(0), blocks(crops.segment), poses
    )


def _mean(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else float("nan")
