"""Live outputs end to end: real sockets on this machine, slow and dead receivers, and none where none was asked for."""

import json
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from semihand.errors import SemihandError
from semihand.outputs import extra, udp
from semihand.outputs.live import LiveOptions, LiveWriter, address, open_outputs
from semihand.outputs.udp import Udp
from semihand.tracker.types import Frame

CAMERA = {"width": 640, "height": 480}
IMAGE = np.zeros((480, 640, 3), np.uint8)


def write(live, hands, times):
    for index, time in enumerate(times):
        live.write(Frame(IMAGE, time, index), hands, {}, CAMERA)


# ---- addresses


@pytest.mark.parametrize(
    "text, where",
    [("5052", ("127.0.0.1", 5052)), ("192.168.1.5:9000", ("192.168.1.5", 9000)), ("[::1]:80", ("::1", 80)),
     ("studio:9000", ("studio", 9000))],
)  # fmt: skip
def test_addresses(text, where):
    assert address("udp", text) == where


@pytest.mark.parametrize("text", ["", "host", "host:", "0", "65536", "-1", "5052:host", "5O52", "٣"])
def test_what_is_no_address(text):
    with pytest.raises(ValueError, match=r"--udp .*: give a port from 1 to 65535, or HOST:PORT"):
        LiveOptions(udp=text)


def test_two_outputs_for_one_address():
    with pytest.raises(ValueError, match="two outputs cannot share one address"):
        LiveOptions(udp="5052", osc="127.0.0.1:5052")
    assert LiveOptions(udp="5052", osc="10.0.0.1:5052").any() and not LiveOptions().any()


def test_a_host_that_is_not_known(monkeypatch):
    def nobody(*_, **__):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(udp.socket, "getaddrinfo", nobody)
    with pytest.raises(SemihandError, match="--udp nowhere:5052: the host nowhere is not known"):
        open_outputs(udp="nowhere:5052")


def test_a_library_that_is_missing(monkeypatch, port):
    def missing(name):
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(extra, "import_module", missing)
    for name, package in (
        ("osc", "python-osc"),
        ("vmc", "python-osc"),
        ("websocket", "websockets"),
        ("leap", "websockets"),
    ):
        with pytest.raises(SemihandError, match=rf"needs {package}. Run: pip install 'semihand\[stream\]'"):
            open_outputs(**{name: port()})


# ---- UDP


def test_datagrams_arrive_and_the_end_says_lost(right, left, receiver):
    there = receiver()
    with LiveWriter(LiveOptions(udp=str(there.port))) as live:
        live.write(Frame(IMAGE, 0.0, 0), [right, left], {"total": 5.0}, CAMERA)
        first = json.loads(there.get())
    assert [hand["state"] for hand in first["hands"]] == ["tracked", "tracked"] and first["ms"] == {"total": 5.0}
    last = json.loads(there.get())
    assert last["hands"] == [] and last["lost"] == [1, 2]
    assert live.notes() == [f"udp: 2 frames sent to 127.0.0.1:{there.port}"]


def test_from_python(right, receiver):
    there = receiver()
    with open_outputs(hts=there.port) as send:
        send(Frame(IMAGE, 0.0, 0), [right])
        assert there.get().startswith(b"Right wrist:, ")


def test_a_port_where_nobody_listens_takes_everything(right, port):
    live = LiveWriter(LiveOptions(udp=str(port()), hts=str(port())))
    write(live, [right], [0.0])
    live.close()
    live.close()
    assert all("frames sent to 127.0.0.1" in note and "not taken" not in note for note in live.notes())


def test_a_network_that_is_away_is_told_once(right, moment, receiver, caplog):
    class Away:
        def sendto(self, *_):
            raise OSError(101, os.strerror(101))

        def close(self):
            """Nothing is open."""

    output = Udp("osc", "127.0.0.1", receiver().port, lambda _: [b"x"])
    output._socket.close()
    output._socket = Away()
    for _ in range(2):
        output.send(moment(right))
        while output._next is not None:  # the thread takes it at once
            threading.Event().wait(0.001)
    output.close()
    assert caplog.text.count("does not take datagrams: Network is unreachable. Tracking goes on.") == 1
    assert output.failed == 2 and "2 not taken by the network" in output.notes()[0]


