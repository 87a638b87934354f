"""Real processes that are killed while they install, and that install at the same time."""

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from semihand.models.model_file import open_model, personal_models_dir
from semihand.models.record import read_record
from semihand.models.registry import PROVENANCE_KEYS, find, install, rollback

pytestmark = pytest.mark.skipif(os.name == "nt", reason="needs kill -9 and a fork server")

SHADES = (0.25, 0.5)


class Server:
    """The script that starts installing processes."""

    def __init__(self):
        script = Path(__file__).with_name("registry_worker.py")
        self._process = subprocess.Popen(
            [sys.executable, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def start(self, **order):
        """Returns the process's id."""
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return int(self.says("pid"))

    def says(self, word):
        """Wait for the next line; returns what stands behind its first word."""
        line = self._process.stdout.readline()
        assert line.startswith(word), line
        return line[len(word) :].strip()

    def ended(self):
        """Wait for the process's end; returns its exit status."""
        line = self._process.stdout.readline()
        return int((line if line.startswith("ended") else self._process.stdout.readline()).split()[1])

    def close(self):
        self._process.stdin.close()
        self._process.wait(60)
        self._process.stdout.close()


@pytest.fixture
def server(new):
    server = Server()
    yield server
    server.close()


@pytest.fixture
def new(toy_model, toy_weights, tmp_path, monkeypatch):
    """Folder with a model and its weights for each of SHADES; the first is installed as anna."""
    monkeypatch.setenv("SEMIHAND_DATA", str(tmp_path / "data"))
    for shade in SHADES:
        toy_model(tmp_path / f"{shade}.onnx", shade)
        toy_weights(tmp_path / f"{shade}.safetensors", shade)
    put(tmp_path, SHADES[0])
    return tmp_path


def put(folder, shade):
    file = folder / f"{shade}.onnx"
    return install(file, "anna", dict.fromkeys(PROVENANCE_KEYS), folder / f"{shade}.safetensors")


def shade_in_use(name="anna"):
    """Which model answers, after proof that its weights and its record are its own and that all of it is whole."""
    model = find(name)
    opened = open_model(model.path, "cpu", threads=1)
    shade = round(float(opened.run(np.zeros((1, 64, 64, 3), np.uint8))[3].mean()), 4)
    assert model.record["sha256"] == opened.sha256 == hashlib.sha256(model.path.read_bytes()).hexdigest()
    assert np.frombuffer(model.checkpoint.read_bytes()[-16:], np.float32).tolist() == [shade] * 4
    assert model.record["version"] == model.version
    return shade


def test_killed_at_any_moment(server, new):
    rng, versions = random.Random(0), set()
    for _ in range(25):
        files = [str(new / str(shade)) for shade in SHADES[::-1]]
        pid = server.start(do="install", files=files, times=10_000)
        server.says("ready")
        time.sleep(rng.uniform(0, 0.08))
        os.kill(pid, signal.SIGKILL)
        assert server.ended() == -signal.SIGKILL
        assert shade_in_use() in SHADES
        versions.add(find("anna").version)
    assert len(versions) == 25
    last = put(new, SHADES[1])
    assert shade_in_use() == SHADES[1] and not list(personal_models_dir().rglob("*.part"))
    assert rollback("anna").version == last.record["previous"]
    assert shade_in_use() in SHADES


def kill_at_every_step(server, **order):
    """Yields after each death, one step later each time, until the process comes to its end."""
    for step in range(1, 200):
        server.start(die_before=step, **order)
        status = server.ended()
        assert status in (0, -signal.SIGKILL)
        yield step, status == 0
        if status == 0:
            return
    raise AssertionError("it never came to its end")


def test_killed_before_every_step_of_an_install(server, new):
    shades = []
    for step, ended in kill_at_every_step(server, do="install", files=[str(new / str(SHADES[1]))]):
        shades.append(shade_in_use())
        if not ended and shades[-1] == SHADES[1]:
            rollback("anna", 1)
    assert step > 15 and shades[0] == SHADES[0] and shades[-1] == SHADES[1]
    assert set(shades) == set(SHADES)


def test_killed_before_every_step_of_a_rollback(server, new):
    put(new, SHADES[1])
    shades = []
    for step, ended in kill_at_every_step(server, do="rollback"):
        shades.append(shade_in_use())
        if not ended and shades[-1] == SHADES[0]:
            rollback("anna", 2)
    assert step > 5 and shades[0] == SHADES[1] and shades[-1] == SHADES[0]


def test_killed_before_every_step_of_a_first_install(server, new):
    seen, files = set(), [str(new / str(SHADES[1]))]
    for _, ended in kill_at_every_step(server, do="install", files=files, name="bob"):
        pointer = personal_models_dir() / "bob" / "current"
        seen.add(pointer.exists())
        assert not pointer.exists() or shade_in_use("bob") == SHADES[1]
        assert shade_in_use("anna") == SHADES[0]
    assert seen == {False, True} and ended


def test_two_installs_at_the_same_time(server, new):
    servers = [server, Server()]
    for one, shade in zip(servers, SHADES):
        one.start(do="install", files=[str(new / str(shade))], times=8)
    end = time.monotonic() + 30
    while find("anna").version < 17 and time.monotonic() < end:
        assert shade_in_use() in SHADES  # a reader finds a whole model all the time
    assert [one.ended() for one in servers] == [0, 0]
    servers[1].close()
    model = find("anna")
    assert model.versions == tuple(range(1, 18)) and model.version == 17
    records = [read_record(model.version_file(number)) for number in model.versions]
    assert [record["previous"] for record in records] == [None, *range(1, 17)]
    found = [model.version_file(n).read_bytes() for n in model.versions]
    assert [found.count((new / f"{shade}.onnx").read_bytes()) for shade in SHADES] == [9, 8]
