"""Markdown tables of accuracy: what the commands printed, as lines of text."""

from __future__ import annotations

from statistics import mean, stdev

_SPACE, _IMAGE = ("epe_mm", "pa_mm", "auc_20_50"), ("nme", "pck_05", "pck_10", "pck_20")
#: Digits after the point; the other metrics are shares and get three.
_DIGITS = {"nme": 4}
#: In an ablation: what is shown of both parts, the first one that was measured leads.
_ABLATED = ("epe_mm", "tips_mm", "nme", "pa_mm", "mask_iou")
_PARTS = {"adapted": "poses adapted to", "other": "other poses"}
#: The way from the first to the second is 100 % of what labels could bring.
_WAY = ("robust-control", "oracle")


def markdown(head: list[str], rows: list[list[str]]) -> list[str]:
    """A table; the first column says what a row is."""
    lines = [head, ["---"] * len(head), *rows]
    return ["|" + "|".join(f" {cell} " if cell else " " for cell in line) + "|" for line in lines]


def number(name: str, value: float | None) -> str:
    """As the pages print a metric: shares without their leading zero; nothing where there is no value."""
    if value is None:
        return ""
    digits = 2 if name.endswith("_mm") else _DIGITS.get(name.rpartition("_")[2], 3)
    return f"{value:.{digits}f}".removeprefix("0") if abs(value) < 1 else f"{value:.{digits}f}"


def percent(share: float, digits: int = 0, sign: str = "") -> str:
    """A share as the pages print it."""
    return f"{100 * share:{sign}.{digits}f} %"


def accuracy(results: dict) -> list[str]:
    """Sets by crop protocol, of `semihand eval --json`."""
    return _by_crop(results, (*_IMAGE, *_SPACE))


def two_joints(results: dict) -> list[str]:
    """The same where only fingertips are labelled, with whatever `eval` says of tips."""
    tips = sorted({name for row in _rows(results) for name in row if name.startswith("tip")})
    return _by_crop(results, (*_IMAGE, *tips))


def _by_crop(results: dict, names: tuple[str, ...]) -> list[str]:
    names = _present(names, _rows(results))
    rows = [
        [row["name"], str(row["frames"]), crop, str(row["missed"]), *(number(name, row.get(name)) for name in names)]
        for sets in zip(*(report["sets"] for report in results.values()), strict=True)
        for crop, row in zip(results, sets, strict=True)
    ]
    return markdown(["set", "frames", "crop", "missed", *names], rows)


def _present(names: tuple[str, ...], rows: list[dict]) -> list[str]:
    return [name for name in names if any(row.get(name) is not None for row in rows)]


def _rows(results: dict) -> list[dict]:
    return [row for report in results.values() for row in report["sets"]]


def peers(results: dict) -> list[str]:
    """Errors, misses and times of every contestant on every set, then what each one says of a hand."""
    (report,) = results.values()
    names = _present(("nme", "pck_05", "pck_20", "epe_mm", "pa_mm", "auc_20_50"), report["sets"])
    timed = any("ms" in row for row in report["sets"])
    order = {name: i for i, name in enumerate(dict.fromkeys(row["name"] for row in report["sets"]))}
    rows = [
        [row["name"], row["predicted_by"], f"{row['missed']} of {row['frames']}",
         *(number(name, row.get(name)) for name in names), *([f"{row['ms']['p50']:.1f}"] if timed else [])]
        for row in sorted(report["sets"], key=lambda row: order[row["name"]])
    ]  # fmt: skip
    head = ["set", "predicted by", "missed", *names, *(["ms a picture, p50"] if timed else [])]
    return [*markdown(head, rows), "", *_outputs(report["outputs"])]


def _outputs(outputs: dict[str, list[str]]) -> list[str]:
    every = list(dict.fromkeys(output for given in outputs.values() for output in given))
    rows = [[name, *("yes" if output in given else "-" for output in every)] for name, given in outputs.items()]
    return markdown(["says of a hand", *every], rows)


def synthetic(results: dict) -> list[str]:
    """Rendered pictures: one row."""
    (row,) = results["eval"]["sets"]
    names = ("epe_mm", "pa_mm", "nme", "mask_iou")
    return markdown(
        ["frames", "missed", *names],
        [[str(row["frames"]), str(row["missed"]), *(number(name, row.get(name)) for name in names)]],
    )


def realism(results: dict) -> list[str]:
    """How real the rendered hands look to MediaPipe's models."""
    found = results["realism"]
    rows = [
        ["hand found", percent(found["found"], 1), "85 %"],
        ["called right hands, which they are", percent(found["handedness_right"], 1), "95 %"],
        ["median disagreement over the box", number("", found["median_disagreement"]), ".050"],
    ]
    return markdown([f"{found['pictures']} pictures", "measured", "aim"], rows)


def ablation(results: dict) -> list[str]:
    """A table for each data set and each part of it: the poses adapted to, and others. Mean ± deviation over seeds."""
    every = [line | {"row": _with_setting(line)} for line in results["rows"]]
    sets = {name: [line for line in every if line.get("data") == name] for name in dict.fromkeys(map(_data, every))}
    lines: list[str] = []
    for name, group in sets.items():
        for part, title in _PARTS.items():
            lines += _of_part(group, part, f"{name}: {title}" if name else title)
    return lines[1:]


