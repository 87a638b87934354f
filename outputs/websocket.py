"""A WebSocket server: every client gets the newest frame that it has time for. Its loop runs in a thread of its own."""

from __future__ import annotations

import asyncio
import errno
import logging
import re
import threading
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus

from ..errors import SemihandError
from .extra import need
from .lost import Moment

logger = logging.getLogger(__name__)

#: Pages that may read the plain stream: those of this machine. Programs send no origin.
LOCAL_PAGES = [None, re.compile(r"https?://(localhost|127\.0\.0\.1|\[::1\])(:\d+)?")]
#: A client that sends more bytes at once, or more messages in all, is shown out; none of ours has much to say.
_MAX_BYTES, _MAX_MESSAGES = 4096, 1000
_POLICY = 1008
#: Seconds that a client has to take the last message.
_FAREWELL = 0.5


class _Client:
    """The newest text for one client; `delivered` is set while nothing waits."""

    def __init__(self) -> None:
        self.dropped = 0
        self.delivered = asyncio.Event()
        self.delivered.set()
        self._fresh = asyncio.Event()
        self._text = ""

    def offer(self, text: str) -> None:
        self.dropped += self._fresh.is_set()
        self._text = text
        self._fresh.set()
        self.delivered.clear()

    async def take(self) -> str:
        if not self._fresh.is_set():
            self.delivered.set()
        await self._fresh.wait()
        self._fresh.clear()
        return self._text


class WebSocketServer:
    """Serves `encode(moment)` to all clients on one port, and a page to browsers that ask for one."""

    def __init__(
        self,
        name: str,
        host: str,
        port: int,
        encode: Callable[[Moment], str],
        hello: Callable[[], list[str]] = list,
        path: str | None = None,
        page: str | None = None,
        origins: list | None = None,
    ) -> None:
        """name: of the output, for messages. hello: what a new client is told first. path: the only one, None for any.

        page: HTML for browsers. origins: of pages that may connect, None for all.
        Raises SemihandError where websockets is missing, the port is in use or the host is not this machine's.
        """
        self._server, self._closed = need("websockets.asyncio.server"), need("websockets.exceptions").ConnectionClosed
        self.name, self.where = name, f"{host}:{port}"
        self._encode, self._hello, self._path, self._page = encode, hello, path, page
        self._clients: set[_Client] = set()
        self._served = self._frames = self._dropped = 0
        self._next: Moment | None = None
        self._guard = threading.Lock()
        self._broken: BaseException | None = None
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._started = threading.Event()
        self._refused: OSError | None = None
        self._thread = threading.Thread(
            target=self._run, args=(host, port, origins), name=f"semihand-{name}", daemon=True
        )
        self._thread.start()
        self._started.wait()
        if self._refused:
            self._thread.join()
            raise SemihandError(_cannot_serve(name, host, port, self._refused)) from self._refused

    def send(self, moment: Moment) -> None:
        """Hand a frame over; never waits for a client."""
        if self._broken:
            raise self._broken
        if not self._clients:
            return
        with self._guard:
            waiting, self._next = self._next is not None, moment
        self._dropped += waiting
        if not waiting:
            self._loop.call_soon_threadsafe(self._publish)

    def close(self) -> None:
        """Tell the clients what was handed over last, and end."""
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def notes(self) -> list[str]:
        """How many clients there were, and what they got."""
        dropped = f", {self._dropped} dropped for newer ones" if self._dropped else ""
        return [f"{self.name}: {self._frames} frames to {self._served} clients of {self.where}{dropped}"]

    def _run(self, host: str, port: int, origins: list | None) -> None:
        try:
            self._loop.run_until_complete(self._serve(host, port, origins))
        finally:
            self._started.set()
            self._loop.close()

    async def _serve(self, host: str, port: int, origins: list | None) -> None:
        try:
            server = await self._server.serve(
                self._attend, host, port, origins=origins, process_request=self._answer, compression=None,
                max_size=_MAX_BYTES, max_queue=4, write_limit=16384, close_timeout=_FAREWELL, server_header=None,
            )  # fmt: skip
        except OSError as error:
            self._refused = error
            return
        self._started.set()
        await self._stop.wait()
        self._publish()
        with suppress(asyncio.TimeoutError):
            waiting = [client.delivered.wait() for client in self._clients]
            await asyncio.wait_for(asyncio.gather(*waiting), _FAREWELL)
        server.close()
        await server.wait_closed()

    def _publish(self) -> None:
        with self._guard:
            moment, self._next = self._next, None
        if moment is None or not self._clients:
            return
        try:
            text = self._encode(moment)
        except Exception as error:  # a mistake of ours: `send` raises it
            self._broken = error
            return
        self._frames += 1
        for client in self._clients:
            client.offer(text)

    async def _attend(self, connection) -> None:
        client = _Client()
        self._served += 1
        talking = asyncio.ensure_future(self._talk(connection, client))
        try:
            await self._listen(connection)
        finally:
            talking.cancel()
            self._clients.discard(client)
            client.delivered.set()
            self._dropped += client.dropped
            logger.debug("%s: a client of %s left.", self.name, self.where)

    async def _talk(self, connection, client: _Client) -> None:
        with suppress(self._closed):  # `_listen` sees it too
            for text in self._hello():
                await connection.send(text)
            self._clients.add(client)
            while True:
                await connection.send(await client.take())

    async def _listen(self, connection) -> None:
        """Take and forget what a client says, for as long as it is civil; ends when the connection does."""
        with suppress(self._closed):
            for _ in range(_MAX_MESSAGES):
                await connection.recv()
            await connection.close(_POLICY, "too many messages")

    def _answer(self, connection, request):
        """A page for browsers, None for what is a WebSocket."""
        if "Upgrade" in request.headers:
            if self._path and request.path != self._path:
                return connection.respond(HTTPStatus.NOT_FOUND, f"Only {self._path} is served here.\n")
            return None
        if self._page is None or request.path not in ("/", "/index.html"):
            return connection.respond(HTTPStatus.NOT_FOUND, "Nothing is here.\n")
        response = connection.respond(HTTPStatus.OK, self._page)
        del response.headers["Content-Type"]
        response.headers["Content-Type"] = "text/html; charset=utf-8"
        return response


def _cannot_serve(name: str, host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"--{name} {host}:{port}: the port is in use. Close the program that has it, or name another port."
    return f"--{name} {host}:{port} cannot be served: {error.strerror or error}. Name an address of this machine."
