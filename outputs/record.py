"""The JSON that files and live outputs share: a header, then one object a frame."""

from __future__ import annotations

from collections.abc import Sequence

from ..kinematics.hand import Hand
from ..kinematics.skeleton import ANGLE_NAMES, BONE_NAMES
from ..models.calibration import AVERAGE_BONES, Person
from ..models.camera import Lens
from ..models.joints import FINGERS, JOINT_NAMES, JOINT_ORDER
from ..tracker.types import Frame

#: 2: palm, bones, angles_deg, pinch, grab and extended beside the fields of 1.
SCHEMA = 2
FORMAT = "semihand-track"


def header(source: str, model: dict, camera: dict, smoothing: dict | None, hand: dict | None = None) -> dict:
    """The first line of a JSONL file. model: name, sha256, device. camera: `camera_record` of the first picture.

    hand: `hand_record`, None for the average hand's. smoothing: the One-Euro parameters, None where joints are as the
    network gave them.
    """
    return {
        "schema": SCHEMA,
        "format": FORMAT,
        "model": model,
        "source": source,
        "camera": camera,
        "hand": hand or hand_record(None),
        "mirror": "never: uv is of the unmirrored picture, handedness the person's real hand",
        "units": {
            "t": "s",
            "uv": "px, centres at integers, u right, v down",
            "box": "px: x, y, w, h round the joints",
            "depth_mm": "mm, minus the root's (joint 9), along the ray to the hand",
            "xyz_m": "m, camera frame, x right, y down, z forward; distances are estimates where camera or hand is assumed",
            "palm": "m and m/s in the camera frame; rotation x y z w from palm axes to the camera frame",
            "bones": "x y z w from rest to now: rotation in the camera frame, local against the parent bone",
            "angles_deg": "degrees; 0 is straight in the palm's plane, for the thumb the rest pose",
            "pinch": "thumb to index tip: m, and 0 apart to 1 touching",
            "grab": "0 open to 1 fist",
            "ms": "ms",
        },
        "palm_axes": "y wrist to middle knuckle, z out of the palm, x = y cross z",
        "rest": "flat hand, fingers parallel to y, the thumb at ease",
        "joint_order": JOINT_ORDER,
        "joints": list(JOINT_NAMES),
        "bones": list(BONE_NAMES),
        "fingers": list(FINGERS),
        "angles": [list(names) for names in ANGLE_NAMES],
        "smoothing": smoothing,
    }


def camera_record(width: int, height: int, lens: Lens) -> dict:
    """The lens as it stands in a header: K = [fx, fy, cx, cy] in pixels, and how it bends, where that is known."""
    K = lens.K
    values = [round(float(value), 3) for value in (K[0, 0], K[1, 1], K[0, 2], K[1, 2])]
    bent = {} if lens.distortion is None else {"distortion": [round(float(value), 6) for value in lens.distortion]}
    return {"width": width, "height": height, "K": values, "assumed": lens.assumed, **bent}


def hand_record(person: Person | None) -> dict:
    """Whose hand it is and how long the bones are; without a profile an average hand's, and distances estimates."""
    bones = AVERAGE_BONES if person is None else person.bones
    user = {} if person is None else {"user": person.name}
    return {**user, "bone_lengths_mm": [round(1e3 * float(bone), 1) for bone in bones], "assumed": person is None}


def frame_record(frame: Frame, hands: Sequence[Hand], ms: dict[str, float]) -> dict:
    """One line of a JSONL file. Rounded to what is seen: 0.01 pixels, 0.1 mm, 0.1 ms of time."""
    record: dict = {"frame": frame.index, "t": round(frame.time, 4)}
    if frame.name:
        record["image"] = frame.name
    record["hands"] = [hand.to_dict() for hand in hands]
    record["ms"] = {stage: round(value, 2) for stage, value in ms.items()}
    return record
