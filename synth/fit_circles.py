"""Fits the 55 circles of `models.circles` to the masks of synthetic hands (SemiHand Sec. 3.3: radii "pre-trained").

Adam on the logarithm of the radii, over masks of one bare right hand at two crop factors. Layout "paper" keeps the
described centres; "fitted" frees the palm's ten rows too and so agrees with where our masks end at the wrist.
"""

from __future__ import annotations

import json
import logging
import os
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from .. import __version__
from ..errors import SemihandError
from ..models.camera import GRID
from ..models.circles import (
    CIRCLES_PATH,
    LAYOUTS,
    PALM_ROWS,
    ROW_NAMES,
    CircleModel,
    d2m,
    layout_weights,
    m2d,
    overlap,
    render,
)
from ..models.joints import INDEX_MCP, LITTLE_MCP, MIDDLE_MCP, RING_MCP, ROOT, THUMB_CMC, THUMB_MCP, WRIST
from ..models.lifting import unit_length
from .cache import Cache, open_cache
from .canvas import WRIST_END_MM
from .raster import rasterise
from .scene import NEAREST_MM, SceneConfig, SceneRenderer

log = logging.getLogger(__name__)

#: Radii in units from which the fit starts, in the order of the rows: five fingers base to tip, palm.
INITIAL_RADII = (
    (0.35, 0.35, 0.32, 0.28, 0.24, 0.22, 0.21, 0.20, 0.07),
    (0.28, 0.28, 0.25, 0.20, 0.20, 0.19, 0.18, 0.17, 0.06),
    (0.28, 0.31, 0.27, 0.21, 0.22, 0.21, 0.20, 0.19, 0.06),
    (0.29, 0.32, 0.26, 0.19, 0.21, 0.20, 0.18, 0.17, 0.06),
    (0.23, 0.22, 0.20, 0.17, 0.17, 0.16, 0.15, 0.15, 0.06),
    (0.35, 0.42, 0.52, 0.38, 0.35, 0.36, 0.38, 0.52, 0.40, 0.41),
)
PALM_JOINTS = (WRIST, THUMB_CMC, THUMB_MCP, INDEX_MCP, MIDDLE_MCP, RING_MCP, LITTLE_MCP)
_PALM = slice(len(ROW_NAMES) - len(PALM_ROWS), len(ROW_NAMES))


@dataclass(frozen=True)
class FitConfig:
    """steps of Adam on `batch` pictures each; rate: on log radii, falling to a tenth; held_out: share not fitted on."""

    steps: int = 300
    batch: int = 64
    rate: float = 0.02
    palm_rate: float = 0.01
    held_out: float = 0.25
    crop_factors: tuple = (1.4, 2.0)

    def __post_init__(self):
        if self.steps < 1 or self.batch < 1 or not 0 < self.held_out < 1:
            raise SemihandError(
                f"Circles cannot be fitted in {self.steps} steps of {self.batch} pictures, {self.held_out} held out."
            )


@dataclass(frozen=True)
class Hands:
    """uv (N, 21, 2) 64-grid pixels, mask (N, 64, 64) in [0, 1], s_px (N,) true pixels per unit bone at the root."""

    uv: Tensor
    mask: Tensor
    s_px: Tensor

    def __len__(self) -> int:
        return len(self.uv)

    def __getitem__(self, rows) -> Hands:
        return Hands(self.uv[rows], self.mask[rows], self.s_px[rows])


def _hands(mask, uv, xyz, K, size) -> Hands:
    """Labels of pictures of `size` pixels on the 64 grid; mask (N, s, s) uint8, the others as in `Sample`."""
    scale = GRID / size
    z_hat = xyz[:, ROOT, 2] / unit_length(xyz)
    masks = np.stack([cv2.resize(one, (GRID, GRID), interpolation=cv2.INTER_AREA) for one in mask])
    return Hands(
        torch.from_numpy(np.float32((uv + 0.5) * scale - 0.5)),
        torch.from_numpy(masks.astype(np.float32) / 255),
        torch.from_numpy(np.float32(K[:, 0] * scale / z_hat)),
    )


