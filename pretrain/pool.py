"""Unlabelled pictures of many people as a pool to train on: crops with a margin, and labels that models gave them.

The landmark model labels first (see `adapt.labels.teacher`); a network trained since may then look at every crop through
several views, and its mean answer is laid over those labels, with its masks, where the two agree. No human label has a
part. Folder layout: image.npy (N, S, S, 3) uint8 RGB; marks_uv, marks_depth, marks_weight.npy: the landmark model's
labels; uv.npy (N, 21, 2) pixels of the image, depth.npy (N, 21) unit bones, weight.npy (N, 21) in [0, 1], mask.npy and
known.npy (N, 112, 112) uint8: the labels in use; held.npy (N,) bool: never trained on; pool.json.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from tqdm import tqdm

from ..adapt.frames.crops import MARGIN, WIDE_GRID, cut_crops
from ..adapt.frames.landmarks import LandmarkObserver
from ..adapt.frames.sources import frames_of
from ..adapt.labels.teacher import TeacherConfig, detector_labels
from ..datasets.sequence import read_sequence
from ..errors import SemihandError
from ..models.camera import GRID
from ..models.checkpoint import atomic_file, load_checkpoint
from ..models.decode import decode
from ..models.network import Hourglass, normalise
from ..train.augment import AugmentConfig, center_transforms, draw_transforms, prepare, warp

log = logging.getLogger(__name__)

#: Side of the stored crop over the joints' box, and its pixels: as much as cut-outs of 256 pixels hold.
CROP_FACTOR, SIZE = 1.4 * WIDE_GRID / GRID, 252
#: Looks of the landmark model after its first one; and views of a network, the plain one among them.
DRAWS, VIEWS = 8, 8
VIEW = AugmentConfig(crop_factor=(1.15, 1.55), turn=0.3, any_turn=0.0, shift=0.06)
LABELS = ("uv", "depth", "weight")
ARRAYS = ("image", *LABELS, "mask", "known")
#: A label that lies so many typical distances from the network's answer counts half.
TOLERANCE = 3.0


@dataclass(frozen=True)
class Pool:
    """Memory-mapped arrays of a pool, or tensors on a GPU; see the module's text. rows: those that are trained on; held:
    those of held-out sources."""

    folder: Path
    image: np.ndarray
    uv: np.ndarray
    depth: np.ndarray
    weight: np.ndarray
    mask: np.ndarray
    known: np.ndarray
    rows: np.ndarray
    held: np.ndarray
    provenance: dict

    def draw(self, count: int, rng: np.random.Generator) -> dict[str, torch.Tensor]:
        """`count` different crops in the form that `augment.prepare` takes."""
        rows = np.sort(rng.choice(self.rows, min(count, len(self.rows)), replace=False))
        return self._at(rows)

    def _at(self, rows: np.ndarray) -> dict[str, torch.Tensor]:
        if isinstance(self.image, torch.Tensor):
            rows = torch.from_numpy(rows).to(self.image.device)
            batch = {name: getattr(self, name)[rows] for name in ARRAYS}
        else:
            batch = {name: torch.from_numpy(np.array(getattr(self, name)[rows])) for name in ARRAYS}
        return batch | {"present": torch.ones(len(rows), dtype=torch.bool, device=batch["image"].device)}

    def to(self, device) -> Pool:
        """The same pool in a device's memory."""
        return replace(self, **{name: torch.from_numpy(np.array(getattr(self, name))).to(device) for name in ARRAYS})


