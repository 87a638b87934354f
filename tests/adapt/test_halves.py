"""The two halves of a batch: pictures and labels go together, and Eq. (6) by hand on planted answers."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from semihand.adapt.halves import LabelledHalf, Labels, UnlabelledHalf, batch_losses
from semihand.adapt.profiles import FinetuneConfig
from semihand.adapt.views import ViewConfig
from semihand.models.checkpoint import describe
from semihand.models.circles import NUM_CIRCLES, CircleModel, pixels_per_unit
from semihand.models.decode import Prediction
from semihand.models.network import NetworkConfig, StackMaps
from semihand.train.augment import AugmentConfig
from semihand.train.losses import PAPER_LOSS

CPU = torch.device("cpu")
SIZE = 96
INFO = describe(NetworkConfig("test", input_size=SIZE, stem="stride4", crop_factor=1.4), {})
NO_COLOUR = AugmentConfig(gain=0, brightness=0, contrast=(1, 1), grey=0, erase=0)
#: Views that change nothing, so that answers can be planted in the crop's own grid.
STILL = ViewConfig(kinds=("shift",), shift=0.0, turn=0.0, scale=(1.0, 1.0), move=0.0)
#: Eq. (6) alone, to the letter.
LITERAL = FinetuneConfig("test", views=STILL, colour=NO_COLOUR, loss=PAPER_LOSS, view_weight=0.0, circles_weight=0.0)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def answer(uv, depth, mask_logits=None, stacks=1):
    mask_logits = torch.full((len(uv), 64, 64), -30.0) if mask_logits is None else mask_logits
    return [Prediction(uv, depth, mask_logits, torch.zeros(len(uv), 21), torch.zeros(len(uv), 0))] * stacks


@pytest.fixture
def crops(crop_set):
    return crop_set(4)


@pytest.fixture
def labels():
    """Four labels; their registrations stand 1 px beside. The first and the third are sure."""
    torch.manual_seed(0)
    uv, depth = 20 + 20 * torch.rand(4, 21, 2), torch.randn(4, 21)
    return Labels((uv, depth), (uv + torch.tensor([1.0, 0]), depth.clone()), torch.tensor([1.0, 0, 1, 0]), None)


def rows():
    return np.arange(4)


class TestUnlabelled:
    """Eq. (6): 1(C <= tau) [l(zA, A p) + l(zA, A r)] + (1 - 1(C <= tau)) l(z0, r), a mean over the batch."""

    def half(self, crops, labels, config=LITERAL):
        return UnlabelledHalf.draw(crops, rows(), labels, SIZE, config, generator(), CPU)

    def test_eq_6_by_hand(self, crops, labels):
        half = self.half(crops, labels)
        assert [len(picture) for picture in half.pictures] == [4, 2]  # x of all, A(x) of the sure ones
        uv, depth = labels.pose
        plain = answer(uv + torch.tensor([3.0, 0]), depth)  # 2 px from r
        diverse = answer(uv[[0, 2]] + torch.tensor([0.0, 2.0]), depth[[0, 2]] + 0.1)
        losses = half.losses([plain, diverse], None)
        sure = (4 + 0.5) + (1 + 4 + 0.5)  # to p, and to r
        assert set(losses) == {"unsupervised"}
        assert losses["unsupervised"].item() == pytest.approx((2 * sure + 2 * 4) / 4, rel=1e-4)

    def test_a_gate_between_weighs_both_branches(self, crops, labels):
        gate = torch.tensor([0.25, 1.0, 0.5, 0.0])
        half = self.half(crops, replace(labels, gate=gate))
        assert [len(picture) for picture in half.pictures] == [4, 3]
        uv, depth = labels.pose
        plain, diverse = (
            answer(uv + torch.tensor([3.0, 0]), depth),
            answer(uv[:3] + torch.tensor([0.0, 2.0]), depth[:3]),
        )
        wanted = ((0.25 + 1 + 0.5) * (4 + 5) + (0.75 + 0 + 0.5 + 1) * 4) / 4
        assert half.losses([plain, diverse], None)["unsupervised"].item() == pytest.approx(wanted, rel=1e-4)

    def test_with_nobody_sure_all_learn_their_registration(self, crops, labels):
        half = self.half(crops, replace(labels, gate=torch.zeros(4)))
        assert [len(picture) for picture in half.pictures] == [4]
        uv, depth = labels.pose
        losses = half.losses([answer(uv + torch.tensor([3.0, 0]), depth)], None)
        assert losses["unsupervised"].item() == pytest.approx(4, rel=1e-4)

    def test_the_gated_form_trains_the_sure_ones_alone(self, crops, labels):
        config = replace(LITERAL, ungated_registered=False)
        half = self.half(crops, labels, config)
        uv, depth = labels.pose
        plain = answer((uv + 9).requires_grad_(), depth)
        diverse = answer(uv[[0, 2]] + torch.tensor([0.0, 2.0]), depth[[0, 2]])
        losses = half.losses([plain, diverse], None)
        assert losses["unsupervised"].item() == pytest.approx(2 * 4 / 4, rel=1e-4)
        assert not losses["unsupervised"].requires_grad
        nobody = self.half(crops, replace(labels, gate=torch.zeros(4)), config)
        assert nobody.losses([plain], None) == {}

    def test_every_stack_learns(self, crops, labels):
        half = self.half(crops, replace(labels, gate=torch.zeros(4)))
        uv, depth = labels.registered
        first, last = answer(uv, depth), answer(uv + torch.tensor([2.0, 0]), depth)
        assert half.losses([first + last], None)["unsupervised"].item() == pytest.approx(2, rel=1e-4)

    def test_labels_follow_the_augmented_picture(self, crops, labels):
        """A network that knows A loses nothing; one that gives the crop's own joints does."""
        half = self.half(crops, labels, replace(LITERAL, views=ViewConfig(turn=40.0), ungated_registered=False))
        (uv, depth), rows_sure = labels.pose, torch.tensor([0, 2])
        knows = answer(half.diverse.pose(uv[rows_sure]), depth[rows_sure])
        plain = answer(uv, depth)
        assert half.losses([plain, knows], None)["unsupervised"].item() < 1e-4
        assert half.losses([plain, answer(uv[rows_sure], depth[rows_sure])], None)["unsupervised"].item() > 5

    def test_without_losses_the_pictures_only_pass_through(self, crops, labels):
        config = replace(LITERAL, pseudo_weight=0.0)
        half = self.half(crops, labels, config)
        assert [len(picture) for picture in half.pictures] == [4]
        assert half.losses([answer(*labels.pose)], None) == {}
        assert config.uses_unlabelled and not replace(config, through_norm=False).uses_unlabelled

    def test_the_plain_picture_is_the_crop(self, crops, labels):
        half = self.half(crops, labels)
        inner = torch.from_numpy(crops.image[:, 36:132, 36:132]).permute(0, 3, 1, 2).float()
        assert_close(half.pictures[0], inner, atol=0.02, rtol=0)

    def test_view_consistency_compares_plain_and_perturbed_pictures(self, crops, labels):
        config = replace(LITERAL, pseudo_weight=0.0, view_weight=0.1, views=ViewConfig())
        half = self.half(crops, labels, config)
        assert [len(picture) for picture in half.pictures] == [4, 4]
        uv, depth = labels.pose
        plain, seen = answer(uv, depth), answer(half.view.pose(uv) + torch.tensor([2.0, 0]), depth)
        assert half.losses([plain, seen], None)["view"].item() == pytest.approx(4, rel=1e-3)
        inner = half.view.picture(torch.from_numpy(crops.image).permute(0, 3, 1, 2).float(), 112, SIZE)
        assert_close(half.pictures[1], inner)

    def test_perturbed_pictures_change_colours_where_asked(self, crops, labels):
        config = replace(
            LITERAL, pseudo_weight=0.0, view_weight=0.1, colour=AugmentConfig(contrast=(0.5, 0.6), grey=0, erase=0)
        )
        plain, seen = self.half(crops, labels, config).pictures
        assert_close(seen, plain)
        plain, seen = self.half(crops, labels, replace(config, perturb_colour=True)).pictures
        spread = seen.std((1, 2, 3)) / plain.std((1, 2, 3))
        assert (spread < 0.75).all()

    def test_cells_outside_the_picture_are_no_evidence(self, crops, labels):
        """The camera saw the right part only; the network changes its mind about the left part."""
        config = replace(LITERAL, pseudo_weight=0.0, view_weight=0.1)
        crops.covered[:, :, : 24 + 30] = False
        half = self.half(crops, labels, config)
        mask = torch.full((4, 64, 64), -30.0)
        mask[:, :, :30] = 30.0
        uv, depth = labels.pose
        assert half.losses([answer(uv, depth), answer(uv, depth, mask)], None)["view"].item() < 1e-3

    def test_the_circle_loss_takes_the_crops_own_camera(self, crops, labels):
        config = replace(LITERAL, pseudo_weight=0.0, circles_weight=0.1)
        half = self.half(crops, labels, config)
        weights = torch.zeros(NUM_CIRCLES, 21)
        weights[:, 9] = 1.0
        circles = CircleModel(weights, torch.ones(NUM_CIRCLES))  # one disc round the root, its radius the unit bone
        mask = torch.full((4, 64, 64), -30.0)
        mask[:, :, 30:50] = 30.0
        uv, depth = labels.pose[0].clone().requires_grad_(), labels.pose[1] * 0.5
        loss = half.losses([answer(uv, depth, mask)], circles)["circles"]
        s_px = [pixels_per_unit(uv, depth, K) for K in (torch.from_numpy(crops.K_crop), None)]
        right, weak = (circles.cross_modal(uv, mask.sigmoid(), scale).mean().item() for scale in s_px)
        assert abs(right - weak) > 0.1 and loss.item() == pytest.approx(right, rel=1e-4)
        loss.backward()
        assert uv.grad[:, 9].abs().max() > 0 and uv.grad[:, :9].abs().max() == uv.grad[:, 10:].abs().max() == 0

    def test_another_teacher_by_hand(self, crops, labels):
        """Weights of joints count against all 21; pictures without weight are not looked at again."""
        weight = torch.zeros(4, 21)
        weight[1, :7] = 0.5
        uv, depth = labels.pose
        taught = (uv.clone(), depth.clone(), weight)
        config = replace(LITERAL, pseudo_weight=0.0, teacher_weight=1.0)
        half = self.half(crops, replace(labels, teacher=taught), config)
        assert [len(picture) for picture in half.pictures] == [4, 1]
        losses = half.losses([answer(uv, depth), answer(uv[1:2] + torch.tensor([2.0, 0]), depth[1:2])], None)
        assert set(losses) == {"teacher"}
        assert losses["teacher"].item() == pytest.approx(4 * 3.5 / 21 / 4, rel=1e-4)

    def test_teacher_and_pseudo_labels_share_the_looks(self, crops, labels):
        weight = torch.zeros(4, 21)
        weight[1] = 1.0
        uv, depth = labels.pose
        config = replace(LITERAL, teacher_weight=1.0, ungated_registered=False)
        half = self.half(crops, replace(labels, teacher=(uv, depth, weight)), config)
        assert [len(picture) for picture in half.pictures] == [4, 3]
        diverse = answer(uv[:3] + torch.tensor([2.0, 0]), depth[:3])
        losses = half.losses([answer(uv, depth), diverse], None)
        assert losses["teacher"].item() == pytest.approx(4 / 4, rel=1e-4)  # row 1 alone
        assert losses["unsupervised"].item() == pytest.approx(2 * 4 / 4, rel=1e-4)  # rows 0 and 2 alone


