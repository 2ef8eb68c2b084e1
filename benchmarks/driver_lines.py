"""What `drivers.py` measures: texts to and from one peer, over bare sockets and over Palaver.

All lines look alike, and what uses them is written once, as coroutines. Those of a line that
blocks never suspend, and `run` takes them to their end without a loop; a call costs 0.1 µs more
by that.
"""

from __future__ import annotations

import asyncio
import selectors
import socket
import struct
import sys
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Protocol

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "adapters"))

import palaver_io
from palaver_io import aio, selecting

STYLES = ("blocking", "selectors", "asyncio")
BARE, STREAMS = "bare UDP sockets", "asyncio TCP streams"
UDP, TCP = "Palaver over UDP", "Palaver over TCP"
HOST = "127.0.0.1"
PATIENCE = 5.0  # seconds until a bare datagram must have been lost

_MOST = 65536
_LENGTH = struct.Struct("!H")


class Line(Protocol):
    """Texts to and from one peer."""

    async def send(self, text: str, /) -> object:
        """Send a text."""

    async def receive(self) -> str:
        """Wait for a text."""


def run(style: str, coroutine: Coroutine[object, None, None]) -> None:
    """Run a coroutine that uses lines of one style."""
    if style == "asyncio":
        asyncio.run(coroutine)
    else:
        try:
            coroutine.send(None)
        except StopIteration:
            return
        raise RuntimeError("a line that blocks has suspended")


# --- Lines ----------------------------------------------------------------------------------------


class BlockingSocket:
    """A UDP socket, in calls that block; without a peer it takes the first who writes."""

    def __init__(self, sock: socket.socket, peer: tuple[str, int] | None) -> None:
        sock.settimeout(PATIENCE)
        self._sock = sock
        self._peer = peer

    async def send(self, text: str) -> None:
        """Send a datagram."""
        assert self._peer is not None
        self._sock.sendto(text.encode(), self._peer)

    async def receive(self) -> str:
        """Wait for a datagram."""
        data, self._peer = self._sock.recvfrom(_MOST)
        return data.decode()


class PolledSocket:
    """A UDP socket that is read when it is ready, and then until nothing is left."""

    def __init__(self, sock: socket.socket, peer: tuple[str, int] | None) -> None:
        sock.settimeout(0)
        self._sock = sock
        self._peer = peer
        self._texts: deque[str] = deque()

    async def send(self, text: str) -> None:
        """Send a datagram."""
        assert self._peer is not None
        self._sock.sendto(text.encode(), self._peer)

    async def receive(self) -> str:
        """Wait for a datagram."""
        while not self._texts:
            await self._wait()
        return self._texts.popleft()

    async def _wait(self) -> None:
        raise NotImplementedError

    def _drain(self) -> None:
        try:
            while True:
                data, self._peer = self._sock.recvfrom(_MOST)
                self._texts.append(data.decode())
        except BlockingIOError:
            pass


class SelectedSocket(PolledSocket):
    """It waits in `select`."""

    def __init__(self, sock: socket.socket, peer: tuple[str, int] | None) -> None:
        super().__init__(sock, peer)
        self._selector = selectors.DefaultSelector()
        self._selector.register(sock, selectors.EVENT_READ)

    async def _wait(self) -> None:
        if not self._selector.select(PATIENCE):
            raise TimeoutError("a bare datagram was lost")
        self._drain()


class AioSocket(PolledSocket):
    """It waits in asyncio's loop, by `add_reader`."""

    def __init__(self, sock: socket.socket, peer: tuple[str, int] | None) -> None:
        super().__init__(sock, peer)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(sock, self._read)
        self._arrived = self._loop.create_future()

    async def _wait(self) -> None:
        self._arrived = self._loop.create_future()
        await self._arrived

    def _read(self) -> None:
        self._drain()
        if not self._arrived.done():
            self._arrived.set_result(None)


class Stream:
    """asyncio's streams over TCP, with a length before each text."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, text: str) -> None:
        """Send a record."""
        data = text.encode()
        self._writer.write(_LENGTH.pack(len(data)) + data)
        await self._writer.drain()

    async def receive(self) -> str:
        """Wait for a record."""
        (size,) = _LENGTH.unpack(await self._reader.readexactly(2))
        return (await self._reader.readexactly(size)).decode()


class Calls:
    """A conversation of Palaver in calls that block."""

    def __init__(self, conversation: palaver_io.Conversation) -> None:
        self._conversation = conversation

    async def send(self, text: str) -> None:
        """Send a text."""
        self._conversation.send(text)

    async def receive(self) -> str:
        """Wait for a text."""
        return self._conversation.receive()


# --- Opening them ---------------------------------------------------------------------------------

_SOCKETS: dict[str, Callable[[socket.socket, tuple[str, int] | None], Line]] = {
    "blocking": BlockingSocket,
    "selectors": SelectedSocket,
    "asyncio": AioSocket,
}


@asynccontextmanager
async def call(what: str, style: str, port: int) -> AsyncIterator[Line]:
    """Open a line to whoever listens at `port`."""
    if what == BARE:
        with _open_udp() as sock:
            yield _SOCKETS[style](sock, (HOST, port))
    elif what == STREAMS:
        reader, writer = await asyncio.open_connection(HOST, port)
        with closing(writer):
            yield Stream(reader, writer)
    elif style == "asyncio":
        async with aio.connect(HOST, port, tcp=what == TCP) as conversation:
            yield conversation
    else:
        connect = palaver_io.connect if style == "blocking" else selecting.connect
        with connect(HOST, port, tcp=what == TCP) as blocking:
            yield Calls(blocking)


@asynccontextmanager
async def answer(what: str, style: str, tell: Callable[[int], object]) -> AsyncIterator[Line]:
    """Listen, tell at which port, and open a line with the first who calls."""
    if what == BARE:
        with _open_udp() as sock:
            tell(sock.getsockname()[1])
            yield _SOCKETS[style](sock, None)
    elif what == STREAMS:
        called = asyncio.get_running_loop().create_future()
        server = await asyncio.start_server(lambda *pair: called.set_result(pair), HOST, 0)
        async with server:
            tell(server.sockets[0].getsockname()[1])
            reader, writer = await called
            with closing(writer):
                yield Stream(reader, writer)
    elif style == "asyncio":
        async with aio.listen(HOST, 0, tcp=what == TCP) as aio_listener:
            tell(aio_listener.address[1])
            async with await aio_listener.accept() as conversation:
                yield conversation
    else:
        listen = palaver_io.listen if style == "blocking" else selecting.listen
        with listen(HOST, 0, tcp=what == TCP) as listener:
            tell(listener.address[1])
            with listener.accept() as blocking:
                yield Calls(blocking)


def _open_udp() -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((HOST, 0))
    return sock
