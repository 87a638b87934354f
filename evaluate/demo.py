"""`semihand demo`: a rendered clip with known truth, tracked as a webcam would be, and what came out."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter

import numpy as np

from ..kinematics.hand import Motion
from ..models.camera import Lens
from ..models.joints import UNIT_BONE_METRES
from ..models.lifting import unit_length
from ..models.metrics import hand_size, joint_errors_mm, mean_error, normalised_errors
from ..outputs.files import JsonlWriter
from ..outputs.record import camera_record, header
from ..paths import make_folder
from ..progress import Progress
from ..synth.clip import Clip, ClipConfig, HandTruth
from ..tracker.draw import draw
from ..tracker.open import HandTracker
from ..tracker.pipeline import Tracker
from ..tracker.summary import Summary
from ..tracker.types import Frame, HandPose
from ..tracker.video import VideoSink

log = logging.getLogger(__name__)

VIDEO, JOINTS = "overlay.mp4", "track.jsonl"
#: A pose counts as that of a hand when its joints lie within this share of the hand's box, on average.
NEAR = 0.5


@dataclass(frozen=True)
class DemoOptions:
    """clip: what to render; out: folder for the files; model, device: as in `semihand track`; None is the default model."""

    clip: ClipConfig = ClipConfig()
    out: Path = Path("semihand-demo")
    model: str | None = None
    device: str = "auto"


class Score:
    """Compares poses with the truth, frame by frame."""

    def __init__(self) -> None:
        self.hands = 0
        self.extra = 0
        self._pairs: list[tuple[HandPose, HandTruth]] = []

    def add(self, poses: Sequence[HandPose], hands: Sequence[HandTruth]) -> None:
        """One frame: what was tracked, and what was there. Poses that belong to no hand count as extra."""
        pairs = matched(poses, hands)
        self.hands += len(hands)
        self.extra += len(poses) - len(pairs)
        self._pairs += pairs

    def results(self) -> dict[str, float | int]:
        """hands, found, extra, handedness_right (counts); of the found ones nme, error_px, epe_mm and epe_known_mm.

        nme: 2D error over the longer side of the hand's box. epe_mm: 3D error after moving the middle knuckles onto
        each other, with the hand's size as the tracker assumes it; epe_known_mm: with its true size.
        """
        pairs = self._pairs
        results = {"hands": self.hands, "found": len(pairs), "extra": self.extra,
                   "handedness_right": sum(pose.handedness == hand.handedness for pose, hand in pairs)}  # fmt: skip
        return results | (_errors(pairs) if pairs else {})


def _errors(pairs: Sequence[tuple[HandPose, HandTruth]]) -> dict[str, float]:
    uv, xyz = (np.stack([getattr(pose, name) for pose, _ in pairs]) for name in ("uv_image", "xyz_cam"))
    uv_true, xyz_true = (np.stack([getattr(hand, name) for _, hand in pairs]) for name in ("uv", "xyz"))
    known = xyz * (unit_length(xyz_true) / UNIT_BONE_METRES)[:, None, None]
    return {
        "nme": mean_error(normalised_errors(uv, uv_true, hand_size(uv_true))),
        "error_px": mean_error(np.linalg.norm(uv - uv_true, axis=-1)),
        "epe_mm": mean_error(joint_errors_mm(xyz, xyz_true)),
        "epe_known_mm": mean_error(joint_errors_mm(known, xyz_true)),
    }


def matched(poses: Sequence[HandPose], hands: Sequence[HandTruth]) -> list[tuple[HandPose, HandTruth]]:
    """Each hand with its nearest pose, the nearest pairs first; no pose twice."""
    sizes = [hand_size(hand.uv[None])[0] for hand in hands]
    pairs = sorted(
        (float(np.linalg.norm(pose.uv_image - hand.uv, axis=-1).mean() / size), p, h)
        for p, pose in enumerate(poses)
        for h, (hand, size) in enumerate(zip(hands, sizes))
    )
    taken: dict[int, int] = {}
    for distance, p, h in pairs:
        if distance < NEAR and p not in taken and h not in taken.values():
            taken[p] = h
    return [(poses[p], hands[h]) for p, h in sorted(taken.items(), key=lambda pair: pair[1])]


def run_demo(options: DemoOptions = DemoOptions(), tracker: Tracker | None = None) -> str:
    """Render, track, write overlay video and JSONL; returns a table for people.

    tracker: another one than options.model and options.device would give. Raises SemihandError on a missing model, a
    device that does not run, and a folder that cannot be written.
    """
    clip = Clip(options.clip)
    tracker = tracker or HandTracker(
        options.model, device=options.device, hands=options.clip.hands, focal=float(clip.K[0, 0])
    )
    score, summary = Score(), Summary("demo")
    with ExitStack() as stack:
        files = _Files(options, clip, tracker, stack)
        log.info("Preparing the renderer; the first time it is compiled, which takes half a minute.")
        clip.frame(0)
        for rendered in Progress(clip, desc="tracking", unit="frames"):
            frame = Frame(rendered.image, rendered.time, rendered.index)
            poses = tracker.step(frame)
            ms = dict(tracker.ms)
            score.add(poses, rendered.hands)
            summary.add(poses, ms | {"draw": files.write(frame, poses, ms)})
    return _report(options, tracker, score.results(), summary)


class _Files:
    """The two files; both are opened, and so proved writable, before the work."""

    def __init__(self, options: DemoOptions, clip: Clip, tracker: Tracker, stack: ExitStack) -> None:
        make_folder(options.out, "Name another one with --out.")
        self._motion = Motion()
        self._lines = JsonlWriter(str(options.out / JOINTS))
        stack.callback(self._lines.close)
        self._video = VideoSink(str(options.out / VIDEO), options.clip.fps)
        stack.callback(self._video.close)
        self._camera = camera_record(options.clip.width, options.clip.height, Lens(clip.K))
        model, smooth = tracker.model, tracker.config.smooth
        self._lines.begin(
            header(
                source=f"synthetic clip, seed {options.clip.seed}",
                model={"name": model.info.name, "sha256": model.sha256, "device": model.provider},
                camera=self._camera,
                smoothing=asdict(smooth) if smooth else None,
            )
        )

    def write(self, frame: Frame, poses: list[HandPose], ms: dict[str, float]) -> float:
        """One frame into both files; returns the milliseconds that drawing took."""
        self._lines.write(frame, self._motion(poses, frame.time), ms, self._camera)
        start = perf_counter()
        picture = draw(frame.image, poses, fps=1e3 / max(ms["total"], 1e-3), latency_ms=ms["total"])
        drawn = perf_counter()
        self._video.write(picture, frame.time)
        return (drawn - start) * 1e3


def _report(options: DemoOptions, tracker: Tracker, results: dict, summary: Summary) -> str:
    clip, stages = options.clip, summary.stage_ms()
    hands, found = results["hands"], results["found"]
    lines = [
        f"{clip.frames} frames with {clip.hands} hand{'s' * (clip.hands > 1)}, model {tracker.model.info.name} on"
        f" {tracker.model.provider}",
        "",
        f"hands found       {found} of {hands} ({100 * found / hands:.1f} %), {results['extra']} where none is",
    ]
    if found:
        lines += [
            f"handedness right  {results['handedness_right']} of {found}",
            f"2D error          {results['error_px']:.1f} pixels, {100 * results['nme']:.1f} % of the hand's box",
            f"3D error          {results['epe_mm']:.1f} mm;"
            f" {results['epe_known_mm']:.1f} mm with the hand's size known",
        ]
    if "total" in stages:
        lines.append(f"speed             {1e3 / stages['total'][0]:.0f} frames a second, drawing and files apart")
    lines += [f"overlay           {options.out / VIDEO}", f"joints            {options.out / JOINTS}"]
    log.debug("%s", summary.stages_text())
    return "\n".join(lines)
