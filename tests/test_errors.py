"""What a broken machine says: packages that cannot be loaded, places that cannot be used."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from semihand.errors import LIVE_PACKAGES, SemihandError, package_trouble, sentence_of

ROOT = Path(__file__).parents[2]


def command(*arguments, packages=None, **variables):
    """semihand's command line in a process of its own, with a folder of fake packages before the others."""
    path = os.pathsep.join([*([str(packages)] if packages else []), str(ROOT), os.environ.get("PYTHONPATH", "")])
    environment = {name: value for name, value in (os.environ | {"PYTHONPATH": path} | variables).items() if value}
    return subprocess.run(
        [sys.executable, "-m", "semihand", *arguments], capture_output=True, text=True, env=environment, timeout=120
    )


def fake_package(folder, name, code):
    (folder / name).mkdir(parents=True)
    (folder / name / "__init__.py").write_text(code)
    return folder


BROKEN = [
    ("cv2", 'raise ImportError("libGL.so.1: cannot open shared object file")', "libgl1 .* opencv-python-headless"),
    ("cv2", "", "opencv-python cannot be loaded .*--force-reinstall opencv-python"),
    ("onnxruntime", 'raise ImportError("DLL load failed")', "onnxruntime cannot be loaded .DLL load failed"),
    ("numba", 'raise ModuleNotFoundError("none", name="numba")', 'needs numba. Run: pip install "semihand.synth."'),
]


@pytest.mark.parametrize("name,code,says", BROKEN)
def test_a_package_that_cannot_be_loaded_is_named_with_the_next_step(tmp_path, name, code, says):
    packages = fake_package(tmp_path / "packages", name, code)
    arguments = ["synth", "export", "--out", str(tmp_path / "o")] if name == "numba" else ["track", "--images", "x"]
    done = command(*arguments, packages=packages)
    assert done.returncode == 1 and done.stderr.count("\n") == 1, done.stderr
    with pytest.raises(AssertionError, match=f"^semihand: .*{says}"):
        raise AssertionError(done.stderr)


@pytest.mark.parametrize("name,code", [(name, code) for name, code, _ in BROKEN if name in LIVE_PACKAGES])
def test_doctor_names_it_and_goes_on(tmp_path, name, code):
    done = command("doctor", packages=fake_package(tmp_path / "packages", name, code))
    assert done.returncode == 1 and "Traceback" not in done.stderr
    lines = done.stdout.splitlines()
    assert any(line.startswith("NO  packages") and LIVE_PACKAGES[name] in line for line in lines)
    assert any(line[4:].startswith("training") for line in lines)


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_doctor_outlives_a_package_of_another_cpu(tmp_path):
    code = "import os, signal; os.kill(os.getpid(), signal.SIGILL)"
    done = command("doctor", packages=fake_package(tmp_path / "packages", "onnxruntime", code))
    assert done.returncode == 1 and "another CPU" in done.stdout


def test_live_packages_can_be_loaded_here():
    assert [package_trouble(name) for name in LIVE_PACKAGES] == [None] * len(LIVE_PACKAGES)


def test_errors_of_the_machine_become_sentences_and_faults_do_not():
    assert sentence_of(SemihandError("so")) == "so"
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "out/a")
    assert sentence_of(full) == "out/a: No space left on device. Make room on the disk."
    assert "not enough memory" in sentence_of(MemoryError())
    assert "semihand[train]" in sentence_of(ModuleNotFoundError("none", name="torch.nn"))
    assert sentence_of(ValueError("a fault")) is None
    assert sentence_of(AttributeError("'Pose' object has no attribute 'x'")) is None


# ---- the data folder

NO_HOME = "import pwd\ndef getpwuid(_):\n    raise KeyError('unknown')\npwd.getpwuid = getpwuid\n"


@pytest.mark.skipif(sys.platform == "win32", reason="users of another kind")
def test_no_home_folder(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(NO_HOME)
    variables = {"HOME": "", "XDG_DATA_HOME": "", "SEMIHAND_DATA": ""}
    done = command("doctor", packages=tmp_path, **variables)
    assert "NO  data       There is no home folder to keep files in. Set SEMIHAND_DATA" in done.stdout, done.stderr
    assert "ok  model      lite" in done.stdout
    done = command("recordings", "list", packages=tmp_path, **variables)
    assert done.returncode == 1 and done.stderr.startswith("semihand: There is no home folder")


def test_a_data_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").touch()
    done = command("doctor", SEMIHAND_DATA=str(tmp_path / "file" / "data"))
    assert "NO  data" in done.stdout and "cannot be written to" in done.stdout
    done = command("doctor", SEMIHAND_DATA="here")
    assert "SEMIHAND_DATA is here, which depends on the folder you are in" in done.stdout


@pytest.mark.skipif(sys.platform != "linux", reason="XDG is Linux's")
def test_a_relative_xdg_folder_is_ignored_and_nothing_is_left_behind(tmp_path):
    done = command("doctor", XDG_DATA_HOME="here", HOME=str(tmp_path), SEMIHAND_DATA="")
    assert f"recordings and models: {tmp_path}/.local/share/semihand" in done.stdout
    assert not (tmp_path / ".local").exists()
