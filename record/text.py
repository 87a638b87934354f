"""Recordings in words: the list of all, and one in detail."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from ..errors import SemihandError
from ..text import table
from .contact_sheet import contact_sheet
from .recording import LINES, Recording, list_recordings, read_header, read_lines, read_recording, recordings_dir


def list_text() -> str:
    """One line a recording, and where they are. A recording with a broken header is listed as that."""
    folders = list_recordings()
    if not folders:
        return f"No recordings in {recordings_dir()}. Make one: semihand adapt --record"
    rows = table(["name", "frames", "MB", "recorded (UTC)", "from"], map(_row, folders), left=5)
    return f"{rows}\nThey are in {recordings_dir()}."


def show_text(name: str, sheet: Path | None = None) -> str:
    """One recording in detail; with `sheet`, also its contact sheet as a picture file."""
    recording = read_recording(name)
    if sheet is not None:
        contact_sheet(recording, sheet)
    lines = [
        f"{recording.name}: {len(recording.frames)} frames, {megabytes(recording.folder):.1f} MB, in {recording.folder}",
        f"recorded {recording.created} from {recording.source}, "
        f"{recording.width}x{recording.height} at {recording.fps:g} fps",
        *_contents(recording),
    ]
    if recording.dropped:
        lines.append(f"{recording.dropped} frames cannot be read and are left out")
    return "\n".join(lines + [f"contact sheet: {sheet}"] * (sheet is not None))


def megabytes(folder: Path) -> float:
    """Size of a recording's files."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def _row(folder: Path) -> tuple[str, ...]:
    try:
        header = read_header(folder)
    except SemihandError as error:
        return folder.name, "-", "-", "-", str(error)
    frames, _ = read_lines(folder / LINES)
    created = header.created[:19].replace("T", " ")
    return folder.name, str(len(frames)), f"{megabytes(folder):.1f}", created, header.source


def _contents(recording: Recording) -> list[str]:
    """Hands, segments, prompts; what was left out, and what is not covered."""
    sides = Counter(frame.handedness for frame in recording.frames)
    hands = ", ".join(f"{count} of the {side} hand" for side, count in sides.most_common())
    segments = len({frame.segment for frame in recording.frames})
    lines = [f"{hands or 'no frames'}, in {segments} segments"]
    prompts = Counter(frame.prompt for frame in recording.frames if frame.prompt)
    if prompts:
        lines.append("prompts: " + ", ".join(f"{prompt} {count}" for prompt, count in prompts.items()))
    summary = recording.summary
    shares = summary.get("coverage", {}).get("shares", {})
    if "sentence" in summary:
        lines.append(f"last run: {summary['sentence']}")
    if shares:
        lines.append("covered: " + ", ".join(f"{group} {100 * share:.0f} %" for group, share in shares.items()))
    if summary.get("missing"):
        lines.append("little or nothing of: " + ", ".join(summary["missing"]))
    return lines + list(summary.get("notes", []))
