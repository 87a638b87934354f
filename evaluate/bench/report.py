"""A report of `semihand bench` as JSON and as tables for people."""

from __future__ import annotations

import json

from ...text import table

#: The percentiles that every distribution of times is told by.
PERCENTILES = (50, 95, 99)


def to_json(report: dict) -> str:
    """A report of `run_bench` or `bench_render.run_render_bench` as one JSON object."""
    return json.dumps(report, indent=2, allow_nan=False)


def to_text(report: dict) -> str:
    """A report of `run_bench` as tables for people."""
    model = report["model"]
    lines = [
        *machine_lines(report),
        f"{model['name']}, {model['input_size']}x{model['input_size']} pixels, on {model['provider']},"
        f" {model['threads']} threads; this ONNX Runtime has {', '.join(model['available_providers'])}",
    ]
    lines += [
        "",
        "the network alone, crops of noise",
        _times({f"batch {row['batch']}": row for row in report["network"]}),
    ]
    for run in report["runs"]:
        lines += ["", *_run_lines(run)]
    lines += ["", *map(_offline_line, report["offline"])]
    fresh = report["fresh"]
    if fresh:
        memory = f", at most {fresh['peak_mb']:.0f} MB of memory" if fresh["peak_mb"] else ""
        times = ", ".join(f"{seconds:.2f}" for seconds in fresh["first_result_s"])
        lines += ["", f"from start to first result {times} s{memory} (new processes, {fresh['hands']} wanted)"]
    return "\n".join(lines)


def machine_lines(report: dict) -> list[str]:
    """The circumstances in one line or two."""
    hardware, versions = report["hardware"], report["versions"]
    load = hardware["load"]
    busy = (
        ["The machine was busy: times would be shorter on an idle one."]
        if load and load > 0.5 * hardware["cores"]
        else []
    )
    about = f"semihand {versions['semihand']}, {hardware['cpu']}, {hardware['usable_cores']} cores, load {load}"
    return [about + (f", {hardware['gpu']}" if hardware["gpu"] else ""), *busy]


def _run_lines(run: dict) -> list[str]:
    found = ", ".join(f"{count} with {number}" for number, count in run["hands_found"].items())
    title = f"{run['hands']} wanted, {run['source']}, {run['size'][0]}x{run['size'][1]}"
    lines = [f"{title}; hands found: {found}", _times(run["ms"])]
    if "peer" in run:
        seen = ", ".join(f"{count} with {number}" for number, count in run["peer"]["hands_found"].items())
        lines.append(f"{run['peer']['name']}: {run['peer']['ratio']:.2f} times our median; hands found: {seen}")
    return lines


def _times(ms: dict[str, dict]) -> str:
    """A row for each name."""
    columns = ["mean", *(f"p{p}" for p in PERCENTILES)]
    rows = [[name, *(f"{values[c]:.2f}" for c in columns), str(values["runs"])] for name, values in ms.items()]
    return table(["ms", *columns, "runs"], rows)


def _offline_line(offline: dict) -> str:
    line = (
        f"offline, {offline['hands']} wanted: {offline['frames_per_s']:.1f} frames/s with decoding and without drawing"
        f" ({offline['frames']} frames)"
    )
    theirs = offline.get("peer_frames_per_s")
    return line if theirs is None else f"{line}; peer {theirs:.1f}"
