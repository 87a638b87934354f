"""The outputs that other programs read while hands are tracked: which there are, where they go, opened together."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from ..kinematics.hand import Hand
from ..tracker.types import Frame
from .lost import Moment, Roster
from .udp import Udp
from .writer import Writer

LOOPBACK = "127.0.0.1"
_PAGE = Path(__file__).with_name("page.html")


@dataclass(frozen=True)
class LiveOptions:
    """Where to send hands, each as PORT (of this machine) or HOST:PORT; None: nowhere, and no socket is opened.

    udp: a JSON line a datagram. websocket: the same lines to any number of clients, and a page for browsers. osc: generic
    OSC. vmc: avatars, usually 39540. hts: Hand Tracking Streamer text, usually 9000. leap: Leap web pages, usually 6437.
    """

    udp: str | None = None
    websocket: str | None = None
    osc: str | None = None
    vmc: str | None = None
    hts: str | None = None
    leap: str | None = None

    def __post_init__(self) -> None:
        """Raises ValueError on addresses that are none, and on two outputs for one address."""
        addresses = [address(name, value) for name, value in self.given()]
        for (name, value), where in zip(self.given(), addresses):
            if addresses.count(where) > 1:
                raise ValueError(f"--{name} {value}: two outputs cannot share one address. Name another port.")

    def given(self) -> list[tuple[str, str]]:
        """Names and addresses of the outputs that are wanted."""
        values = ((one.name, getattr(self, one.name)) for one in fields(self))
        return [(name, str(value)) for name, value in values if value is not None]

    def any(self) -> bool:
        """Whether anything is sent."""
        return bool(self.given())


def address(name: str, value: str) -> tuple[str, int]:
    """Host and port of PORT, HOST:PORT or [IPv6]:PORT. Raises ValueError with the option's name on anything else."""
    host, _, port = value.rpartition(":")
    host = host.removeprefix("[").removesuffix("]") or LOOPBACK
    if not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise ValueError(f"--{name} {value}: give a port from 1 to 65535, or HOST:PORT, as 192.168.1.20:5052.")
    return host, int(port)


class LiveWriter(Writer):
    """Sends every frame to all outputs of `LiveOptions`. No output waits for its receivers: the newest frame wins.

    From Python: `with open_outputs(udp=5052) as send: ... send(frame, hands)`.
    """

    def __init__(self, options: LiveOptions) -> None:
        """Raises SemihandError where an output does not open; the others are closed then."""
        self._roster = Roster()
        self._last: Moment | None = None
        self._header: dict | None = None
        self._outputs: list = []
        self._open = True
        try:
            for name, value in options.given():
                self._outputs.append(_OPENERS[name](self, *address(name, value)))
        except BaseException:
            self.close()
            raise

    def begin(self, first_line: dict) -> None:
        self._header = first_line

    def change_model(self, model: dict) -> None:
        self._header = None if self._header is None else self._header | {"model": model}

    def write(self, frame: Frame, hands: Sequence[Hand], ms: dict[str, float], camera: dict) -> None:
        self._send(self._roster(frame, hands, (camera["width"], camera["height"]), ms))

    def __call__(self, frame: Frame, hands: Sequence[Hand]) -> None:
        """Send one frame of `HandTracker.track`."""
        height, width = frame.image.shape[:2]
        self._send(self._roster(frame, hands, (width, height), {}))

    def close(self) -> None:
        """Tell all receivers that the hands are lost, and close the sockets."""
        if not self._open:
            return
        self._open = False
        if self._last is not None:
            for output in self._outputs:
                output.send(self._roster.end(self._last))
        for output in self._outputs:
            output.close()

    def notes(self) -> list[str]:
        return [note for output in self._outputs for note in output.notes()]

    def __enter__(self) -> LiveWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def hello(self) -> list[str]:
        """The header line for a new client, if a run has begun."""
        return [] if self._header is None else [json.dumps(self._header)]

    def _send(self, moment: Moment) -> None:
        self._last = moment
        for output in self._outputs:
            output.send(moment)


def open_outputs(**addresses: str | int) -> LiveWriter:
    """Live outputs by the names of `LiveOptions`, as in `open_outputs(udp=5052, osc="192.168.1.20:9000")`.

    Raises ValueError on addresses that are none, SemihandError where an output does not open.
    """
    return LiveWriter(LiveOptions(**{name: str(value) for name, value in addresses.items()}))


def _udp(live: LiveWriter, host: str, port: int) -> Udp:
    from .json_line import json_datagram

    return Udp("udp", host, port, json_datagram)


def _osc(live: LiveWriter, host: str, port: int) -> Udp:
    from .osc import load, osc_bundles

    load()
    return Udp("osc", host, port, osc_bundles)


def _vmc(live: LiveWriter, host: str, port: int) -> Udp:
    from .osc import load
    from .vmc import vmc_bundle

    load()
    return Udp("vmc", host, port, vmc_bundle)


def _hts(live: LiveWriter, host: str, port: int) -> Udp:
    from .hts import hts_lines

    return Udp("hts", host, port, hts_lines)


def _websocket(live: LiveWriter, host: str, port: int):
    from .json_line import json_line
    from .websocket import LOCAL_PAGES, WebSocketServer

    page = _PAGE.read_text(encoding="utf-8")
    own_pages = [*LOCAL_PAGES, f"http://{host}:{port}"]
    return WebSocketServer("websocket", host, port, json_line, live.hello, page=page, origins=own_pages)


def _leap(live: LiveWriter, host: str, port: int):
    from .leap import VERSION, LeapFrames, leap_hello
    from .websocket import WebSocketServer

    return WebSocketServer("leap", host, port, LeapFrames(), leap_hello, path=f"/v{VERSION}.json")


_OPENERS = {"udp": _udp, "websocket": _websocket, "osc": _osc, "vmc": _vmc, "hts": _hts, "leap": _leap}
