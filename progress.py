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
        limit: float | None = None,
    ) -> None:
        """total: by default the iterable's length, None where nobody knows. disable: count, and show nothing.
        limit: seconds after which the work ends, done or not."""
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
        self._limit = limit

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
        now = self._clock()
        share = min(self.count / self.total, 1.0) if self.total else None
        if share is not None and self._limit:
            share = max(share, min((now - self._begun) / self._limit, 1.0))
        for listener in _listeners:
            listener(self._desc, share)
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
        if self._limit is not None:
            left = min(left, max(self._limit - (now - self._begun), 0.0))
        share = 100 * self.count / self.total
        return f"{name}{self.count} of {self.total} {self._unit} ({share:.0f} %), about {_duration(left)} left"


def announce(what: str) -> None:
    """Tell whoever listens that this goes on now, and nobody knows for how long."""
    for listener in _listeners:
        listener(what, None)


@contextmanager
def listening(listener: Callable[[str, float | None], None]) -> Iterator[None]:
    """Within it, listener(what, share in [0, 1] or None) is called at every step of all progress and by `announce`."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"
