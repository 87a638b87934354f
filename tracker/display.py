"""Whether a window can open here, found out by opening one in another process: where it can't, Qt ends its process."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache

_OPEN_ONE = "import cv2; cv2.namedWindow('semihand', cv2.WINDOW_NORMAL); cv2.waitKey(1); cv2.destroyAllWindows()"
#: Seconds after which a display that does not answer counts as dead.
_TIMEOUT = 10.0


def display_trouble() -> str | None:
    """Why no window can open, in one sentence; None where one can."""
    # OpenCV's windows speak X11 only; a Wayland desktop sets DISPLAY too, for programs like this one.
    display = os.environ.get("DISPLAY")
    if sys.platform not in ("win32", "darwin", "cygwin") and not display:
        return "There is no display to open a window on (DISPLAY is not set)."
    return _tried(display)


@cache
def _tried(display: str | None) -> str | None:
    try:
        done = subprocess.run(
            [sys.executable, "-c", _OPEN_ONE], capture_output=True, text=True, errors="replace", timeout=_TIMEOUT
        )
    except subprocess.TimeoutExpired:
        return f"The display {display or ''} does not answer."
    except OSError as error:
        return f"No window could be tried ({error.strerror})."
    if done.returncode == 0:
        return None
    if "not implemented" in done.stderr or "has no attribute" in done.stderr:
        return "This OpenCV was built without windows; the package opencv-python has them."
    return f"The display {display or ''} cannot be opened, it may be closed by now."
