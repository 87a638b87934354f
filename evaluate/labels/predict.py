"""Predictions on the labelled frames of a sequence: by a model on two kinds of crops, or by a peer.

Crop protocols:
    label     a square round the labelled joints' box, side = the model's crop factor times its longer side, no roll.
              Frames with fewer than 11 labelled joints take the labelled `box`. The label also says which
              hands are mirrored; where it doesn't, both ways are tried and the more confident one counts.
    detector  what a webcam user gets on the first frame: palm detector, the model's own look at its boxes (the
              landmark model's where the model does not say if it sees a hand), the model's crop round those
              joints, and a second crop round its own. The label only says which of several hands is meant.
A prediction's 3D is lifted with the label's root depth and unit bone (both known in the paper's protocol),
and is None where the label has no 3D or the sequence no intrinsics. Where the label's 3D lacks the unit bone
(fingertips only), it is lifted with average bones: right in shape, not in place and size.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from ...datasets.labels import MIN_OVERLAP, label_box, label_square
from ...datasets.sequence import Sequence, SequenceFrame
from ...errors import SemihandError
from ...models.camera import Crop, crop_camera, default_intrinsics, warp_crop
from ...models.joints import ROOT, UNIT_BONE, UNIT_BONE_METRES
from ...models.lifting import lift, unit_length
from ...progress import Progress
from ...tracker.observe import Observer, observer_for
from ...tracker.palm import ALL_VIEWS

PROTOCOLS = ("label", "detector")
MIN_PRESENCE = 0.5
#: The root's depth in metres for hands whose lines of sight say nothing about it.
_SOME_DEPTH = 0.5


@dataclass(frozen=True)
class Prediction:
    """One hand in one picture.

    uv_image (21, 2) pixels; xyz (21, 3) metres in the camera frame or None; handedness: the person's real
    hand as predicted, None where the label gave it; score in [0, 1]; confidence (21,), mask_crop (64, 64) and
    crop where a model of ours looked.
    """

    uv_image: np.ndarray
    xyz: np.ndarray | None = None
    handedness: str | None = None
    score: float = 1.0
    confidence: np.ndarray | None = None
    mask_crop: np.ndarray | None = None
    crop: Crop | None = None


class _View(NamedTuple):
    """A crop to look at: which frame of the chunk, the crop, the handedness it was cut for."""

    number: int
    crop: Crop
    handedness: str


class HandFinder:
    """Joints and handedness of the hands in a still picture: by the palm detector, and the model or the landmark model.

    It remembers what it found, so that several models that need the landmark model look at the same pictures for the
    price of one.
    """

    def __init__(self, detector, landmarker, max_hands: int = 2) -> None:
        """detector, landmarker: as `tracker.detect.HandDetector` and `HandLandmarker`."""
        self._detector, self._landmarker, self._max_hands = detector, landmarker, max_hands
        self._known: dict[tuple, list[tuple[np.ndarray, str]]] = {}

    def __call__(self, image: np.ndarray, model=None) -> list[tuple[np.ndarray, str]]:
        """[(uv_image (21, 2) pixels, "left" | "right")] of a BGR picture (H, W, 3) uint8.

        model: says itself what a box shows, where it can; otherwise, and for None, the landmark model does.
        """
        observer = observer_for(model, self._landmarker)
        pixels = hashlib.blake2b(np.ascontiguousarray(image), digest_size=16).digest()
        key = pixels, image.shape, model if observer.every_frame else None
        if key not in self._known:
            self._known[key] = self._find(image, observer)
        return self._known[key]

    def look(self, image: np.ndarray, model=None) -> list[tuple[np.ndarray, str]]:
        """The same, looked at anew."""
        return self._find(image, observer_for(model, self._landmarker))

    def _find(self, image: np.ndarray, observer: Observer) -> list[tuple[np.ndarray, str]]:
        """Of the first view of the picture in which there is a hand."""
        K = default_intrinsics(image.shape[1], image.shape[0])
        for view in ALL_VIEWS:
            seen = observer(image, self._detector.detect(image, self._max_hands, (view,)), K)
            found = [(one.uv_image, one.handedness) for one in seen if one.presence >= MIN_PRESENCE]
            if found:
                return found
        return []


def predict(
    sequence: Sequence, model, crop: str = "label", finder: HandFinder | None = None, refine: int = 1, batch: int = 16
) -> list[Prediction | None]:
    """The model's prediction for every frame, None where no hand was found or the frame has no label.

    crop: "label" or "detector", which needs `finder`; refine: how often the detector's crop is cut again
    round the model's own joints. Raises SemihandError on an unknown protocol.
    """
    if crop not in PROTOCOLS:
        raise SemihandError(f"Unknown crop protocol {crop!r}; choose {' or '.join(PROTOCOLS)}.")
    if crop == "detector" and finder is None:
        raise ValueError("The detector protocol needs a HandFinder.")
    frames = [frame for frame in sequence.frames if label_square(frame) is not None]
    predictions: list[Prediction | None] = []
    with Progress(total=len(frames), desc=sequence.name, unit="frames") as progress:
        for start in range(0, len(frames), batch):
            chunk = frames[start : start + batch]
            images = [frame.read() for frame in chunk]
            predictions += predict_frames(chunk, images, model, crop, finder, refine)
            progress.update(len(chunk))
    return _spread(sequence, predictions)


def predict_frames(
    frames: list[SequenceFrame], images: list[np.ndarray], model, crop: str = "label", finder=None, refine: int = 1
) -> list[Prediction | None]:
    """The same for labelled frames whose pictures (H, W, 3) uint8 BGR are in memory, in one batch."""
    if crop == "label":
        return list(_predict_label(frames, images, model))
    return _predict_detector(frames, images, model, finder, refine)


def predict_with_peer(sequence: Sequence, peer) -> list[Prediction | None]:
    """A peer's prediction for every frame, None where it found no hand there or the frame has no label.

    peer: has `detect(image_bgr)` that lists hands with uv_image (21, 2) pixels, z (21,) pixels away from the
    camera, handedness and score, as `peers.MediaPipePeer`.
    """
    frames = [frame for frame in sequence.frames if label_square(frame) is not None]
    predictions = []
    for frame in Progress(frames, desc=sequence.name, unit="frames"):
        image = frame.read()
        hands = [
            Prediction(hand.uv_image, lift_weak(frame, hand.uv_image, hand.z), hand.handedness, hand.score)
            for hand in peer.detect(image)
        ]
        predictions.append(matching(frame, hands))
    return _spread(sequence, predictions)


def lift_with_label(frame: SequenceFrame, crop: Crop, uv_crop: np.ndarray, depth_rel: np.ndarray):
    """Joints (21, 3) metres in the camera frame, lifted with the label's root depth and unit bone.

    None without 3D label or intrinsics; with average bones where the label lacks the unit bone.
    """
    if frame.xyz is None or frame.K is None:
        return None
    if not knows_scale(frame):
        return crop.xyz_to_camera(lift(uv_crop, depth_rel, crop.K_crop, fallback_depth=_SOME_DEPTH))
    root = crop.xyz_to_virtual(frame.xyz[ROOT])[2]
    lifted = lift(uv_crop, depth_rel, crop.K_crop, scale=unit_length(frame.xyz), root_depth=root)
    return crop.xyz_to_camera(lifted)


def knows_scale(frame: SequenceFrame) -> bool:
    """Whether the 3D label has the root and the unit bone."""
    return frame.xyz is not None and bool(np.isfinite(frame.xyz[list(UNIT_BONE)]).all())


def lift_weak(frame: SequenceFrame, uv_image: np.ndarray, z_pixels: np.ndarray) -> np.ndarray | None:
    """Joints (21, 3) metres from pixels and weak-perspective z in pixels; root depth and unit bone known.

    z becomes metres so that the unit bone, measured in pixels in all three directions, has its length; where the
    label lacks it, an average one at the depth that this size speaks for.
    """
    if frame.xyz is None or frame.K is None:
        return None
    pixels = max(float(unit_length(np.concatenate([uv_image, z_pixels[:, None]], axis=-1))), 1.0)
    bone = float(unit_length(frame.xyz)) if knows_scale(frame) else UNIT_BONE_METRES
    root = frame.xyz[ROOT, 2] if knows_scale(frame) else frame.K[0, 0] * bone / pixels
    z = root + (z_pixels - z_pixels[ROOT]) * bone / pixels
    rays = (uv_image - frame.K[:2, 2]) / frame.K[[0, 1], [0, 1]]
    return np.concatenate([rays * z[:, None], z[:, None]], axis=-1)


def matching(frame: SequenceFrame, hands: list[Prediction]) -> Prediction | None:
    """The hand whose joints' box overlaps the labelled box most, None where none shares a tenth with it."""
    box = label_box(frame)
    shares = [_iou(box, hand.uv_image) for hand in hands]
    best = int(np.argmax(shares)) if hands else -1
    return hands[best] if hands and shares[best] >= MIN_OVERLAP else None


