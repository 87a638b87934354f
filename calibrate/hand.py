"""A hand's bone lengths from one picture of it, flat beside a bank card or on a sheet of A4, or from one typed length."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from ..errors import SemihandError
from ..kinematics.hand import Hand
from ..models.calibration import AVERAGE_BONES, Person, checked, person_file, save_person
from ..models.joints import FINGERS, MIDDLE_MCP, WRIST
from ..models.lifting import bone_lengths
from ..paths import shown, why_not_there
from ..picture_file import read_picture, write_picture
from ..tracker.draw import draw
from ..tracker.open import HandTracker
from .sheet import Sheet, find_sheets

#: Millimetres from the table to the middle of each joint of a flat hand: wrist and thumb, then the four fingers.
ABOVE_MM = np.array([18.0, 18, 14, 10, 8, *([14.0, 10, 8, 7] * 4)])
#: The network looks so often, each time at its own last crop; degrees of a finger's bend above which a hand isn't flat.
_LOOKS, _MOST_BEND = 4, 50.0
#: From the wrist's crease to the middle finger's tip, over the root of the sum of all squared bone lengths.
LENGTH_SHARE = 0.871
#: A hand lies on a sheet with most of its joints, and beside a card with all but a few.
_ON_SHEET, _ON_CARD = 12, 2


@dataclass(frozen=True)
class Measured:
    """bones (20,) metres, ordered as BONES, of the hand in a picture; the card or sheet beside it; the hand itself."""

    bones: np.ndarray
    sheet: Sheet
    hand: Hand


def measure_hand(image: np.ndarray, tracker: HandTracker, name: str = "The picture") -> Measured:
    """The one flat hand in a picture (H, W, 3) BGR. Raises SemihandError where hand, card or sheet are not there."""
    hand, lens = _flat_hand(image, tracker, name), tracker.lens(image)
    sheets = [sheet for sheet in find_sheets(image, lens) if _belongs(sheet, hand.uv_image)]
    for sheet in sheets:
        bones = bone_lengths(sheet.joints_mm(hand.uv_image, lens, ABOVE_MM)) / 1e3
        try:
            checked(Person("", bones, sheet.kind))
        except ValueError:  # another thing of the same shape
            continue
        return Measured(bones, sheet, hand)
    raise SemihandError(
        f"{name} shows a hand, but neither a bank card beside it nor a sheet of A4 under it. "
        "Lay one flat on a plain table of another colour, all four corners in sight, and take the picture from above."
    )


def bones_of_length(length_mm: float) -> np.ndarray:
    """Bones (20,) metres of an average hand that is so long from the wrist's crease to the middle finger's tip."""
    return AVERAGE_BONES * (length_mm / 1e3 / LENGTH_SHARE / np.linalg.norm(AVERAGE_BONES))


def profile_from_picture(user: str, path: Path, overlay: Path | None = None) -> str:
    """Measure the hand in a picture file and keep it as a profile; returns what was found, for people.

    overlay: where the picture goes with what was measured in it. Raises SemihandError on pictures that do not show it.
    """
    person_file(user)  # a bad name is told before the work
    if not path.exists():
        raise SemihandError(why_not_there(path))
    image = read_picture(path)
    if image is None:
        raise SemihandError(f"{shown(path)} cannot be read as a picture. Give a photo of the hand, as PNG or JPEG.")
    with HandTracker(smooth=False) as tracker:
        measured = measure_hand(image, tracker, shown(path))
    if overlay is not None:
        write_picture(overlay, drawn(image, measured))
    return _kept(Person(user, measured.bones, measured.sheet.kind))


def profile_from_length(user: str, length_mm: float) -> str:
    """Keep the profile of a hand of average proportions and this length (see `bones_of_length`)."""
    return _kept(Person(user, bones_of_length(length_mm), "typed length"))


def _kept(person: Person) -> str:
    try:
        file = save_person(checked(person))
    except ValueError as error:
        raise SemihandError(
            f"This cannot be the hand of {person.name}: {error}. Check the length in millimetres."
        ) from error
    length = 1e3 * LENGTH_SHARE * float(np.linalg.norm(person.bones))
    return (
        f"{person.name}: {person.scale:.2f} times an average hand, about {length:.0f} mm from wrist to fingertip, by a "
        f"{person.measured}.\nKept in {shown(file)}. Use it: semihand track --user {person.name}"
    )


def drawn(image: np.ndarray, measured: Measured) -> np.ndarray:
    """The picture with the hand's joints and the outline that was taken for the card or sheet."""
    picture = draw(image, [measured.hand])
    corners = np.rint(measured.sheet.corners).astype(np.int32)
    return cv2.polylines(picture, [corners], True, (80, 220, 255), max(2, image.shape[1] // 500), cv2.LINE_AA)


def _flat_hand(image: np.ndarray, tracker: HandTracker, name: str) -> Hand:
    tracker.reset()
    for look in range(_LOOKS):
        hands = tracker(image, look / 10)
    if len(hands) != 1:
        count = "no hand" if not hands else f"{len(hands)} hands"
        raise SemihandError(f"{name} shows {count}; one is needed, flat, fingers a little apart, whole in the picture.")
    bends = hands[0].angles[1:, [0, 2, 3]].max(1)
    if bends.max() > _MOST_BEND:
        finger = FINGERS[1 + int(bends.argmax())]
        raise SemihandError(
            f"The hand in {name} is not flat: its {finger} finger bends by {bends.max():.0f} degrees. "
            "Press it flat on the table and take the picture from above."
        )
    return hands[0]


def _belongs(sheet: Sheet, uv_image: np.ndarray) -> bool:
    """Whether a hand lies on the sheet, or beside the card, which is no sleeve."""
    if sheet.kind == "sheet of A4":
        return _inside(sheet, uv_image) >= _ON_SHEET
    back = uv_image[WRIST] - uv_image[MIDDLE_MCP]
    arm = uv_image[WRIST] + np.linspace(0.1, 3.0, 30)[:, None] * back
    return _inside(sheet, uv_image) <= _ON_CARD and not _inside(sheet, arm)


def _inside(sheet: Sheet, points: np.ndarray) -> int:
    """How many points (N, 2) lie within the outline."""
    outline = sheet.corners.astype(np.float32)
    return sum(cv2.pointPolygonTest(outline, (float(u), float(v)), False) >= 0 for u, v in points)
