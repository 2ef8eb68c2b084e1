"""What the drivers make of a machine: messages one way, and round trips, over loopback.

    python benchmarks/drivers.py [--seconds 1]

Two processes talk, each on the same driver. One way: messages per second that were sent and known
to be delivered in the end. Round trips: a message, its echo, and only then the next. Beside them,
in the same run, stands what the bare means of the same style do: sockets that block, sockets with
a selector, sockets with `loop.add_reader`, and asyncio's TCP streams. Those over UDP promise
nothing; after every 64 datagrams one way they wait for a word of the receiver, so as not to overrun
it. The ratio says which part of the bare rate is left.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import selectors
import struct
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "adapters"))

import palaver_io
from palaver import PalaverError
from palaver_io import aio, selecting

HOST = "127.0.0.1"
SIZES = (64, 1024)  # bytes
WINDOW = 64  # datagrams one way that bare UDP sends before it waits for a word
PATIENCE = 20.0  # seconds

Address = tuple[str, int]
ECHO, TAKE, TELL = b"e", b"t", b"w"  # the first byte of a message: what to do with it


class Contender(NamedTuple):
    """A way to talk. `serve` tells its address and serves until it is killed."""

    name: str
    serve: Callable[[Connection], Any]
    one_way: Callable[[Address, int, float], float]
    round_trips: Callable[[Address, int, float], float]


# Palaver, in calls that block


def make_palaver(module: Any, name: str, *, tcp: bool) -> Contender:  # noqa: ANN401 - two modules
    """Make the contender for `palaver_io` or `palaver_io.selecting`."""

    def serve(tell: Connection) -> None:
        with module.listen(HOST, 0, tcp=tcp) as listener:
            tell.send(listener.address)
            for conversation in listener:
                with suppress(PalaverError):
                    for text in conversation:
                        if text[0] == "e":
                            conversation.send(text)
                    conversation.close()

    def one_way(address: Address, size: int, seconds: float) -> float:
        with module.connect(*address, tcp=tcp) as conversation:
            text, began, count = "t" * size, time.perf_counter(), 0
            while time.perf_counter() < began + seconds:
                for _ in range(WINDOW):
                    conversation.send(text)
                count += WINDOW
            conversation.flush()
            return count / (time.perf_counter() - began)

    def round_trips(address: Address, size: int, seconds: float) -> float:
        with module.connect(*address, tcp=tcp) as conversation:
            text, began, count = "e" * size, time.perf_counter(), 0
            while time.perf_counter() < began + seconds:
                conversation.send(text)
                conversation.receive()
                count += 1
            return count / (time.perf_counter() - began)

    return Contender(name, serve, one_way, round_trips)


# Palaver, in asyncio


def make_aio(name: str, *, tcp: bool) -> Contender:
    """Make the contender for `palaver_io.aio`."""

    async def answer(conversation: aio.Conversation) -> None:
        async for text in conversation:
            if text[0] == "e":
                await conversation.send(text)

    async def serve(tell: Connection) -> None:
        async with aio.listen(HOST, 0, tcp=tcp, max_conversations=10) as listener:
            tell.send(listener.address)
            await listener.serve(answer)

    async def one_way(address: Address, size: int, seconds: float) -> float:
        async with aio.connect(*address, tcp=tcp) as conversation:
            text, began, count = "t" * size, time.perf_counter(), 0
            while time.perf_counter() < began + seconds:
                for _ in range(WINDOW):
                    await conversation.send(text)
                count += WINDOW
            await conversation.flush()
            return count / (time.perf_counter() - began)

    async def round_trips(address: Address, size: int, seconds: float) -> float:
        async with aio.connect(*address, tcp=tcp) as conversation:
            text, began, count = "e" * size, time.perf_counter(), 0
            while time.perf_counter() < began + seconds:
                await conversation.send(text)
                await conversation.receive()
                count += 1
            return count / (time.perf_counter() - began)

    return Contender(name, in_loop(serve), in_loop(one_way), in_loop(round_trips))


def in_loop(function: Callable[..., Any]) -> Callable[..., Any]:
    """Run a coroutine function in an event loop of its own."""
    return lambda *arguments: asyncio.run(function(*arguments))


# Bare UDP, in three styles that differ in how to wait


class Blocking:
    """A socket that blocks."""

    def __init__(self) -> None:
        self.sock = palaver_io.open_udp_socket(HOST, 0)

    def close(self) -> None:
        """Close it."""
        self.sock.close()

    async def receive(self) -> tuple[bytes, Address]:
        """Wait for a datagram."""
        return self.sock.recvfrom(2048)


class Selecting(Blocking):
    """A socket that does not block, and a selector."""

    def __init__(self) -> None:
        super().__init__()
        self.sock.settimeout(0)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self.sock, selectors.EVENT_READ)

    def close(self) -> None:
        """Close both."""
        self._selector.close()
        super().close()

    async def receive(self) -> tuple[bytes, Address]:
        """Wait for a datagram."""
        while True:
            try:
                return self.sock.recvfrom(2048)
            except BlockingIOError:
                self._selector.select()


class Reading(Blocking):
    """A socket that does not block, and an event loop."""

    def __init__(self) -> None:
        super().__init__()
        self.sock.settimeout(0)
        self._loop = asyncio.get_running_loop()
        self._ready = asyncio.Event()
        self._loop.add_reader(self.sock, self._ready.set)

    def close(self) -> None:
        """Close it, and have the loop forget it."""
        self._loop.remove_reader(self.sock)
        super().close()

    async def receive(self) -> tuple[bytes, Address]:
        """Wait for a datagram."""
        while True:
            try:
                return self.sock.recvfrom(2048)
            except BlockingIOError:
                self._ready.clear()
                await self._ready.wait()


def make_bare_udp(style: type[Blocking], name: str) -> Contender:
    """Make the contender for one style of bare UDP."""

    async def serve(tell: Connection) -> None:
        end = style()
        sock = end.sock
        tell.send(sock.getsockname())
        while True:
            data, address = await end.receive()
            if data[:1] != TAKE:
                sock.sendto(data, address)

    async def one_way(address: Address, size: int, seconds: float) -> float:
        end, began, count = style(), time.perf_counter(), 0
        while time.perf_counter() < began + seconds:
            for _ in range(WINDOW - 1):
                end.sock.sendto(TAKE * size, address)
            end.sock.sendto(TELL * size, address)
            await end.receive()
            count += WINDOW
        end.close()
        return count / (time.perf_counter() - began)

    async def round_trips(address: Address, size: int, seconds: float) -> float:
        end, began, count = style(), time.perf_counter(), 0
        while time.perf_counter() < began + seconds:
            end.sock.sendto(ECHO * size, address)
            await end.receive()
            count += 1
        end.close()
        return count / (time.perf_counter() - began)

    return Contender(name, in_loop(serve), in_loop(one_way), in_loop(round_trips))


# asyncio's TCP streams


def make_streams() -> Contender:
    """Make the contender that sends records over asyncio's streams."""
    header = struct.Struct("!H")

    async def read(reader: asyncio.StreamReader) -> bytes:
        return await reader.readexactly(header.unpack(await reader.readexactly(2))[0])

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError):
            while True:
                data = await read(reader)
                if data[:1] != TAKE:
                    writer.write(header.pack(len(data)) + data)
        writer.close()

    async def serve(tell: Connection) -> None:
        server = await asyncio.start_server(answer, HOST, 0)
        tell.send(server.sockets[0].getsockname())
        await server.serve_forever()

    async def one_way(address: Address, size: int, seconds: float) -> float:
        reader, writer = await asyncio.open_connection(*address)
        began, count = time.perf_counter(), 0
        while time.perf_counter() < began + seconds:
            for _ in range(WINDOW):
                writer.write(header.pack(size) + TAKE * size)
                await writer.drain()
            count += WINDOW
        writer.write(header.pack(1) + TELL)
        await read(reader)
        rate = count / (time.perf_counter() - began)
        writer.close()
        return rate

    async def round_trips(address: Address, size: int, seconds: float) -> float:
        reader, writer = await asyncio.open_connection(*address)
        began, count = time.perf_counter(), 0
        while time.perf_counter() < began + seconds:
            writer.write(header.pack(size) + ECHO * size)
            await read(reader)
            count += 1
        rate = count / (time.perf_counter() - began)
        writer.close()
        return rate

    return Contender("asyncio TCP streams", in_loop(serve), in_loop(one_way), in_loop(round_trips))


