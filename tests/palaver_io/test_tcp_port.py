"""TCP as a port: real connections on this host, a watcher that the test drives, and a clock."""

from __future__ import annotations

import errno
import selectors
import socket
import struct
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from io_support import PATIENCE, has_ipv6, leaving_nothing_behind

from palaver import Datagram, Event, StreamEnded, Unreachable
from palaver_io import tcp
from palaver_io.addresses import from_sockaddr, open_tcp_socket
from palaver_io.connection import MAX_UNSENT, BrokenStreamError, Connection
from palaver_io.tcp import TcpPort
from palaver_io.watching import SelectorWatcher


def record(data: bytes) -> bytes:
    return struct.pack("!H", len(data)) + data


class Bench:
    """A port on a watcher, turned by the test."""

    def __init__(self, port: TcpPort) -> None:
        self.port = port
        self.watcher = SelectorWatcher()
        self.now = 100.0
        self.told: list[Event] = []
        port.start(self.watcher, lambda: self.now)

    def turn(self, timeout: float = 0.05) -> None:
        self.told += self.port.take(self.watcher.select(timeout), 256)
        self.told += self.port.settle(self.now)

    def until(self, condition: Callable[[], object]) -> None:
        end = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < end, self.told
            self.turn()

    def hear(self, count: int) -> list[Event]:
        """Turn until so many events were told, and take them."""
        self.until(lambda: len(self.told) >= count)
        told, self.told = self.told, []
        return told

    def send(self, data: bytes, to: tuple[str, int]) -> None:
        self.told += self.port.send(data, to)
        self.told += self.port.settle(self.now)

    def disconnect(self, address: tuple[str, int]) -> None:
        self.told += self.port.disconnect(address)
        self.told += self.port.settle(self.now)

    @property
    def sockets(self) -> int:
        return len(self.port._by_sock)

    def close(self) -> None:
        self.watcher.close()
        self.port.close()
        self.port.close()


@pytest.fixture(autouse=True)
def _no_leaks() -> Iterator[None]:
    with leaving_nothing_behind():
        yield


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench(TcpPort(open_tcp_socket("127.0.0.1", 0)))
    yield bench
    bench.close()


@pytest.fixture
def other() -> Iterator[Bench]:
    other = Bench(TcpPort())
    yield other
    other.close()


@pytest.fixture
def caller(bench: Bench) -> Iterator[socket.socket]:
    with call(bench) as sock:
        yield sock


def call(bench: Bench) -> socket.socket:
    sock = socket.create_connection(bench.port.address, PATIENCE)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def closed_address() -> tuple[str, int]:
    with open_tcp_socket("127.0.0.1", 0) as sock:
        return from_sockaddr(sock.getsockname())


# Records


@pytest.mark.smoke
def test_records_come_and_go_over_one_connection(bench: Bench, other: Bench) -> None:
    other.send(b"question", bench.port.address)
    other.send(b"and another", bench.port.address)
    other.until(lambda: not next(iter(other.port._by_sock.values())).unsent)
    first, second = bench.hear(2)
    assert isinstance(first, Datagram)
    assert [first.data, second] == [b"question", Datagram(b"and another", first.source)]
    bench.send(b"answer", first.source)
    assert other.hear(1) == [Datagram(b"answer", bench.port.address)]
    assert (bench.sockets, other.sockets) == (1, 1)
    assert other.port.traffic == {"sent": 2, "received": 1, "dropped": 0, "failed": 0}


def test_bytes_that_trickle_and_records_that_come_together(
    bench: Bench, caller: socket.socket
) -> None:
    me = caller.getsockname()
    for byte in record(b"drop by drop"):
        caller.send(bytes([byte]))
        bench.turn()
    assert bench.hear(1) == [Datagram(b"drop by drop", me)]
    sizes = [1, 2, 2047, 5, 1200]
    caller.sendall(b"".join(record(b"x" * size) for size in sizes) + record(b"half")[:3])
    assert bench.hear(5) == [Datagram(b"x" * size, me) for size in sizes]
    caller.sendall(record(b"half")[3:])
    assert bench.hear(1) == [Datagram(b"half", me)]


