"""Pictures rendered meanwhile: whole ones, always new ones, and a folder that survives its processes."""

import json
import os
import signal
import time
from functools import cache

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from semihand.errors import SemihandError
from semihand.synth import feed as feed_module
from semihand.synth.cache import FIELDS, Cache
from semihand.synth.feed import Feed, FixedPictures, _open_pool
from semihand.synth.scene import SceneConfig, SceneRenderer

SMALL = SceneConfig(size=32, second_hand=0, held_object=0, occluder=0)
POOL = 6


def wait_for(condition, seconds=240):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.05)


#: One for each start of the feed.
RENDERERS = [SceneRenderer(SMALL, seed=10_000 + generation) for generation in (0, 1)]


@cache
def sample_of(generation, number):
    """What the processes of one start render."""
    return RENDERERS[generation].render(number)


def origin(batch, row):
    """Generation and number of the picture in the row, all its labels included; None where there is none such."""
    for number in range(300):
        for generation in (0, 1):
            sample = sample_of(generation, number)
            if all(np.array_equal(batch[name][row], getattr(sample, name)) for name in FIELDS):
                return generation, number
    return None


def versions(feed):
    return np.array(feed._arrays["version"])


@pytest.fixture(scope="module")
def story(tmp_path_factory):
    """One feed that fills and renews its pool; a second start that takes it over. Batches drawn on the way."""
    folder, drawn = tmp_path_factory.mktemp("feed") / "deep" / "pool", []
    with Feed(folder, POOL, SMALL, workers=2) as feed:
        rng = np.random.default_rng(0)
        drawn.append(feed.draw(40, rng))
        wait_for(lambda: (versions(feed) >= 4).any())
        drawn.append(feed.draw(40, rng))
        processes = list(feed._processes)
    left = {name: np.array(array) for name, array in _open_pool(folder, "r").items()}
    ended = [process.exitcode for process in processes]
    with Feed(folder, POOL, SMALL, workers=1) as feed:
        taken_over = feed.draw(40, np.random.default_rng(1))
        before = versions(feed)
        wait_for(lambda: (versions(feed) > before).sum() >= 2)
        time.sleep(0.1)
        drawn.append(feed.draw(40, np.random.default_rng(2)))
    return {"folder": folder, "drawn": drawn, "left": left, "taken over": taken_over, "exit codes": ended}


def test_the_pool_fills_with_the_renderers_own_pictures_and_labels(story):
    """Every picture drawn carries its own labels, whatever was being replaced meanwhile."""
    for batch in story["drawn"][:2]:
        assert set(batch) == set(FIELDS) and all(len(array) == 40 for array in batch.values())
        origins = {origin(batch, row) for row in range(40)}
        assert len(origins) > 2 and None not in origins
        assert {generation for generation, _ in origins} == {0}


def test_old_pictures_are_replaced_by_new_ones(story):
    whole = np.flatnonzero(story["left"]["version"] % 2 == 0)
    numbers = [origin(story["left"], row)[1] for row in whole]
    assert [number % POOL for number in numbers] == list(whole)
    assert max(numbers) >= POOL  # a second round


def test_processes_end_with_the_training(story):
    assert story["exit codes"] == [0, 0]


def test_the_next_start_begins_with_what_is_there_and_renders_others(story):
    at_once, later = (
        [origin(batch, row)[0] for row in range(40)] for batch in (story["taken over"], story["drawn"][2])
    )
    assert np.mean(at_once) < 0.6  # nobody waited for a new pool
    assert np.mean(later) > 0
    assert json.loads((story["folder"] / "pool.json").read_text())["generation"] == 2


def test_other_settings_start_a_new_pool(story):
    feed = Feed(story["folder"], POOL + 1, SMALL)
    assert feed._open_folder() == 0
    assert versions(feed).tolist() == [0] * (POOL + 1)


def finished_pool(folder, size=4):
    """A pool whose places are all filled (with nothing), as a training left it."""
    feed = Feed(folder, size, SMALL, workers=1)
    feed._open_folder()
    _open_pool(folder, "r+")["version"][:] = 2
    return folder


