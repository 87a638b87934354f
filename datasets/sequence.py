"""The sequence folder: labelled or unlabelled pictures of one hand each, read and written.

    NAME/sequence.json    name, joint_order, frames, and where known fps, source, licence, note
    NAME/images/*         the pictures, never mirrored

A frame in the file: `image` (relative path) and, each where known, `K` [fx, fy, cx, cy] pixels, `handedness`,
`box` [x, y, w, h] pixels, `uv` 21 x [u, v] pixels or null, `xyz_mm` 21 x [x, y, z] millimetres in the camera
frame or null, `mask` (relative path of a grey picture of the same size, hand white), `gesture` (what the hand
does, or the recording it comes from). In memory the joints are metres.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from ..errors import SemihandError
from ..jsonfile import parse_json
from ..models.joints import JOINT_ORDER, NUM_JOINTS
from ..models.lifting import project
from ..picture_file import read_picture as read_picture_file
from ..picture_file import write_picture

logger = logging.getLogger(__name__)

FILE_NAME = "sequence.json"
FRAME_KEYS = frozenset({"image", "K", "handedness", "box", "uv", "xyz_mm", "mask", "gesture"})
_MM = 1000.0


@dataclass(frozen=True)
class SequenceFrame:
    """One picture and what is known about its hand; None is unknown.

    image, mask: paths. K (3, 3) pixels. handedness: the person's real hand, "left" | "right". box (4,) [x, y,
    w, h] pixels. uv (21, 2) pixels and xyz (21, 3) metres in the camera frame, rows of NaN where a joint has
    no label. mask_ids: (low, high), the grey values of a coded mask picture that are the hand; None: white
    is. gesture: what the hand does, or the recording the frame belongs to.
    """

    image: Path
    K: np.ndarray | None = None
    handedness: str | None = None
    box: np.ndarray | None = None
    uv: np.ndarray | None = None
    xyz: np.ndarray | None = None
    mask: Path | None = None
    mask_ids: tuple[int, int] | None = None
    gesture: str | None = None

    def read(self) -> np.ndarray:
        """The picture (H, W, 3) uint8 BGR. Raises SemihandError where the file is no picture."""
        return read_picture(self.image, cv2.IMREAD_COLOR)

    def read_mask(self) -> np.ndarray | None:
        """The hand's mask (H, W) float in [0, 1], or None where there is no label."""
        if self.mask is None:
            return None
        grey = read_picture(self.mask, cv2.IMREAD_GRAYSCALE)
        if self.mask_ids is None:
            return grey / 255.0
        low, high = self.mask_ids
        return ((grey >= low) & (grey <= high)).astype(float)

    def uv_label(self) -> np.ndarray | None:
        """Labelled joints (21, 2) pixels with NaN where unknown: `uv`, else `xyz` projected by K, else
        None."""
        if self.uv is not None or self.xyz is None or self.K is None:
            return self.uv
        uv, labelled = np.full((NUM_JOINTS, 2), np.nan), np.isfinite(self.xyz).all(axis=-1)
        uv[labelled] = project(self.xyz[labelled], self.K)
        return uv


@dataclass(frozen=True)
class Sequence:
    """A sequence folder in memory; the pictures stay on disk until `frame.read()`."""

    name: str
    folder: Path
    frames: tuple[SequenceFrame, ...]
    fps: float | None = None
    source: str = ""
    licence: str = ""
    note: str = ""


def read_sequence(folder: str | Path) -> Sequence:
    """Read NAME/sequence.json. Raises SemihandError that names the file, the frame and the wrong value."""
    folder = Path(folder)
    file = folder / FILE_NAME
    data = _read_json(file)
    if data.get("joint_order") != JOINT_ORDER:
        raise SemihandError(f"{file}: joint_order is {data.get('joint_order')!r}, only {JOINT_ORDER!r} can be read.")
    entries = data.get("frames")
    if not isinstance(entries, list) or not entries:
        raise SemihandError(f"{file}: `frames` must be a list with at least one frame.")
    frames = tuple(_frame(folder, entry, f"{file}, frame {i}") for i, entry in enumerate(entries))
    _warn_of_unknown_keys(file, entries)
    fps = data.get("fps")
    if fps is not None and not (isinstance(fps, (int, float)) and fps > 0):
        raise SemihandError(f"{file}: fps is {fps!r}; it must be a positive number or left out.")
    texts = {key: str(data.get(key, "")) for key in ("source", "licence", "note")}
    return Sequence(str(data.get("name", folder.name)), folder, frames, fps, **texts)