def test_a_slow_encoder_gets_the_newest_frame_and_drops_are_counted(right, moment, receiver):
    there, free, busy = receiver(), threading.Event(), threading.Event()

    def slow(one):
        busy.set()
        free.wait(20)
        return [str(one.frame.index).encode()]

    output = Udp("udp", "127.0.0.1", there.port, slow)
    output.send(moment(right, time=0.0))
    assert busy.wait(20)
    for index in (1, 2, 3):
        output.send(moment(right, time=index / 30))
    free.set()
    output.close()
    assert [there.get(), there.get()] == [b"0", b"3"]
    assert output.notes() == [f"udp: 2 frames sent to 127.0.0.1:{there.port}, 2 dropped for newer ones"]


def test_a_mistake_in_an_encoder_is_not_swallowed(right, moment, receiver):
    def wrong(_):
        raise KeyError("mistake")

    output = Udp("udp", "127.0.0.1", receiver().port, wrong)
    output.send(moment(right))
    output._thread.join(20)
    with pytest.raises(KeyError, match="mistake"):
        output.send(moment(right))


def test_osc_by_python_oscs_server(right, port):
    server = pytest.importorskip("pythonosc.osc_server")
    dispatcher = pytest.importorskip("pythonosc.dispatcher").Dispatcher()
    got, done = {}, threading.Event()

    def take(address, *values):
        got[address] = values
        if len(got) == 76:
            done.set()

    dispatcher.set_default_handler(take)
    with server.ThreadingOSCUDPServer(("127.0.0.1", 0), dispatcher) as there:
        thread = threading.Thread(target=there.serve_forever)
        thread.start()
        with open_outputs(osc=there.server_address[1]) as send:
            send(Frame(IMAGE, 0.0, 0), [right])
            assert done.wait(20)
        there.shutdown()
        thread.join()
    assert got["/semihand/right/joint/wrist"] == pytest.approx(right.xyz_cam[0].tolist(), abs=1e-6)


# ---- WebSocket


@pytest.fixture
def connect():
    """connect(port, path="/", **options): a client of websockets' own, and a recv that gives up in time."""
    client = pytest.importorskip("websockets.sync.client")
    return lambda port, path="/", **options: client.connect(f"ws://127.0.0.1:{port}{path}", **options)


def until(connection, wanted):
    """The first message that is wanted."""
    while True:
        message = json.loads(connection.recv(timeout=20))
        if wanted(message):
            return message


def pump(live, hands):
    """Writes frames until the returned function is called."""
    stop = threading.Event()

    def run():
        index = 0
        while not stop.wait(0.005):
            live.write(Frame(IMAGE, index / 30, index), hands, {}, CAMERA)
            index += 1

    thread = threading.Thread(target=run)
    thread.start()
    return lambda: (stop.set(), thread.join())


def test_clients_get_header_frames_and_the_end(right, port, connect):
    where = port(socket.SOCK_STREAM)
    live = LiveWriter(LiveOptions(websocket=str(where)))
    live.begin({"format": "semihand-track"})
    with connect(where) as first, connect(where) as second:
        stop = pump(live, [right])
        assert json.loads(first.recv(timeout=20)) == {"format": "semihand-track"}
        for connection in (first, second):
            message = until(connection, lambda one: one.get("hands"))
            assert message["hands"][0]["xyz_m"] == pytest.approx(np.round(right.xyz_cam, 4), abs=1e-9)
        stop()
        closing = threading.Thread(target=live.close)
        closing.start()
        assert until(first, lambda one: one.get("lost"))["hands"] == []
        assert until(second, lambda one: one.get("lost"))["lost"] == [1]
        closing.join(20)
    assert "2 clients" in live.notes()[0]


