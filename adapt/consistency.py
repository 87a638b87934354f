"""Consistency of a network with itself on pictures without labels (SemiHand Sec. 3.2 and 3.3)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from ..models.decode import Prediction
from ..models.joints import NUM_JOINTS
from ..train.losses import LossConfig, on_grid, pose_distance
from .views import View


def joint_mean(distance: Tensor, keep: Tensor) -> Tensor:
    """(B,): mean of distances (B, 21) over the joints kept; 0 where none is."""
    return (distance * keep).sum(-1) / keep.sum(-1).clamp(min=1)


def pose_loss(
    prediction: Prediction, uv: Tensor, depth: Tensor, config: LossConfig, weight: Tensor | None = None
) -> Tensor:
    """(B,): l of the prediction to a label uv (B, 21, 2), depth (B, 21), over the joints on the grid.

    weight (B, 21): how much each joint's label counts.
    """
    keep = on_grid(uv.detach()).float()
    keep = keep if weight is None else keep * weight
    distance = pose_distance(prediction.uv, prediction.depth, uv, depth, config)
    if weight is None:
        return joint_mean(distance, keep)
    return (distance * keep).sum(-1) / uv.shape[1]


def view_loss(
    plain: Prediction, seen: Prediction, view: View, config: LossConfig, valid: Tensor, fixed_mask: Tensor | None = None
) -> Tensor:
    """(B,): Eq. (10), l(f(T(x)), T(f(x))) + |w(T(x)) - T(w(x))|_1; the view's cells unknown to the crop are left out.

    plain: of x, seen: of T(x). valid (B, 64, 64) bool: cells of the plain crop that the camera saw.
    Both branches learn, as in the paper. fixed_mask (B, 64, 64): a mask of the plain crop that stands for w(T(x))'s
    target, weighted as the supervised mask is.
    """
    pose = pose_loss(seen, view.pose(plain.uv), plain.depth, config)
    known = view.mask(valid.float()) > 0.99
    if fixed_mask is not None:
        wrong = F.binary_cross_entropy_with_logits(seen.mask_logits, view.mask(fixed_mask), reduction="none") * known
        return pose + config.mask_weight / config.pose_weight * wrong.mean((1, 2))
    apart = (seen.mask_logits.sigmoid() - view.mask(plain.mask_logits.sigmoid())).abs() * known
    # Literal pixel sums of the masks are divided by the number of joints, as the pose terms are means over joints.
    return pose + apart.sum((1, 2)) / NUM_JOINTS