class SequenceWriter:
    """Writes a sequence folder picture by picture; a context manager.

    `add` writes the picture at once and remembers its labels; `close` writes sequence.json in one move. A
    folder that holds a sequence already is refused with a SemihandError.
    """

    def __init__(self, folder: str | Path, name: str | None = None, quality: int = 95, **header: object) -> None:
        self.folder = Path(folder)
        if (self.folder / FILE_NAME).exists():
            raise SemihandError(f"{self.folder} holds a sequence already; remove it or choose another folder.")
        unknown = set(header) - {"fps", "source", "licence", "note"}
        if unknown:
            raise TypeError(f"Unknown header fields: {', '.join(sorted(unknown))}")
        self._header = {"name": name or self.folder.name, "joint_order": JOINT_ORDER, **header}
        self._frames: list[dict] = []
        self._quality = quality
        _make_folder(self.folder / "images")

    def add(self, image, K=None, handedness=None, box=None, uv=None, xyz=None, mask=None, gesture=None) -> None:
        """Add a picture (H, W, 3) uint8 BGR with labels as in SequenceFrame; mask (H, W) float in [0, 1]."""
        number = len(self._frames)
        entry = {"image": f"images/{number:06d}.jpg"}
        write_picture(self.folder / entry["image"], image, [cv2.IMWRITE_JPEG_QUALITY, self._quality])
        if K is not None:
            entry["K"] = [float(K[0][0]), float(K[1][1]), float(K[0][2]), float(K[1][2])]
        if handedness is not None:
            entry["handedness"] = handedness
        if box is not None:
            entry["box"] = np.round(np.asarray(box, float), 3).tolist()
        if uv is not None:
            entry["uv"] = _rows_or_null(np.round(np.asarray(uv, float), 3))
        if xyz is not None:
            entry["xyz_mm"] = _rows_or_null(np.round(np.asarray(xyz, float) * _MM, 4))
        if mask is not None:
            _make_folder(self.folder / "masks")
            entry["mask"] = f"masks/{number:06d}.png"
            write_picture(self.folder / entry["mask"], np.round(np.asarray(mask) * 255).astype(np.uint8), [])
        if gesture is not None:
            entry["gesture"] = str(gesture)
        self._frames.append(entry)

    def close(self) -> None:
        """Write sequence.json."""
        text = json.dumps({**self._header, "frames": self._frames}, allow_nan=False)
        temporary = self.folder / (FILE_NAME + ".part")
        try:
            temporary.write_text(text, encoding="utf-8")
            temporary.replace(self.folder / FILE_NAME)
        except OSError as error:
            raise SemihandError(f"Could not write {self.folder / FILE_NAME}: {error.strerror}.") from error

    def __enter__(self) -> SequenceWriter:
        return self

    def __exit__(self, kind, error, traceback) -> None:
        if self._frames:
            self.close()


