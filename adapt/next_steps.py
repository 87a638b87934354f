"""After the verdict: pictures to look at, and the model that `track` uses from now on."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from pathlib import Path

from ..models.model_file import RELEASED_DEFAULT
from ..models.registry import use
from .before_after import write_before_after


def next_steps(
    folder: str | Path,
    name: str,
    installed: bool,
    wanted: bool = False,
    ask: Callable[[str], bool] | None = None,
    again: str = "",
) -> Iterator[str]:
    """Lines for the terminal after a finished run, those before the question before it is asked.

    name: of the personal model; installed: whether it is in place now; wanted: make it the default; ask: asked whether
    to do so, with the question, where it is not wanted already; again: the source, where a budget kept it from learning
    longer. Raises SemihandError where pictures can't be written.
    """
    strip, video = write_before_after(folder)
    yield f"Look: {strip}"
    yield f"      {video}"
    if not installed:
        record = "semihand adapt --record   (more poses, other light)"
        longer = f"semihand adapt {shlex.quote(again)}   (without --minutes, to learn longer)"
        yield f"Next: {longer if again else record}"
    elif wanted or (ask is not None and ask(f"Use {name} from now on?")):
        use(name)
        yield f"{name} is the default now (`semihand models use {RELEASED_DEFAULT}` goes back)."
        yield "Next: semihand track"
    else:
        yield f"Next: semihand track --model {name} --compare {RELEASED_DEFAULT}"
