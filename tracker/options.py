"""What `semihand track` can be told."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from ..outputs.live import LiveOptions
from .draw import Look
from .video import CODECS
from .viewer import VIEWERS

DEVICES = ("auto", "cuda", "cpu")


@dataclass(frozen=True)
class TrackOptions:
    """What to track, with what, and where to. At most one of camera, video and images; none of them is camera 0.

    width, height pixels and fps are asked of a camera; with images, fps says that they are frames at that rate.
    model: a name or a file, None for the default model; follow: take over what it stands for whenever that changes.
    focal: the camera's focal length in pixels where known. compare: a second model beside the first one, in window and
    video. save_images: a folder. live: the programs that hands are sent to. show: parts of the overlay, see
    `draw.Look.of`. fast: films run as fast as they can.
    """

    camera: int | None = None
    video: str | None = None
    images: str | None = None
    width: int | None = None
    height: int | None = None
    fps: float | None = None
    model: str | None = None
    follow: bool = False
    device: str = "auto"
    threads: int | None = None
    hands: int = 2
    focal: float | None = None
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
        """Raises ValueError on options that contradict each other."""
        given = [name for name in ("camera", "video", "images") if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"--{' and --'.join(given)} exclude each other: name one source.")
        if given not in ([], ["camera"]) and (self.width or self.height):
            raise ValueError(
                f"--width and --height are asked of a camera; they mean nothing with --{given[0]}."
            )
        if self.video is not None and self.fps:
            raise ValueError("--fps means nothing with --video: a video file has its own rate.")
        if self.device not in DEVICES:
            raise ValueError(f"--device {self.device} is unknown. Known: {', '.join(DEVICES)}.")
        if self.viewer not in VIEWERS:
            raise ValueError(f"--viewer {self.viewer} is unknown. Known: {', '.join(VIEWERS)}.")
        Look.of(self.show)
        self._check_outputs()

    @property
    def writes(self) -> bool:
        """Whether anything is written."""
        return any((self.save_video, self.save_images, self.jsonl, self.csv, self.npz))

    def _check_outputs(self) -> None:
        if self.save_video and Path(self.save_video).suffix.lower() not in CODECS:
            known = ", ".join(CODECS)
            raise ValueError(
                f"--save-video {self.save_video}: known endings are {known}. For pictures: --save-images DIR."
            )
        if self.save_images and self.images and _same_folder(self.save_images, self.images):
            raise ValueError(
                f"--save-images {self.save_images} would overwrite the input {self.images}. Name another folder."
            )
        used = {Path(path).resolve(): f"the input {path}" for path in (self.video, self.images) if path}
        for option in ("save_video", "jsonl", "csv", "npz"):
            path = getattr(self, option)
            if path is None or path == "-":
                continue
            if Path(path).resolve() in used:
                raise ValueError(
                    f"--{option.replace('_', '-')} {path} would overwrite {used[Path(path).resolve()]}."
                )
            used[Path(path).resolve()] = f"--{option.replace('_', '-')}"


def _same_folder(folder: str, pictures: str) -> bool:
    """Whether `folder` is that of the pictures, or of the one picture."""
    path = Path(pictures).resolve()
    return Path(folder).resolve() in (path, path.parent if path.is_file() else path)
