"""The hand as 55 circles on a 2.5D pose, and the loss between them and the mask (SemiHand Sec. 3.3, Eq. 11-14).

| here                | paper  | meaning                                                                     |
|---------------------|--------|-----------------------------------------------------------------------------|
| uv (B, 21, 2)       | uv     | joints in 64-grid pixels, centres at integers                               |
| weights W (55, 21)  |        | fixed affine weights: rows sum to 1, `ROW_NAMES` names them                 |
| centres (B, 55, 2)  | c_i    | W @ uv, pixels                                                              |
| radii (55,)         | rho_i  | in units of the middle proximal phalanx, fitted on synthetic hands          |
| radii_px (B, 55)    | r_i    | rho_i * s_px                                                                |
| s_px (B,)           |        | pixels that the unit bone spans: f_crop / z_hat                             |
| s (B, h, h)         |        | signed distance, pixels: min_i(|g - c_i| - r_i), negative inside the hand   |
| rendered (B, h, h)  | R      | clip(-s / delta, 0, 1)                                                      |
| mask (B, 64, 64)    | w      | the network's mask in [0, 1]; no gradient reaches it (Eq. 11)               |
| cross_modal (B,)    | L_cc   | L_m2d + L_d2m, pixel sums over the number of joints                         |

The gradient of a minimum reaches the nearest circle only. So that circle is found without gradients, and its distance
alone is computed with them: the memory is one grid per picture, not 55.
Deviation: Eq. 14's two cases are one line on the signed distance, which is the same number (a test compares them).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from ..errors import SemihandError
from .camera import GRID
from .joints import BONES, FINGERS, NUM_JOINTS, PRIOR_BONE_LENGTHS, ROOT
from .lifting import MAX_ROOT_DEPTH, MIN_QUADRATIC, MIN_ROOT_DEPTH

CIRCLES_PATH = Path(__file__).with_name("circles.json")
#: Shares along the three bones of a finger at which its nine circles sit.
BONE_SHARES = ((0.0, 1 / 3, 2 / 3), (0.0, 1 / 3, 2 / 3), (0.0, 1 / 2, 1.0))
#: The palm's ten circles as weights of joints.
PALM_ROWS = {
    "heel_little": {0: 0.9, 17: 0.1},
    "heel_thumb": {0: 0.8, 1: 0.2},
    "thenar": {0: 0.25, 1: 0.5, 9: 0.25},
    "palm_middle": {0: 0.5, 9: 0.5},
    "knuckle_middle": {0: 0.2, 9: 0.8},
    "knuckle_index": {0: 0.2, 5: 0.8},
    "knuckle_ring": {0: 0.2, 13: 0.8},
    "hypothenar": {0: 0.65, 17: 0.35},
    "palm_little": {0: 0.25, 17: 0.75},
    "thumb_web": {1: 0.4, 2: 0.3, 5: 0.3},
}
ROW_NAMES = tuple(f"{finger}_{i}" for finger in FINGERS for i in range(9)) + tuple(PALM_ROWS)
NUM_CIRCLES = len(ROW_NAMES)
LAYOUTS = ("paper", "fitted")

_PARENT = [parent for parent, _ in BONES]
_CHILD = [child for _, child in BONES]
#: Below every squared distance that matters; keeps the root's gradient finite at a circle's centre.
_TINY = 1e-12


def layout_weights(palm: dict = PALM_ROWS) -> Tensor:
    """(55, 21) float32: nine circles along each finger, base to tip, then the palm's ten.

    palm: for every name of PALM_ROWS its weights by joint.
    """
    weights = torch.zeros(NUM_CIRCLES, NUM_JOINTS)
    row = 0
    for finger in range(len(FINGERS)):
        for bone, shares in enumerate(BONE_SHARES):
            start = 1 + 4 * finger + bone
            for share in shares:
                weights[row, start], weights[row, start + 1] = 1 - share, share
                row += 1
    for name in PALM_ROWS:
        for joint, share in palm[name].items():
            weights[row, int(joint)] = share
        row += 1
    return weights


@dataclass(frozen=True)
class CrossModalConfig:
    """delta: width in pixels of the rim over which the rendered mask rises. stride: only every stride-th pixel in
    both directions is looked at, and counts for all it stands for. skip_below_iou: pictures whose rendered and
    estimated mask agree less than this count 0 (a sleeve or an object hides the hand). free_joints: joints that the
    loss does not move. The paper: the defaults.
    """

    delta: float = 1.0
    stride: int = 1
    skip_below_iou: float = 0.0
    free_joints: tuple[int, ...] = ()

    def __post_init__(self):
        if not self.delta > 0 or self.stride not in (1, 2, 4, 8):
            raise SemihandError(f"Rim {self.delta} px must be above 0, stride {self.stride} one of 1, 2, 4, 8.")
        if not 0 <= self.skip_below_iou <= 1 or not set(self.free_joints) <= set(range(NUM_JOINTS)):
            raise SemihandError(f"IoU {self.skip_below_iou} is not in [0, 1], or {self.free_joints} are not joints.")


def pixels_per_unit(uv: Tensor, depth: Tensor, K_crop: Tensor | None = None,
                    bone_lengths=PRIOR_BONE_LENGTHS, root_depth: Tensor | None = None) -> Tensor:  # fmt: skip
    """s_px (B,): 64-grid pixels that the unit bone spans at the root's depth; never with a gradient.

    uv (B, 21, 2) and depth (B, 21) in the frame of K_crop (B, 3, 3) or (3, 3); bone_lengths (20,) or (B, 20) in units,
    ordered as BONES. f_crop / z_hat, with z_hat = root_depth (B,) in units where known, else from the summed length
    constraint as `lifting.root_depth` (the same numbers). Weak perspective where K_crop is None, and for hands
    without extent across the view, which have no z_hat.
    """
    with torch.no_grad():
        uv, depth = uv.double(), depth.double()
        lengths = torch.as_tensor(bone_lengths, dtype=torch.float64, device=uv.device)
        weak = _weak_pixels_per_unit(uv, depth, lengths)
        if K_crop is None:
            return weak.float()
        K_crop = K_crop.double()
        focal = K_crop[..., 0, 0]
        if root_depth is not None:
            return (focal / root_depth).expand_as(weak).float()
        z_hat, solved = _root_units(uv, depth, K_crop, lengths)
        weak = torch.minimum(torch.maximum(weak, focal / MAX_ROOT_DEPTH), focal / MIN_ROOT_DEPTH)
        return torch.where(solved, focal / z_hat, weak).float()


def _weak_pixels_per_unit(uv, depth, lengths):
    """s_px (B,) = sqrt(sum |duv|^2 / sum max(C^2 - dd^2, 0)) over the bones."""
    across = (uv[:, _CHILD] - uv[:, _PARENT]).square().sum((1, 2))
    along = (depth[:, _CHILD] - depth[:, _PARENT]).square()
    return (across / (lengths.square() - along).clamp(min=0).sum(1).clamp(min=_TINY)).sqrt()


def _root_units(uv, depth, K_crop, lengths):
    """z_hat (B,) of the summed constraint, and where it could be solved; symbols as in `lifting`."""
    rays = (uv - K_crop[..., None, :2, 2]) / torch.stack([K_crop[..., 0, 0], K_crop[..., 1, 1]], -1)[..., None, :]
    d = (depth - depth[:, ROOT, None])[..., None]
    joints = torch.cat([rays * d, d], -1)
    slope, offset = rays[:, _CHILD] - rays[:, _PARENT], joints[:, _CHILD] - joints[:, _PARENT]
    a = slope.square().sum((1, 2))
    b = 2 * (slope * offset[..., :2]).sum((1, 2))
    c = offset.square().sum((1, 2)) - lengths.square().sum(-1)
    z_hat = (-b + (b * b - 4 * a * c).clamp(min=0).sqrt()) / (2 * a.clamp(min=MIN_QUADRATIC))
    return z_hat.clamp(MIN_ROOT_DEPTH, MAX_ROOT_DEPTH), a >= MIN_QUADRATIC


def signed_distance(centres: Tensor, radii: Tensor, grid: int = GRID, stride: int = 1) -> Tensor:
    """s (B, h, h) pixels at every stride-th pixel of the grid, h = grid / stride; negative inside a circle.

    centres (B, 55, 2) and radii (B, 55) in pixels. s[:, j, i] belongs to the pixel (u, v) = (stride i, stride j).
    """
    at = torch.arange(0, grid, stride, dtype=centres.dtype, device=centres.device)
    nearest = _nearest_circle(centres.detach(), radii.detach(), at)
    flat = nearest.flatten(1)
    u, v = (centres[..., axis].gather(1, flat).view_as(nearest) for axis in (0, 1))
    distance = ((at - u).square() + (at[:, None] - v).square() + _TINY).sqrt()
    return distance - radii.gather(1, flat).view_as(nearest)  # s(g) = min_i(|g - c_i| - r_i)


@torch.no_grad()
def _nearest_circle(centres, radii, at):
    """(B, h, h) int64: the circle with the least |g - c_i| - r_i of each pixel; one circle after the other."""
    du2, dv2 = (at - centres[..., 0:1]).square(), (at - centres[..., 1:2]).square()
    best = centres.new_full((len(centres), len(at), len(at)), float("inf"))
    nearest = torch.zeros(best.shape, dtype=torch.uint8, device=best.device)
    for i in range(centres.shape[1]):
        distance = (du2[:, i, None, :] + dv2[:, i, :, None]).sqrt_().sub_(radii[:, i, None, None])
        nearest.masked_fill_(distance < best, i)
        torch.minimum(best, distance, out=best)
    return nearest.long()


def render(s: Tensor, delta: float = 1.0) -> Tensor:
    """R (B, h, h): the mask of the circles, 1 inside; a gradient only within `delta` px inside the outline."""
    return (-s / delta).clamp(0, 1)  # R of Eq. (12)


def m2d(rendered: Tensor, mask: Tensor) -> Tensor:
    """|R - w| per pixel, no gradient into w; sum over pixels for L_m2d."""
    return (rendered - mask.detach()).abs()  # Eq. (12)


def d2m(s: Tensor, mask: Tensor) -> Tensor:
    """Distance in pixels by which each pixel is on the wrong side of the circles' outline; sum for L_d2m.

    A pixel of the hand outside all circles: how far the nearest is, it is pulled in. A pixel of the background inside:
    how deep in the deepest circle it lies, that one is pushed out. 0 elsewhere.
    """
    hand = mask.detach() >= 0.5
    return torch.where(hand, s, -s).relu()  # Eq. (13-14): max_i(r_i - |g - c_i|) = -s


def overlap(rendered: Tensor, mask: Tensor, valid: Tensor | None = None, above: float = 0.5) -> Tensor:
    """IoU (B,) of R > above and w >= .5 over the valid pixels; 0 where both are empty. Above 0: the circles' area."""
    ours, theirs = rendered > above, mask >= 0.5
    both, either = ours & theirs, ours | theirs
    if valid is not None:
        both, either = both & valid, either & valid
    return both.sum((1, 2)) / either.sum((1, 2)).clamp(min=1)


