"""Train networks on a lent GPU within a few minutes: all cores render into memory while the GPU trains on what is ready.

    python tools/train_on_gpu.py --out OUT --minutes 8 --pool cache/people --backgrounds backgrounds
    python tools/train_on_gpu.py --out /tmp/out --minutes 0.3 --chunk 256 --device cpu --batch 4 --workers 1   # a rehearsal

Every network of --networks gets its share of the minutes: legs of `semihand pretrain`, each on all the chunks of
pictures that are finished when it starts, the last one with the way down of the learning rate. At the end the weights are
exported, their speed is measured on the device, and 16-bit weights, model files and logs lie in OUT.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

SEMIHAND = [sys.executable, "-m", "semihand"]
#: Share of a network's minutes in which its learning rate goes down.
DECAY = 0.35


def main() -> None:
    options = _options()
    options.out.mkdir(parents=True, exist_ok=True)
    end = time.monotonic() + 60 * options.minutes
    renderer = Renderer(options)
    try:
        for number, network in enumerate(options.networks):
            left = (end - time.monotonic()) / 60
            train(network, left / (len(options.networks) - number), renderer, options)
    finally:
        renderer.stop()
    for network in options.networks:
        finish(network, options)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=8.0, help="for rendering and training together")
    parser.add_argument("--networks", nargs="+", default=["base", "paper"])
    parser.add_argument("--pool", type=Path, help="of `semihand pool`, for base")
    parser.add_argument("--backgrounds", type=Path)
    parser.add_argument(
        "--pictures", type=Path, default=Path("/dev/shm/semihand"), help="folder in memory to render into"
    )
    parser.add_argument(
        "--chunk", type=int, default=16384, help="pictures that are rendered before they are trained on"
    )
    parser.add_argument("--workers", type=int, default=max(1, (os.cpu_count() or 2) - 1))
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--device", default="cuda")
    return parser.parse_args()


class Renderer:
    """Renders chunk after chunk beside the training; the first chunk, and the validation pictures, before it."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options, self._started = options, 0
        self.validation = options.pictures / "validation"
        _run(*self._command(self.validation, min(1024, options.chunk), 9000, "--upright", "1"))
        self._running = self._start()
        self._running.wait()

    def finished(self) -> list[Path]:
        """Folders of all chunks that are complete; starts the next chunk when one was completed."""
        if self._running.poll() is not None:
            if self._running.returncode:
                raise SystemExit(f"Rendering ended with exit code {self._running.returncode}.")
            self._running = self._start()
        return [self._folder(number) for number in range(self._started - 1)]

    def stop(self) -> None:
        self._running.terminate()
        self._running.wait()

    def _start(self) -> subprocess.Popen:
        command = self._command(self._folder(self._started), self._options.chunk, 1 + self._started)
        self._started += 1
        return subprocess.Popen(command, stdout=subprocess.DEVNULL)

    def _folder(self, number: int) -> Path:
        return self._options.pictures / f"chunk-{number}"

    def _command(self, out: Path, count: int, seed: int, *more: str) -> list[str]:
        given = ["--backgrounds", str(self._options.backgrounds)] if self._options.backgrounds else []
        return [
            *SEMIHAND, "synth", "cache", "--out", str(out), "--count", str(count), "--seed", str(seed),
            "--workers", str(self._options.workers), *given, *more,
        ]  # fmt: skip


def train(network: str, minutes: float, renderer: Renderer, options: argparse.Namespace) -> None:
    """Legs of a pre-training that together take `minutes`: at the full rate first, each on more pictures, then down."""
    legs = max(1, round(minutes * (1 - DECAY)))
    for leg in range(1, legs + 1):
        spent = minutes * (1 - DECAY) * leg / legs
        budget, decay = (minutes, DECAY) if leg == legs else (spent / (1 - 1e-3), 1e-3)
        pictures = [argument for folder in renderer.finished() for argument in ("--pictures", str(folder))]
        people = ["--pool", str(options.pool)] if options.pool and network == "base" else []
        _run(
            *SEMIHAND, "pretrain", "--network", network, "--out", str(options.out / network), *pictures, *people,
            "--validation", str(renderer.validation), "--minutes", str(budget), "--decay", str(decay),
            "--batch", str(options.batch), "--device", options.device, *(["--resume"] if leg > 1 else []),
        )  # fmt: skip


def finish(network: str, options: argparse.Namespace) -> None:
    """Model file and speed. What training needs to go on is too large to bring back."""
    folder = options.out / network
    weights, model = folder / f"{network}.safetensors", folder / f"{network}.onnx"
    _run(*SEMIHAND, "export", str(weights), "--out", str(model))
    _run(*SEMIHAND, "bench", "--model", str(model), "--device", options.device, check=False)
    for state in folder.glob("*.pt"):
        state.unlink()


def _run(*command: str, check: bool = True) -> None:
    print("$", *command, flush=True)
    subprocess.run(command, check=check)


if __name__ == "__main__":
    main()