class MaskRenderer(SceneRenderer):
    """The labels of `SceneRenderer` alone, for bare hands without anything else: no light, no pixels, far faster."""

    def __init__(self, size: int, crop_factor: float, seed: int):
        super().__init__(SceneConfig(size, crop_factor, second_hand=0, held_object=0, occluder=0, empty=0), seed)

    def _try_render(self, rng, block):
        joints, meshes, _ = self._draw_meshes(rng)
        if meshes[0].vertices[:, 2].min() < NEAREST_MM:
            return None
        focal, center = self._aim(joints)
        mask = self._hand_pixels(meshes[0], focal, center)
        return self._label(np.zeros((0, 0, 3), np.uint8), mask, joints, focal, center, True)

    def _hand_pixels(self, hand, focal, center):
        """(H, W) float32, 1 on raster pixels of the hand as far as the wrist."""
        canvas, (x, y, z) = self._canvas, hand.vertices.astype(np.float32).T
        points = np.stack([x, y], 1) / z[:, None] * np.float32(focal) + np.float32(center)
        rasterise(points, z.copy(), hand.triangles, canvas.inverse_depth, canvas.triangle_id, canvas.weights)
        hit = canvas.triangle_id >= 0
        corners = hand.triangles[canvas.triangle_id[hit]]
        weights = canvas.weights[hit]
        weights = np.concatenate([1 - weights.sum(1, keepdims=True), weights], 1) / z[corners]
        height = (weights * hand.rest[corners, 1]).sum(1) / canvas.inverse_depth[hit]
        mask = np.zeros(hit.shape, np.float32)
        mask[hit] = height >= WRIST_END_MM
        return mask


def render_hands(count: int, seed: int, crop_factors=FitConfig.crop_factors, progress: bool = True) -> Hands:
    """`count` bare right hands, taking turns with the crop factors."""
    size = 2 * GRID  # its mask has half the side
    renderers = [MaskRenderer(size, factor, seed) for factor in crop_factors]
    samples = [
        renderers[index % len(renderers)].render(index)
        for index in tqdm(range(count), unit="picture", disable=not progress)
    ]
    stacked = (np.stack([getattr(sample, name) for sample in samples]) for name in ("mask", "uv", "xyz", "K"))
    return _hands(*stacked, size)


def cached_hands(cache: Cache, count: int | None = None) -> Hands:
    """The first `count` pictures with a hand of a cache; what hides a hand there leaves holes in its mask."""
    rows = np.flatnonzero(cache.present[:])[:count]
    return _hands(cache.mask[rows], cache.uv[rows], cache.xyz[rows], cache.K[rows], cache.config["size"])


def initial_circles() -> CircleModel:
    """The described centres with the radii from which the fit starts."""
    return CircleModel(layout_weights(), torch.tensor([radius for part in INITIAL_RADII for radius in part]))


def fit(hands: Hands, start: CircleModel, layout: str, config: FitConfig = FitConfig(), seed: int = 0) -> CircleModel:
    """Circles of this layout that agree best with the hands' masks, beginning at `start`.

    "paper": the radii alone, against the mean |R - w| as in the paper. "fitted": also the palm's rows, as weights of
    PALM_JOINTS that keep their sum, and against both terms of L_cc, so that the loss has no pull left at true poses.
    """
    free = layout == "fitted"
    generator = torch.Generator().manual_seed(seed)
    log_radii = start.radii.log().requires_grad_()
    moves = torch.zeros(len(PALM_ROWS), len(PALM_JOINTS), requires_grad=free)
    groups = [{"params": [log_radii], "lr": config.rate}, {"params": [moves], "lr": config.palm_rate}]
    optimizer = torch.optim.Adam(groups[: 1 + free])
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.1, config.steps)
    for _ in range(config.steps):
        rows = torch.randint(len(hands), (min(config.batch, len(hands)),), generator=generator)
        loss = _disagreement(_moved(start, log_radii, moves), hands[rows], both_terms=free)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return _moved(start, log_radii.detach(), moves.detach())


def _moved(start, log_radii, moves) -> CircleModel:
    palm = start.weights[_PALM].clone()
    palm[:, list(PALM_JOINTS)] += moves - moves.mean(1, keepdim=True)
    return CircleModel(torch.cat([start.weights[: _PALM.start], palm]), log_radii.exp())


def _disagreement(model, hands, both_terms: bool) -> Tensor:
    """Mean over pixels of Eq. (12), and of Eq. (13-14) if asked for."""
    s = model.signed_distance(hands.uv, hands.s_px)
    wrong = m2d(render(s), hands.mask)
    return (wrong + d2m(s, hands.mask)).mean() if both_terms else wrong.mean()


