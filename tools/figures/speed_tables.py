"""Markdown tables of speed."""

from __future__ import annotations

from .tables import markdown

_STAGES = {
    "capture": "capture", "detect": "detect, where it ran", "crop": "crop", "estimate": "estimate (network)",
    "lift": "lift", "smooth": "smooth", "draw": "draw", "followed": "**followed**", "total": "total", "peer": "MediaPipe",
}  # fmt: skip
_PERCENTILES = ("p50", "p95", "p99")


def tracking(results: dict) -> list[str]:
    """Stages of `semihand bench --json` by number of hands, the network alone, whole videos, and a new process."""
    report = results["bench"]
    rows = [_stage(run, stage) for run in report["runs"] for stage in _STAGES if stage in run["ms"]]
    rows += [["", f"network alone, batch {row['batch']}", *_times(row)] for row in report["network"]]
    lines = markdown(["hands", "milliseconds", *_PERCENTILES], rows) + [""]
    for offline in report["offline"]:
        theirs = offline.get("peer_frames_per_s")
        beside = "" if theirs is None else f" (MediaPipe {theirs:.0f})"
        lines.append(f"- a video from disk, {offline['hands']} wanted: {offline['frames_per_s']:.0f} frames/s{beside}")
    fresh = report["fresh"]
    if fresh:
        times = ", ".join(f"{seconds:.2f}" for seconds in fresh["first_result_s"])
        memory = f", at most {fresh['peak_mb']:.0f} MB" if fresh["peak_mb"] else ""
        lines.append(f"- start to first result in a new process: {times} s{memory}")
    model = report["model"]
    size = model["input_size"]
    return [*lines, f"- {size}x{size} pixels on {model['provider']}, threads: {model['threads']}"]


def _stage(run: dict, stage: str) -> list[str]:
    title = _STAGES[stage]
    if stage == "peer":
        title += f" ({run['peer']['ratio']:.1f} times our total)"
    return [str(run["hands"]), title, *_times(run["ms"][stage])]


def _times(values: dict) -> list[str]:
    return [f"{values[name]:.2f}" for name in _PERCENTILES]


def rendering(results: dict) -> list[str]:
    """Synthetic pictures a second."""
    rows = [
        [
            f"{run['size']}x{run['size']}",
            str(run["processes"]),
            f"{run['pictures_per_s']:.0f}",
            f"{run['per_process']:.0f}",
        ]
        for run in results["bench"]["runs"]
    ]
    return markdown(["pixels", "processes", "pictures/s", "each"], rows)
