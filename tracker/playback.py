"""Pictures for a viewer that may ask to go back to the start."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from .camera import Source
from .types import Frame
from .viewer import Viewer


def playback(source: Source, viewer: Viewer, rewound: Callable[[], None]) -> Iterator[Frame]:
    """The source's frames; from the first one again whenever the viewer asks for it. rewound: called before that."""
    again = True
    while again:
        again = False
        for frame in source.frames():
            yield frame
            if viewer.rewind:
                viewer.rewind, again = False, True
                rewound()
                break