def _predict_label(frames: list[SequenceFrame], images: list[np.ndarray], model) -> list[Prediction]:
    """Where the label doesn't say which hand it is, the more confident of the two."""
    views = [view for i, frame in enumerate(frames) for view in _label_views(i, frame, images[i], model)]
    best: dict[int, Prediction] = {}
    for view, prediction in zip(views, _look(views, frames, images, model), strict=True):
        if view.number not in best or prediction.score > best[view.number].score:
            best[view.number] = prediction
    return [replace(best[i], handedness=None) for i in range(len(frames))]


def _label_views(number: int, frame: SequenceFrame, image: np.ndarray, model) -> Iterator[_View]:
    center, side = label_square(frame)
    for handedness in [frame.handedness] if frame.handedness else ["right", "left"]:
        crop = crop_camera(
            _intrinsics(frame, image), center, model.info.crop_factor * side, mirrored=handedness == "left"
        )
        yield _View(number, crop, handedness)


def _predict_detector(frames, images, model, finder: HandFinder, refine: int) -> list[Prediction | None]:
    joints = [(i, uv, hand) for i, image in enumerate(images) for uv, hand in finder(image, model)]
    predictions: list[Prediction] = []
    for _ in range(1 + refine):
        views = [_View(i, _crop_round(uv, hand, frames[i], images[i], model), hand) for i, uv, hand in joints]
        predictions = _look(views, frames, images, model)
        joints = [(v.number, p.uv_image, v.handedness) for v, p in zip(views, predictions, strict=True)]
    hands: list[list[Prediction]] = [[] for _ in frames]
    for (number, _, _), prediction in zip(joints, predictions, strict=True):
        hands[number].append(prediction)
    return [matching(frame, found) for frame, found in zip(frames, hands, strict=True)]


