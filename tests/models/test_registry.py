"""Personal models: versions, the default, what is refused, and that nothing that goes wrong costs the former model."""

import errno
import hashlib
import json
import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from semihand.cli import app
from semihand.errors import SemihandError
from semihand.models import atomic, registry
from semihand.models.listing import details
from semihand.models.model_file import (
    WEIGHTS,
    available_models,
    default_model,
    open_model,
    personal_models_dir,
    resolve_model,
)
from semihand.models.registry import checkpoint_of, find, install, installed, remove, rollback, use
from semihand.models.verify import check_weights, try_model

PROVENANCE = {
    "parent": "lite",
    "parent_sha256": "ab" * 32,
    "recording_sha256": "cd" * 32,
    "config": {"profile": "robust", "rate": np.float32(0.5), "folder": Path("recordings")},
    "seed": np.int64(3),
    "indicators": {"before": {"view": 3.0, "jitter": math.nan}, "after": {"view": 1.5, "jitter": 2.0}},
    "run": {"source": "kitchen"},
}


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """An empty data folder of the test's own; returns the folder of personal models."""
    monkeypatch.setenv("SEMIHAND_DATA", str(tmp_path / "data"))
    return personal_models_dir()


@pytest.fixture
def put(toy_model, toy_weights, tmp_path):
    """put(confidence, name="anna"): install a model that is so sure of its hand, its weights hold the same value."""

    def do(confidence, name="anna"):
        weights = toy_weights(tmp_path / "new.safetensors", confidence)
        return install(toy_model(tmp_path / "new.onnx", confidence), name, PROVENANCE, weights)

    return do


def sure_of(name):
    """The confidence that the model of that name answers with: it tells which version it is."""
    model = open_model(name, "cpu", threads=1)
    return round(float(model.run(np.zeros((1, 64, 64, 3), np.uint8))[3].mean()), 4)


def files_of(folder):
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_first_install(put, home):
    model = put(0.75)
    assert resolve_model("anna") == model.path == home / "anna" / "0001" / "anna.onnx"
    assert (model.version, model.versions, model.personal, model.default) == (1, (1,), True, False)
    assert sure_of("anna") == 0.75
    assert checkpoint_of("anna") == model.checkpoint == model.path.with_suffix(".safetensors")
    assert np.frombuffer(model.checkpoint.read_bytes()[-16:], np.float32).tolist() == [0.75] * 4
    assert set(available_models()) == {"anna", "base", "lite"}


def test_record(put):
    record = put(0.75).record
    assert record["sha256"] == hashlib.sha256(resolve_model("anna").read_bytes()).hexdigest()
    assert (record["name"], record["version"], record["previous"]) == ("anna", 1, None)
    assert "derived from the released weights" in record["licence_note"]
    assert record["installed"].endswith("+00:00") and record["semihand"]
    assert record["provenance"]["config"] == {"profile": "robust", "rate": 0.5, "folder": "recordings"}
    assert record["provenance"]["seed"] == 3
    assert record["provenance"]["indicators"]["before"] == {"view": 3.0, "jitter": None}


def test_provenance_must_say_where_it_comes_from(toy_model, tmp_path):
    with pytest.raises(ValueError, match="lacks recording_sha256, seed"):
        install(toy_model(tmp_path / "a.onnx"), "anna", {
            key: value for key, value in PROVENANCE.items() if key not in ("seed", "recording_sha256")
        })  # fmt: skip


def test_rollback_restores_the_bytes_of_all_files(put, home):
    first = files_of(put(0.25).path.parent)
    put(0.5)
    third = put(0.75)
    assert (third.version, third.versions, third.record["previous"]) == (3, (1, 2, 3), 2)
    assert rollback("anna").version == 2 and sure_of("anna") == 0.5
    back = rollback("anna")
    assert back.version == 1 and files_of(back.path.parent) == first
    with pytest.raises(SemihandError, match="no version before 1. Kept: 1, 2, 3"):
        rollback("anna")
    assert rollback("anna", 3).version == 3 and sure_of("anna") == 0.75
    with pytest.raises(SemihandError, match="no version 9"):
        rollback("anna", 9)


def test_install_after_a_rollback_goes_back_to_what_it_replaced(put):
    put(0.25), put(0.5)
    rollback("anna")
    assert put(0.75).record["previous"] == 1
    assert rollback("anna").version == 1


def test_rollback_to_a_broken_version_keeps_the_running_one(put):
    first = put(0.25).path
    put(0.5)
    first.write_bytes(first.read_bytes()[:100])
    with pytest.raises(SemihandError, match="anna.onnx is (no readable|an) ONNX model"):
        rollback("anna")
    assert sure_of("anna") == 0.5


