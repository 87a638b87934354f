"""Which cameras there are, and opening one by number, path, name or address."""

from __future__ import annotations

import logging
import os
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2

from ..errors import SemihandError
from ..paths import is_address, shown, without_password
from ..picture_file import quiet_opencv

logger = logging.getLogger(__name__)

#: Seconds after which a camera that is still being opened is told.
SLOW_AFTER = 3.0
_BACKENDS = {"linux": cv2.CAP_V4L2, "win32": cv2.CAP_DSHOW, "darwin": cv2.CAP_AVFOUNDATION}
_MAX_PROBED = 8
_DEVICES = Path("/dev")
_NAMES = Path("/sys/class/video4linux")
_NETWORK_TIMEOUT_MS = 4000


def open_camera(wanted: int | str | None) -> tuple[cv2.VideoCapture, int | str]:
    """A camera and the number or address that it went by; None is the first one that opens.

    Raises SemihandError when it does not open.
    """
    if isinstance(wanted, str) and is_address(wanted):
        return _open_address(wanted), wanted
    candidates = _numbers(wanted)
    with _told_when_slow(wanted):
        for index in candidates:
            capture = open_number(index)
            if capture is not None:
                return capture, index
        found = find_cameras()
        if wanted is None:
            for index in found:
                capture = open_number(index)
                if capture is not None:
                    logger.info("Camera 0 did not open; camera %d is used.", index)
                    return capture, index
    raise SemihandError(f"Camera {0 if wanted is None else wanted} did not open. {_advice(found)}")


def open_number(index: int) -> cv2.VideoCapture | None:
    """The camera of that number, None where it does not open."""
    for backend in dict.fromkeys((_BACKENDS.get(sys.platform, cv2.CAP_ANY), cv2.CAP_ANY)):
        capture = _quiet_capture(index, backend)
        if capture.isOpened():
            return capture
    return None


def find_again(index: int, name: str | None) -> cv2.VideoCapture | None:
    """The camera that was `index`, or that of its name under another number; None while it is away."""
    same = [number for number, other in camera_names().items() if name is not None and other == name]
    for number in same or ([index] if name is None else []):
        capture = open_number(number)
        if capture is not None:
            return capture
    return None


def camera_names() -> dict[int, str]:
    """Names of the cameras by number, where the system tells them (Linux)."""
    names = {}
    for path in _NAMES.glob("video*/name") if sys.platform == "linux" else ():
        try:
            names[int(path.parent.name.removeprefix("video"))] = path.read_text(errors="replace").strip()
        except (OSError, ValueError) as error:  # unplugged meanwhile
            logger.debug("%s: %s", path, error)
    return dict(sorted(names.items()))


def find_cameras() -> list[int]:
    """Indexes of the cameras that open."""
    if sys.platform == "linux":
        names = (path.name.removeprefix("video") for path in _DEVICES.glob("video*"))
        candidates = sorted(int(name) for name in names if name.isdigit())
    else:
        candidates = list(range(_MAX_PROBED))
    found = []
    for index in candidates:
        capture = _quiet_capture(index, _BACKENDS.get(sys.platform, cv2.CAP_ANY))
        if capture.isOpened():
            found.append(index)
        capture.release()
    return found


def _numbers(wanted: int | str | None) -> list[int]:
    """Numbers that a camera's number, path or name may stand for."""
    if wanted is None or isinstance(wanted, int):
        return [wanted or 0]
    device = re.fullmatch(r".*/video(\d+)", os.path.realpath(wanted)) if os.sep in wanted else None
    if device:
        return [int(device[1])]
    names = camera_names()
    numbers = [number for number, name in names.items() if wanted.lower() in name.lower()]
    if os.sep in wanted or not numbers:
        known = ", ".join(f"{number} ({name})" for number, name in names.items())
        raise SemihandError(
            f"There is no camera {shown(wanted)}. "
            + (f"Cameras here: {known}." if known else "Give its number, as in --camera 0.")
        )
    return numbers


def _open_address(address: str) -> cv2.VideoCapture:
    limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, _NETWORK_TIMEOUT_MS, cv2.CAP_PROP_READ_TIMEOUT_MSEC, _NETWORK_TIMEOUT_MS]
    with quiet_opencv():
        capture = cv2.VideoCapture(address, cv2.CAP_FFMPEG, limits)
    if not capture.isOpened():
        raise SemihandError(
            f"{without_password(address)} did not answer with a video. Check the address in a video player, and the network."
        )
    return capture


@contextmanager
def _told_when_slow(wanted: int | str | None) -> Iterator[None]:
    text = "Camera %s is still being opened. Some take up to a minute; Ctrl-C ends the waiting."
    timer = threading.Timer(SLOW_AFTER, logger.warning, (text, 0 if wanted is None else wanted))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _advice(found: list[int]) -> str:
    if not found:
        return "No camera was found: plug one in, allow access to it, or track a file with --video FILE."
    return f"Cameras found: {', '.join(map(str, found))}. Try --camera {found[0]}."


def _quiet_capture(index: int, backend: int) -> cv2.VideoCapture:
    with quiet_opencv():
        return cv2.VideoCapture(index, backend)
