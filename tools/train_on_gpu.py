"""Train the released networks on a lent GPU within a few minutes: all cores render while the GPU trains on what is ready.

    python tools/train_on_gpu.py pack cache/people people.npz                 # at home: a pool small enough to travel
    python tools/train_on_gpu.py unpack people.npz /dev/shm/people            # there
    python tools/train_on_gpu.py render /dev/shm/pictures --backgrounds backgrounds &
    python tools/train_on_gpu.py train OUT --pictures /dev/shm/pictures --pool /dev/shm/people --backgrounds backgrounds
    python tools/train_on_gpu.py speed OUT

`train` runs two rounds of `semihand pretrain` for base, between which the network labels the pool anew, and one for
lite. In OUT lie weights in 16 bits, logs, and a table of the networks' time on the GPU.
Each round takes about a minute more than its --seconds: start, copying the pictures to the GPU, labelling.
A rehearsal on a CPU: `render pictures --count 256`, `train OUT --seconds 20 20 20 --batch 8 --device cpu`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

SEMIHAND = [sys.executable, "-m", "semihand"]
#: Lossy coding of a travelling pool's pictures.
QUALITY = 92


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    for name, run, (first, second) in (("pack", pack, ("pool", "file")), ("unpack", unpack, ("file", "pool"))):
        command = commands.add_parser(name)
        command.add_argument(first, type=Path)
        command.add_argument(second, type=Path)
        command.set_defaults(run=run)
    command = commands.add_parser("render")
    command.add_argument("pictures", type=Path, help="folder in memory to render into")
    command.add_argument("--count", type=int, default=400_000)
    command.add_argument("--seed", type=int, default=1)
    command.add_argument("--workers", type=int, default=max(1, (os.cpu_count() or 2) - 1))
    command.add_argument("--backgrounds", type=Path)
    command.set_defaults(run=render)
    command = commands.add_parser("train")
    command.add_argument("out", type=Path)
    command.add_argument("--pictures", type=Path, required=True)
    command.add_argument("--pool", type=Path, required=True)
    command.add_argument("--backgrounds", type=Path)
    command.add_argument("--seconds", type=float, nargs=3, default=[150, 160, 60], help="of base, base again, and lite")
    command.add_argument("--share", type=float, default=0.4, help="of base's own answers in the pool's labels")
    command.add_argument("--batch", type=int, default=256)
    command.add_argument("--device", default="cuda")
    command.set_defaults(run=train)
    command = commands.add_parser("speed")
    command.add_argument("out", type=Path)
    command.add_argument("--device", default="cuda")
    command.set_defaults(run=speed)
    options = parser.parse_args()
    options.run(options)


def pack(options: argparse.Namespace) -> None:
    """One file of a pool, its pictures as WebP and its masks as PNG, without those that nobody uses."""
    import cv2

    folder = options.pool
    arrays = {path.stem: np.load(path, mmap_mode="r") for path in folder.glob("*.npy")}
    used = np.flatnonzero(arrays["weight"].mean(axis=1) > 0.3)
    packed = {"record": np.frombuffer((folder / "pool.json").read_bytes(), np.uint8)}
    for name, values in arrays.items():
        if values.dtype != np.uint8:
            packed[name] = values[used]
            continue
        kind, quality = (".webp", [cv2.IMWRITE_WEBP_QUALITY, QUALITY]) if values.ndim == 4 else (".png", [])
        coded = [cv2.imencode(kind, values[row], quality)[1].ravel() for row in used]
        packed[f"{name}.coded"] = np.concatenate(coded)
        packed[f"{name}.ends"] = np.cumsum([len(one) for one in coded])
    np.savez(options.file, **packed)
    print(f"{len(used)} crops in {options.file}, {options.file.stat().st_size / 1e6:.1f} MB")


def unpack(options: argparse.Namespace) -> None:
    """The folder that a packed pool was made of."""
    import cv2

    packed = np.load(options.file)
    options.pool.mkdir(parents=True, exist_ok=True)
    for name in packed.files:
        if name.endswith(".coded"):
            parts = np.split(packed[name], packed[name.replace("coded", "ends")][:-1])
            values = np.stack([cv2.imdecode(part, cv2.IMREAD_UNCHANGED) for part in parts])
        elif name.endswith(".ends") or name == "record":
            continue
        else:
            values = packed[name]
        np.save(options.pool / f"{name.removesuffix('.coded')}.npy", values)
    (options.pool / "pool.json").write_bytes(packed["record"].tobytes())


def render(options: argparse.Namespace) -> None:
    """Validation pictures, then `count` others, which a training may read while they are being rendered."""
    given = ["--workers", str(options.workers)]
    given += ["--backgrounds", str(options.backgrounds)] if options.backgrounds else []
    validation, pictures = options.pictures / "validation", options.pictures / "training"
    few = str(min(1024, options.count))
    _run(*SEMIHAND, "synth", "cache", "--out", validation, "--count", few, "--seed", "9000", "--upright", "1", *given)
    _run(*SEMIHAND, "synth", "cache", "--out", pictures, "--count", options.count, "--seed", options.seed, *given)


def train(options: argparse.Namespace) -> None:
    """base twice, the second time with labels that it helped to make, then lite."""
    options.out.mkdir(parents=True, exist_ok=True)
    weights = Path(__file__).parent.parent / "models" / "weights"
    first, second, small = options.seconds
    base1, base2, lite = (options.out / name for name in ("base1", "base2", "lite"))
    _pretrain(options, base1, "base", weights / "base.safetensors", first, 0.3, "--rate", 2e-3, "--encoder-rate", 2e-4)
    _label(options, base1 / "base.safetensors")
    _pretrain(
        options,
        base2,
        "base",
        base1 / "base.safetensors",
        second,
        0.6,
        "--seed",
        1,
        "--rate",
        1.5e-3,
        "--encoder-rate",
        1.5e-4,
    )
    _label(options, base2 / "base.safetensors")
    _pretrain(options, lite, "lite", weights / "lite.safetensors", small, 0.6, "--rate", 2e-3)
    for path in options.out.glob("*/*.pt"):
        path.unlink()  # too large to bring back


def _pretrain(options, out: Path, network: str, init: Path, seconds: float, decay: float, *more) -> None:
    places = ["--backgrounds", options.backgrounds] if options.backgrounds else []
    _run(
        *SEMIHAND, "pretrain", "--network", network, "--out", out, "--init", init, "--pool", options.pool, *places,
        "--pictures", options.pictures / "training", "--rendering", "--validation", options.pictures / "validation",
        "--minutes", seconds / 60, "--decay", decay, "--people", 0.5, "--validate-every", 1, "--batch", options.batch,
        "--device", options.device, *more,
    )  # fmt: skip


def _label(options, network: Path) -> None:
    _run(
        *SEMIHAND, "pool", "--out", options.pool, "--network", network, "--share", options.share,
        "--device", options.device,
    )  # fmt: skip


def speed(options: argparse.Namespace) -> None:
    """Milliseconds of every network on the device for one and two crops, from pixels to joints; prints a table."""
    import torch

    from semihand.models.decode import decode
    from semihand.models.network import BASE, LITE, PAPER, Hourglass, normalise

    gpu = options.device == "cuda"
    rows = []
    for config in (BASE, LITE, PAPER):
        network = Hourglass(config).eval().to(options.device, memory_format=torch.channels_last)
        for hands in (1, 2, 64):
            for bits in (32, 16) if gpu else (32,):
                pixels = torch.randint(0, 256, (hands, 3, config.input_size, config.input_size), dtype=torch.uint8)
                times = _times(network, pixels, bits, options.device, decode, normalise)
                rows.append({
                    "network": config.name, "hands": hands, "bits": bits, "p50_ms": round(float(np.median(times)), 3),
                    "p99_ms": round(float(np.quantile(times, 0.99)), 3),
                })  # fmt: skip
                print(json.dumps(rows[-1]), flush=True)
    told = {"device": torch.cuda.get_device_name() if gpu else "cpu", "torch": torch.__version__, "rows": rows}
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "speed.json").write_text(json.dumps(told, indent=1))


def _times(network, pixels, bits: int, device: str, decode, normalise) -> list[float]:
    """Milliseconds from pixels in the computer's memory to joints there, of 200 calls after 30."""
    import time

    import torch

    times = []
    for _ in range(230 if device == "cuda" else 12):
        clock = time.perf_counter()
        with torch.inference_mode(), torch.autocast(device, torch.float16, enabled=bits == 16):
            answer = decode(network(normalise(pixels.to(device)))[-1])
            answer.uv.cpu(), answer.depth.cpu()
        times.append(1000 * (time.perf_counter() - clock))
    return times[30 if device == "cuda" else 2 :]


def _run(*command) -> None:
    words = [str(word) for word in command]
    print("$", *words, flush=True)
    subprocess.run(words, check=True)


if __name__ == "__main__":
    main()
