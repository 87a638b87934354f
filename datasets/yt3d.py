"""YouTube-3D-Hands (Kulon et al., CVPR 2020): the published annotation and the frames that the user extracted.

    youtube_train.json, youtube_val.json, youtube_test.json (also below data/)
        "images"       [{"id", "name", "width", "height"}]
        "annotations"  [{"id", "image_id", "is_left" 0 | 1, "vertices" (778, 3)}]
    youtube/VIDEO/video/frames/12.png       the frames, at `name` below the JSON's folder

`vertices` is a MANO mesh: u and v in pixels of the annotated picture size, and a depth scaled to pixels, so
there is no camera and no depth in metres: labels are 2D. The five fingertips are vertices of the mesh (the
numbers of the FreiHAND toolbox). The other 16 joints need MANO's joint regressor, which is licensed and not
part of this project: save it as joint_regressor.npy (16, 778) beside the JSON (`J_regressor` of MANO_RIGHT.pkl
as a dense array) and all 21 joints are labelled; without it the reader says so and labels the fingertips.
The box is the mesh's. A frame whose size is not the annotated one has its labels scaled, as the set's authors
advise (their issue 3); the size is read once per video. Frames that are not there are left out and counted,
because many of the videos are gone.
"""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np

from ..errors import SemihandError
from ..models.joints import NUM_JOINTS, TIPS
from .reader import (
    Reader,
    complete,
    entries,
    field,
    label_or_none,
    missing_pictures,
    numbers,
    read_json,
    required,
    usable_uv,
)
from .sequence import Sequence, SequenceFrame, read_picture

logger = logging.getLogger(__name__)

TITLE = "YouTube-3D-Hands"
REGRESSOR = "joint_regressor.npy"
VERTICES = 778
#: MANO vertices of the thumb's to the little finger's tip.
TIP_VERTICES = (744, 320, 443, 555, 672)
#: mediapipe21 joint of every regressed MANO joint: wrist, index, middle, little, ring, thumb.
MANO_JOINTS = (0, 5, 6, 7, 9, 10, 11, 17, 18, 19, 13, 14, 15, 1, 2, 3)


def read(folder: Path, split: str) -> Sequence:
    """One split. Raises SemihandError where the annotation is missing or broken or no frame is there."""
    name = f"youtube_{split}.json"
    file = required(TITLE, folder, name, f"data/{name}")
    data = read_json(TITLE, file)
    pictures = {
        field(TITLE, file, picture, "id", i): picture for i, picture in enumerate(entries(TITLE, file, data, "images"))
    }
    present = _present(file, pictures)
    regressor = _regressor(file.parent)
    notes = [
        (i, note)
        for i, note in enumerate(entries(TITLE, file, data, "annotations"))
        if field(TITLE, file, note, "image_id", i) in present
    ]
    frames = _frames(file, notes, present, regressor)
    return Sequence(
        f"YT3D {split}",
        folder,
        complete(TITLE, frames),
        source="YouTube 3D Hands, Kulon et al., CVPR 2020",
        licence="as stated by the set's authors",
        note="21 joints" if regressor is not None else "fingertips only",
    )


def _present(file: Path, pictures: dict) -> dict:
    """The pictures whose frame was extracted. Raises SemihandError where there is none."""
    paths = {key: file.parent / field(TITLE, file, picture, "name") for key, picture in pictures.items()}
    missing = missing_pictures(paths.values())
    if len(missing) == len(paths):
        first = f"{missing[0]} is missing, as are all others" if missing else "the annotation names none"
        raise SemihandError(f"{TITLE}: no extracted frame is there: {first}. Extract the videos' frames first.")
    if missing:
        logger.warning("%s: %d of %d frames are missing, first %s.", TITLE, len(missing), len(paths), missing[0])
    gone = frozenset(missing)
    return {key: picture for key, picture in pictures.items() if paths[key] not in gone}


def _regressor(folder: Path) -> np.ndarray | None:
    """MANO's joint regressor (16, 778), or None where the user has none."""
    file = folder / REGRESSOR
    if not file.is_file():
        logger.warning("%s: %s is missing, so only fingertips and boxes are labelled.", TITLE, file)
        return None
    try:
        values = np.load(file, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise SemihandError(f"{TITLE}: {file} is no array of numbers ({error}).") from error
    return numbers(TITLE, file, values, (16, VERTICES))


def _frames(file: Path, notes: list, present: dict, regressor: np.ndarray | None) -> list[SequenceFrame]:
    uv, boxes, sizes = np.full((len(notes), NUM_JOINTS, 2), np.nan), [], {}
    for row, (number, note) in enumerate(notes):
        mesh = _mesh(file, number, note, present[note["image_id"]], sizes)
        uv[row, list(TIPS)] = mesh[list(TIP_VERTICES)]
        if regressor is not None:
            uv[row, list(MANO_JOINTS)] = regressor @ mesh
        boxes.append(np.concatenate([mesh.min(axis=0), np.ptp(mesh, axis=0)]))
    known = list(TIPS if regressor is None else range(NUM_JOINTS))
    uv[:, known] = usable_uv(TITLE, uv[:, known])
    return [
        SequenceFrame(
            file.parent / present[note["image_id"]]["name"],
            handedness="left" if field(TITLE, file, note, "is_left", number) else "right",
            box=box if np.isfinite(box).all() else None,
            uv=label_or_none(joints),
            gesture=_video(present[note["image_id"]]["name"]),
        )
        for (number, note), joints, box in zip(notes, uv, boxes)
    ]


def _mesh(file: Path, number: int, note: dict, picture: dict, sizes: dict) -> np.ndarray:
    """The mesh's vertices (778, 2) in pixels of the frame on disk."""
    where = f"vertices of annotation {number} in {file}"
    mesh = numbers(TITLE, where, field(TITLE, file, note, "vertices", number), (VERTICES, 3))
    return mesh[:, :2] * _scale(file, file.parent / picture["name"], picture, sizes)


def _video(name: str) -> str:
    """The video a frame belongs to: the folder below youtube/."""
    parts = Path(name).parts
    return parts[1] if len(parts) > 2 else parts[0]


def _scale(file: Path, path: Path, picture: dict, sizes: dict) -> np.ndarray:
    """Pixels of the frame on disk per annotated pixel (2,); the frame's size is read once per video."""
    if path.parent not in sizes:
        sizes[path.parent] = read_picture(path).shape[1::-1]
    annotated = [float(field(TITLE, file, picture, name)) for name in ("width", "height")]
    if min(annotated) <= 0:
        raise SemihandError(f"{TITLE}: {file} gives {picture['name']} the size {annotated}.")
    return np.array(sizes[path.parent]) / annotated


READER = Reader("yt3d", TITLE, ("test", "val", "train"), ("youtube_*.json", "data/youtube_*.json"), read)
