"""A recording of the user's hand on disk, under the data folder's recordings/NAME. It never leaves the machine.

recording.json  the header: what was recorded, when, with which detector
frames.jsonl    one line a kept frame, only ever appended to; a line {"discard_from": n} takes back all frames
                before it whose segment is n or higher (a prompt that was done again)
images/         cut-outs of the unmirrored picture round the hand
summary.json    counts of kept and rejected frames, coverage; renewed now and then

Whatever happens while it is written (a kill, a full disk), every complete line with its picture stays readable.
"""

from __future__ import annotations

import hashlib
import logging
import re
import shutil
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

import cv2
import numpy as np

from ..data_folder import data_dir
from ..errors import SemihandError
from ..jsonfile import parse_json
from ..models.joints import NUM_JOINTS
from ..picture_file import read_picture
from ..tracker.find_camera import quiet_opencv

logger = logging.getLogger(__name__)

SCHEMA = 1
HEADER, LINES, IMAGES, SUMMARY = "recording.json", "frames.jsonl", "images", "summary.json"
_END_OF_JPEG = b"\xff\xd9"


@dataclass(frozen=True)
class RecordingHeader:
    """What holds for a whole recording. width, height pixels of the first picture; created: UTC, ISO 8601.

    source: "camera 0" or a file's name; K_assumed: whether the intrinsics are a guess from the picture's size;
    detector: what found the hands ({"hand_landmark": sha256, ...}).
    """

    name: str
    created: str
    source: str
    width: int
    height: int
    fps: float
    K_assumed: bool
    detector: dict = field(default_factory=dict)
    schema: int = SCHEMA


@dataclass(frozen=True)
class RecordedFrame:
    """One kept frame. Pixels are of the cut-out `image`, unmirrored, centres at integers.

    time: seconds of capture; segment: consecutive frames of one take share it; prompt: what the user was asked for;
    K (3, 3): intrinsics of the cut-out; handedness "left" | "right" of the real hand; uv_image (21, 2) and depth (21,)
    pixels (away from the camera): the landmark model's joints; presence, handedness_score in [0, 1].
    """

    image: Path
    time: float
    segment: int
    prompt: str
    K: np.ndarray
    handedness: str
    uv_image: np.ndarray
    depth: np.ndarray
    presence: float
    handedness_score: float
    sharpness: float

    def read(self) -> np.ndarray:
        """The cut-out (H, W, 3) uint8 BGR. Raises SemihandError where it cannot be read (any more)."""
        picture = read_picture(self.image)
        if picture is None:
            raise SemihandError(f"{self.image} cannot be read. Open the recording anew to leave it out.")
        return picture


@dataclass(frozen=True)
class Recording(RecordingHeader):
    """A recording as read: the header's fields, its folder and frames.

    dropped: frames that were kept but cannot be read any more; summary: see `writer.RecordingWriter.summarize`.
    """

    folder: Path = Path()
    frames: tuple[RecordedFrame, ...] = ()
    dropped: int = 0
    summary: dict = field(default_factory=dict)


def read_recording(folder: str | Path) -> Recording:
    """The recording in a folder, or of a name. Frames that cannot be read are dropped, counted and told.

    Raises SemihandError where there is none, or its header is broken.
    """
    folder = resolve_recording(folder)
    header = read_header(folder)
    frames, broken = read_lines(folder / LINES)
    readable = tuple(frame for frame in frames if _decodes(frame.image))
    dropped = broken + len(frames) - len(readable)
    if dropped:
        logger.warning("%s: %d frames that cannot be read are left out.", folder, dropped)
    return Recording(**asdict(header), folder=folder, frames=readable, dropped=dropped, summary=_summary(folder))


def recording_hash(recording: Recording) -> str:
    """SHA-256 over the complete lines of frames.jsonl and the bytes of the pictures."""
    digest = hashlib.sha256()
    for line in _complete_lines(recording.folder / LINES):
        digest.update(line)
    for frame in recording.frames:
        digest.update(frame.image.read_bytes())
    return digest.hexdigest()


def recordings_dir() -> Path:
    """Folder of the user's recordings, one folder each."""
    return data_dir() / "recordings"


def recording_folder(name: str) -> Path:
    """Where the recording `name` is or would be. Raises SemihandError on names that are no folder's name."""
    if not re.fullmatch(r"\w[\w .-]*", name) or name != name.strip(" ."):
        raise SemihandError(f"{name!r} is no name for a recording. Use letters, digits, '-', '_' and '.'.")
    return recordings_dir() / name


def resolve_recording(name_or_folder: str | Path) -> Path:
    """The folder of a recording given by folder or name. Raises SemihandError where there is none."""
    if (Path(name_or_folder) / HEADER).is_file():
        return Path(name_or_folder)
    named = recordings_dir() / str(name_or_folder)
    if named.parent == recordings_dir() and (named / HEADER).is_file():
        return named
    known = ", ".join(recording.name for recording in list_recordings()) or "none yet"
    raise SemihandError(f"{name_or_folder} is neither a file, nor a folder, nor a recording. Recordings: {known}.")


def list_recordings() -> list[Path]:
    """Folders of all recordings, by name."""
    folder = recordings_dir()
    return sorted(path.parent for path in folder.glob(f"*/{HEADER}")) if folder.is_dir() else []


