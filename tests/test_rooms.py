"""No import goes back up: what measures knows the method, the method knows the models, and drawing knows no program."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PROGRAMS = {"adapt", "evaluate", "commands"}
FORBIDDEN = {
    "models": PROGRAMS | {"tracker", "datasets", "record", "synth", "studio", "report"},
    "datasets": PROGRAMS | {"tracker", "record", "report"},
    "tracker": PROGRAMS | {"calibrate", "record", "datasets", "synth", "studio", "report"},
    "calibrate": PROGRAMS | {"record", "datasets", "synth", "studio", "report"},
    "synth": PROGRAMS | {"record", "report"},
    "studio": PROGRAMS | {"record", "report"},
    "record": PROGRAMS | {"report"},
    "report": PROGRAMS | {"record", "datasets", "synth", "studio"},
    "adapt": {"evaluate", "commands"},
    "evaluate": {"commands"},
}


def imported(file: Path) -> set[str]:
    """The rooms that a module imports, wherever in the file."""
    package = file.relative_to(ROOT).parts[:-1]
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = package[: len(package) - node.level + 1] + tuple(filter(None, (node.module or "").split(".")))
            found |= {base[0]} if base else {alias.name for alias in node.names}
    return found


@pytest.mark.parametrize("room", FORBIDDEN)
def test_no_import_goes_back_up(room):
    files = sorted((ROOT / room).rglob("*.py"))
    assert files
    back = {str(file.relative_to(ROOT)): imported(file) & FORBIDDEN[room] for file in files}
    assert {file: rooms for file, rooms in back.items() if rooms} == {}
