"""Ends that are asked for from outside: Ctrl-C, SIGTERM, SIGHUP, whatever the program is doing just then."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

#: Seconds after a signal in which a command may end by itself. C++ code does not notice signals (opening a camera, a
#: training step), and some libraries swallow a KeyboardInterrupt.
PATIENCE = 1.4
_SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
_asked, _interrupted = threading.Event(), threading.Event()


def end_on_signals() -> None:
    """From now on SIGTERM and SIGHUP end the program as Ctrl-C does, by a KeyboardInterrupt that closes all files.

    Where that takes longer than PATIENCE the process is ended at once; what is complete on the disk stays.
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
        if asked.is_set():
            _interrupt(signum, _frame)
        asked.set()
        _asked.set()

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


def interrupted() -> bool:
    """Whether a signal has interrupted the program: errors that come after it are its consequences."""
    return _interrupted.is_set()


def _interrupt(_number, _frame) -> None:
    _interrupted.set()
    raise KeyboardInterrupt


def _insist(reader: int) -> None:
    while number := os.read(reader, 1):
        if number[0] in _SIGNALS:
            threading.Thread(target=_end, args=(number[0],), name="end", daemon=True).start()


def _end(number: int) -> None:
    """End the process after PATIENCE, unless somebody was asked who ends by himself: he closes files, however large."""
    time.sleep(PATIENCE)
    if _asked.is_set() and not _interrupted.is_set():
        return
    os.write(2, b"semihand: ended in the middle of something; what was complete before is kept.\n")
    workers = sys.modules.get("multiprocessing")
    for worker in workers.active_children() if workers else ():
        worker.terminate()
    os._exit(128 + number)