def test_a_client_that_never_reads_and_one_that_talks_rubbish_change_nothing(right, left, port, connect):
    where = port(socket.SOCK_STREAM)
    with LiveWriter(LiveOptions(websocket=str(where))) as live:
        raw = socket.create_connection(("127.0.0.1", where))
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        raw.sendall(
            b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        noise = socket.create_connection(("127.0.0.1", where))
        noise.sendall(bytes(range(256)) * 10)
        with connect(where) as talker, connect(where) as civil:
            talker.send("{nonsense")
            talker.send(bytes(5000))  # more than anyone may say at once
            stop = pump(live, [right, left])
            for _ in range(60):
                assert until(civil, lambda one: one.get("hands"))["hands"][1]["id"] == 2
            with pytest.raises(Exception, match="1009"):
                while True:
                    talker.recv(timeout=20)
            stop()
        raw.close()
        noise.close()
    assert "frames to 3 clients" in live.notes()[0]


def test_the_page_asks_for_nothing_else(port):
    pytest.importorskip("websockets")
    from urllib.error import HTTPError
    from urllib.request import urlopen

    where = port(socket.SOCK_STREAM)
    with LiveWriter(LiveOptions(websocket=str(where))):
        with urlopen(f"http://127.0.0.1:{where}/", timeout=20) as answer:
            page = answer.read().decode()
            assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
        with pytest.raises(HTTPError, match="404"):
            urlopen(f"http://127.0.0.1:{where}/etc/passwd", timeout=20)
    assert "<canvas" in page and "http:" not in page and "https:" not in page and "src=" not in page


def test_pages_of_other_sites_may_not_read(right, port, connect):
    where = port(socket.SOCK_STREAM)
    with LiveWriter(LiveOptions(websocket=str(where))):
        with connect(where, origin=f"http://127.0.0.1:{where}"), connect(where, origin="http://localhost:3000"):
            pass
        with pytest.raises(Exception, match="403"):
            connect(where, origin="https://example.com")


def test_a_port_in_use(port):
    pytest.importorskip("websockets")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        where = taken.getsockname()[1]
        with pytest.raises(SemihandError, match=rf"--websocket 127.0.0.1:{where}: the port is in use"):
            open_outputs(udp=port(), websocket=where)
    with pytest.raises(SemihandError, match="cannot be served: .*Name an address of this machine"):
        open_outputs(websocket="203.0.113.1:8765")


def test_leap_pages_on_their_path(right, port, connect):
    where = port(socket.SOCK_STREAM)
    with LiveWriter(LiveOptions(leap=str(where))) as live:
        with pytest.raises(Exception, match="404"):
            connect(where, "/v3.json")
        with connect(where, "/v6.json", origin="https://example.com") as page:
            for message in ('{"enableGestures": false}', '{"background": true}', '{"focused": true}', "nonsense"):
                page.send(message)
            stop = pump(live, [right])
            assert json.loads(page.recv(timeout=20))["version"] == 6
            assert json.loads(page.recv(timeout=20))["event"]["type"] == "deviceEvent"
            assert until(page, lambda one: one.get("hands"))["pointables"][1]["handId"] == 1
            stop()


# ---- nothing without being asked


@pytest.mark.skipif(sys.platform != "linux", reason="audit events of sockets are told apart by family here")
def test_sockets_open_only_for_what_was_named(tmp_path, port):
    """Every socket of a whole process is seen by an audit hook: none without an output, one address with --udp."""
    code = """
import sys, socket
def seen(event, arguments):
    if event == "socket.__new__" and arguments[1] in (socket.AF_INET, socket.AF_INET6):
        print("opened", arguments[1].name if hasattr(arguments[1], "name") else arguments[1], file=sys.stderr)
    if event in ("socket.bind", "socket.connect", "socket.sendto") and len(arguments[1]) > 1 and arguments[1] != "":
        print(event, arguments[1], file=sys.stderr)
sys.addaudithook(seen)
import numpy as np
from semihand.kinematics.hand import Motion
from semihand.outputs.live import LiveOptions, LiveWriter
from semihand.tracker.types import Frame, HandPose
xyz = np.random.default_rng(0).uniform(0.1, 0.5, (21, 3))
hands = Motion()([HandPose(1, "left", 0.9, xyz[:, :2], xyz, xyz[:, 2], xyz[:, 2], None, None, None)], 0.0)
live = LiveWriter(LiveOptions(udp=sys.argv[1] or None))
live.write(Frame(None, 0.0, 0), hands, {}, {"width": 640, "height": 480})
live.close()
"""
    where = str(port())
    told = {}
    for argument in ("", where):
        done = subprocess.run(
            [sys.executable, "-c", code, argument], capture_output=True, text=True, timeout=120, check=True
        )
        told[argument] = done.stderr.splitlines()
    assert told[""] == []
    assert told[where][0].startswith("opened") and sum(line.startswith("opened") for line in told[where]) == 1
    assert set(told[where][1:]) == {f"socket.sendto ('127.0.0.1', {where})"}


def test_the_outputs_package_carries_its_page():
    from semihand.outputs import live

    assert Path(live.__file__).with_name("page.html").is_file()