def _with_setting(line: dict) -> str:
    return f"{line['row']} [{line['setting']}]" if line.get("setting") else line["row"]


def _data(line: dict) -> str | None:
    return line.get("data")


def _of_part(lines: list[dict], part: str, title: str) -> list[str]:
    """With a blank line before it; nothing where the part was not measured."""
    columns = [f"{part}_{name}" for name in _ABLATED if any(line.get(f"{part}_{name}") is not None for line in lines)]
    if not columns:
        return []
    lead, rows = columns[0], dict.fromkeys(line["row"] for line in lines)
    head = [title, "seeds", *(name.removeprefix(f"{part}_") for name in columns), "against baseline", "closed"]
    body = [
        [f"`{row}`", str(len(_values(lines, row, lead))), *(_spread(name, _values(lines, row, name)) for name in columns),
         _against(lines, row, lead), _closed(lines, row, lead)]
        for row in rows
    ]  # fmt: skip
    wrong = [f"- `{line['row']}`, seed {line['seed']:.0f}: {line['note']}" for line in lines if line.get("note")]
    return ["", *markdown(head, body), *([""] if wrong else []), *wrong]


def _values(lines: list[dict], row: str, name: str) -> list[float]:
    return [line[name] for line in lines if line["row"] == row and line.get(name) is not None]


def _spread(name: str, values: list[float]) -> str:
    if not values:
        return ""
    middle = number(name, mean(values))
    return f"{middle} ± {number(name, stdev(values))}" if len(values) > 1 else middle


def _against(lines: list[dict], row: str, column: str) -> str:
    """By how much the error changes against the source model's."""
    here, start = _values(lines, row, column), _values(lines, "baseline", column)
    return percent(mean(here) / mean(start) - 1, sign="+") if here and start and row != "baseline" else ""


def _closed(lines: list[dict], row: str, column: str) -> str:
    """The share of the way between the two of _WAY."""
    here, (start, end) = _values(lines, row, column), (_values(lines, name, column) for name in _WAY)
    if not (here and start and end) or row == "baseline" or mean(start) <= mean(end):
        return ""
    return percent((mean(start) - mean(here)) / (mean(start) - mean(end)))


def adaptation(results: dict) -> list[str]:
    """All pictures adapted to: every row with its change against the model as released, by crop protocol."""
    names = ("epe_mm", "pa_mm", "nme")
    head = ["row", *(f"{crop} crops: {name}" if name == names[0] else name for crop in results for name in names)]
    order = dict.fromkeys(line["row"] for lines in results.values() for line in lines)
    rows = [
        [f"`{row}`", *(_changed(lines, row, name) for lines in results.values() for name in names)] for row in order
    ]
    return markdown(head, rows)


def _changed(lines: list[dict], row: str, name: str) -> str:
    values = _values(lines, row, f"adapted_{name}")
    change = "" if name == "pa_mm" else _against(lines, row, f"adapted_{name}")
    return _spread(name, values) + f" ({change})" * bool(change)


def summary(figures: dict[str, dict]) -> list[str]:
    """The README's table: as released, adapted, and MediaPipe."""
    found = {crop: report["sets"][0] for crop, report in figures["accuracy-real"].items()}
    name = found["label"]["name"]
    sets = figures["peers"]["detector"]["sets"]
    theirs = next(row for row in sets if row["predicted_by"] == "mediapipe" and row["name"] == name)
    head = [
        f"real hands, {found['label']['frames']} labelled pictures of one person (labels only measure)",
        "`lite` as released", "adapted to these pictures, without labels", "MediaPipe HandLandmarker",
    ]  # fmt: skip
    rows = _errors(found["label"], figures["adaptation-ge"]["label"], theirs)
    rows.append(_other_poses([line for line in figures["ablation-ge"]["rows"] if not line.get("setting")]))
    missed = [str(found["detector"]["missed"]), "", str(theirs["missed"])]
    return markdown(head, [*rows, ["hands missed, each with its detector", *missed], _frame_times(figures["tracking"])])


def _errors(released: dict, adapted: list[dict], theirs: dict) -> list[list[str]]:
    titles = {
        "epe_mm": "3D error, root and scale known (`epe_mm`)", "pa_mm": "3D error after Procrustes (`pa_mm`)",
        "nme": "2D error over the hand's box (`nme`)",
    }  # fmt: skip
    best = {name: _spread(name, _values(adapted, "robust+detector", f"adapted_{name}")) for name in titles}
    return [
        [title, number(name, released[name]), best[name], number(name, theirs[name])] for name, title in titles.items()
    ]


def _other_poses(lines: list[dict]) -> list[str]:
    cells = [
        ", ".join(_spread(name, _values(lines, row, f"other_{name}")) for name in ("epe_mm", "nme"))
        for row in ("baseline", "robust+detector")
    ]
    return ["other gestures of the same person, adapted on two thirds (`epe_mm`, `nme`)", *cells, ""]


def _frame_times(results: dict) -> list[str]:
    runs = results["bench"]["runs"]
    ours, theirs = (
        " / ".join(f"{run['ms'][stage]['p50']:.1f}" for run in runs) + " ms" for stage in ("followed", "peer")
    )
    return ["time per tracked frame, one / two hands, median in the same run", ours, "the same", theirs]
