"""What `semihand track` can be told."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from glob import glob
from pathlib import Path

from ..outputs.live import LiveOptions
from ..paths import same_file, shown
from .draw import Look
from .video import CODECS
from .viewer import VIEWERS

DEVICES = ("auto", "cuda", "cpu")
#: Smallest and largest value of every number; what lies outside is a slip of the keyboard.
LIMITS = {
    "width": (1, 16384),
    "height": (1, 16384),
    "fps": (0.1, 1000),
    "threads": (1, 256),
    "hands": (1, 8),
    "focal": (1, 1e6),
    "max_frames": (1, 10**9),
}


@dataclass(frozen=True)
class TrackOptions:
    """What to track, with what, and where to. At most one of camera, video and images; none of them is camera 0.

    camera: a number, a device's path, part of its name, or an address (rtsp://, http://). images: a folder, a pattern,
    a picture, or several. width, height pixels and fps are asked of a camera; with images, fps says that they
    are frames at that rate.
    model: a name or a file, None for the default model; follow: take over what it stands for whenever that changes.
    focal: the camera's focal length in pixels where known; calibration: else the name of a calibrated camera. user: whose
    hands they are, by the name of a profile. compare: a second model beside the first one, in window and
    video. save_images: a folder. live: the programs that hands are sent to. show: parts of the overlay, see
    `draw.Look.of`. fast: films run as fast as they can.
    """

    camera: int | str | None = None
    video: str | None = None
    images: str | Sequence[str] | None = None
    width: int | None = None
    height: int | None = None
    fps: float | None = None
    model: str | None = None
    follow: bool = False
    device: str = "auto"
    threads: int | None = None
    hands: int = 2
    focal: float | None = None
    calibration: str | None = None
    user: str | None = None
    smooth: bool = True
    compare: str | None = None
    save_video: str | None = None
    save_images: str | None = None
    jsonl: str | None = None
    csv: str | None = None
    npz: str | None = None
    live: LiveOptions = field(default_factory=LiveOptions)
    viewer: str = "auto"
    mirror: bool = False
    show: str = "mask,dots,labels"
    fast: bool = False
    max_frames: int | None = None

    def __post_init__(self) -> None:
        """Raises ValueError on numbers outside LIMITS, and on options that contradict each other."""
        check_limits(self)
        given = [name for name in ("camera", "video", "images") if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"--{' and --'.join(given)} exclude each other: name one source.")
        if given not in ([], ["camera"]) and (self.width or self.height):
            raise ValueError(f"--width and --height are asked of a camera; they mean nothing with --{given[0]}.")
        if self.video is not None and self.fps:
            raise ValueError("--fps means nothing with --video: a video file has its own rate.")
        if self.focal is not None and self.calibration is not None:
            raise ValueError("--f and --calibration exclude each other: both say what the lens is.")
        if self.device not in DEVICES:
            raise ValueError(f"--device {self.device} is unknown. Known: {', '.join(DEVICES)}.")
        if self.viewer not in VIEWERS:
            raise ValueError(f"--viewer {self.viewer} is unknown. Known: {', '.join(VIEWERS)}.")
        Look.of(self.show)
        self._check_outputs()

    @property
    def files(self) -> list[str]:
        """What is written."""
        wanted = (self.save_video, self.save_images, self.jsonl, self.csv, self.npz)
        return [path for path in wanted if path and path != "-"]

    @property
    def writes(self) -> bool:
        """Whether anything is written."""
        return bool(self.files or "-" in (self.jsonl, self.csv, self.npz))

    def _check_outputs(self) -> None:
        if self.save_video and Path(self.save_video).suffix.lower() not in CODECS:
            known = ", ".join(CODECS)
            raise ValueError(
                f"--save-video {self.save_video}: known endings are {known}. For pictures: --save-images DIR."
            )
        inputs = [self.images] if isinstance(self.images, str) else [*(self.images or ())]
        for pictures in inputs if self.save_images else ():
            if _same_folder(self.save_images, pictures):
                raise ValueError(
                    f"--save-images {shown(self.save_images)} would overwrite the input {shown(pictures)}. Name another folder."
                )
        used = [(path, f"the input {shown(path)}") for path in (self.video, *inputs) if path]
        for option in ("save_video", "jsonl", "csv", "npz"):
            path = getattr(self, option)
            if path is None or path == "-":
                continue
            name = f"--{option.replace('_', '-')}"
            held = next((what for other, what in used if same_file(path, other)), None)
            if held:
                raise ValueError(f"{name} {shown(path)} would overwrite {held}.")
            used.append((path, name))


def _same_folder(folder: str, pictures: str) -> bool:
    """Whether `folder` is that of the pictures, of the one picture, or of one that a pattern stands for."""
    path = Path(pictures)
    files = [path] if path.exists() else map(Path, glob(pictures))
    return any(
        same_file(folder, where) for one in (path, *files) for where in (one, one.parent if one.is_file() else one)
    )


def check_limits(options) -> None:
    """Raises ValueError on a number of a dataclass that is not finite or outside LIMITS."""
    for name in (one.name for one in fields(options)):
        value = getattr(options, name)
        if value is None or name not in LIMITS:
            continue
        low, high = LIMITS[name]
        if not (math.isfinite(value) and low <= value <= high):
            option = "f" if name == "focal" else name.replace("_", "-")
            raise ValueError(f"--{option} {value} is no sensible value; it goes from {low:g} to {high:g}.")
