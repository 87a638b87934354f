"""Find hands and read their handedness: MediaPipe's palm and landmark models in ONNX Runtime, on the CPU.

Nothing here touches the network. Coordinates are pixels of the unmirrored picture, x right, y down.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
import onnxruntime

from ..errors import SemihandError
from ..models.joints import NUM_JOINTS
from ..models.model_file import usable_cores
from .palm import (
    OTHER_VIEWS,
    PALM_SIZE,
    PLAIN,
    PalmConfig,
    View,
    box_from_palm,
    decode_palms,
    image_to_crop,
    palm_anchors,
    rotation,
    weighted_nms,
)
from .types import HandBox

WEIGHTS = Path(__file__).resolve().parents[1] / "models" / "weights"
LANDMARK_SIZE = 224
#: The landmark model's z is larger than its x and y by this factor ("normalize_z" of MediaPipe's graph).
LANDMARK_Z_SCALE = 0.4


@dataclass(frozen=True)
class LandmarkResult:
    """MediaPipe's joints of one hand.

    uv_image (21, 2) image pixels; depth (21,) image pixels, away from the camera, near 0 at the wrist;
    presence in [0, 1]; handedness "left" | "right" of the person's real hand in an unmirrored picture with
    its score in [0.5, 1]; xyz_world (21, 3) metres, x right, y down, z away, origin at the hand's middle.
    """

    uv_image: np.ndarray
    depth: np.ndarray
    presence: float
    handedness: str
    handedness_score: float
    xyz_world: np.ndarray


class HandDetector:
    """Finds hands in a whole picture. `threads` for ONNX Runtime: two where there are as many cores."""

    def __init__(self, config: PalmConfig = PalmConfig(), threads: int | None = None):
        self.config = config
        self._threads = threads
        self._anchors = palm_anchors()

    def detect(
        self, image_bgr: np.ndarray, max_hands: int = 2, views: Sequence[View] = (PLAIN, OTHER_VIEWS[0])
    ) -> list[HandBox]:
        """Up to `max_hands` boxes, best score first, of the first of `views` that shows a hand; none when none does.

        image_bgr (H, W, 3) uint8. Raises ValueError on other pictures, SemihandError when the model file is broken.
        """
        _check_image(image_bgr)
        for view in views:
            if boxes := self._detect(image_bgr, view):
                return boxes[:max_hands]
        return []

    def _detect(self, image_bgr: np.ndarray, view: View) -> list[HandBox]:
        to_input = letterbox(image_bgr.shape[1], image_bgr.shape[0], view)
        picture = cv2.warpAffine(image_bgr, to_input, (PALM_SIZE, PALM_SIZE), flags=cv2.INTER_LINEAR)
        raw, logits = self._session.run(None, {"image": _network_input(picture)})
        palms, scores = decode_palms(raw[0], logits[0, :, 0], self._anchors, self.config.min_score)
        palms, scores = weighted_nms(palms, scores, self.config.min_iou)
        return [box_from_palm(_to_image(palm, to_input), score) for palm, score in zip(palms, scores, strict=True)]

    @cached_property
    def _session(self) -> onnxruntime.InferenceSession:
        return open_session("palm_detection", self._threads)


class HandLandmarker:
    """Reads joints, presence and handedness of the hand in a box. `threads` as in HandDetector."""

    def __init__(self, threads: int | None = None):
        self._threads = threads

    def __call__(self, image_bgr: np.ndarray, box: HandBox) -> LandmarkResult:
        """image_bgr (H, W, 3) uint8. Meaningless joints where `presence` is low. Raises like HandDetector."""
        _check_image(image_bgr)
        to_crop, size = image_to_crop(box, LANDMARK_SIZE), (LANDMARK_SIZE, LANDMARK_SIZE)
        picture = cv2.warpAffine(image_bgr, to_crop, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        landmarks, presence, right, world = self._session.run(None, {"image": _network_input(picture)})
        return landmark_result(landmarks[0], float(presence[0, 0]), float(right[0, 0]), world[0], box)

    @cached_property
    def _session(self) -> onnxruntime.InferenceSession:
        return open_session("hand_landmark", self._threads)


def landmark_result(landmarks, presence: float, right: float, world, box: HandBox) -> LandmarkResult:
    """Turn the landmark model's output for `box` into picture coordinates.

    landmarks (63,) pixels of the crop, world (63,) metres, both x, y, z by joint in the turned crop. `right`
    is the probability of a right hand: MediaPipe names it "left" because it assumes a mirrored picture.
    """
    turn = rotation(box.roll)
    crop = landmarks.reshape(NUM_JOINTS, 3).astype(np.float64) / LANDMARK_SIZE
    xyz_world = world.reshape(NUM_JOINTS, 3).astype(np.float64)
    xyz_world[:, :2] = xyz_world[:, :2] @ turn.T
    return LandmarkResult(
        uv_image=(crop[:, :2] - 0.5) @ turn.T * box.side + box.center,
        depth=crop[:, 2] * box.side / LANDMARK_Z_SCALE,
        presence=presence,
        handedness="right" if right >= 0.5 else "left",
        handedness_score=max(right, 1 - right),
        xyz_world=xyz_world,
    )


def letterbox(width: int, height: int, view: View = PLAIN) -> np.ndarray:
    """(2, 3) affine map that fits a view of a picture into the palm input."""
    scale = PALM_SIZE / (max(width, height) * (1 + 2 * view.pad))
    linear = scale * rotation(np.deg2rad(view.turn))
    return np.column_stack([linear, PALM_SIZE / 2 - linear @ (width / 2, height / 2)])


def _to_image(palm: np.ndarray, to_input: np.ndarray) -> np.ndarray:
    """A palm (18,) of the palm input in image pixels. Its box, a square or nearly so, keeps its sides."""
    linear, offset = to_input[:, :2], to_input[:, 2]
    points = np.concatenate([palm[:2], palm[4:]]).reshape(-1, 2)
    points = np.linalg.solve(linear, (points - offset).T).T
    return np.concatenate([points[0], palm[2:4] / np.hypot(*linear[0]), points[1:].ravel()])


def open_session(name: str, threads: int | None = None, folder: Path = WEIGHTS) -> onnxruntime.InferenceSession:
    """A detector model on the CPU. Raises SemihandError when its file is missing, damaged or another one."""
    path = folder / f"{name}.onnx"
    advice = "Reinstall semihand to restore it."
    if not path.is_file():
        raise SemihandError(f"The detector model {path} is missing. {advice}")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or min(2, usable_cores())
    options.inter_op_num_threads = 1
    # Spinning threads are a third faster on idle cores, but they eat cores between frames, and where other
    # programs want the cores too they are twice as slow.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's errors share no narrower base class
        raise SemihandError(f"The detector model {path} cannot be read ({error}). {advice}") from error
    provenance = session.get_modelmeta().custom_metadata_map.get("semihand_detector", "{}")
    if json.loads(provenance).get("name") != name:
        raise SemihandError(f"{path} is not the {name} model. {advice}")
    return session


def _network_input(picture_bgr: np.ndarray) -> np.ndarray:
    """(S, S, 3) uint8 BGR to (1, S, S, 3) float32 RGB in [0, 1]."""
    rgb = cv2.cvtColor(picture_bgr, cv2.COLOR_BGR2RGB)
    return np.multiply(rgb[None], np.float32(1 / 255), dtype=np.float32)


def _check_image(image: np.ndarray) -> None:
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or 0 in image.shape:
        raise ValueError(f"Expected an (H, W, 3) uint8 picture, got shape {image.shape}, {image.dtype}.")