@torch.no_grad()
def rendered_overlap(model: CircleModel, hands: Hands, above: float = 0.5) -> Tensor:
    """IoU (N,) of the rendered mask where it is larger than `above`, and the true mask of each hand."""
    found = []
    for rows in torch.arange(len(hands)).split(64):
        part = hands[rows]
        found.append(overlap(render(model.signed_distance(part.uv, part.s_px)), part.mask, above=above))
    return torch.cat(found)


def wrist_pull(model: CircleModel, hands: Hands) -> float:
    """How strongly L_cc draws the wrist away from the middle knuckle at true poses, mean of -dL/duv along that line."""
    uv = hands.uv.clone().requires_grad_()
    for rows in torch.arange(len(hands)).split(64):
        model.cross_modal(uv[rows], hands.mask[rows], hands.s_px[rows]).sum().backward()
    up = torch.nn.functional.normalize(hands.uv[:, WRIST] - hands.uv[:, MIDDLE_MCP], dim=1)
    return float((-uv.grad[:, WRIST] * up).sum(1).mean())


def _describe(model: CircleModel, hands: Hands) -> dict:
    """What the file keeps of a layout: how well it agrees with held-out hands, radii, and the rows of the palm."""
    held_out = {}
    for name, above in (("iou", 0.5), ("circles_iou", 0.0)):
        found = rendered_overlap(model, hands, above)
        held_out |= {name: round(float(found.mean()), 4), f"{name}_p10": round(float(found.quantile(0.1)), 4)}
    held_out["wrist_pull"] = round(wrist_pull(model, hands), 3)
    palm = {
        name: {int(j): round(float(row[j]), 6) for j in row.nonzero().flatten()}
        for name, row in zip(PALM_ROWS, model.weights[_PALM])
    }
    return {
        "held_out": held_out,
        "radii": {name: round(float(radius), 5) for name, radius in zip(ROW_NAMES, model.radii)},
        "palm": palm,
    }


def fit_circles(count: int = 3000, seed: int = 0, out=CIRCLES_PATH, pictures=None, config: FitConfig = FitConfig(),
                progress: bool = True) -> dict:  # fmt: skip
    """Fit both layouts on `count` hands and write them, with their origin, to the JSON file `out`.

    pictures: folder of `semihand synth cache` to take instead of rendering. Returns what was written.
    Raises SemihandError where there are too few hands or the file can't be written.
    """
    if not Path(out).parent.is_dir():
        raise SemihandError(f"{out} cannot be written: its folder does not exist. Make it first.")
    if pictures:
        hands = cached_hands(open_cache(pictures), count)
    else:
        hands = render_hands(count, seed, config.crop_factors, progress)
    held = int(config.held_out * len(hands))
    if not 0 < held < len(hands):
        raise SemihandError(f"{len(hands)} hands are too few to fit circles on and to test them. Try --count 3000.")
    test, train = hands[:held], hands[held:]
    layouts, model = {}, initial_circles()
    for layout in LAYOUTS:
        model = fit(train, model, layout, config, seed)
        layouts[layout] = _describe(model, test)
        log.info("Layout %s on %d held-out hands: %s", layout, held, layouts[layout]["held_out"])
    record = {"provenance": _provenance(len(hands), held, seed, pictures, config), "layouts": layouts}
    _write(Path(out), record)
    return record


def _provenance(count, held, seed, pictures, config) -> dict:
    source = f" --pictures {Path(pictures).name}" if pictures else ""
    return {
        "command": f"semihand synth circles --count {count} --seed {seed}{source}",
        "count": count, "held_out": held, "seed": seed, "pictures": Path(pictures).name if pictures else "rendered",
        "config": asdict(config), "date": datetime.now(timezone.utc).date().isoformat(), "version": __version__,
    }  # fmt: skip


def _write(path: Path, record: dict) -> None:
    part = path.with_name(path.name + ".part")
    try:
        part.write_text(json.dumps(record, indent=1) + "\n")
        os.replace(part, path)
    except OSError as error:
        raise SemihandError(
            f"{path} could not be written: {error.strerror}. Check the folder, space and permissions."
        ) from error