@pytest.mark.parametrize("bad", [b"\0\0", struct.pack("!H", 2048), b"\xff\xff", b"hello\n", b"h"])
def test_a_length_that_can_not_be_ends_the_connection_after_what_came_before(
    bench: Bench, caller: socket.socket, bad: bytes
) -> None:
    caller.sendall(record(b"good") + bad)
    me = caller.getsockname()
    assert bench.hear(2) == [Datagram(b"good", me), StreamEnded(me)]
    assert bench.sockets == 0
    assert caller.recv(10) == b""


def test_a_peer_that_closes_or_resets_ends_the_connection(bench: Bench) -> None:
    for reset in (False, True):
        caller = call(bench)
        me = caller.getsockname()
        caller.sendall(record(b"last words"))
        assert bench.hear(1) == [Datagram(b"last words", me)]
        if reset:
            linger = struct.pack("ii", 1, 0)
            caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        caller.close()
        assert bench.hear(1) == [StreamEnded(me)]
        assert bench.sockets == 0


@pytest.mark.parametrize("size", [0, 2048, 65536])
def test_what_is_no_record_is_not_sent(other: Bench, size: int) -> None:
    other.send(b"x" * size, ("127.0.0.1", 9))
    assert other.told == []
    assert (other.port.failed, other.sockets) == (1, 0)


# Connecting


def test_nobody_listens(other: Bench) -> None:
    nobody = closed_address()
    other.send(b"hello?", nobody)
    assert other.hear(2) == [Unreachable(nobody), StreamEnded(nobody)]
    assert other.sockets == 0


@pytest.mark.parametrize("address", [("127.0.0.1", 70000), ("::1%nowhere", 5)])
def test_an_impossible_address(other: Bench, address: tuple[str, int]) -> None:
    other.send(b"x", address)
    assert other.told == [Unreachable(address), StreamEnded(address)]
    assert other.port.failed == 1


