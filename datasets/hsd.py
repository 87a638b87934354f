"""HSD, the data set that the SemiHand paper recorded (Yang, Chen, Yao, ICCV 2021). It was never released.

The paper describes four sequences of about 20 000 frames each with 3D labels; the first two train, the last two
test. No file layout was ever published, so the reader takes the project's own: four folders, each a sequence
folder (sequence.json and images/, see `datasets.sequence`), in the order of their names. Whoever has the
recordings can write them so with `SequenceWriter`.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ..errors import SemihandError
from .reader import Reader
from .sequence import FILE_NAME, Sequence, read_sequence

TITLE = "HSD"
COUNT = 4
PARTS = {"test": slice(2, 4), "train": slice(0, 2), "all": slice(0, 4)}


def read(folder: Path, split: str) -> Sequence:
    """One split of the four sequence folders. Raises SemihandError where they are not there."""
    recordings = sorted(file.parent for file in folder.glob(f"*/{FILE_NAME}"))
    if len(recordings) != COUNT:
        raise SemihandError(
            f"{TITLE} was never released by its authors (Yang, Chen and Yao, ICCV 2021, describe it). Looked for "
            f"{COUNT} sequence folders, {folder}/*/{FILE_NAME}, and found {len(recordings)}."
        )
    frames = []
    for recording in recordings[PARTS[split]]:
        sequence = read_sequence(recording)
        frames += [replace(frame, gesture=frame.gesture or sequence.name) for frame in sequence.frames]
    return Sequence(
        f"HSD {split}", folder, tuple(frames), source="Yang, Chen, Yao, ICCV 2021", licence="never released"
    )


READER = Reader("hsd", TITLE, tuple(PARTS), (), read)
