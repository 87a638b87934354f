"""Other hand trackers to compare with. Optional: the live path never imports this module's packages."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from ...errors import SemihandError

log = logging.getLogger(__name__)

MODES = ("image", "video")


class PeerHand(NamedTuple):
    """One hand as a peer sees it.

    uv_image (21, 2) and z (21,) in pixels of the picture given, z away from the camera and 0 at the wrist;
    handedness "left" | "right" of the person's real hand in an unmirrored picture with its score in [0.5, 1]
    (without handedness: how sure the peer is of its joints, in [0, 1]); xyz_world (21, 3) metres, x right, y down,
    z away, origin at the hand's middle; confidence (21,) in [0, 1]. None: the peer does not say.
    """

    uv_image: np.ndarray
    z: np.ndarray | None
    handedness: str | None
    score: float
    xyz_world: np.ndarray | None
    confidence: np.ndarray | None = None


class MediaPipePeer:
    """MediaPipe's HandLandmarker (its Tasks API) on the CPU. Use it in a `with` block, or call close().

    That package reports usage to Google while it runs; a notice is logged.
    """

    def __init__(self, task_file: str | Path | None, mode: str = "image", max_hands: int = 2, pad: float = 0.0):
        """task_file: MediaPipe's hand_landmarker.task. mode: "image" (pictures apart) or "video" (in order).

        pad: black border all round, as a share of the picture's sides (a quarter finds hands that fill it).
        Raises SemihandError without the package or the file, ValueError on other modes or a negative pad.
        """
        if mode not in MODES or pad < 0:
            raise ValueError(f"mode must be one of {MODES} and pad at least 0, got {mode!r} and {pad}")
        self._mediapipe = _import_mediapipe()
        self._pad, self._video = pad, mode == "video"
        task, vision = _existing(task_file), self._mediapipe.tasks.vision
        options = vision.HandLandmarkerOptions(
            base_options=self._mediapipe.tasks.BaseOptions(model_asset_path=str(task)),
            running_mode=vision.RunningMode[mode.upper()],
            num_hands=max_hands,
        )
        log.warning("The mediapipe package reports usage statistics to Google while it runs.")
        self._landmarker = vision.HandLandmarker.create_from_options(options)

    def detect(self, image_bgr: np.ndarray, timestamp_ms: int | None = None) -> list[PeerHand]:
        """The hands in a picture (H, W, 3) uint8. Mode "video" needs a timestamp that grows call by call."""
        height, width = image_bgr.shape[:2]
        border = round(self._pad * width), round(self._pad * height)
        result = self._run(_padded_rgb(image_bgr, border), timestamp_ms)
        return hands_from_result(result, width, height, border)

    def close(self) -> None:
        """Free the peer's threads and memory."""
        self._landmarker.close()

    def __enter__(self) -> MediaPipePeer:
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def _run(self, rgb: np.ndarray, timestamp_ms: int | None):
        picture = self._mediapipe.Image(image_format=self._mediapipe.ImageFormat.SRGB, data=rgb)
        if not self._video:
            return self._landmarker.detect(picture)
        if timestamp_ms is None:
            raise ValueError("Mode 'video' needs a timestamp_ms for every frame")
        return self._landmarker.detect_for_video(picture, timestamp_ms)


def hands_from_result(result, width: int, height: int, border: tuple[int, int]) -> list[PeerHand]:
    """HandLandmarker's result for a picture of width x height with `border` (x, y) pixels on each side.

    Its coordinates are shares of the bordered picture, z a share of its width.
    """
    size = np.array([width + 2 * border[0], height + 2 * border[1]], float)
    hands = []
    per_hand = zip(result.hand_landmarks, result.hand_world_landmarks, result.handedness, strict=True)
    for landmarks, world, categories in per_hand:
        xyz = np.array([[p.x, p.y, p.z] for p in landmarks])
        xyz_world = np.array([[p.x, p.y, p.z] for p in world])
        uv_image, z = xyz[:, :2] * size - border, xyz[:, 2] * size[0]
        side, score = categories[0].category_name.lower(), categories[0].score
        hands.append(PeerHand(uv_image, z, side, score, xyz_world))
    return hands


def _padded_rgb(image_bgr: np.ndarray, border: tuple[int, int]) -> np.ndarray:
    x, y = border
    rgb = cv2.cvtColor(image_bgr, cv2.COLOR_BGR2RGB)
    return cv2.copyMakeBorder(rgb, y, y, x, x, cv2.BORDER_CONSTANT, value=(0, 0, 0)) if x or y else rgb


def _import_mediapipe():
    try:
        import mediapipe
    except ImportError as error:
        message = "The mediapipe package is not installed ({}). Install it with: pip install semihand[peers]"
        raise SemihandError(message.format(error)) from error
    return mediapipe


def _existing(task_file: str | Path | None) -> Path:
    """The task file's path. Raises SemihandError when none is given or it is not there."""
    advice = "Pack one with tools/convert_mediapipe.py --task, or take MediaPipe's hand_landmarker.task."
    if task_file is None:
        raise SemihandError(f"MediaPipe's HandLandmarker needs a task file, none was given. {advice}")
    path = Path(task_file)
    if not path.is_file():
        raise SemihandError(f"There is no task file {path}. {advice}")
    return path
