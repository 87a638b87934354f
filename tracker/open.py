"""Opening what tracks: the model and the detectors it needs, warmed up, so that the first frame is as fast as the others.

The only place that knows which detectors a model needs.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import monotonic
from typing import NamedTuple

import numpy as np

from ..kinematics.hand import Hand, Motion
from ..models.calibration import camera_record_of, read_person
from ..models.model_file import open_model
from ..models.verify import check_runs
from ..paths import is_address
from ..picture_file import to_bgr8
from .camera import CameraConfig, Source, Webcam
from .estimate import Network
from .files import PICTURE_SUFFIXES, Pictures, VideoFile
from .find import Detector
from .find_camera import camera_names
from .lens import Lenses, lenses_of
from .observe import Landmarker, warm_up
from .pipeline import Tracker, TrackerConfig
from .smooth import SmoothConfig
from .types import Frame, HandPose


class Networks(NamedTuple):
    """What a tracker runs."""

    model: Network
    detector: Detector
    landmarker: Landmarker


def open_networks(
    model: str | None = None, device: str = "auto", hands: int = 2, threads: int | None = None
) -> Networks:
    """A model by name or file (None: the default model) and its detectors, opened side by side and warmed up.

    Raises SemihandError where the model is missing or broken, or the device does not run.
    """
    with ThreadPoolExecutor(2) as pool:
        opened = pool.submit(open_warm_model, model, device, hands, threads)
        detectors = pool.submit(_open_detectors, threads)
        networks = Networks(opened.result(), *detectors.result())
    warm_up(networks.model, networks.landmarker)
    return networks


def open_warm_model(model: str | None, device: str = "auto", hands: int = 2, threads: int | None = None) -> Network:
    """The model alone, as `open_networks` opens it. Raises SemihandError too where its answers are of no use."""
    network = open_model(model, device, threads)
    for batch in range(1, hands + 1):  # the first run of a batch size is slow
        check_runs(network, batch)
    return network


def _open_detectors(threads: int | None) -> tuple[Detector, Landmarker]:
    from .detect import HandDetector, HandLandmarker

    detector, landmarker = HandDetector(threads=threads), HandLandmarker(threads=threads)
    detector.detect(np.zeros((64, 64, 3), np.uint8))
    return detector, landmarker  # the landmark model is read when a model needs it


class HandTracker(Tracker):
    """Tracks hands, ready to run: `hands = tracker(picture)`, or `for frame, hands in tracker.track(source)`.

    Use it in a `with`, or close it. One tracker follows one stream of pictures.
    """

    def __init__(
        self,
        model: str | Path | None = None,
        *,
        device: str = "auto",
        hands: int = 2,
        threads: int | None = None,
        focal: float | None = None,
        calibration: str | None = None,
        user: str | None = None,
        smooth: bool = True,
    ) -> None:
        """model: a released or personal model's name, or an .onnx file; None is the default model.

        device: "auto", "cuda" or "cpu". hands: at most so many. threads: for each network, None by the machine's cores.
        focal: the camera's focal length in pixels. calibration: the name of a calibrated camera, for pictures that come
        from a file. Without either it is what `calibrate` measured of the camera that `track` opened, else 0.85 of the
        longer side. user: whose hands they are, by the name of a profile, for true sizes and distances. smooth: False
        leaves joints as the network gives them. Raises SemihandError where the model or the profile is missing or
        broken, or the device does not run.
        """
        self.person = None if user is None else read_person(user)
        self._calibration = None if calibration is None else camera_record_of(calibration)
        networks = open_networks(None if model is None else str(model), device, hands, threads)
        config = TrackerConfig(hands=hands, smooth=SmoothConfig() if smooth else None)
        super().__init__(*networks, config, focal, None if self.person is None else self.person.bones)
        self.lens = Lenses(focal, self._calibration)
        self._start = monotonic()

    def __call__(self, image: np.ndarray, time: float | None = None) -> list[Hand]:
        """The hands in the next picture, oldest id first.

        image (H, W, 3) uint8 BGR, never mirrored; other depths and channels are converted. time: when it was taken, in
        seconds that only grow; None is now. Raises ValueError on arrays that are no pictures, and after `close`.
        """
        if self.model is None:
            raise ValueError("This tracker is closed. Open another one.")
        frame = Frame(to_bgr8(image), monotonic() - self._start if time is None else time, 0)
        return self.motion(self.step(frame), frame.time)

    def track(self, source: Source) -> Iterator[tuple[Frame, list[Hand]]]:
        """Every frame of a source with its hands. Pictures that stand for themselves are tracked each by itself.

        Raises SemihandError where the pictures stop in a way that a user should know of.
        """
        self.look_through(source.camera)
        for frame in source.frames():
            if source.independent:
                self.reset()
            yield frame, self.motion(self.step(frame), frame.time)

    def look_through(self, camera: str) -> None:
        """Use what `calibrate` measured of a camera (`Source.camera`), unless something else was asked for."""
        if camera and self._calibration is None:
            self.lens = lenses_of(camera, self.lens.focal)

    def motion(self, poses: list[HandPose], time: float) -> list[Hand]:
        """Rotations, angles and measures of what `step` returned for the frame at `time` seconds."""
        return self._motion(poses, time)

    def reset(self) -> None:
        """Forget all hands: the next frame has nothing to do with the last one. Ids start at 1 again."""
        super().reset()
        self._motion = Motion()

    def close(self) -> None:
        """Let go of the networks; the tracker cannot be used any more. Calling it twice does no harm."""
        self.model = self._estimator = self._finder = None

    def __enter__(self) -> HandTracker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_camera(
    camera: int | str | None = None, *, width: int | None = None, height: int | None = None, fps: float | None = None
) -> Source:
    """A camera as `CameraConfig.index` names it: a number, a device's path, part of a name, an address, None for the first.

    width, height and fps: what is asked of it, which delivers what it can. Raises SemihandError when it does not open.
    """
    asked = {"width": width, "height": height, "fps": fps}
    return Webcam(CameraConfig(camera, **{name: value for name, value in asked.items() if value is not None}))


def open_source(
    source: int | str | Path | None = 0,
    *,
    width: int | None = None,
    height: int | None = None,
    fps: float | None = None,
) -> Source:
    """A camera, a video file, a folder of pictures or one picture. Close it, or use it in a `with`.

    A camera: a number (2 or "2"), a device's path, part of its name where no file is called so, an address (rtsp://...),
    or None for the first one that opens.
    width, height and fps are asked of a camera, which delivers what it can; with pictures, fps says that they are frames
    filmed at that rate, else each stands for itself. Raises SemihandError when it does not open.
    """
    if isinstance(source, str) and source.isdecimal():
        source = int(source)
    if source is None or isinstance(source, int) or (isinstance(source, str) and _is_camera(source)):
        return open_camera(source, width=width, height=height, fps=fps)
    path = Path(source)
    if path.is_dir() or path.suffix.lower() in PICTURE_SUFFIXES:
        return Pictures(path, fps)
    return VideoFile(path)


def _is_camera(text: str) -> bool:
    """Whether a text is a camera's address or device, or part of the name of one here and no file."""
    if is_address(text) or text.startswith(("/dev/video", "/dev/v4l/")):
        return True
    return not Path(text).exists() and any(text.lower() in name.lower() for name in camera_names().values())