def dots(uv, size, sigma=2.0):
    """Pictures (N, size, size, 3) with red, green and blue dots at uv (N, 3, 2) pixels."""
    x = np.arange(size)
    across, down = (np.exp(-0.5 * ((x - uv[..., axis, None]) / sigma) ** 2) for axis in (0, 1))
    return (255 * np.einsum("nkx,nky->nyxk", across, down)).round().astype(np.uint8)


def centres(pictures):
    """Where the dots of pictures (N, 3, s, s) are, on the 64-grid, (N, 3, 2)."""
    x, size = torch.arange(pictures.shape[-1]).float(), pictures.shape[-1]
    total = pictures.sum((2, 3))
    at = torch.stack([(pictures.sum(2) * x).sum(-1), (pictures.sum(3) * x).sum(-1)], -1) / total[..., None]
    return (at + 0.5) * 64 / size - 0.5


class TestLabelled:
    """Pictures of 128 px, cut with factor 2.8 for a network of factor 1.4: twice the network's crop."""

    @pytest.fixture
    def arrays(self):
        rng = np.random.default_rng(0)
        uv = rng.uniform(48, 80, (5, 21, 2))
        xyz = rng.normal(0, 0.03, (5, 21, 3)) + [0, 0, 0.5]
        x = np.arange(64)
        mask = np.stack([255 * ((x > 27) & (x < 37))[:, None] * ((x > 29) & (x < 37)) for _ in range(5)]).astype(
            np.uint8
        )
        return {"image": dots(uv[:, :3], 128), "mask": mask, "uv": uv.astype(np.float32), "xyz": xyz.astype(np.float32),
                "K": np.zeros((5, 4), np.float32), "visible": np.ones((5, 21), bool),
                "present": np.array([True, True, False, True, True])}  # fmt: skip

    def half(self, arrays, config, seed=0):
        return LabelledHalf.draw(arrays, 2.8, INFO, config, generator(seed), CPU)

    def test_the_plain_crop_by_hand(self, arrays):
        half = self.half(arrays, LITERAL)
        assert len(half.pictures) == 1 and half.pictures[0].shape == (5, 3, SIZE, SIZE)
        assert_close(
            half.target.uv, torch.from_numpy(arrays["uv"]) - 32, atol=1e-4, rtol=0
        )  # 128 px are 128 grid pixels
        assert_close(centres(half.pictures[0]), half.target.uv[:, :3], atol=0.05, rtol=0)
        unit = np.linalg.norm(arrays["xyz"][:, 9] - arrays["xyz"][:, 10], axis=-1)
        depth = (arrays["xyz"][..., 2] - arrays["xyz"][:, 9:10, 2]) / unit[:, None]
        assert_close(half.target.depth, torch.from_numpy(depth), atol=1e-5, rtol=1e-5)
        wanted = torch.zeros(64, 64)
        wanted[2 * 28 - 32 : 2 * 37 - 32, 2 * 30 - 32 : 2 * 37 - 32] = 1
        assert ((half.target.mask[0] > 0.5) == (wanted > 0.5)).all()
        assert half.target.present.tolist() == [True, True, False, True, True]

    @pytest.mark.parametrize("seed", range(3))
    def test_picture_joints_and_mask_take_the_same_way(self, arrays, seed):
        half = self.half(arrays, replace(LITERAL, views=ViewConfig(turn=180.0, scale=(0.8, 1.2), move=0.05)), seed)
        uv = half.target.uv[:, :3]
        whole = ((uv > 5) & (uv < 58)).all(-1)
        assert whole.sum() > 8
        assert (centres(half.pictures[0]) - uv)[whole].abs().max() < 0.1
        x = torch.arange(64.0)
        weight = half.target.mask / half.target.mask.sum((1, 2), keepdim=True)
        middle = torch.stack([(weight.sum(1) * x).sum(-1), (weight.sum(2) * x).sum(-1)], -1)
        on_grid = torch.tensor([[[2 * 33 + 0.5 - 32, 2 * 32 + 0.5 - 32]]])  # the rectangle's middle in the plain crop
        assert_close(middle, half.diverse.pose(on_grid.expand(5, 1, 2))[:, 0], atol=0.3, rtol=0)

    def test_consistency_pictures_are_views_of_the_augmented_ones(self, arrays):
        config = replace(LITERAL, views=ViewConfig(), view_weight=0.1)
        half = self.half(arrays, config)
        assert len(half.pictures) == 2
        seen = half.view.pose(half.target.uv)[:, :3]
        whole = ((seen > 5) & (seen < 58)).all(-1)
        assert whole.sum() > 5
        assert (centres(half.pictures[1]) - seen)[whole].abs().max() < 0.1
        alone = self.half(arrays, replace(config, labelled_consistency=False))
        assert len(alone.pictures) == 1

    def test_losses_vanish_at_the_truth(self, arrays):
        config = replace(LITERAL, views=ViewConfig(turn=20.0), view_weight=0.1)
        half = self.half(arrays, config)
        target = half.target
        logits = target.mask.clamp(1e-6, 1 - 1e-6).logit()
        seen_mask = half.view.mask(target.mask).clamp(1e-6, 1 - 1e-6).logit()
        first, second = (
            answer(target.uv, target.depth, logits),
            answer(half.view.pose(target.uv), target.depth, seen_mask),
        )
        losses = half.losses([first, second], None)
        assert set(losses) == {"supervised", "view"}
        confidence = 0.1 * math.log(2)  # the only part that was not right: logits of 0
        assert losses["supervised"].item() == pytest.approx(confidence, abs=0.05)
        assert losses["view"].item() < 0.01

    def test_pictures_without_a_hand_teach_no_consistency(self, arrays):
        config = replace(LITERAL, view_weight=0.1)
        arrays["present"][:] = [False, False, False, False, True]
        half = self.half(arrays, config)
        first = answer(half.target.uv, half.target.depth)
        off = half.target.uv + torch.tensor([2.0, 0])
        off[:4] += 7.0
        loss = half.losses([first, answer(off, half.target.depth)], None)["view"]
        assert loss.item() == pytest.approx(4 / 5, rel=1e-3)


class Half:
    """Wants two pictures looked at and sums what the network says of them."""

    def __init__(self, *counts):
        self.pictures = [torch.full((count, 3, 8, 8), 127.5 + 63.75 * count) for count in counts]

    def losses(self, answers, circles):
        assert [len(stacks) for stacks in answers] == [2] * len(self.pictures)
        return {str(len(self.pictures)): sum(stacks[-1].mask_logits.sum() for stacks in answers), "all": circles}


def test_every_half_gets_the_answers_to_its_own_pictures_from_one_pass():
    seen = []

    def network(x):
        seen.append(len(x))
        maps = torch.zeros(len(x), 21, 4, 4)
        return [StackMaps(maps, maps, x[:, 0, :1, :1])] * 2

    losses = batch_losses(network, [Half(1, 2), Half(5)], 3.0)
    assert seen == [8]
    assert {name: float(loss) for name, loss in losses.items()} == {"2": 1 + 2 * 2, "1": 5 * 5, "all": 6.0}
