"""After the verdict: what became worse too, pictures to look at, and the model that `track` uses from now on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ..models.registry import use
from .before_after import write_before_after
from .report.files import read_run
from .report.indicators import changes

#: What is said of the numbers that tell whether other hands suffer; of the others the report tells.
_WORSE = {
    "2D error on synthetic hands": "the error on other hands, rendered ones",
    "Jitter": "trembling from frame to frame",
    "Distance to the landmark model": "the distance to the landmark model",
}


def next_steps(
    folder: str | Path, name: str, installed: bool, wanted: bool = False, ask: Callable[[str], bool] | None = None
) -> str:
    """Lines for the terminal after a finished run.

    name: of the personal model; installed: whether it is in place now; wanted: make it the default; ask: asked whether
    to do so, with the question, where it is not wanted already. Raises SemihandError where pictures can't be written.
    """
    strip, video = write_before_after(folder)
    lines = [*worse_line(folder), f"Look: {strip}", f"      {video}"]
    if not installed:
        return "\n".join([*lines, "Next: record more, in other light, and adapt again."])
    if wanted or (ask is not None and ask(f"Use {name} from now on?")):
        use(name)
        return "\n".join(
            [*lines, f"{name} is the default now (`semihand models use lite` goes back).", "Next: semihand track"]
        )
    return "\n".join([*lines, f"Next: semihand track --model {name} --compare lite"])


def worse_line(folder: str | Path) -> list[str]:
    """One line on what became worse, none where nothing did. Raises SemihandError where there is no run."""
    found = [change for change in changes(read_run(folder)) if change.word == "worse" and change.meaning.name in _WORSE]
    said = [f"{_WORSE[change.meaning.name]} ({100 * abs(change.share):.0f} % more)" for change in found]
    return [f"Worse than before: {', '.join(said)}."] if said else []
