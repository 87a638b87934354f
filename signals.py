"""Ends that are asked for from outside: Ctrl-C, SIGTERM, SIGHUP, whatever the program is doing just then."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

#: Seconds that C++ code may go on (opening a camera, a training step) before the process is ended in spite of it.
PATIENCE = 1.5
_SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
_noticed = threading.Event()


def end_on_signals() -> None:
    """From now on SIGTERM and SIGHUP end the program as Ctrl-C does, by a KeyboardInterrupt that closes all files.

    Python notices a signal only between two of its own steps. Where that takes longer than PATIENCE the process is
    ended at once; nothing that is complete on the disk is touched by that.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    for number in _SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
            signal.signal(number, _interrupt)
    reader, writer = os.pipe()
    if os.name == "posix":
        os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    threading.Thread(target=_insist, args=(reader,), name="signals", daemon=True).start()


@contextmanager
def stop_on_signal() -> Iterator[Callable[[], bool]]:
    """Yields a function that says whether a signal came. The first one asks, the second one interrupts."""
    asked = threading.Event()

    def ask(signum, _frame) -> None:
        _noticed.set()
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()

    if threading.current_thread() is not threading.main_thread():  # signals belong to the main thread
        yield asked.is_set
        return
    wanted = [number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, ask) for number in wanted}
    try:
        yield asked.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupt(_number, _frame) -> None:
    _noticed.set()
    raise KeyboardInterrupt


def _insist(reader: int) -> None:
    while number := os.read(reader, 1):
        if number[0] in _SIGNALS and not _noticed.wait(PATIENCE):
            os.write(2, b"semihand: ended in the middle of something; what was complete before is kept.\n")
            os._exit(128 + number[0])
        _noticed.clear()
