"""People's pictures as a pool: the landmark model's labels, what is held out, and a network's answers laid over them."""

import json
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from torch.testing import assert_close

from semihand.adapt.frames.landmarks import Landmarks
from semihand.datasets.sequence import SequenceWriter
from semihand.errors import SemihandError
from semihand.models.checkpoint import describe, save_checkpoint
from semihand.models.network import Hourglass
from semihand.pretrain import pool as pools
from semihand.pretrain.pool import CROP_FACTOR, SIZE, agreement, build_pool, open_pool, refine_pool
from semihand.train.augment import prepare

PICTURE = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 255, (200, 200, 3), np.uint8), (0, 0), 3)


def hand(center, side=60.0):
    """Joints (21, 2) of an upright hand in pixels."""
    uv = np.random.default_rng(1).uniform(-0.5, 0.5, (21, 2))
    uv[:3], uv[9] = [[0.0, 0.5], [-0.5, 0.1], [0.5, -0.5]], [0.05, -0.1]
    return np.array(center) + side * uv


def observer(image):
    depth = 3 * np.sin(np.arange(21.0))
    return [Landmarks(hand((100, 100)), depth, 0.99, "right", np.ones(21))]


@pytest.fixture
def people(tmp_path):
    with SequenceWriter(tmp_path / "people") as writer:
        for source in ("a", "b", "a", "a"):
            writer.add(PICTURE, gesture=source)
    return tmp_path / "people"


@pytest.fixture
def built(people, tmp_path):
    return build_pool(people, tmp_path / "pool", ("b",), observer)


def test_labels_are_the_landmark_models_and_held_out_sources_stay_out(built):
    assert_array_equal(built.rows, [0, 2, 3])
    assert built.image.shape == (4, SIZE, SIZE, 3)
    assert built.provenance["sources"] == {"a": 3, "b": 1} and built.provenance["held_out"] == ["b"]
    # The picture's scale in the pool: the joints' box times CROP_FACTOR fills it.
    spread = np.ptp(built.uv[0], axis=0).max() / SIZE
    assert 0.78 < spread * CROP_FACTOR < 1.02  # a closed hand has room to open, and our joints lie a little elsewhere
    assert_allclose(built.depth[:, 9], 0, atol=1e-5)
    assert not built.known.any()


def test_a_drawn_batch_is_what_prepare_takes(built):
    batch = built.draw(2, np.random.default_rng(0))
    image, target = prepare(batch, CROP_FACTOR, 64, None, 1.25)
    assert image.shape == (2, 3, 64, 64)
    size = (target.uv.amax(1) - target.uv.amin(1)).amax(1)
    assert_allclose(size, np.ptp(built.uv[[0, 2]], axis=1).max(1) / SIZE * CROP_FACTOR * 64 / 1.25, rtol=1e-3)
    assert target.present.all() and not target.known.any()
    assert_allclose(target.weight, built.weight[[0, 2]], atol=1e-6)


def test_agreement_is_the_distance_on_held_out_people(built, micro, monkeypatch):
    marks, (held,) = np.load(built.folder / "marks_uv.npy"), built.held
    network = Hourglass(micro)
    asked = []

    def answer(_):
        """The landmark model's joints of the held-out picture, three cells of the 64-grid to the right."""
        factor = CROP_FACTOR / micro.crop_factor
        uv = ((marks[held] + 0.5) / SIZE - 0.5) * factor * 64 + 31.5
        asked.append(np.ptp(uv, axis=0).max())
        return SimpleNamespace(uv=torch.from_numpy(uv[None] + np.float32([3.0, 0.0])).float())

    monkeypatch.setattr(pools, "decode", answer)
    found = agreement(network, built, torch.device("cpu"))
    assert found == pytest.approx(3.0 / asked[0], rel=1e-3)