def test_default(put, home):
    assert default_model() == "base" and resolve_model(None) == WEIGHTS / "base.onnx"
    put(0.25)
    assert use("anna").default and resolve_model(None) == resolve_model("anna")
    put(0.5)
    assert sure_of(None) == 0.5
    assert use("lite").default and not find("anna").default
    assert resolve_model(None) == WEIGHTS / "lite.onnx"
    with pytest.raises(SemihandError, match="No model is called 'bob'. Names: anna, base, lite"):
        use("bob")


def test_removed_default_falls_back_to_the_released_one(put, home):
    put(0.25), put(0.5, "bob")
    use("anna")
    remove("anna")
    assert default_model() == "base" and set(available_models()) == {"bob", "base", "lite"}
    assert not list(home.glob("*anna*"))
    with pytest.raises(SemihandError, match="lite comes with semihand and stays. Personal models: bob"):
        remove("lite")
    assert put(0.75).version == 1


def test_default_that_somebody_deleted_is_told(home):
    home.mkdir(parents=True)
    (home / "default.txt").write_text("anna\n")
    with pytest.raises(SemihandError, match="default model 'anna' does not exist.*models use NAME"):
        open_model(None)


def test_file_put_there_by_hand_becomes_the_first_version(put, toy_model, toy_weights, home):
    by_hand = toy_model(home / "anna.onnx", 0.25).read_bytes()
    toy_weights(home / "anna.safetensors", 0.25)
    with pytest.raises(SemihandError, match="anna has no versions"):
        rollback("anna")
    assert put(0.5).versions == (1, 2)
    assert not (home / "anna.onnx").exists()
    back = rollback("anna")
    assert back.path.read_bytes() == by_hand and back.checkpoint


def test_file_put_there_by_hand_can_be_removed(toy_model, home):
    toy_model(home / "anna.onnx")
    assert remove("anna") == home / "anna.onnx"
    assert set(available_models()) == {"base", "lite"}


@pytest.mark.parametrize("name", ["", "a.b", "../a", "a/b", "-a", "a b", "x" * 65, ".a"])
def test_names_that_are_none(put, name, home):
    with pytest.raises(SemihandError, match="is no name for a model"):
        put(0.5, name)
    assert not home.exists()


@pytest.mark.parametrize("name", ["lite", "palm_detection"])
def test_released_names_are_taken(put, name):
    with pytest.raises(SemihandError, match="released model's name"):
        put(0.5, name)


