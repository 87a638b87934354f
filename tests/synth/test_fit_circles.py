"""Fitting the circles: labels without pixels, planted radii, fits that get better, the file and its command."""

import json
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch.testing import assert_close
from typer.testing import CliRunner

from semihand.cli import app
from semihand.errors import SemihandError
from semihand.models.circles import ROW_NAMES, CircleModel, layout_weights, load_circles, render
from semihand.synth.fit_circles import (
    FitConfig,
    Hands,
    MaskRenderer,
    cached_hands,
    fit,
    fit_circles,
    initial_circles,
    render_hands,
    rendered_overlap,
    wrist_pull,
)
from semihand.synth.scene import SceneConfig, SceneRenderer
from semihand.synth.sensor import SensorConfig

SEED = 5
SHORT = FitConfig(steps=25, batch=10, rate=0.05, palm_rate=0.02)


@pytest.fixture(scope="module")
def hands():
    return render_hands(64, SEED, progress=False)


@pytest.fixture(scope="module")
def perturbed():
    noise = torch.randn(55, generator=torch.Generator().manual_seed(0))
    return CircleModel(layout_weights(), initial_circles().radii * torch.exp(0.3 * noise))


def test_masks_are_the_pictures_own(monkeypatch):
    monkeypatch.setattr(SceneRenderer, "_background", lambda self, rng, block: np.zeros((96, 96, 3), np.float32))
    plain = dict(second_hand=0, held_object=0, occluder=0, empty=0, sensor=SensorConfig(strength=0))
    pictures, masks = SceneRenderer(SceneConfig(96, 1.4, **plain), SEED), MaskRenderer(96, 1.4, SEED)
    differences = []
    for index in range(12):
        full, bare = pictures.render(index), masks.render(index)
        for name in ("uv", "xyz", "K"):
            assert_allclose(getattr(bare, name), getattr(full, name))
        differences.append(np.abs(full.mask.astype(int) - bare.mask).mean() / 255)
    # Sleeves stand off the arm and may cover some of the hand's edge; bare arms leave no difference.
    assert max(differences) < 0.02 and np.median(differences) < 1e-4


def test_hands_are_on_the_64_grid(hands):
    assert hands.uv.shape == (64, 21, 2) and hands.mask.shape == (64, 64, 64) and hands.s_px.shape == (64,)
    extent = (hands.uv.amax(1) - hands.uv.amin(1)).amax(1)
    assert_close(extent[0::2], torch.full((32,), 64 / 1.4), atol=1e-3, rtol=0)
    assert_close(extent[1::2], torch.full((32,), 32.0), atol=1e-3, rtol=0)
    at = hands.uv[:, 9].round().long()
    covered = hands.mask[torch.arange(64), at[:, 1], at[:, 0]]
    assert covered.mean() > 0.9  # the middle knuckle lies on the hand


def test_cached_pictures_give_the_same_hands():
    renderer = MaskRenderer(128, 1.4, SEED)
    samples = [renderer.render(index) for index in range(0, 6, 2)]
    fields = {name: np.stack([getattr(sample, name) for sample in samples]) for name in ("mask", "uv", "xyz", "K")}
    cache = SimpleNamespace(present=np.array([True, False, True]), config={"size": 128}, **fields)
    found, expected = cached_hands(cache), render_hands(5, SEED, (1.4, 1.4), progress=False)[[0, 4]]
    assert_close(found.mask, expected.mask)
    assert_close(found.uv, expected.uv)
    assert_close(found.s_px, expected.s_px)
    assert len(cached_hands(cache, 1)) == 1


def test_fit_raises_the_overlap_from_perturbed_radii(hands, perturbed):
    before = rendered_overlap(perturbed, hands).mean()
    after = rendered_overlap(fit(hands, perturbed, "paper", SHORT), hands).mean()
    assert after > before + 0.03
    freed = fit(hands, perturbed, "fitted", SHORT)
    assert rendered_overlap(freed, hands).mean() > before + 0.03
    assert_close(freed.weights.sum(1), torch.ones(55))
    assert_close(freed.weights[:45], perturbed.weights[:45])
    assert not torch.equal(freed.weights, perturbed.weights)


def test_fit_finds_planted_radii(hands, perturbed):
    truth = initial_circles()
    masks = render(truth.signed_distance(hands.uv, hands.s_px))
    found = fit(Hands(hands.uv, masks, hands.s_px), perturbed, "paper", FitConfig(steps=50, batch=10, rate=0.06))
    before, after = ((torch.log(model.radii / truth.radii)).abs().mean() for model in (perturbed, found))
    assert after < 0.5 * before
    assert rendered_overlap(found, Hands(hands.uv, masks, hands.s_px)).mean() > 0.97


def test_fit_repeats(hands, perturbed):
    twice = [fit(hands, perturbed, "fitted", FitConfig(steps=3, batch=4), seed=1) for _ in range(2)]
    assert torch.equal(twice[0].radii, twice[1].radii) and torch.equal(twice[0].weights, twice[1].weights)


def test_released_circles_agree_with_hands_they_have_not_seen():
    unseen = render_hands(60, 4321, progress=False)
    paper, fitted = load_circles("paper"), load_circles("fitted")
    assert rendered_overlap(initial_circles(), unseen).mean() < rendered_overlap(paper, unseen).mean()
    assert rendered_overlap(paper, unseen, 0.0).mean() < rendered_overlap(fitted, unseen, 0.0).mean()
    assert abs(wrist_pull(fitted, unseen)) < abs(wrist_pull(paper, unseen))


def test_command_writes_a_file_that_loads(tmp_path, monkeypatch):
    monkeypatch.setattr("semihand.synth.fit_circles.fit_circles", partial(fit_circles, config=SHORT))
    file = tmp_path / "circles.json"
    result = CliRunner().invoke(app, ["synth", "circles", "--count", "8", "--seed", "3", "--out", str(file)])
    assert result.exit_code == 0, result.output
    record = json.loads(file.read_text())
    assert record["provenance"]["command"] == "semihand synth circles --count 8 --seed 3"
    assert record["provenance"]["held_out"] == 2 and record["provenance"]["seed"] == 3
    for layout in ("paper", "fitted"):
        model = load_circles(layout, file)
        assert_allclose(model.radii, [record["layouts"][layout]["radii"][name] for name in ROW_NAMES], rtol=1e-6)
        held_out = record["layouts"][layout]["held_out"]
        assert 0 < held_out["iou_p10"] <= held_out["iou"] < 1
    assert not list(tmp_path.glob("*.part"))


def test_refusals(tmp_path):
    with pytest.raises(SemihandError, match="does not exist"):
        fit_circles(8, out=tmp_path / "none" / "circles.json")
    with pytest.raises(SemihandError, match="too few"):
        fit_circles(2, out=tmp_path / "circles.json", progress=False)
    with pytest.raises(SemihandError, match="held out"):
        FitConfig(held_out=1.5)