@pytest.mark.parametrize("damage", [
    lambda folder: (folder / "uv.npy").unlink(),
    lambda folder: (folder / "image.npy").write_bytes((folder / "image.npy").read_bytes()[:500]),
    lambda folder: (folder / "version.npy").write_bytes(b""),
    lambda folder: (folder / "pool.json").write_text('{"size": '),
    lambda folder: (folder / "pool.json").write_text("[]"),
])  # fmt: skip
def test_a_damaged_folder_is_one_sentence(tmp_path, damage):
    folder = finished_pool(tmp_path / "pool")
    damage(folder)
    with pytest.raises(SemihandError, match="cannot be used.*Delete the folder"):
        Feed(folder, 4, SMALL, workers=1).__enter__()


def test_two_trainings_do_not_share_a_pool(tmp_path, monkeypatch):
    monkeypatch.setattr(feed_module, "_WAIT", 0.2)
    folder = finished_pool(tmp_path / "pool")
    with Feed(folder, 4, SMALL, workers=1) as first:
        with (
            pytest.raises(SemihandError, match="Another semihand has been changing"),
            Feed(folder, 4, SMALL, workers=1),
        ):
            pass
        assert all(process.is_alive() for process in first._processes)
    with Feed(folder, 4, SMALL, workers=1):
        pass


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SemihandError, match="cannot be used"):
        Feed(tmp_path / "file" / "pool", 4, SMALL).__enter__()


def test_a_picture_half_replaced_is_not_drawn(tmp_path):
    """As a killed process leaves it: the place's number stays odd until it is rendered again."""
    folder = finished_pool(tmp_path / "pool")
    arrays = _open_pool(folder, "r+")
    arrays["K"][:] = np.arange(4)[:, None]
    arrays["version"][:] = [2, 3, 0, 4]
    feed = Feed(folder, 4, SMALL, workers=1)
    feed._open_folder()
    drawn = feed.draw(60, np.random.default_rng(0))["K"][:, 0]
    assert set(drawn) == {0.0, 3.0}


def test_a_picture_replaced_while_it_is_read_is_read_again(tmp_path, monkeypatch):
    folder = finished_pool(tmp_path / "pool")
    feed = Feed(folder, 4, SMALL, workers=1)
    feed._open_folder()
    arrays, reads = _open_pool(folder, "r+"), []

    class Replaced:
        """An array that changes under its reader's hands at the first read."""

        def __getitem__(self, rows):
            reads.append(rows)
            if len(reads) == 1:
                arrays["uv"][:] = 5.0
                arrays["version"][:] += 2
            return arrays["image"][rows]

    monkeypatch.setitem(feed._arrays, "image", Replaced())
    batch = feed.draw(8, np.random.default_rng(0))
    assert len(reads) == 2
    assert_array_equal(batch["uv"], 5.0)


def test_a_killed_process_is_an_error_at_the_start_and_none_stays_behind(tmp_path, monkeypatch):
    """Its part of the pool would never fill."""
    killed, processes = [], []
    feed = Feed(tmp_path / "pool", 64, SMALL, workers=2)

    def kill_one(_):
        processes[:] = feed._processes
        if not killed:
            killed.append(feed._processes[0].pid)
            os.kill(killed[0], signal.SIGKILL)
            feed._processes[0].join()

    monkeypatch.setattr("semihand.synth.feed.time.sleep", kill_one)
    with pytest.raises(SemihandError, match="ended early.*memory and disk space"):
        feed.__enter__()
    monkeypatch.undo()
    assert feed._processes == []
    wait_for(lambda: not any(process.is_alive() for process in processes), 20)


def test_more_processes_than_places_are_not_started(tmp_path):
    assert Feed(tmp_path, 2, SMALL, workers=8)._workers == 2


def test_fixed_pictures_draw_the_same_again():
    rng = np.random.default_rng(0)
    shapes = {"image": (9, 32, 32, 3), "mask": (9, 16, 16), "uv": (9, 21, 2), "xyz": (9, 21, 3), "K": (9, 4),
              "visible": (9, 21), "present": (9,)}  # fmt: skip
    arrays = {name: rng.integers(0, 9, shape) for name, shape in shapes.items()}
    arrays["present"] = np.arange(9)
    fixed = FixedPictures(Cache(**arrays, config={"crop_factor": 1.7}, provenance={"seed": 3}))
    assert fixed.crop_factor == 1.7 and fixed.provenance == {"seed": 3}
    first, again, other = (fixed.draw(20, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert_array_equal(first["uv"], again["uv"])
    assert_array_equal(first["uv"], arrays["uv"][first["present"]])
    assert list(first["present"]) != list(other["present"])