class CircleModel(nn.Module):
    """55 circles on a hand: weights (55, 21) and radii (55,) in units, neither trained with the network.

    `load_circles` makes the fitted one.
    """

    def __init__(self, weights: Tensor, radii: Tensor):
        super().__init__()
        if weights.shape != (NUM_CIRCLES, NUM_JOINTS) or radii.shape != (NUM_CIRCLES,):
            raise ValueError(f"Weights {tuple(weights.shape)}, radii {tuple(radii.shape)} are not (55, 21), (55,).")
        self.register_buffer("weights", weights.float(), persistent=False)
        self.register_buffer("radii", radii.float(), persistent=False)

    def centres(self, uv: Tensor) -> Tensor:
        """(B, 55, 2) pixels of joints uv (B, 21, 2)."""
        uv = _full(uv)
        return torch.einsum("cj,bjx->bcx", self.weights.to(uv.dtype), uv)

    def radii_px(self, s_px: Tensor) -> Tensor:
        """(B, 55) pixels for s_px (B,); without gradient into the scale, or the loss would shrink the hand."""
        return _full(s_px.detach())[:, None] * self.radii

    def signed_distance(self, uv: Tensor, s_px: Tensor, grid: int = GRID, stride: int = 1) -> Tensor:
        """s (B, h, h) of joints uv (B, 21, 2); see the function of this name."""
        return signed_distance(self.centres(uv), self.radii_px(s_px), grid, stride)

    def cross_modal(self, uv: Tensor, mask: Tensor, s_px: Tensor, valid: Tensor | None = None,
                    config: CrossModalConfig = CrossModalConfig()) -> Tensor:  # fmt: skip
        """L_cc (B,) between joints uv (B, 21, 2) and mask (B, 64, 64) in [0, 1]; a gradient into uv alone.

        s_px (B,): `pixels_per_unit`. valid (B, 64, 64) bool: pixels that the source picture has; others don't count.
        """
        every = slice(None, None, config.stride)
        mask = _full(mask.detach())[:, every, every]
        valid = None if valid is None else valid[:, every, every]
        s = self.signed_distance(_hold(uv, config.free_joints), s_px, GRID, config.stride)
        rendered = render(s, config.delta)
        wrong = m2d(rendered, mask) + d2m(s, mask)
        if valid is not None:
            wrong = wrong * valid
        loss = wrong.sum((1, 2)) * (config.stride**2 / NUM_JOINTS)  # Eq. (11)
        if config.skip_below_iou > 0:
            loss = loss * (overlap(rendered, mask, valid) >= config.skip_below_iou)
        return loss


