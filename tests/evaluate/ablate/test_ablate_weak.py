"""Labels that teach in an ablation: what a row sees of them, and that nothing else of them reaches its loss."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch.testing import assert_close

from semihand.adapt.halves import Labels, UnlabelledHalf
from semihand.adapt.views import ViewConfig
from semihand.datasets.sequence import read_sequence
from semihand.errors import SemihandError
from semihand.evaluate.ablate.rows import row_config
from semihand.evaluate.ablate.target import cut_target
from semihand.models.checkpoint import describe, load_checkpoint, save_checkpoint
from semihand.models.circles import load_circles, pixels_per_unit
from semihand.models.decode import Prediction
from semihand.models.network import Hourglass, NetworkConfig
from semihand.synth.scene import SceneConfig
from semihand.synth.sequences import export_synthetic

MICRO = NetworkConfig(
    "micro", input_size=96, stem="stride4", widths=(32, 32, 32), stacks=1, bottleneck_min=16, crop_factor=1.4
)
STILL = ViewConfig(kinds=("shift",), shift=0.0, turn=0.0, scale=(1.0, 1.0), move=0.0)


class NoHands:
    def __call__(self, image):
        return []

    def near(self, image, uv_image, known=None):
        return known


@pytest.fixture(scope="module")
def target(tmp_path_factory):
    """Three labelled hands."""
    folder = tmp_path_factory.mktemp("weak")
    save_checkpoint(folder / "micro.safetensors", Hourglass(MICRO).state_dict(), describe(MICRO, {}))
    plain = SceneConfig(size=96, second_hand=0, held_object=0, occluder=0, empty=0, upright=1.0)
    export_synthetic(folder / "target", 3, 4, plain)
    return cut_target(
        read_sequence(folder / "target"), load_checkpoint(folder / "micro.safetensors"), "label", NoHands()
    )


def with_frame(target, number, **changes):
    frames = list(target.frames)
    frames[number] = replace(frames[number], **changes)
    return replace(target, frames=tuple(frames))


def test_places_hold_no_depth(target):
    places, full = target.labels("places"), target.labels("labels")
    assert_allclose(places.uv, full.uv)
    assert not places.depth.any() and full.depth.any() and places.weight.all() and places.mask is None


def test_masks_hold_no_joint(target):
    masks, full = target.labels("masks"), target.labels("labels")
    assert not masks.weight.any() and not masks.depth.any() and masks.mask.shape == (3, 64, 64)
    assert masks.mask.min() >= 0 and masks.mask.max() <= 1
    columns, rows = np.clip(np.rint(full.uv), 0, 63).astype(int).transpose(2, 0, 1)
    assert masks.mask[np.arange(3)[:, None], rows, columns].mean() > 0.8  # joints lie on the hand
    assert masks.mask[:, :4, :4].max() < 0.5  # which the crop holds with room


def test_joints_without_label_teach_nothing(target):
    uv, xyz = target.frames[1].uv_label().copy(), target.frames[1].xyz.copy()
    uv[4], xyz[8] = np.nan, np.nan
    one = with_frame(target, 1, uv=uv, xyz=xyz)
    places, full = one.labels("places"), one.labels("labels")
    assert np.isfinite(full.uv).all() and np.isfinite(full.depth).all()
    assert np.flatnonzero(full.weight[1] == 0).tolist() == [4, 8] and np.flatnonzero(
        places.weight[1] == 0
    ).tolist() == [4]
    assert full.weight[[0, 2]].all()


@pytest.mark.parametrize("kind, changes, words", [
    ("labels", {"xyz": None}, "have no 3D label with root"), ("masks", {"mask": None}, "have no mask"),
    ("places", {"uv": None, "xyz": None}, "have no 2D label"),
])  # fmt: skip
def test_a_frame_without_the_label_is_named(target, kind, changes, words):
    bare = with_frame(target, 2, **changes)
    assert target.lacks(kind) is None and bare.lacks(kind).startswith("1 frames (000002.jpg first)")
    with pytest.raises(SemihandError, match=words):
        bare.labels(kind)


def test_a_root_without_label_gives_no_3d(target):
    xyz = target.frames[0].xyz.copy()
    xyz[9] = np.nan
    assert "root and unit bone" in with_frame(target, 0, xyz=xyz).lacks("labels")


def half(target, config, **labels):
    zeros = torch.zeros(3, 21, 2), torch.zeros(3, 21)
    given = Labels(zeros, zeros, torch.zeros(3), **{"teacher": None, **labels})
    config = replace(config, views=STILL)
    return UnlabelledHalf.draw(
        target.crops, np.arange(3), given, 96, config, torch.Generator().manual_seed(0), torch.device("cpu")
    )


def answers(uv, depth, mask_logits=None):
    mask_logits = torch.zeros(len(uv), 64, 64) if mask_logits is None else mask_logits
    return [Prediction(uv, depth, mask_logits, torch.zeros(len(uv), 21), torch.zeros(len(uv), 21, 64, 64))]


@pytest.fixture
def plain():
    """Weak rows without their other terms and without heatmaps, which places teach too."""

    def build(row, **changes):
        config = row_config(row)
        return replace(config, view_weight=0.0, loss=replace(config.loss, heatmap_weight=0.0), **changes)

    return build


def test_taught_places_leave_the_depth_alone(target, plain):
    places = target.labels("places")
    taught = tuple(torch.from_numpy(array) for array in (places.uv, places.depth, places.weight))
    depth = torch.randn(3, 21, requires_grad=True)
    uv = (taught[0] + torch.tensor([1.0, 0.5])).requires_grad_()
    one = half(target, plain("weak-2d"), teacher=taught)
    loss = one.losses([answers(uv, depth), answers(uv, depth)], None)["teacher"]
    inside = ((taught[0] > -0.5) & (taught[0] < 63.5)).all(-1).float()
    assert_close(loss, 1.5 * inside.mean())  # |1| + |0.5| of every joint on the grid
    loss.backward()
    assert not depth.grad.any() and uv.grad.any()
    with_depth = half(target, plain("weak-2d", teacher_depth=True), teacher=taught)
    assert with_depth.losses([answers(uv, depth), answers(uv, depth)], None)["teacher"] > loss


def test_a_true_mask_takes_the_place_of_the_networks(target, plain):
    config = plain("weak-masks")
    true_mask = torch.from_numpy(target.labels("masks").mask)
    uv, depth = torch.from_numpy(target.labels().uv) + 3, torch.from_numpy(target.labels().depth)
    circles = load_circles(config.circle_layout)
    found = half(target, config, true_mask=true_mask).losses([answers(uv, depth)], circles)["circles"]
    s_px = pixels_per_unit(uv, depth, torch.from_numpy(target.crops.K_crop).float())
    visible = torch.from_numpy(target.crops.visible)
    assert_close(found, circles.cross_modal(uv, true_mask, s_px, visible, config.circles).mean())
    own = half(target, config).losses([answers(uv, depth)], circles)["circles"]
    assert not torch.isclose(found, own)


def test_other_views_learn_the_true_mask(target):
    config = replace(row_config("weak-masks"), circles_weight=0.0)
    true_mask = torch.from_numpy(target.labels("masks").mask)
    uv, depth = torch.from_numpy(target.labels().uv), torch.from_numpy(target.labels().depth)
    right, wrong = (answers(uv, depth, logits) for logits in (20 * (true_mask - 0.5), 20 * (0.5 - true_mask)))
    one = half(target, config, true_mask=true_mask, mask=1 - true_mask)
    losses = [float(one.losses([right, seen], None)["view"]) for seen in (right, wrong)]
    assert losses[0] < 0.2 * losses[1]
