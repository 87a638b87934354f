"""Pre-training in two processes and from the command line."""

import csv
import os
import subprocess
import sys

import pytest
import torch
from torch.testing import assert_close
from typer.testing import CliRunner

from semihand import cli
from semihand.errors import SemihandError
from semihand.models.checkpoint import load_checkpoint, load_training_state

SCRIPT = """
import sys
import torch
from dataclasses import replace
from semihand.pretrain.run import PretrainConfig, Pretraining
from semihand.models.network import NetworkConfig
from semihand.synth.cache import open_cache

torch.set_num_threads(1)
pictures, out = open_cache(sys.argv[1]), sys.argv[2]
micro = NetworkConfig("micro", input_size=128, stem="stride4", widths=(16, 16), stacks=1, bottleneck_min=16)
config = PretrainConfig(samples=48, batch=4, bf16=False, warmup_steps=2, train_size=32, validate_every_s=1e9)
run = Pretraining(out, micro, config, pictures, pictures, "cpu")
run.run()
timed = Pretraining(out + "/timed", micro, replace(config, samples=None, minutes=0.005), pictures, pictures, "cpu")
timed.run()
torch.save({"weights": dict(run.network.named_parameters()), "step": run.step, "samples": run.samples,
            "timed_steps": timed.step}, f"{out}/rank{run.process.rank}.pt")
"""


@pytest.mark.slow
def test_two_processes_end_with_the_same_weights(picture_folder, tmp_path):
    script, out = tmp_path / "train.py", tmp_path / "run"
    script.write_text(SCRIPT)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
               str(script), str(picture_folder), str(out)]  # fmt: skip
    done = subprocess.run(
        command, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr[-3000:]
    one, two = (torch.load(out / f"rank{rank}.pt") for rank in range(2))
    assert one["step"] == two["step"] == 6
    assert one["samples"] == two["samples"] == 48
    assert one["timed_steps"] == two["timed_steps"] >= 1
    assert_close(one["weights"], two["weights"], atol=0, rtol=0)
    state = load_training_state(out / "state.pt")
    assert state.samples_seen == 48
    with open(out / "validation.csv", newline="") as file:
        assert len(list(csv.DictReader(file))) == 1  # one process writes


def test_command_without_a_budget_says_so_and_exits_1(picture_folder, tmp_path, monkeypatch, capsys):
    arguments = ["--out", tmp_path / "run", "--pictures", picture_folder, "--validation", picture_folder]
    monkeypatch.setattr(sys, "argv", ["semihand", "pretrain", *map(str, arguments)])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 1
    said = capsys.readouterr().err
    assert said.startswith("semihand: Pre-training needs either --samples or --minutes") and "Traceback" not in said
    assert not (tmp_path / "run").exists()


def test_command_trains_and_writes_weights(picture_folder, tmp_path):
    arguments = ["pretrain", "--network", "lite", "--out", tmp_path / "run", "--pictures", picture_folder, "--validation", picture_folder,
                 "--samples", 4, "--batch", 2, "--train-size", 32, "--device", "cpu", "--fp32", "--seed", 7]  # fmt: skip
    result = CliRunner().invoke(cli.app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    told = load_checkpoint(tmp_path / "run" / "lite.safetensors").info.provenance
    assert told["samples_seen"] == 4 and told["seed"] == 7 and told["training"]["train_size"] == 32
    again = CliRunner().invoke(cli.app, [str(argument) for argument in arguments])
    assert isinstance(again.exception, SemihandError) and "--resume" in str(again.exception)


def test_command_without_pictures_says_how_to_render_them(tmp_path):
    arguments = [
        "pretrain",
        "--out",
        tmp_path / "run",
        "--pictures",
        tmp_path,
        "--validation",
        tmp_path,
        "--samples",
        4,
    ]
    result = CliRunner().invoke(cli.app, [str(argument) for argument in arguments])
    assert isinstance(result.exception, SemihandError) and "semihand synth cache" in str(result.exception)