# Measuring


def measure(contender: Contender, seconds: float) -> list[float]:
    """Give messages per second one way for each size, and then round trips."""
    ours, theirs = multiprocessing.Pipe()
    # Forked: the contenders are closures.
    context = multiprocessing.get_context("fork")
    server = context.Process(target=contender.serve, args=(theirs,), daemon=True)
    server.start()
    try:
        assert ours.poll(PATIENCE), f"{contender.name} does not start"
        address = ours.recv()
        return [
            run(address, size, seconds)
            for run in (contender.one_way, contender.round_trips)
            for size in SIZES
        ]
    finally:
        server.kill()
        server.join()


def main() -> None:
    """Measure all, and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=1.0, help="for each figure (default: 1)")
    seconds = parser.parse_args().seconds
    streams = make_streams()
    groups = []
    for name, style, make in (
        ("blocking", Blocking, partial(make_palaver, palaver_io)),
        ("selectors", Selecting, partial(make_palaver, selecting)),
        ("asyncio", Reading, make_aio),
    ):
        groups.append((make_bare_udp(style, f"{name}, bare UDP"), make(f"{name}, UDP", tcp=False)))
        groups.append((streams, make(f"{name}, TCP", tcp=True)))
    columns = [f"{what} {size} B" for what in ("one way", "round trip") for size in SIZES]
    print(f"{'per second':24}" + "".join(f"{column:>18}" for column in columns))
    for bare, ours in groups:
        floor, rates = measure(bare, seconds), measure(ours, seconds)
        print(f"{bare.name:24}" + "".join(f"{rate:18,.0f}" for rate in floor))
        cells = [
            f"{rate:,.0f} ({rate / most:.2f})" for rate, most in zip(rates, floor, strict=True)
        ]
        print(f"{'palaver: ' + ours.name:24}" + "".join(f"{cell:>18}" for cell in cells))


if __name__ == "__main__":
    main()
