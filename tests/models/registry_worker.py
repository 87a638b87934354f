"""Installs models in processes of their own, for tests that kill them.

Reads one JSON order a line and forks a process for it, which starts in milliseconds because all is loaded already.
That process prints "pid N", then "ready" after its first install; this one prints "ended CODE" once it is over.
"""

import json
import os
import signal
import sys
from pathlib import Path

from semihand.models.registry import PROVENANCE_KEYS, install, rollback

PROVENANCE = dict.fromkeys(PROVENANCE_KEYS)
#: Python reports these before it does them.
FILE_EVENTS = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "shutil.copyfile", "shutil.rmtree"}


def put(file, name="anna"):
    """Install FILE.onnx with FILE.safetensors."""
    return install(f"{file}.onnx", name, PROVENANCE, f"{file}.safetensors")


def die_before(step):
    """From now on, be killed just before the step-th thing that is done to a file of the data folder."""
    seen, data = 0, os.environ["SEMIHAND_DATA"]

    def hook(event, arguments):
        nonlocal seen
        paths = [value for value in arguments if isinstance(value, (str, Path))]
        if event in FILE_EVENTS and any(str(path).startswith(data) for path in paths):
            seen += 1
            if seen == step:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def obey(order):
    print("pid", os.getpid(), flush=True)
    if "die_before" in order:
        die_before(order["die_before"])
    if order["do"] == "rollback":
        rollback("anna")
    for count in range(order.get("times", 1) if order["do"] == "install" else 0):
        put(order["files"][count % len(order["files"])], order.get("name", "anna"))
        if not count:
            print("ready", flush=True)


def main():
    for line in sys.stdin:
        pid = os.fork()
        if not pid:
            obey(json.loads(line))
            os._exit(0)
        print("ended", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


if __name__ == "__main__":
    main()