def build_pool(data, out, hold_out: tuple[str, ...] = (), observer: LandmarkObserver | None = None) -> Pool:
    """Crops of a sequence folder's hands with the landmark model's labels, written to the folder `out`.

    hold_out: values of the frames' `gesture` (their source) that are kept but never trained on. Raises SemihandError
    where no picture shows a hand, a held-out source is unknown, or the folder cannot be written.
    """
    sequence, out = read_sequence(data), Path(out)
    sources = [frame.gesture or "" for frame in sequence.frames]
    if unknown := sorted(set(hold_out) - set(sources)):
        raise SemihandError(f"{data} has no source {unknown[0]!r}. Sources: {', '.join(sorted(set(sources)))}.")
    frames = frames_of(sequence, "detector", observer or LandmarkObserver(draws=DRAWS))
    crops = cut_crops(
        [(frame, frame.crop(CROP_FACTOR * GRID / WIDE_GRID)) for frame in frames], SIZE * GRID // WIDE_GRID
    )
    # A mix of people has no bone lengths of its own, and loose pictures no motion to smooth.
    labels = detector_labels(crops, config=TeacherConfig(own_template=False, bandwidth=0.0))
    uv = ((labels.uv + MARGIN + 0.5) / WIDE_GRID * crops.image.shape[1] - 0.5).astype(np.float32)
    held = np.array([sources[frame.index] in hold_out for frame in frames])
    arrays = {"image": crops.image, "held": held, "mask": np.zeros((len(uv), WIDE_GRID, WIDE_GRID), np.uint8)}
    arrays["known"] = arrays["mask"]
    for name, values in zip(LABELS, (uv, labels.depth, labels.weight)):
        arrays[name] = arrays[f"marks_{name}"] = values
    counts = Counter(sources[frame.index] for frame in frames)
    record = {
        "data": Path(data).name, "labels": "hand_landmark.onnx", "draws": DRAWS, "sources": dict(sorted(counts.items())),
        "held_out": sorted(hold_out),
    }  # fmt: skip
    _write(out, arrays, record)
    return open_pool(out)


def _write(folder: Path, arrays: dict[str, np.ndarray], record: dict) -> None:
    """The record comes last: a pool without it is not finished."""
    for name, values in arrays.items():
        with atomic_file(folder / f"{name}.npy") as temporary, open(temporary, "wb") as file:
            np.save(file, values)
    with atomic_file(folder / "pool.json") as temporary:
        temporary.write_text(json.dumps(record, indent=1))


def open_pool(folder) -> Pool:
    """Open a finished pool read-only. Raises SemihandError where it is missing or damaged, or holds everything out."""
    folder = Path(folder)
    if not (folder / "pool.json").is_file():
        raise SemihandError(f"{folder} holds no labelled crops (pool.json is missing). Run `semihand pool` first.")
    try:
        record = json.loads((folder / "pool.json").read_text())
        arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in ARRAYS}
        held = np.load(folder / "held.npy")
    except (OSError, ValueError) as error:
        raise SemihandError(f"{folder} is damaged ({error}). Delete it and run `semihand pool` again.") from error
    labelled = arrays["weight"].mean(axis=1) > 0.3
    rows = np.flatnonzero(~held & labelled)
    if not len(rows):
        raise SemihandError(f"No crop in {folder} has a label to train on. Hold out fewer sources.")
    return Pool(folder, **arrays, rows=rows, held=np.flatnonzero(held & labelled), provenance=record)


def refine_pool(folder, checkpoint, share: float = 0.5, device="cpu") -> Pool:
    """Lay a network's mean answer to several views over the landmark model's labels, and take its masks.

    share: of the network in the joints' place, 0 to 1; depth likewise. A joint counts less where the two are far apart.
    Raises SemihandError on a missing pool or checkpoint.
    """
    pool = open_pool(folder)
    if not 0 <= share <= 1:
        raise SemihandError(f"A network's share of the labels lies between 0 and 1, not at {share}.")
    network = load_checkpoint(checkpoint).build().to(device, memory_format=torch.channels_last)
    uv, depth, mask, known = _look(network, pool.image, device)
    marks = {name: np.load(pool.folder / f"marks_{name}.npy") for name in LABELS}
    apart = np.linalg.norm(uv - marks["uv"], axis=-1) / pool.image.shape[1]
    doubt = 1 / (1 + (apart / (TOLERANCE * max(np.median(apart), 1e-9))) ** 2)
    arrays = {
        "uv": share * uv + (1 - share) * marks["uv"], "depth": share * depth + (1 - share) * marks["depth"],
        "weight": marks["weight"] * doubt, "mask": mask, "known": known,
    }  # fmt: skip
    arrays = {
        name: values.astype(np.uint8 if values.dtype == np.uint8 else np.float32) for name, values in arrays.items()
    }
    _write(pool.folder, arrays, pool.provenance | {"network": Path(checkpoint).name, "share": share})
    return open_pool(folder)


