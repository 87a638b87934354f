"""An ablation in a process of its own that waits in the middle of its third run, so that a test can end it there.

Arguments: a JSON file with the options.
"""

import json
import sys
import time
from pathlib import Path

from semihand.adapt.finetune import Finetuning
from semihand.evaluate.ablate import run as ablate
from semihand.evaluate.ablate.run import AblateOptions, run_ablation
from semihand.evaluate.ablate.target import cut_target


class NoHands:
    def __call__(self, image):
        return []

    def near(self, image, uv_image, known=None):
        return known


if __name__ == "__main__":
    given = json.loads(Path(sys.argv[1]).read_text())
    options = AblateOptions(**{**given, **{name: Path(given[name]) for name in ("data", "pictures", "results")}})
    ablate.cut_target = lambda *args, **more: cut_target(*args, observer=NoHands(), **more)
    step, runs = Finetuning.descend, []

    def descend(self, losses):
        if self not in runs:
            runs.append(self)
        if len(runs) == 2:  # the source as it is trains nothing
            options.results.with_name("waiting").touch()
            time.sleep(120)
        return step(self, losses)

    Finetuning.descend = descend
    outcome = run_ablation(options)
    print(outcome.finished, outcome.text)
