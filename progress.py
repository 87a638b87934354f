"""Progress of long work: a bar on a terminal, a line every ten seconds in a log file, and whoever else listens."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from time import monotonic

logger = logging.getLogger(__name__)

#: Seconds between two lines where there is no terminal.
LINE_EVERY = 10.0
_listeners: list[Callable[[str, float | None], None]] = []


class Progress:
    """Counts up to `total`. Iterate it over something, or call `update` in a `with`."""

    def __init__(
        self,
        iterable: Iterable | None = None,
        desc: str = "",
        total: int | None = None,
        unit: str = "",
        initial: int = 0,
        disable: bool = False,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """total: by default the iterable's length, None where nobody knows. disable: count, and show nothing."""
        from tqdm import tqdm

        self._iterable, self._desc, self._unit, self._clock = iterable, desc, unit.strip(), clock
        self.total = len(iterable) if total is None and hasattr(iterable, "__len__") else total
        self.count = self._initial = initial
        self._bar = tqdm(
            desc=desc or None, total=self.total, unit=f" {self._unit}", initial=initial, leave=False,
            disable=True if disable else None,
        )  # fmt: skip
        # tqdm switches itself off where there is no terminal; then lines tell.
        self._silent, self._lines = disable, self._bar.disable and not disable
        self._begun = self._told = clock()

    def __iter__(self) -> Iterator:
        with self:
            for item in self._iterable:
                yield item
                self.update()

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def update(self, steps: int = 1) -> None:
        """So many more are done."""
        self.count += steps
        self._bar.update(steps)
        if self._silent:
            return
        share = min(self.count / self.total, 1.0) if self.total else None
        for listener in _listeners:
            listener(self._desc, share)
        now = self._clock()
        if self._lines and now - self._told >= LINE_EVERY:
            self._told = now
            logger.info("%s", self.line(now))

    def restart(self) -> None:
        """Count from the start again."""
        self.count, self._begun = self._initial, self._clock()
        self._bar.reset()

    def close(self) -> None:
        """Take the bar away; calling it twice does no harm."""
        self._bar.close()

    def line(self, now: float) -> str:
        """How far it is, for a log."""
        name = f"{self._desc}: " if self._desc else ""
        if not self.total:
            return f"{name}{self.count} {self._unit}"
        left = (now - self._begun) / max(self.count - self._initial, 1) * (self.total - self.count)
        share = 100 * self.count / self.total
        return f"{name}{self.count} of {self.total} {self._unit} ({share:.0f} %), about {_duration(left)} left"


@contextmanager
def listening(listener: Callable[[str, float | None], None]) -> Iterator[None]:
    """Within it, listener(what, share in [0, 1] or None) is called at every step of all progress."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"