def _read_json(file: Path) -> dict:
    if not file.is_file():
        raise SemihandError(f"No sequence in {file.parent}: {FILE_NAME} is missing. Give a sequence folder.")
    try:
        data = parse_json(file.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise SemihandError(f"{file} cannot be read ({error}). Write the sequence again.") from error
    if not isinstance(data, dict):
        raise SemihandError(f"{file} holds a {type(data).__name__} where an object is expected.")
    return data


def _frame(folder: Path, entry: object, where: str) -> SequenceFrame:
    if not isinstance(entry, dict) or not isinstance(entry.get("image"), str):
        raise SemihandError(f"{where}: `image`, the picture's relative path, is missing.")
    handedness = entry.get("handedness")
    if handedness not in (None, "left", "right"):
        raise SemihandError(f"{where}: handedness is {handedness!r}; it must be 'left' or 'right'.")
    xyz = _joint_rows(entry, "xyz_mm", 3, where)
    if xyz is not None and (xyz[:, 2] <= 0).any():
        raise SemihandError(
            f"{where}: xyz_mm holds z = {np.nanmin(xyz[:, 2]):g}; every joint stands before the camera."
        )
    gesture = entry.get("gesture")
    if not (gesture is None or isinstance(gesture, str)):
        raise SemihandError(f"{where}: gesture is {gesture!r}; it must be a text.")
    return SequenceFrame(
        image=_existing(folder, entry["image"], where),
        K=_intrinsics(entry, where),
        handedness=handedness,
        box=_box(entry, where),
        uv=_joint_rows(entry, "uv", 2, where),
        xyz=None if xyz is None else xyz / _MM,
        mask=_existing(folder, entry["mask"], where) if entry.get("mask") else None,
        gesture=gesture,
    )


def _existing(folder: Path, name: str, where: str) -> Path:
    path = folder / name
    if not path.is_file():
        raise SemihandError(f"{where}: the picture {path} is missing.")
    return path


def _intrinsics(entry: dict, where: str) -> np.ndarray | None:
    values = _numbers(entry, "K", (4,), where)
    if values is None:
        return None
    fx, fy, cx, cy = values
    if fx <= 0 or fy <= 0:
        raise SemihandError(f"{where}: K holds focal lengths {fx:g}, {fy:g}; they must be positive.")
    return np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1.0]])


def _box(entry: dict, where: str) -> np.ndarray | None:
    box = _numbers(entry, "box", (4,), where)
    if box is not None and not (box[2:] > 0).all():
        raise SemihandError(f"{where}: box {box.tolist()} has no area; it must be [x, y, width, height].")
    return box


def _joint_rows(entry: dict, key: str, width: int, where: str) -> np.ndarray | None:
    """entry[key] as (21, width) floats with NaN rows for null; None where no joint has a label."""
    rows = entry.get(key)
    if rows is None:
        return None
    if not isinstance(rows, list) or len(rows) != NUM_JOINTS:
        count = len(rows) if isinstance(rows, list) else "no"
        raise SemihandError(f"{where}: {key} holds {count} joints; it must hold {NUM_JOINTS}, null where unknown.")
    labelled = [i for i, row in enumerate(rows) if row is not None]
    values = np.full((NUM_JOINTS, width), np.nan)
    if labelled:
        values[labelled] = _numbers({key: [rows[i] for i in labelled]}, key, (len(labelled), width), where)
    return values if labelled else None


def _numbers(entry: dict, key: str, shape: tuple[int, ...], where: str) -> np.ndarray | None:
    """entry[key] as finite floats of `shape`, None where the key is missing or null."""
    if entry.get(key) is None:
        return None
    try:
        values = np.array(entry[key], dtype=float)
    except (TypeError, ValueError) as error:
        raise SemihandError(f"{where}: {key} is not a list of {shape} numbers.") from error
    if values.shape != shape:
        raise SemihandError(f"{where}: {key} has the shape {values.shape}; it must be {shape}.")
    if not np.isfinite(values).all():
        raise SemihandError(f"{where}: {key} holds NaN or infinite values; leave unknown labels out.")
    return values


def _rows_or_null(rows: np.ndarray) -> list:
    return [row.tolist() if np.isfinite(row).all() else None for row in rows]


def _warn_of_unknown_keys(file: Path, entries: list[dict]) -> None:
    unknown = sorted(set().union(*entries) - FRAME_KEYS)
    if unknown:
        logger.warning("%s: frames hold fields that are not read: %s", file, ", ".join(unknown))


def read_picture(path: Path, flags: int = cv2.IMREAD_COLOR) -> np.ndarray:
    """A picture file as cv2.imread gives it. Raises SemihandError where it is missing or no picture."""
    image = read_picture_file(path, flags)
    if image is None and not path.is_file():
        raise SemihandError(f"The picture {path} is missing; is the data set complete?")
    if image is None:
        raise SemihandError(f"{path} cannot be read as a picture; replace it or leave its frame out.")
    return image


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SemihandError(f"Could not make the folder {folder}: {error.strerror}.") from error