@torch.no_grad()
def agreement(network: Hourglass, pool: Pool, device, batch: int = 64) -> float:
    """Mean distance of a network's joints from the landmark model's on the held-out people, over the hand's box.

    Plain crops; nobody's labels have a part. It tells how well the network sees people that it was not trained on.
    """
    marks = np.load(pool.folder / "marks_uv.npy")
    network.eval()
    errors = []
    for rows in np.array_split(pool.held, -(-len(pool.held) // batch)):
        taken = {name: tensor.to(device) for name, tensor in pool._at(rows).items()}
        taken["uv"] = torch.from_numpy(marks[rows]).to(device)
        image, target = prepare(taken, CROP_FACTOR, network.config.input_size, None, network.config.crop_factor)
        answer = decode(network(normalise(image).contiguous(memory_format=torch.channels_last))[-1])
        side = (target.uv.amax(1) - target.uv.amin(1)).amax(-1)
        errors.append(((answer.uv - target.uv).norm(dim=-1).mean(1) / side).cpu().numpy())
    return float(np.concatenate(errors).mean())


@torch.no_grad()
def _look(network: Hourglass, images: np.ndarray, device, batch: int = 32):
    """Mean joints (N, 21, 2) in image pixels, depth (N, 21), and masks with where they are known, (N, 112, 112) uint8."""
    generator_state = torch.random.get_rng_state()
    torch.manual_seed(0)
    parts = []
    for start in tqdm(range(0, len(images), batch), desc="looking", unit="batch", disable=None):
        image = torch.from_numpy(np.array(images[start : start + batch])).to(device).permute(0, 3, 1, 2).float()
        parts.append([tensor.cpu().numpy() for tensor in _look_at(network, image)])
    torch.random.set_rng_state(generator_state)
    return tuple(np.concatenate(column) for column in zip(*parts))


def _look_at(network: Hourglass, image: torch.Tensor):
    count, size, config = len(image), image.shape[-1], network.config
    uv, depth, mask, seen = 0.0, 0.0, 0.0, 0.0
    for view in range(VIEWS):
        if view:
            transforms = draw_transforms(count, CROP_FACTOR, VIEW, image)
        else:
            transforms = center_transforms(count, CROP_FACTOR, config.crop_factor, image)
        nothing = torch.zeros(count, 1, 8, 8, device=image.device), torch.zeros(count, 21, 2, device=image.device)
        crop = warp(image, *nothing, transforms, config.input_size)[0]
        answer = decode(network(normalise(crop).contiguous(memory_format=torch.channels_last))[-1])
        place = (answer.uv + 0.5) / GRID * 2 - 1
        place = torch.einsum("bij,bkj->bki", transforms[:, :, :2], place) + transforms[:, None, :, 2]
        uv = uv + ((place + 1) * size - 1) / 2 / VIEWS
        depth = depth + answer.depth / VIEWS
        back = torch.linalg.inv(transforms[:, :, :2])
        back = torch.cat([back, -back @ transforms[:, :, 2:]], -1)
        grid = F.affine_grid(back, (count, 1, WIDE_GRID, WIDE_GRID), align_corners=False)
        both = torch.stack([answer.mask_logits.sigmoid(), torch.ones_like(answer.mask_logits)], 1)
        both = F.grid_sample(both, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
        mask, seen = mask + both[:, 0], seen + both[:, 1]
    mask = mask / seen.clamp(min=1e-6)
    sure = (seen >= 2) & ((mask < 0.15) | (mask > 0.85))  # the rest is left to the rendered pictures
    return uv, depth, ((mask > 0.5) * 255).to(torch.uint8), (sure * 255).to(torch.uint8)