def _crop_round(uv: np.ndarray, handedness: str, frame: SequenceFrame, image: np.ndarray, model) -> Crop:
    """The tracker's crop round joints of a new hand."""
    from ...tracker.crop import crop_box

    box = crop_box(uv, model.info.crop_factor, None)
    return crop_camera(_intrinsics(frame, image), box.center, box.side, box.roll, handedness == "left")


def _look(views: list[_View], frames, images, model) -> list[Prediction]:
    """The model's prediction for every view, in one batch."""
    if not views:
        return []
    crops = [warp_crop(images[view.number], view.crop, model.info.input_size)[..., ::-1] for view in views]
    uv_crop, depth_rel, mask, confidence = model.run(np.stack(crops))[:4]
    _refuse_broken(uv_crop, depth_rel, views, frames, model)
    return [
        Prediction(
            uv_image=view.crop.uv_to_image(uv_crop[i]),
            xyz=lift_with_label(frames[view.number], view.crop, uv_crop[i], depth_rel[i]),
            handedness=view.handedness,
            score=float(confidence[i].mean()),
            confidence=confidence[i],
            mask_crop=mask[i] >= 0.5,  # a large set's masks as floats fill the memory
            crop=view.crop,
        )
        for i, view in enumerate(views)
    ]


def _refuse_broken(uv_crop, depth_rel, views: list[_View], frames, model) -> None:
    finite = np.isfinite(uv_crop).all((1, 2)) & np.isfinite(depth_rel).all(1)
    if not finite.all():
        image = frames[views[int(np.argmin(finite))].number].image
        raise SemihandError(
            f"{model.info.name} answered {image} with joints that are no numbers: the model is broken. Choose another."
        )


def _intrinsics(frame: SequenceFrame, image: np.ndarray) -> np.ndarray:
    return default_intrinsics(image.shape[1], image.shape[0]) if frame.K is None else frame.K


def _iou(box: np.ndarray, uv: np.ndarray) -> float:
    """Intersection over union of a box [x, y, w, h] and the box of joints (21, 2)."""
    low, high = uv.min(0), uv.max(0)
    shared = np.maximum(np.minimum(box[:2] + box[2:], high) - np.maximum(box[:2], low), 0).prod()
    return float(shared / (box[2:].prod() + (high - low).prod() - shared))


def _spread(sequence: Sequence, predictions: list) -> list[Prediction | None]:
    """Predictions of the labelled frames back to one entry per frame."""
    remaining = iter(predictions)
    return [None if label_square(frame) is None else next(remaining) for frame in sequence.frames]