def _full(values):
    """At least float32: pixels have no room in half precision."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def _hold(uv, joints):
    """uv (B, 21, 2) with the gradient of these joints stopped."""
    if not joints:
        return uv
    held = torch.zeros(NUM_JOINTS, dtype=torch.bool, device=uv.device)
    held[list(joints)] = True
    return torch.where(held[:, None], uv.detach(), uv)


def _read(path: Path) -> dict:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise SemihandError(
            f"The circles {path} could not be read ({error}). Fit them: `semihand synth circles`."
        ) from error


def load_circles(layout: str = "fitted", path=CIRCLES_PATH) -> CircleModel:
    """The circles of a file of `semihand synth circles`, on the CPU.

    layout "paper": centres where the paper's description puts them; "fitted": the palm's weights fitted too.
    Raises SemihandError where the file is missing, damaged or of another layout.
    """
    if layout not in LAYOUTS:
        raise SemihandError(f"Circle layout {layout!r} is unknown: {', '.join(LAYOUTS)}.")
    stored = _read(Path(path))
    try:
        chosen = stored["layouts"][layout]
        weights = layout_weights(chosen["palm"])
        return CircleModel(weights, torch.tensor([chosen["radii"][name] for name in ROW_NAMES]))
    except (KeyError, TypeError, ValueError) as error:
        raise SemihandError(f"{path} holds no 55 circles of layout {layout!r} ({error!r}). Fit them again.") from error
