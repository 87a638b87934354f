"""The live JSON line: one object a frame, as in `track --jsonl`, that stands alone.

Beside the file's fields it has `schema`, `size` [width, height] of the picture in pixels, `state` "tracked" or "held" for
every hand, and `lost`, the ids of hands that are gone (rule: `lost`).
"""

from __future__ import annotations

import json

from .lost import Moment
from .record import SCHEMA, frame_record


def json_line(moment: Moment) -> str:
    """One frame as a line without its end."""
    record = {"schema": SCHEMA, **frame_record(moment.frame, [one.hand for one in moment.seen], moment.ms)}
    for hand, one in zip(record["hands"], moment.seen):
        hand["state"] = one.state
    record |= {"size": moment.size, "lost": [hand.id for hand in moment.lost]}
    return json.dumps(record, separators=(",", ":"), allow_nan=False)


def json_datagram(moment: Moment) -> list[bytes]:
    """One frame as one datagram, with a line's end."""
    return [json_line(moment).encode() + b"\n"]
