"""Baking: resumed after a kill, finished in one move, readable by everything that reads sequence folders."""

import json

import numpy as np
import pytest
from numpy.testing import assert_allclose
from typer.testing import CliRunner

from semihand.cli import app
from semihand.datasets.sequence import read_sequence
from semihand.errors import SemihandError
from semihand.models.lifting import project
from semihand.studio import bake as baking
from semihand.studio.bake import BakeConfig, bake, plan_jobs
from semihand.studio.body import build_body, draw_mask
from semihand.studio.render import RenderConfig, Shot, TakeRenderer
from semihand.studio.takes import PERSONS, TAKE_FRAMES, draw_take

SMALL = RenderConfig(size=64, samples=1, depth=2)
K = np.array([[110.0, 0, 31.5], [0, 110, 31.5], [0, 0, 1]])


class GreyRenderer:
    """Exact labels without a renderer: the mask's grey on black. Counts its takes and stops after `lives` of them."""

    takes, lives = 0, 99

    def __init__(self, take, config, seed):
        if type(self).takes >= type(self).lives:
            raise KeyboardInterrupt
        type(self).takes += 1
        self.take, self.size, self.K = take, config.size, K

    def render(self, index):
        body = build_body(PERSONS[self.take.person], self.take.frames[index], self.take.handedness)
        mask = draw_mask(body, K, self.size)
        return Shot(np.repeat((mask * 200)[..., None], 3, -1).astype(np.uint8), mask, body.joints, K)


@pytest.fixture
def grey(monkeypatch):
    monkeypatch.setattr(baking, "TakeRenderer", GreyRenderer)
    monkeypatch.setattr(baking, "_renderer_name", lambda: "grey 1.0")
    monkeypatch.setattr(GreyRenderer, "takes", 0)
    monkeypatch.setattr(GreyRenderer, "lives", 99)
    return GreyRenderer


def test_takes_of_both_splits_fill_evenly_and_add_up(tmp_path):
    jobs = plan_jobs(tmp_path, BakeConfig(train=110, test=60))
    assert sum(job.count for job in jobs if job.split == "train") == 110
    assert sum(job.count for job in jobs if job.split == "test") == 60
    assert [job.split for job in jobs[:5]].count("test") in (1, 2)
    assert max(job.count for job in jobs) == TAKE_FRAMES


def test_an_interrupted_bake_goes_on_where_it_stopped(tmp_path, grey):
    config = BakeConfig(train=40, test=26, render=SMALL)
    grey.lives = 2
    with pytest.raises(KeyboardInterrupt):
        bake(tmp_path / "set", config)
    assert not (tmp_path / "set" / "train" / "sequence.json").exists()
    grey.lives = 99
    bake(tmp_path / "set", config)
    assert grey.takes == 4  # two before, two after: none was rendered again
    train, test = (read_sequence(tmp_path / "set" / split) for split in ("train", "test"))
    assert len(train.frames) == 40 and len(test.frames) == 26
    assert not (tmp_path / "set" / ".takes").exists()


def test_labels_survive_the_bake(tmp_path, grey):
    bake(tmp_path, BakeConfig(train=3, test=2, seed=4, render=SMALL))
    sequence = read_sequence(tmp_path / "train")
    take, frame = draw_take(4, "train", 0), sequence.frames[2]
    body = build_body(PERSONS[take.person], take.frames[2], take.handedness)
    assert_allclose(frame.xyz, body.joints, atol=1e-6)
    assert_allclose(frame.uv_label(), project(body.joints, K), atol=0.02)
    assert (frame.handedness, frame.gesture) == (take.handedness, take.gesture)
    assert_allclose(frame.read_mask(), draw_mask(body, K, 64), atol=0.003)
    assert sequence.fps == 10 and "--seed 4" in sequence.note and "grey 1.0" in sequence.note
    assert "Amazon" in sequence.source and sequence.licence


def test_another_plan_and_a_finished_bake_are_refused(tmp_path, grey):
    grey.lives = 0
    with pytest.raises(KeyboardInterrupt):
        bake(tmp_path, BakeConfig(train=3, test=2, render=SMALL))
    with pytest.raises(SemihandError, match="unfinished bake"):
        bake(tmp_path, BakeConfig(train=4, test=2, render=SMALL))
    grey.lives = 99
    bake(tmp_path, BakeConfig(train=3, test=2, render=SMALL))
    with pytest.raises(SemihandError, match="finished bake"):
        bake(tmp_path, BakeConfig(train=3, test=2, render=SMALL))


def test_half_written_takes_are_rendered_again(tmp_path, grey):
    config = BakeConfig(train=2, test=2, render=SMALL)
    (tmp_path / ".takes").mkdir()
    (tmp_path / ".takes" / "plan.json").write_text(json.dumps(config.plan))
    (tmp_path / ".takes" / "train-0000.part").write_bytes(b"half")
    bake(tmp_path, config)
    assert grey.takes == 2


@pytest.mark.parametrize("wrong", [dict(size=63), dict(size=32), dict(samples=0), dict(depth=1)])
def test_pictures_that_cannot_be_are_refused(wrong):
    with pytest.raises(SemihandError):
        RenderConfig(**wrong)


def test_the_command_line_explains_itself():
    runner = CliRunner()
    shown = runner.invoke(app, ["studio", "bake", "--help"])
    assert shown.exit_code == 0 and "semihand studio bake --out studio-set" in shown.output
    assert runner.invoke(app, ["studio", "bake", "--out", "x", "--train", "0"]).exit_code == 2


def test_a_take_is_rendered_with_its_hand_where_the_labels_say():
    pytest.importorskip("mitsuba", reason="rendering needs the extra `studio`")
    renderer = TakeRenderer(draw_take(0, "test", 3), RenderConfig(size=64, samples=16, depth=3))
    shot = renderer.render(5)
    assert shot.image.shape == (64, 64, 3) and shot.image.std() > 10
    uv = project(shot.xyz, shot.K)
    assert (uv > 0).all() and (uv < 63).all()
    hand, body = renderer._trace(renderer._bodies[5], 1), renderer._bodies[5]
    away = type(body)(body.joints, body.vertices + [0, 5, 0], body.normals, body.triangles, None)
    changed = np.abs(hand - renderer._trace(away, 1)).max(-1) > 1e-6
    assert changed[shot.mask == 1].mean() > 0.95