def cut(content):
    return content[: len(content) // 2]


BAD_MODELS = {
    "cut": (lambda new: new.write_bytes(cut(new.read_bytes())), "ONNX model"),
    "empty": (lambda new: new.write_bytes(b""), "ONNX model"),
    "detector": (lambda new: new.write_bytes((WEIGHTS / "palm_detection.onnx").read_bytes()), "another kind"),
    "gone": (lambda new: new.unlink(), "does not exist"),
}


@pytest.mark.parametrize("kind", BAD_MODELS)
def test_bad_model_is_refused_and_the_old_one_stays(put, toy_model, tmp_path, home, kind):
    put(0.25)
    before = files_of(home)
    new = toy_model(tmp_path / "bad.onnx", 0.5)
    spoil, sentence = BAD_MODELS[kind]
    spoil(new)
    with pytest.raises(SemihandError, match=sentence):
        install(new, "anna", PROVENANCE)
    assert files_of(home) == before


def test_model_whose_answers_are_no_numbers_is_refused(toy_model, tmp_path, home):
    with pytest.raises(SemihandError, match="not finite"):
        install(toy_model(tmp_path / "nan.onnx", math.nan), "anna", PROVENANCE)
    assert not home.exists()


BAD_WEIGHTS = {
    "cut": cut,
    "header cut": lambda content: content[:3],
    "too long": lambda content: content + b"x",
    "text": lambda _: b"no weights at all",
}


@pytest.mark.parametrize("change", BAD_WEIGHTS.values(), ids=BAD_WEIGHTS)
def test_bad_weights_are_refused_and_the_old_model_stays(put, toy_model, toy_weights, tmp_path, home, change):
    put(0.25)
    before = files_of(home)
    weights = toy_weights(tmp_path / "bad.safetensors")
    weights.write_bytes(change(weights.read_bytes()))
    with pytest.raises(SemihandError, match="bad.safetensors (holds no weights|has .* bytes instead)"):
        install(toy_model(tmp_path / "a.onnx"), "anna", PROVENANCE, weights)
    assert files_of(home) == before


def test_released_weights_are_good():
    check_weights(WEIGHTS / "lite.safetensors")
    assert try_model(WEIGHTS / "lite.onnx").info.name == "lite"


STEPS = ("copy_synced", "write_synced", "sync_folder", "replace_text")


@pytest.mark.parametrize("step", STEPS)
def test_disk_that_fills_up_keeps_the_old_model(put, home, monkeypatch, step):
    put(0.25)
    before = files_of(home)

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(registry, step, full)
        with pytest.raises(SemihandError, match="anna was not installed: No space left on device .*Check the space"):
            put(0.5)
    assert files_of(home) == before and sure_of("anna") == 0.25
    assert put(0.5).version == 2


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs a file system in memory")
def test_real_full_disk_keeps_the_old_model(put, tmp_path, monkeypatch):
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", str(small)], capture_output=True)
    if mounted.returncode:
        pytest.skip("no permission to mount a small disk")
    try:
        monkeypatch.setenv("SEMIHAND_DATA", str(small / "data"))
        put(0.25)
        outcomes = [install_with(small, free, put) for free in range(0, 80_000, 8192)]
    finally:
        subprocess.run(["umount", str(small)], check=True)
    assert "No space left on device" in outcomes[0] and outcomes[-1] == "installed"


def install_with(disk, free, put):
    """Try to install version 2 with so many bytes free; the old or the new model is there afterwards, and no rest."""
    space = os.statvfs(disk)
    filler = disk / "filler"
    filler.write_bytes(bytes(max(space.f_bavail * space.f_frsize - free, 0)))
    try:
        put(0.5)
        outcome, expected = "installed", 0.5
    except SemihandError as error:
        outcome, expected = str(error), 0.25
    assert sure_of("anna") == expected
    assert not list((disk / "data").rglob("*.part"))
    filler.unlink()
    if outcome == "installed":
        rollback("anna", 1)
    return outcome


def test_folder_without_permission(put, home, monkeypatch):
    home.parent.mkdir(parents=True)
    home.write_text("a file where the folder should be")
    with pytest.raises(SemihandError, match="anna was not installed: .*Check the space and permissions"):
        put(0.5)


def test_lock_of_another_keeps_out(put, home, monkeypatch):
    with atomic.exclusive(home), pytest.raises(SemihandError, match="Another semihand has been changing"):
        with atomic.exclusive(home, seconds=0.1):
            raise AssertionError("entered")
    put(0.5)


def run_cli(*arguments):
    result = CliRunner().invoke(app, ["models", *map(str, arguments)])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_command(put):
    put(0.25), put(0.5)
    assert "anna is the default now" in run_cli("use", "anna")
    head, *rows, _, _ = run_cli("list").splitlines()
    assert head.split() == ["name", "kind", "parent", "learned", "from", "date", "version"]
    assert [row.split()[:2] for row in rows[:2]] == [["base", "released"], ["lite", "released"]]
    assert rows[2].split()[:4] == ["*", "anna", "personal", "lite"]
    assert " kitchen " in rows[2] and rows[2].endswith("2 (2 kept)")
    assert "anna is version 1 now" in run_cli("rollback", "anna")
    assert "anna is version 2 now" in run_cli("rollback", "anna", "--to", 2)
    shown = run_cli("show", "anna", "--all")
    assert "* 2 " in shown and '"recording_sha256"' in shown
    _, lite, anna = json.loads(run_cli("list", "--json"))
    assert (lite["kind"], anna["kind"], anna["versions"], anna["default"]) == ("released", "personal", [1, 2], True)
    assert anna["record"]["provenance"]["parent"] == "lite"
    run_cli("remove", "anna")
    assert [model.name for model in installed()] == ["base", "lite"]


def test_show_fits_a_screen(put):
    for _ in range(12):
        put(0.5)
    model = find("anna")
    assert len(model.versions) == 12
    run = {
        "source": "mine.mp4",
        "profile": "robust",
        "frames_train": 300,
        "frames_held_out": 101,
        "seconds": 95.2,
        "verdict": "It is better.",
        "config": list(range(500)),
    }
    record = model.record | {"provenance": model.record["provenance"] | {"run": run}}
    lines = details(replace(model, record=record)).splitlines()
    assert len(lines) <= 24 and not any(line.startswith("{") for line in lines)
    assert "  and 4 older versions" in lines and any(line.startswith("* 12 ") for line in lines)
    facts = (
        "from     lite",
        "learned  mine.mp4",
        "profile  robust",
        "frames   300 learned from, 101 held out",
        "verdict  It is better.",
        "took     95 s",
    )
    assert set(facts) <= set(lines)
    everything = details(model, record=True).splitlines()
    assert len(everything) > 24 and any(line.startswith("  1 ") for line in everything)


def test_command_says_what_is_wrong():
    result = CliRunner().invoke(app, ["models", "rollback", "bob"])
    assert isinstance(result.exception, SemihandError) and "No model is called 'bob'" in str(result.exception)


def test_no_torch():
    code = "import sys, semihand.models.listing; print({'torch', 'onnx', 'safetensors'} & set(sys.modules))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown.strip() == "set()"
