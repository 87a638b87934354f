"""The page of `--websocket` in a headless Chromium: it shows the hands, says what they do, and asks nobody else for anything."""

import base64
import json
import shutil
import socket
import subprocess
import threading
import time
from contextlib import ExitStack, contextmanager

import cv2
import numpy as np
import pytest

from semihand.outputs.live import LiveOptions, LiveWriter
from semihand.tracker.types import Frame

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
WAIT = 60.0
#: The page's colours of thumb, index and little finger, BGR.
COLORS = np.array([[60, 90, 255], [40, 190, 255], [255, 90, 200]])

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here to open the page in")


class Page:
    """One tab, spoken to by the DevTools protocol. asked: addresses that the page wanted something from."""

    def __init__(self, connection):
        self._socket, self._number, self.asked = connection, 0, []

    def call(self, method, **params):
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": params}))
        while True:
            message = json.loads(self._socket.recv(timeout=WAIT))
            if message.get("method") == "Network.requestWillBeSent":
                self.asked.append(message["params"]["request"]["url"])
            elif message.get("method") == "Network.webSocketCreated":
                self.asked.append(message["params"]["url"])
            if message.get("id") == self._number:
                return message["result"]

    def text(self):
        found = self.call("Runtime.evaluate", expression="document.getElementById('text')?.textContent")
        return found["result"].get("value", "")

    def wait_for(self, words):
        end = time.monotonic() + WAIT
        while words not in (shown := self.text()):
            assert time.monotonic() < end, f"the page says {shown!r}"
            time.sleep(0.05)
        return shown

    def picture(self):
        """(H, W, 3) BGR of what the tab shows."""
        data = base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])
        return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)


@contextmanager
def opened(address, folder):
    """A browser with the page of `address`, which knows no other host."""
    client = pytest.importorskip("websockets.sync.client")
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", f"--user-data-dir={folder}",
               "--disable-background-networking", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
               "--remote-debugging-port=0", "--window-size=900,700", "about:blank"]  # fmt: skip
    browser = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        port = _port_of(folder / "DevToolsActivePort")
        with client.connect(_tab(port), max_size=None, compression=None) as connection:
            page = Page(connection)
            for domain in ("Network", "Page", "Runtime"):
                page.call(f"{domain}.enable")
            page.call("Page.navigate", url=address)
            yield page
    finally:
        browser.kill()
        browser.wait()


def _port_of(file):
    end = time.monotonic() + WAIT
    while not (file.is_file() and "\n" in file.read_text()):
        assert time.monotonic() < end, "the browser did not start"
        time.sleep(0.05)
    return int(file.read_text().splitlines()[0])


def _tab(port):
    from urllib.request import urlopen

    with urlopen(f"http://127.0.0.1:{port}/json/list", timeout=WAIT) as answer:
        return next(tab["webSocketDebuggerUrl"] for tab in json.load(answer) if tab["type"] == "page")


@contextmanager
def sending(where, hands):
    """`--websocket` on a port, with a frame thirty times a second."""
    stop = threading.Event()
    with LiveWriter(LiveOptions(websocket=str(where))) as live:

        def run():
            index = 0
            while not stop.wait(1 / 30):
                frame = Frame(np.zeros((480, 640, 3), np.uint8), index / 30, index)
                live.write(frame, list(hands), {}, {"width": 640, "height": 480})
                index += 1

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()


def drawn(picture):
    """How many pixels have each of COLORS, nearly."""
    return [(np.abs(picture.astype(int) - color).max(-1) < 30).sum() for color in COLORS]


def test_the_page_shows_the_hands_and_asks_nobody_else(right, left, port, tmp_path):
    pytest.importorskip("websockets")
    where, hands = port(socket.SOCK_STREAM), [right, left]
    with sending(where, hands), opened(f"http://127.0.0.1:{where}/", tmp_path / "browser") as page:
        shown = page.wait_for("left")
        first = right.palm_position * 1000
        assert "right  tracked" in shown and f"{round(first[0]):5d}{round(first[1]):5d}{round(first[2]):5d} mm" in shown
        picture = page.picture()
        assert min(drawn(picture)) > 50
        hands.clear()
        page.wait_for("no hand")
        assert max(drawn(page.picture())) == 0
        assert page.asked and all(url.split("://")[1].startswith(f"127.0.0.1:{where}/") for url in page.asked)


def test_the_page_waits_for_semihand_and_finds_it_again(right, port, tmp_path):
    pytest.importorskip("websockets")
    where = port(socket.SOCK_STREAM)
    with ExitStack() as stack:
        with sending(where, [right]):
            page = stack.enter_context(opened(f"http://127.0.0.1:{where}/", tmp_path / "browser"))
            page.wait_for("right")
        page.wait_for("waiting for semihand")
        with sending(where, [right]):
            page.wait_for("right")
