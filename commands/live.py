"""The options that send hands to other programs, for every command that has hands to send."""

from typing import Annotated

import typer

_WHERE = "[HOST:]PORT"


def _option(name: str, text: str):
    return typer.Option(f"--{name}", metavar=_WHERE, help=text)


Udp = Annotated[str | None, _option("udp", "Send one JSON line a frame as a datagram [HOST: this machine].")]
Websocket = Annotated[
    str | None, _option("websocket", "Serve the same lines to any number of clients, and a page with the hands in 3D.")
]
Osc = Annotated[str | None, _option("osc", "Send OSC: an address for every joint, angle and measure.")]
Vmc = Annotated[str | None, _option("vmc", "Send hand and finger bones to avatar programs (VMC); usually 39540.")]
Hts = Annotated[str | None, _option("hts", "Send Hand Tracking Streamer text, as robot tools read it; usually 9000.")]
Leap = Annotated[
    str | None,
    _option(
        "leap", "Serve Leap web pages (v6.json); usually 6437. Any page open in a browser here can then read the hands."
    ),
]
