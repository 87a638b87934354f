"""A newer model for a running tracker: noticed and opened in the background, taken over between two frames."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path

from ..errors import SemihandError
from ..models.model_file import ORT_ERRORS, resolve_model
from .estimate import Network

logger = logging.getLogger(__name__)

#: Seconds between two looks at the file.
INTERVAL = 1.0
#: Which file it is and whether it is still the same: path, inode, time of change in ns, bytes.
Stamp = tuple[Path, int, int, int]


def stamp(name_or_path: str | None) -> Stamp:
    """What a model's name stands for at this moment; None is the default model.

    Raises SemihandError where there is no such model.
    """
    path = resolve_model(name_or_path)
    try:
        status = path.stat()
    except OSError as error:
        raise SemihandError(f"{path} could not be read: {error.strerror}.") from error
    return path, status.st_ino, status.st_mtime_ns, status.st_size


class Follower:
    """Watches what a model's name stands for, and opens what is new in a thread of its own.

    A model that cannot be read is told once and left alone until its file changes again; the running one stays.
    """

    def __init__(self, name: str | None, running: Stamp | None, open_it: Callable[[Path], Network]) -> None:
        """name: a model's name or file, None for the default model. running: `stamp` from before it was opened.

        open_it: opens and warms up a model file, raising SemihandError or one of ORT_ERRORS.
        """
        self._name, self._last, self._open = name, running, open_it
        self._trouble = ""
        self._ready: Network | None = None
        self._guard = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="semihand-follow", daemon=True)
        self._thread.start()

    def take(self) -> Network | None:
        """The newest model that was opened since the last call, None where there is none. Never waits."""
        if self._ready is None:
            return None
        with self._guard:
            model, self._ready = self._ready, None
        return model

    def close(self) -> None:
        """Stop watching; waits for a model that is being opened."""
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(INTERVAL):
            try:
                self._look()
            except (SemihandError, *ORT_ERRORS) as error:
                self._tell(str(error).splitlines()[0])

    def _look(self) -> None:
        found = stamp(self._name)
        if found == self._last:
            return
        self._last = found
        model = self._open(found[0])
        self._trouble = ""
        with self._guard:
            self._ready = model

    def _tell(self, trouble: str) -> None:
        """One sentence for each new trouble, not one a second."""
        if trouble != self._trouble:
            logger.warning("%s The running model stays.", trouble)
        self._trouble = trouble