def test_a_pool_on_a_device_draws_the_same(built):
    mine, theirs = (one.draw(2, np.random.default_rng(1)) for one in (built, built.to("cpu")))
    for name, tensor in mine.items():
        assert_close(tensor, theirs[name])


def test_a_networks_answers_are_mixed_in_where_the_two_agree(built, micro, tmp_path, monkeypatch):
    save_checkpoint(tmp_path / "micro.safetensors", Hourglass(micro).state_dict(), describe(micro, {}))
    moved = np.array(built.uv) + 2.0
    moved[:, 3] += 100.0
    mask = np.full((4, 112, 112), 255, np.uint8)
    monkeypatch.setattr(pools, "_look", lambda *_: (moved, np.array(built.depth) + 1, mask, mask))
    refined = refine_pool(built.folder, tmp_path / "micro.safetensors", share=0.25)
    assert_allclose(refined.uv[:, 4], built.uv[:, 4] + 0.5, atol=1e-4)
    assert_allclose(refined.depth, built.depth + 0.25, atol=1e-4)
    assert (refined.weight[:, 3] < 0.05 * built.weight[:, 3]).all()
    assert (refined.weight[:, 4] > 0.8 * built.weight[:, 4]).all()
    assert refined.known.all() and refined.provenance["share"] == 0.25
    again = refine_pool(built.folder, tmp_path / "micro.safetensors", share=0.25)
    assert_allclose(again.uv, refined.uv)  # laid over the landmark model's labels, not over the last mixture


class Dots(torch.nn.Module):
    """Sees every joint where the picture is brightest, and a hand where it is bright."""

    def __init__(self, config):
        super().__init__()
        self.config = config

    def forward(self, x):
        from semihand.models.network import StackMaps

        bright = x[:, :1]
        mask = torch.nn.functional.interpolate(bright, (64, 64), mode="bilinear", antialias=True)[:, 0]
        return [
            StackMaps(
                15 * bright.expand(-1, 21, -1, -1), torch.zeros_like(bright).expand(-1, 21, -1, -1), 6 * mask, bright
            )
        ]


def test_views_are_brought_back_to_the_picture(micro):
    images = np.zeros((2, SIZE, SIZE, 3), np.uint8)
    centres = np.array([[120.0, 140.0], [140.0, 110.0]])
    for image, centre in zip(images, centres):
        cv2.circle(image, tuple(int(value) for value in centre), 24, (255, 255, 255), -1)
    uv, depth, mask, known = pools._look(Dots(micro), images, "cpu")
    assert_allclose(uv[:, 5], centres, atol=1.5)
    assert_allclose(depth, 0, atol=1e-5)
    scale = mask.shape[1] / SIZE
    for row, centre in enumerate(centres):
        u, v = (centre * scale).astype(int)
        assert mask[row, v, u] == 255 and known[row, v, u] == 255
        assert mask[row, v, u - 25] == 0 and known[row, v, u - 25] == 255
    assert known[0, 0, 0] == 0  # no view reaches the margin's corner


@pytest.mark.parametrize("wrong, words", [
    ("none", "no source 'c'. Sources: a, b"), ("missing", "pool.json is missing"), ("broken", "is damaged"), ("share", "lies between 0 and 1"),
])  # fmt: skip
def test_what_cannot_be_is_one_sentence(wrong, words, people, built, tmp_path):
    with pytest.raises(SemihandError, match=words):
        if wrong == "none":
            build_pool(people, tmp_path / "other", ("c",), observer)
        elif wrong == "missing":
            open_pool(tmp_path)
        elif wrong == "broken":
            (built.folder / "uv.npy").write_bytes(b"\x93NUMPY")
            open_pool(built.folder)
        else:
            refine_pool(built.folder, tmp_path / "x.safetensors", 1.5)


def test_the_record_is_written_last(built):
    assert json.loads((built.folder / "pool.json").read_text())["data"] == "people"
    assert not list(built.folder.glob(".*part"))
