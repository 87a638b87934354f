"""Datagrams to one address. A thread encodes and sends; a frame that it has no time for gives way to the next."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable

from ..errors import SemihandError
from .lost import Moment

logger = logging.getLogger(__name__)


class Udp:
    """Sends `encode(moment)` to an address. `sent` and `dropped` count frames; errors are told once and counted."""

    def __init__(self, name: str, host: str, port: int, encode: Callable[[Moment], list[bytes]]) -> None:
        """name: of the output, for messages. Raises SemihandError when the host does not resolve."""
        self.name, self.where = name, f"{host}:{port}"
        self.sent = self.dropped = self.failed = 0
        self._encode = encode
        family, self._address = _resolve(name, host, port)
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        self._socket.setblocking(False)
        self._ready = threading.Condition()
        self._next: Moment | None = None
        self._stopped = False
        self._broken: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=f"semihand-{name}", daemon=True)
        self._thread.start()

    def send(self, moment: Moment) -> None:
        """Hand a frame over; never waits for the network."""
        if self._broken:
            raise self._broken
        with self._ready:
            self.dropped += self._next is not None
            self._next = moment
            self._ready.notify()

    def close(self) -> None:
        """Send what was handed over, and end."""
        with self._ready:
            self._stopped = True
            self._ready.notify()
        self._thread.join()
        self._socket.close()

    def notes(self) -> list[str]:
        """What was sent."""
        dropped = f", {self.dropped} dropped for newer ones" if self.dropped else ""
        failed = f", {self.failed} not taken by the network" if self.failed else ""
        return [f"{self.name}: {self.sent} frames sent to {self.where}{dropped}{failed}"]

    def _run(self) -> None:
        try:
            while (moment := self._take()) is not None:
                self._deliver(moment)
        except Exception as error:  # a mistake of ours, not the network's: `send` raises it
            self._broken = error

    def _take(self) -> Moment | None:
        with self._ready:
            self._ready.wait_for(lambda: self._next is not None or self._stopped)
            moment, self._next = self._next, None
        return moment

    def _deliver(self, moment: Moment) -> None:
        datagrams = self._encode(moment)
        try:
            for datagram in datagrams:
                self._socket.sendto(datagram, self._address)
        except OSError as error:
            if not self.failed:
                logger.warning(
                    "%s: %s does not take datagrams: %s. Tracking goes on.", self.name, self.where, error.strerror
                )
            self.failed += 1
        else:
            self.sent += 1


def _resolve(name: str, host: str, port: int) -> tuple[int, tuple]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
    except (socket.gaierror, UnicodeError) as error:
        raise SemihandError(
            f"--{name} {host}:{port}: the host {host} is not known. Check its name, or give its number, as 192.168.1.20:{port}."
        ) from error
    family, _, _, _, address = found[0]
    return family, address
