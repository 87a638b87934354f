"""RTMPose's hand model, run by the rtmlib package as it stands. Optional, as the other peers.

rtmlib downloads a model that it is given as an address or as a path that does not exist. Here it only ever gets
files that were found on disk, so nothing is fetched.
"""

from __future__ import annotations

import contextlib
import logging
import sys
from pathlib import Path

import numpy as np
import onnxruntime as ort

from ...errors import SemihandError
from ...models.joints import NUM_JOINTS
from ...models.model_file import ORT_ERRORS, session_options
from .mediapipe import PeerHand

log = logging.getLogger(__name__)

#: Width and height where a file leaves its input open: those that rtmlib names for its hand models.
POSE_SIZE, DETECTOR_SIZE = (256, 256), (320, 320)
_WHERE = "rtmlib's documentation names its hand models; download the ONNX file (end2end.onnx) yourself."


class RtmPosePeer:
    """RTMPose-hand, with RTMDet-hand before it where its file is given; on the CPU, with `threads` each.

    21 joints in 2D and a score for each, in our joint order (COCO-WholeBody's hand has the same); no depth and no
    handedness.
    """

    def __init__(self, pose_file: str | Path, detector_file: str | Path | None = None, threads: int = 1) -> None:
        """Raises SemihandError without the package, or where a file is missing or no such model."""
        rtmlib = _import_rtmlib()
        pose, size = _session(pose_file, POSE_SIZE, threads)
        _check_pose(pose, pose_file)
        self._pose = _quiet(rtmlib.RTMPose, str(pose_file), model_input_size=size)
        self._pose.session = pose
        self._detector = None
        if detector_file is not None:
            detector, size = _session(detector_file, DETECTOR_SIZE, threads)
            self._detector = _quiet(rtmlib.RTMDet, str(detector_file), model_input_size=size[::-1])
            self._detector.session = detector

    def detect(self, image_bgr: np.ndarray) -> list[PeerHand]:
        """The hands in a picture (H, W, 3) uint8. Raises ValueError without a detector."""
        if self._detector is None:
            raise ValueError("This RTMPose has no detector: give it boxes, with `estimate`.")
        return self.estimate(image_bgr, self._detector(image_bgr))

    def estimate(self, image_bgr: np.ndarray, boxes: np.ndarray) -> list[PeerHand]:
        """The hands in boxes (B, 4) [left, top, right, bottom] pixels, tight round the hand: rtmlib adds a margin."""
        if not len(boxes):  # rtmlib would take the whole picture
            return []
        joints, scores = self._pose(image_bgr, bboxes=np.asarray(boxes, float))
        confidence = np.clip(scores, 0, 1)
        return [
            PeerHand(np.asarray(uv, float), None, None, float(sure.mean()), None, sure)
            for uv, sure in zip(joints, confidence, strict=True)
        ]

    def close(self) -> None:
        """Nothing to free; there for the other peers' sake."""

    def __enter__(self) -> RtmPosePeer:
        return self

    def __exit__(self, *_) -> None:
        self.close()


def _import_rtmlib():
    try:
        import rtmlib
    except ImportError as error:
        message = "The rtmlib package is not installed ({}). Install it with: pip install semihand[peers]"
        raise SemihandError(message.format(error)) from error
    return rtmlib


def _session(file: str | Path, size: tuple[int, int], threads: int) -> tuple[ort.InferenceSession, tuple[int, int]]:
    """The file's session and its input's width and height; `size` where the file leaves them open."""
    if not Path(file).is_file():
        raise SemihandError(f"There is no model file {file}. {_WHERE}")
    try:
        session = ort.InferenceSession(str(file), session_options(threads), providers=["CPUExecutionProvider"])
    except ORT_ERRORS as error:
        raise SemihandError(f"{file} is no readable ONNX model; it may be truncated. {_WHERE}") from error
    shape = session.get_inputs()[0].shape
    if len(shape) != 4:
        raise SemihandError(f"{file} takes {shape}, not a picture: it is a model of another kind. {_WHERE}")
    fixed = isinstance(shape[2], int) and isinstance(shape[3], int)
    return session, (shape[3], shape[2]) if fixed else size


def _check_pose(session: ort.InferenceSession, file: str | Path) -> None:
    """Two outputs, one for each axis, of 21 joints. Raises SemihandError on other models."""
    shapes = [output.shape for output in session.get_outputs()]
    if len(shapes) != 2 or any(len(shape) != 3 or shape[1] != NUM_JOINTS for shape in shapes):
        raise SemihandError(f"{file} is no RTMPose model of a hand's 21 joints: its outputs are {shapes}. {_WHERE}")


def _quiet(make, *arguments, **options):
    """rtmlib prints a line for every model it opens; standard output belongs to the report."""
    with contextlib.redirect_stdout(sys.stderr):
        return make(*arguments, backend="onnxruntime", device="cpu", **options)
