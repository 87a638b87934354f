"""Pictures rendered ahead: the same whoever renders them, however often they were interrupted."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from semihand.errors import SemihandError
from semihand.synth import cache as cache_module
from semihand.synth.cache import FIELDS, open_cache, render_cache
from semihand.synth.scene import BLOCK, SceneConfig, SceneRenderer

SMALL = SceneConfig(size=32)
COUNT = BLOCK + 24
SEED = 11


@pytest.fixture(scope="module")
def by_two(tmp_path_factory):
    """A cache of two blocks rendered by two processes."""
    folder = tmp_path_factory.mktemp("two") / "deep" / "cache"
    return render_cache(folder, COUNT, SEED, SMALL, workers=2, progress=False)


def test_cache_holds_the_renderers_own_pictures(by_two):
    renderer = SceneRenderer(SMALL, SEED)
    for index in (0, 1, BLOCK - 1, BLOCK, COUNT - 1):
        sample = renderer.render(index)
        for name in FIELDS:
            assert_array_equal(getattr(by_two, name)[index], getattr(sample, name))
    assert len(by_two) == COUNT
    assert by_two.image.dtype == by_two.mask.dtype == np.uint8
    assert by_two.config["crop_factor"] == SMALL.crop_factor and by_two.provenance["seed"] == SEED
    assert by_two.config == json.loads(json.dumps(asdict(SMALL)))


def rendering_process(folder):
    """Another Python that renders the same cache with one worker, both in a process group of their own."""
    code = (
        "import sys; from semihand.synth.cache import render_cache; from semihand.synth.scene import SceneConfig\n"
        "if __name__ == '__main__':\n"
        f"    render_cache(sys.argv[1], {COUNT}, {SEED}, SceneConfig(size=32), workers=1, progress=False)\n"
    )
    script = folder.with_suffix(".py")
    script.write_text(code)
    return subprocess.Popen([sys.executable, str(script), str(folder)], start_new_session=True)


def wait_for_a_block(folder, process, seconds=240):
    """Return when the first of the two blocks is done."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert process.poll() is None, "the rendering ended before it was killed"
        if (folder / "cache.json").exists() and np.load(folder / "done.npy").any():
            return
        time.sleep(0.05)
    raise AssertionError("no block was rendered in time")


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="kills a group of processes")
def test_killed_run_goes_on_and_ends_with_the_same_pictures(by_two, tmp_path):
    folder = tmp_path / "cache"
    process = rendering_process(folder)
    wait_for_a_block(folder, process)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert_array_equal(np.load(folder / "done.npy"), [True, False])
    with pytest.raises(SemihandError, match="not finished: 50%.*again"):
        open_cache(folder)
    image = np.lib.format.open_memmap(folder / "image.npy", "r+")
    image[3] = 7  # a block that is done is not rendered again
    image[BLOCK + 1] = 9  # a picture half written when the power went is
    resumed = render_cache(folder, COUNT, SEED, SMALL, workers=1, progress=False)
    assert (resumed.image[3] == 7).all()
    image[3] = by_two.image[3]
    for name in FIELDS:
        assert_array_equal(getattr(resumed, name), getattr(by_two, name))


@pytest.mark.parametrize("count, seed, config", [
    (COUNT, SEED + 1, SMALL), (COUNT, SEED, SceneConfig(size=32, upright=0.5)), (COUNT - 1, SEED, SMALL),
])  # fmt: skip
def test_other_settings_are_refused(by_two, count, seed, config):
    folder = os.path.dirname(by_two.image.filename)
    with pytest.raises(SemihandError, match="other settings"):
        render_cache(folder, count, seed, config, progress=False)
    assert len(open_cache(folder)) == COUNT


def test_finished_cache_is_not_rendered_again(by_two, monkeypatch):
    monkeypatch.setattr(cache_module, "_work", os._exit)
    folder = os.path.dirname(by_two.image.filename)
    assert len(render_cache(folder, COUNT, SEED, SMALL, workers=2, progress=False)) == COUNT


def test_cache_is_opened_for_reading_only(by_two):
    with pytest.raises(ValueError, match="read-only"):
        by_two.image[0] = 0


def test_missing_cache_says_how_to_make_one(tmp_path):
    with pytest.raises(SemihandError, match="semihand synth cache"):
        open_cache(tmp_path / "nothing")


def test_process_that_ends_early_is_an_error_not_a_hang(tmp_path, monkeypatch):
    monkeypatch.setattr(cache_module, "_work", os._exit)  # fails in the new process: it takes one number
    with pytest.raises(SemihandError, match=r"ended early \(exit codes \[1\]\)"):
        render_cache(tmp_path / "cache", 8, 0, SMALL, workers=1, progress=False)


def test_folder_without_backgrounds_is_refused_before_anything_is_made(tmp_path):
    with pytest.raises(SemihandError, match="No readable picture in .*none"):
        render_cache(tmp_path / "cache", 8, 0, SMALL, backgrounds=tmp_path / "none", progress=False)
    assert not (tmp_path / "cache").exists()


def test_folder_that_cannot_be_made_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SemihandError, match="could not be made"):
        render_cache(tmp_path / "file" / "cache", 8, 0, SMALL, progress=False)


@pytest.mark.parametrize("damage", ["truncated", "gone", "record"])
def test_damaged_cache_is_one_sentence(tmp_path, damage):
    for name, (shape, kind) in cache_module.array_shapes(8, 32).items():
        np.lib.format.open_memmap(tmp_path / f"{name}.npy", "w+", kind, shape)[:] = 1
    (tmp_path / "cache.json").write_text("{" if damage == "record" else json.dumps({"config": {}}))
    if damage == "truncated":
        (tmp_path / "image.npy").write_bytes((tmp_path / "image.npy").read_bytes()[:900])
    if damage == "gone":
        (tmp_path / "uv.npy").unlink()
    with pytest.raises(SemihandError, match="damaged .*Delete it"):
        open_cache(tmp_path)
