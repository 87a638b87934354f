"""What an installed copy holds, and what it asks for on other machines."""

import subprocess
import sys
from pathlib import Path

import pytest

from semihand import __version__
from semihand.errors import EXTRAS

ROOT = Path(__file__).resolve().parents[1]
tomllib = pytest.importorskip("tomllib", reason="needs Python 3.11")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LINUX, WINDOWS, MAC = ("Linux", "x86_64"), ("Windows", "AMD64"), ("Darwin", "arm64")


def committed(*patterns: str) -> set[str]:
    listed = subprocess.run(["git", "ls-files", *patterns], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("no git checkout")
    return set(listed.stdout.split())


def test_a_wheel_holds_every_module_and_every_data_file(tmp_path):
    pytest.importorskip("setuptools", minversion="77", reason="needs the build backend")
    build = [sys.executable, "setup.py", "-q", "egg_info", "-e", tmp_path, "build_py", "-d", tmp_path / "lib"]
    subprocess.run(build, check=True, capture_output=True, cwd=ROOT)
    folder = tmp_path / "lib" / "semihand"
    held = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    modules = {
        file
        for file in committed("*.py")
        if not file.startswith(("tests/", "tools/", "examples/")) and file != "setup.py"
    }
    # What is no module and lies in a package is data, whatever it is.
    rooms = {Path(file).parts[0] for file in modules if "/" in file}
    data = {file for file in committed() if not file.endswith(".py") and Path(file).parts[0] in rooms} | {"py.typed"}
    assert {"record/prompts/fist.webp", "outputs/page.html", "synth/hand.npz"} <= data
    assert held == modules | data
    assert f"Version: {__version__}\n" in (tmp_path / "semihand.egg-info" / "PKG-INFO").read_text()


@pytest.mark.parametrize(
    ("machine", "wanted"),
    [(LINUX, "onnxruntime-gpu"), (WINDOWS, "onnxruntime-gpu"), (MAC, "onnxruntime"), (("Darwin", "x86_64"), "onnxruntime"),
     (("Linux", "aarch64"), "onnxruntime"), (("Linux", "armv7l"), "onnxruntime"), (("Windows", "ARM64"), "onnxruntime")],
)  # fmt: skip
def test_every_machine_gets_the_onnx_runtime_that_exists_for_it(machine, wanted):
    requirements = pytest.importorskip("packaging.requirements")
    found = [requirements.Requirement(text) for text in PROJECT["project"]["dependencies"]]
    here = dict(zip(("platform_system", "platform_machine"), machine))
    assert [r.name for r in found if r.name.startswith("onnx") and r.marker.evaluate(here)] == [wanted]


def test_tracking_asks_for_no_compiler_and_training_for_all():
    plain, extras = " ".join(PROJECT["project"]["dependencies"]), PROJECT["project"]["optional-dependencies"]
    assert "numba" not in plain and "torch" not in plain and "matplotlib" not in plain
    assert any("numba" in text for text in extras["synth"])
    assert all(any(text.startswith("semihand[synth,report") for text in extras[name]) for name in ("train", "test"))


def test_the_command_line_names_an_extra_that_brings_the_module():
    extras = PROJECT["project"]["optional-dependencies"]
    for module, extra in EXTRAS.items():
        assert any(text.startswith(module) for text in extras[extra]), module