def test_a_connection_that_never_stands_is_given_up(
    other: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    mute = ("127.0.0.1", 1)
    monkeypatch.setattr(socket.socket, "connect_ex", lambda *_: errno.EINPROGRESS)
    other.send(b"x", mute)
    assert other.port.deadline == other.now + tcp.CONNECTING_FOR
    other.watcher.watch(next(iter(other.port._by_sock)), 0)  # not even an error comes
    other.turn(0)
    assert other.told == []
    other.now += tcp.CONNECTING_FOR
    other.turn(0)
    assert other.told == [Unreachable(mute), StreamEnded(mute)]
    assert other.port.deadline is None


def test_who_meets_itself_has_met_nobody(other: Bench) -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        me = sock.getsockname()
        sock.connect(me)  # a simultaneous open with itself
        connection = Connection(sock, me, inbound=False)
        with pytest.raises(BrokenStreamError, match="itself"):
            connection.finish_opening()


@pytest.mark.skipif(not has_ipv6(), reason="this host has no ::1")
@pytest.mark.parametrize("host", ["::1", "127.0.0.1"])
def test_both_families(other: Bench, host: str) -> None:
    bench = Bench(TcpPort(open_tcp_socket("::", 0)))
    other.send(b"hello", (host, bench.port.address[1]))
    other.turn()
    (told,) = bench.hear(1)
    assert isinstance(told, Datagram)
    assert told.source[0] == host
    bench.send(b"back", told.source)
    assert other.hear(1) == [Datagram(b"back", (host, bench.port.address[1]))]
    bench.close()


# Writing


def test_what_does_not_fit_waits_and_a_peer_that_never_reads_is_left(
    bench: Bench, caller: socket.socket
) -> None:
    caller.sendall(record(b"here I am"))
    bench.hear(1)
    me = caller.getsockname()
    sent = 0
    while not bench.told:
        bench.send(sent.to_bytes(4, "big") * 300, me)
        sent += 1
        assert sent < 100_000
    assert bench.told == [StreamEnded(me)]
    assert bench.port.dropped == 1
    assert sent * 1202 > MAX_UNSENT
    assert bench.sockets == 0

    def read_all() -> None:
        while caller.recv(1 << 20):
            pass

    with pytest.raises(ConnectionResetError):  # the system does not keep the rest for ever
        read_all()


def test_the_watcher_is_asked_only_when_something_changes(
    bench: Bench, other: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    other.send(b"first", bench.port.address)
    while bench.port.received < 1:
        other.turn()
        bench.turn()
    asked: list[int] = []
    monkeypatch.setattr(other.watcher, "watch", lambda _, events: asked.append(events))
    for _ in range(10):
        other.send(b"more", bench.port.address)
    bench.until(lambda: bench.port.received == 11)
    assert not asked


def test_what_waited_is_sent_when_there_is_room(bench: Bench, caller: socket.socket) -> None:
    caller.sendall(record(b"here I am"))
    bench.hear(1)
    me = caller.getsockname()
    sent = 0
    (connection,) = bench.port._by_sock.values()
    while connection.unsent < 500_000:
        bench.send(sent.to_bytes(4, "big") * 300, me)
        sent += 1
    assert bench.watcher.select(0) == []  # it does not spin while there is no room
    caller.settimeout(0.01)
    data = b""
    end = time.monotonic() + PATIENCE
    while len(data) < sent * 1202:
        assert time.monotonic() < end
        bench.turn(0)
        try:
            data += caller.recv(1 << 20)
        except TimeoutError:
            continue
    assert data == b"".join(record(n.to_bytes(4, "big") * 300) for n in range(sent))
    assert bench.watcher.select(0.01) == []
    assert bench.told == []


# Disconnecting


def test_disconnecting_sends_what_was_given_and_waits_for_the_peer(
    bench: Bench, caller: socket.socket
) -> None:
    caller.sendall(record(b"hello"))
    bench.hear(1)
    me = caller.getsockname()
    bench.port.send(b"goodbye", me)
    caller.sendall(record(b"not read any more"))
    bench.disconnect(me)
    assert caller.recv(100) == record(b"goodbye")
    assert caller.recv(100) == b""
    assert bench.sockets == 1
    assert not bench.port.is_idle
    caller.close()
    bench.until(lambda: bench.port.is_idle)
    assert bench.sockets == 0
    assert bench.told == []


def test_a_peer_that_does_not_close_is_closed_upon(bench: Bench, caller: socket.socket) -> None:
    caller.sendall(record(b"hello"))
    bench.hear(1)
    bench.disconnect(caller.getsockname())
    bench.turn(0)
    assert bench.sockets == 1
    bench.now += tcp.CLOSING_FOR
    bench.turn(0)
    assert bench.sockets == 0
    assert bench.told == []
    assert caller.recv(100) == b""


def test_after_disconnecting_the_next_record_opens_another_connection(
    bench: Bench, other: Bench
) -> None:
    for number in range(2):
        other.send(b"hello", bench.port.address)
        other.turn()
        (told,) = bench.hear(1)
        assert isinstance(told, Datagram)
        other.disconnect(bench.port.address)
        assert bench.hear(1) == [StreamEnded(told.source)], number
    other.until(lambda: other.sockets == 0)
    other.disconnect(bench.port.address)
    assert other.told == []


def test_disconnecting_before_the_connection_stands(
    bench: Bench, other: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    other.port.send(b"hello and goodbye", bench.port.address)
    other.disconnect(bench.port.address)
    other.turn()
    told = bench.hear(2)
    assert isinstance(told[0], Datagram)
    assert told == [Datagram(b"hello and goodbye", told[0].source), StreamEnded(told[0].source)]
    other.until(lambda: other.sockets == 0)
    assert other.told == []


# Strangers


def test_who_says_nothing_is_sent_away_in_time(bench: Bench, caller: socket.socket) -> None:
    bench.until(lambda: bench.sockets == 1)
    caller.send(b"\0")  # the beginning of a length is not enough
    bench.turn()
    assert bench.port.deadline == bench.now + tcp.FRESH_FOR
    bench.now += tcp.FRESH_FOR
    bench.turn(0)
    assert bench.told == [StreamEnded(caller.getsockname())]
    assert bench.sockets == 0


def test_each_of_those_who_say_nothing_is_sent_away_in_its_time(
    bench: Bench, caller: socket.socket
) -> None:
    bench.until(lambda: bench.sockets == 1)
    bench.now += 1
    with socket.create_connection(bench.port.address) as second:
        bench.until(lambda: bench.sockets == 2)
        bench.now += tcp.FRESH_FOR - 1
        bench.turn(0)
        assert bench.told == [StreamEnded(caller.getsockname())]
        assert bench.port.deadline == bench.now + 1
        bench.now += 1
        bench.turn(0)
        assert bench.told[1:] == [StreamEnded(second.getsockname())]


def test_who_has_said_something_may_stay(bench: Bench, caller: socket.socket) -> None:
    caller.sendall(record(b"hello"))
    bench.hear(1)
    bench.now += 10 * tcp.FRESH_FOR
    bench.turn(0)
    assert (bench.told, bench.sockets, bench.port.deadline) == ([], 1, None)


def test_too_many_who_say_nothing_push_the_oldest_out(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tcp, "MAX_FRESH", 3)
    callers = [call(bench) for _ in range(2)]
    callers[0].sendall(record(b"not a stranger"))
    bench.hear(1)
    callers += [call(bench) for _ in range(4)]
    assert bench.hear(2) == [StreamEnded(callers[place].getsockname()) for place in (1, 2)]
    for one in callers:
        one.close()


def test_too_many_connections(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tcp, "MAX_CONNECTIONS", 2)
    callers = [call(bench) for _ in range(3)]
    bench.until(lambda: bench.sockets == 2)
    assert callers[2].recv(10) == b""
    nobody = closed_address()
    bench.send(b"x", nobody)
    assert bench.told == [Unreachable(nobody), StreamEnded(nobody)]
    for one in callers:
        one.close()


def test_who_has_been_silent_for_long_makes_room(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tcp, "MAX_CONNECTIONS", 2)
    callers = []
    for _ in range(2):
        callers.append(call(bench))
        callers[-1].sendall(record(b"hello"))
        bench.hear(1)
    bench.now += tcp.SILENT_FOR
    callers[0].sendall(record(b"still here"))
    bench.hear(1)
    callers.append(call(bench))
    assert bench.hear(1) == [StreamEnded(callers[1].getsockname())]
    callers[2].sendall(record(b"hello"))
    assert bench.hear(1) == [Datagram(b"hello", callers[2].getsockname())]
    for one in callers:
        one.close()


class Exhausted(socket.socket):
    """Has no descriptors left, until told otherwise; or loses its callers."""

    trouble = 0
    tries = 0

    def accept(self) -> tuple[socket.socket, Any]:
        self.tries += 1
        if self.trouble:
            raise OSError(self.trouble, "trouble")
        return super().accept()


@pytest.fixture
def exhausted() -> Iterator[tuple[Bench, Exhausted]]:
    sock = Exhausted(socket.AF_INET, socket.SOCK_STREAM)
    sock.bind(("127.0.0.1", 0))
    sock.listen()
    bench = Bench(TcpPort(sock))
    yield bench, sock
    bench.close()


def test_without_descriptors_accepting_pauses_and_does_not_spin(
    exhausted: tuple[Bench, Exhausted],
) -> None:
    bench, sock = exhausted
    sock.trouble = errno.EMFILE
    with call(bench) as caller:
        caller.sendall(record(b"hello"))
        bench.turn(PATIENCE)
        assert sock.tries == 1
        assert bench.watcher.select(0.02) == []
        assert bench.port.deadline == bench.now + tcp._ACCEPT_AGAIN
        sock.trouble = 0
        bench.now += tcp._ACCEPT_AGAIN
        bench.turn(0)
        assert bench.hear(1) == [Datagram(b"hello", caller.getsockname())]


def test_a_caller_that_has_gone_is_passed_over(exhausted: tuple[Bench, Exhausted]) -> None:
    bench, sock = exhausted
    sock.trouble = errno.ECONNABORTED
    with call(bench):
        bench.turn(PATIENCE)
        assert sock.tries == tcp._ACCEPTED_AT_ONCE
        sock.trouble = errno.EBADF
        with pytest.raises(OSError, match="trouble"):
            bench.turn(PATIENCE)


def test_closing_the_port_sends_what_the_system_takes(bench: Bench, caller: socket.socket) -> None:
    caller.sendall(record(b"hello"))
    bench.hear(1)
    bench.port.send(b"goodbye", caller.getsockname())
    caller.sendall(record(b"not read") * 100)
    bench.close()
    assert caller.recv(100) == record(b"goodbye")


def test_events_of_sockets_that_are_gone_are_passed_over(bench: Bench) -> None:
    with socket.socket() as stray:
        assert bench.port.take([(stray, selectors.EVENT_READ)], 10) == []