def delete_recording(name: str) -> None:
    """Delete a recording of `list_recordings` for good. Raises SemihandError where it is none, or cannot be deleted."""
    folder = recording_folder(name)
    if not (folder / HEADER).is_file():
        resolve_recording(name)
    try:
        if (folder / IMAGES).is_dir():
            shutil.rmtree(folder / IMAGES)
        for path in (folder / SUMMARY, folder / LINES):
            path.unlink(missing_ok=True)
        shutil.rmtree(folder)  # the header last: a deletion that is interrupted can be repeated
    except OSError as error:
        raise SemihandError(f"{folder} was not deleted completely: {error.strerror}. Try again.") from error


def read_header(folder: Path) -> RecordingHeader:
    """A recording's header alone. Raises SemihandError where it is broken or of another layout."""
    try:
        values = parse_json((folder / HEADER).read_bytes())
        if values.get("schema") == SCHEMA:
            header = RecordingHeader(**{key.name: values[key.name] for key in fields(RecordingHeader)})
            _check_header(header)
            return header
    except OSError as error:
        raise SemihandError(f"{folder / HEADER} cannot be read: {error.strerror}. Check its permissions.") from error
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise SemihandError(f"{folder / HEADER} is broken ({error}). Record anew.") from error
    raise SemihandError(
        f"{folder} has layout version {values.get('schema')}, this semihand reads {SCHEMA}. Update semihand."
    )


def _check_header(header: RecordingHeader) -> None:
    """Raises ValueError, or TypeError, where a recording says something senseless of itself."""
    texts = (header.name, header.created, header.source)
    if not all(isinstance(text, str) for text in texts) or not isinstance(header.detector, dict):
        raise ValueError("a text or the detector is of another kind")
    if not (0 < header.width <= 1 << 16 and 0 < header.height <= 1 << 16 and 0 < header.fps <= 1e4):
        raise ValueError(f"{header.width}x{header.height} at {header.fps} fps")


def read_lines(path: Path, with_discarded: bool = False) -> tuple[list[RecordedFrame], int]:
    """The frames of frames.jsonl's complete lines, and how many complete lines are broken.

    with_discarded: also those that were taken back, whose pictures are gone.
    """
    frames: list[RecordedFrame] = []
    broken = 0
    for line in _complete_lines(path):
        try:
            values = parse_json(line)
            if "discard_from" in values and not with_discarded:
                frames = [frame for frame in frames if frame.segment < values["discard_from"]]
            elif "discard_from" not in values:
                frames.append(_frame(values, path.parent))
        except (ValueError, LookupError, TypeError, ArithmeticError) as error:
            broken += 1
            logger.debug("%s: a broken line (%s)", path, error)
    return frames, broken


def _complete_lines(path: Path) -> list[bytes]:
    if not path.is_file():
        return []
    *lines, rest = path.read_bytes().split(b"\n")
    if rest:
        logger.info("%s: the last line is not complete; it is left out.", path)
    return [line for line in lines if line]


def _frame(values: dict, folder: Path) -> RecordedFrame:
    fx, fy, cx, cy = values["K"]
    marks = values["marks"]
    uv, depth = np.array(marks["uv"], float), np.array(marks["depth"], float)
    picture = Path(values["image"]).name
    if (
        uv.shape != (NUM_JOINTS, 2)
        or depth.shape != (NUM_JOINTS,)
        or values["handedness"] not in ("left", "right")
        or not isinstance(values["prompt"], str)
    ):
        raise ValueError("joints, handedness or prompt do not fit")
    numbers = (fx, fy, cx, cy, values["t"], marks["presence"], marks["handedness_score"], values["sharpness"])
    if not (np.isfinite(numbers).all() and np.isfinite(uv).all() and np.isfinite(depth).all() and min(fx, fy) > 0):
        raise ValueError("a number is not finite, or a focal length not positive")
    if picture in ("", ".."):
        raise ValueError("the picture's name leads out of the recording")
    return RecordedFrame(
        image=folder / IMAGES / picture,
        time=float(values["t"]),
        segment=int(values["segment"]),
        prompt=values["prompt"],
        K=np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1.0]]),
        handedness=values["handedness"],
        uv_image=uv,
        depth=depth,
        presence=float(marks["presence"]),
        handedness_score=float(marks["handedness_score"]),
        sharpness=float(values["sharpness"]),
    )


def _decodes(path: Path) -> bool:
    """Whether a picture file is there, complete, and can be decoded (at an eighth of its size, which is faster)."""
    try:
        data = np.fromfile(path, np.uint8)
    except OSError:
        return False
    if not data.size or data[-2:].tobytes() != _END_OF_JPEG:
        return False
    try:
        with quiet_opencv():
            return cv2.imdecode(data, cv2.IMREAD_REDUCED_GRAYSCALE_8) is not None
    except cv2.error as error:
        logger.debug("%s: %s", path, error)
        return False


def _summary(folder: Path) -> dict:
    try:
        summary = parse_json((folder / SUMMARY).read_bytes())
        return summary if isinstance(summary, dict) else {}
    except (OSError, ValueError):  # a recording that was killed early has none
        return {}
