"""Hands labelled in 2D in COCO-style JSON: COCO-WholeBody (Jin et al., ECCV 2020) and OneHand10K.

    annotations/coco_wholebody_val_v1.0.json, val2017/*.jpg         (train alike)
        annotations: lefthand_kpts, righthand_kpts (63 numbers: x, y, v), lefthand_box, lefthand_valid ...
    annotations/onehand10k_test.json, Test/source/*.jpg             (train alike)
        annotations: keypoints (63 numbers), bbox; images: file_name below the set's folder

OneHand10K (Wang et al., TCSVT 2018) is read in the COCO style that mmpose publishes for it; any other file of
that style is read too when it is given itself: pictures are looked for beside it or beside its folder. Joints
stand in mediapipe21 order, pixels are 0-indexed, v = 0 is a joint without label. COCO's left hand is the
person's; OneHand10K does not say which hand it is. A frame is one hand, so a picture may count several times.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..errors import SemihandError
from ..models.joints import NUM_JOINTS
from .reader import Reader, complete, entries, field, label_or_none, numbers, read_json, required, usable_uv
from .sequence import Sequence, SequenceFrame

WHOLE_BODY, ONE_HAND = "COCO-WholeBody", "OneHand10K"


def read_whole_body(folder: Path, split: str) -> Sequence:
    """Every valid hand of COCO-WholeBody. Raises SemihandError on missing or broken files."""
    file = required(WHOLE_BODY, folder, f"annotations/coco_wholebody_{split}_v1.0.json")
    names, people = _load(WHOLE_BODY, file)
    pictures = required(WHOLE_BODY, folder, f"{split}2017", f"images/{split}2017")
    found = [
        (person, i, side)
        for i, person in enumerate(people)
        for side in ("left", "right")
        if field(WHOLE_BODY, file, person, f"{side}hand_valid", i)
    ]
    uv = _joints(WHOLE_BODY, file, [field(WHOLE_BODY, file, p, f"{side}hand_kpts", i) for p, i, side in found])
    frames = [
        _frame(WHOLE_BODY, file, pictures, names, person, f"{side}hand_box", joints, side)
        for (person, i, side), joints in zip(found, uv)
    ]
    return Sequence(
        f"COCO-WholeBody {split}",
        folder,
        complete(WHOLE_BODY, frames),
        source="COCO-WholeBody, Jin et al., ECCV 2020",
        licence="research only, no commercial use",
    )


def read_one_hand(path: Path, split: str) -> Sequence:
    """OneHand10K, or the COCO-style hand JSON that `path` is. Raises SemihandError on missing or broken files."""
    given = path.is_file()
    file = path if given else required(ONE_HAND, path, f"annotations/onehand10k_{split}.json")
    names, hands = _load(ONE_HAND, file)
    folder = _picture_folder(file, names) if given else path
    uv = _joints(ONE_HAND, file, [field(ONE_HAND, file, hand, "keypoints", i) for i, hand in enumerate(hands)])
    frames = [_frame(ONE_HAND, file, folder, names, hand, "bbox", joints) for hand, joints in zip(hands, uv)]
    name, title = (file.stem, file.name) if given else (f"OneHand10K {split}", ONE_HAND)
    source = "" if given else "OneHand10K, Wang et al., TCSVT 2018"
    return Sequence(name, folder, complete(title, frames), source=source)


def _load(title: str, file: Path) -> tuple[dict, list]:
    """{picture id: file name} and the annotations."""
    data = read_json(title, file)
    images, annotations = entries(title, file, data, "images"), entries(title, file, data, "annotations")
    names = {
        field(title, file, image, "id", i): str(field(title, file, image, "file_name", i))
        for i, image in enumerate(images)
    }
    return names, annotations


def _picture_folder(file: Path, names: dict) -> Path:
    """The folder that pictures of a JSON are named below: its own or the one above it."""
    first = next(iter(names.values()), "")
    return next((folder for folder in file.parents[:2] if (folder / first).is_file()), file.parent)


def _joints(title: str, file: Path, rows: list) -> np.ndarray:
    """uv (N, 21, 2) pixels, NaN where the visibility is 0."""
    values = numbers(title, f"the joints in {file}", rows or np.zeros((0, 3 * NUM_JOINTS)), (-1, 3 * NUM_JOINTS))
    values = values.reshape(-1, NUM_JOINTS, 3)
    labelled = values[..., 2] != 0  # also true for NaN, which is then counted as such
    uv = usable_uv(title, np.where(labelled[..., None], values[..., :2], 0.0))
    return np.where(labelled[..., None], uv, np.nan)


def _frame(title, file, folder, names, hand, box_name, uv, handedness=None) -> SequenceFrame:
    picture = field(title, file, hand, "image_id")
    if picture not in names:
        raise SemihandError(f"{title}: {file} labels the picture {picture!r}, which is not among its images.")
    box = numbers(title, f"{box_name} of picture {picture} in {file}", field(title, file, hand, box_name), (4,))
    usable = np.isfinite(box).all() and (box[2:] > 0).all()
    return SequenceFrame(
        folder / names[picture], handedness=handedness, box=box if usable else None, uv=label_or_none(uv)
    )


WHOLE_BODY_READER = Reader(
    "coco-wholebody", WHOLE_BODY, ("val", "train"), ("annotations/coco_wholebody_*_v1.0.json",), read_whole_body
)
ONE_HAND_READER = Reader("onehand10k", ONE_HAND, ("test", "train"), ("annotations/onehand10k_*.json",), read_one_hand)
