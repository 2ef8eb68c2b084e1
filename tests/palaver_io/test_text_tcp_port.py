"""The TCP port for bare text, alone and beside records; on real sockets of this host."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator

import pytest

from palaver.machine import Chunk, Datagram, Event, StreamBlocked, StreamEnded, StreamOpened
from palaver.timing import MAX_RECORD
from palaver_io.addresses import open_tcp_socket
from palaver_io.tcp import MAX_FRESH
from palaver_io.text_tcp import SILENT_UNTIL, TextTcpPort
from palaver_io.watching import SelectorWatcher

PATIENCE = 20.0


class Side:
    """A port with its watcher, and the events that it gave."""

    def __init__(self, *, either: bool = False, listens: bool = True) -> None:
        self.port = TextTcpPort(open_tcp_socket("127.0.0.1", 0) if listens else None, either=either)
        self.watcher = SelectorWatcher()
        self.ahead = 0.0  # seconds that the clock was moved forward
        self.port.start(self.watcher, self.now)
        self.events: list[Event] = []

    def now(self) -> float:
        return time.monotonic() + self.ahead

    def turn(self, wait: float = 0.01) -> None:
        self.events += self.port.take(self.watcher.select(wait), 64)
        self.events += self.port.settle(self.now())

    def wait_for(self, condition: Callable[[], object]) -> None:
        until = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < until, self.events
            self.turn()

    def text(self) -> bytes:
        return b"".join(one.data for one in self.events if isinstance(one, Chunk))

    def close(self) -> None:
        self.port.close()
        self.watcher.close()


@pytest.fixture
def sides() -> Iterator[list[Side]]:
    made: list[Side] = []
    yield made
    for side in made:
        side.close()


def make(sides: list[Side], **options: bool) -> Side:
    sides.append(Side(**options))
    return sides[-1]


def call(side: Side) -> socket.socket:
    return socket.create_connection(side.port.address, timeout=PATIENCE)


@pytest.mark.smoke
def test_a_caller_is_told_at_once_and_bytes_go_both_ways_as_they_are(sides: list[Side]) -> None:
    side = make(sides)
    with call(side) as sock:
        side.wait_for(lambda: side.events)
        address = sock.getsockname()
        assert side.events == [StreamOpened(address)]
        assert side.port.send(b"\xf8 hello", address) == ()
        side.turn()
        assert sock.recv(100) == b"\xf8 hello"
        sock.sendall(b"\x00\x05no record")
        side.wait_for(lambda: side.text() == b"\x00\x05no record")
    side.wait_for(lambda: side.events[-1] == StreamEnded(address))
    assert side.port.send(b"too late", address) == ()
    assert side.port.traffic["failed"] == 1


def test_a_stream_is_opened_on_demand_once(sides: list[Side]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        side = make(sides, listens=False)
        address = server.getsockname()
        assert side.port.open_stream(address) == side.port.open_stream(address) == ()
        side.wait_for(lambda: side.events == [StreamOpened(address)])
        sock, _ = server.accept()
        with sock:
            sock.sendall(b"first")
            side.wait_for(lambda: side.text() == b"first")
    dead = make(sides, listens=False)
    told = list(dead.port.open_stream(address))
    dead.wait_for(lambda: StreamEnded(address) in [*told, *dead.events])


@pytest.mark.spec("T-11", "S-1")
def test_the_first_byte_tells_text_from_records(sides: list[Side]) -> None:
    side = make(sides, either=True)
    with call(side) as text, call(side) as records:
        text.sendall(b"hi")
        side.wait_for(lambda: len(side.events) == 2)
        assert side.events == [
            StreamOpened(text.getsockname()),
            Chunk(b"hi", text.getsockname()),
        ]
        records.sendall(b"\x00")
        records.sendall(b"\x03abc\x00\x01d")
        side.wait_for(lambda: len(side.events) == 4)
        assert side.events[2:] == [
            Datagram(b"abc", records.getsockname()),
            Datagram(b"d", records.getsockname()),
        ]
        side.port.send(b"answer", records.getsockname())
        side.port.send(b"answer", text.getsockname())
        side.turn()
        assert records.recv(100) == b"\x00\x06answer"
        assert text.recv(100) == b"answer"
        side.port.send(b"x" * (MAX_RECORD + 1), records.getsockname())
        assert side.port.traffic["failed"] == 1
        records.sendall(b"text")
        side.wait_for(lambda: side.events[-1] == StreamEnded(records.getsockname()))


def test_a_caller_of_either_kind_must_say_something_in_time(sides: list[Side]) -> None:
    side = make(sides, either=True)
    with call(side) as sock:
        side.wait_for(lambda: side.port.deadline is not None)
        assert side.events == []
        side.ahead = SILENT_UNTIL - 1.0
        side.turn()
        assert side.events == []
        side.ahead = SILENT_UNTIL + 1.0
        side.wait_for(lambda: side.events == [StreamEnded(sock.getsockname())])


def test_callers_that_say_nothing_are_bounded(sides: list[Side]) -> None:
    side = make(sides, either=True)
    socks = []
    try:
        for _ in range(MAX_FRESH + 5):
            socks.append(call(side))
            side.turn()
        side.wait_for(lambda: len(side.events) == 5)
    finally:
        for sock in socks:
            sock.close()


def test_a_stream_that_is_held_is_not_read_until_it_is_let_go(sides: list[Side]) -> None:
    side = make(sides)
    with call(side) as sock:
        side.wait_for(lambda: side.events)
        address = sock.getsockname()
        side.port.hold(address, is_held=True)
        sock.sendall(b"held")
        for _ in range(10):
            side.turn()
        assert side.text() == b""
        side.port.send(b"out", address)
        side.turn()
        assert sock.recv(100) == b"out"
        side.port.hold(address, is_held=False)
        side.wait_for(lambda: side.text() == b"held")
        side.port.hold(("127.0.0.1", 1), is_held=True)


def test_a_peer_that_reads_nothing_blocks_and_then_takes_more(sides: list[Side]) -> None:
    side = make(sides)
    with call(side) as sock:
        side.wait_for(lambda: side.events)
        address = sock.getsockname()
        told: list[Event] = []
        size = 0
        while not told:
            told += side.port.send(b"x" * 32768, address)
            size += 32768
            side.turn(0.0)
            assert size < 1 << 26
        assert told == [StreamBlocked(address, is_blocked=True)]
        assert side.port.send(b"x", address) == ()
        got = 0
        sock.setblocking(False)
        while got < size + 1:
            side.turn(0.0)
            try:
                got += len(sock.recv(1 << 20))
            except BlockingIOError:
                continue
        side.wait_for(lambda: side.events[-1] == StreamBlocked(address, is_blocked=False))


def test_who_is_left_is_not_waited_for_long(sides: list[Side]) -> None:
    side = make(sides)
    with call(side) as sock:
        side.wait_for(lambda: side.events)
        address = sock.getsockname()
        side.port.hold(address, is_held=True)
        side.port.send(b"exit", address)
        assert side.port.disconnect(address) == ()
        side.turn()
        assert sock.recv(100) == b"exit"
        assert sock.recv(100) == b""
        waited = [side.port.is_idle]
        side.ahead = 0.6
        for _ in range(3):
            side.turn()
        waited.append(side.port.is_idle)
        assert waited == [False, True]
        assert len(side.events) == 1


def test_who_was_held_and_closes_when_it_is_left_is_not_waited_for_at_all(
    sides: list[Side],
) -> None:
    side = make(sides)
    sock = call(side)
    side.wait_for(lambda: side.events)
    side.port.hold(sock.getsockname(), is_held=True)
    side.port.send(b"exit", sock.getsockname())
    began = side.now()
    side.port.disconnect(sock.getsockname())
    sock.close()
    side.wait_for(lambda: side.port.is_idle)
    assert side.now() - began < 0.4
