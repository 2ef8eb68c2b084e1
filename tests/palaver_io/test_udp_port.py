from __future__ import annotations

import errno
import select
import socket
from collections.abc import Iterator

import pytest
from io_support import ON_LINUX, PATIENCE, has_ipv6, leaving_nothing_behind

from palaver import Datagram, Event, Unreachable
from palaver_io.addresses import from_sockaddr, open_udp_socket
from palaver_io.udp import UdpPort

linux_only = pytest.mark.skipif(not ON_LINUX, reason="only Linux tells which address refused")


@pytest.fixture(autouse=True)
def _no_leaks() -> Iterator[None]:
    with leaving_nothing_behind():
        yield


@pytest.fixture
def port() -> Iterator[UdpPort]:
    port = UdpPort(open_udp_socket("127.0.0.1", 0))
    yield port
    port.close()


@pytest.fixture
def peer() -> Iterator[socket.socket]:
    with open_udp_socket("127.0.0.1", 0) as sock:
        sock.settimeout(PATIENCE)
        yield sock


def closed_address(host: str) -> tuple[str, int]:
    with open_udp_socket(host, 0) as sock:
        return from_sockaddr(sock.getsockname())


def wait_and_receive(port: UdpPort, most: int = 100) -> list[Event]:
    assert select.select([port], [], [], PATIENCE)[0]
    return port.receive(most)


def test_datagrams_come_and_go(port: UdpPort, peer: socket.socket) -> None:
    assert list(port.send(b"question", peer.getsockname())) == []
    data, source = peer.recvfrom(100)
    assert (data, source) == (b"question", port.address)
    peer.sendto(b"", source)
    peer.sendto(b"x" * 60000, source)
    assert wait_and_receive(port, 1) == [Datagram(b"", peer.getsockname())]
    assert wait_and_receive(port) == [Datagram(b"x" * 60000, peer.getsockname())]
    assert port.receive(10) == []
    assert (port.sent, port.received, port.dropped, port.failed) == (1, 2, 0, 0)


@linux_only
def test_the_network_says_which_address_refused(port: UdpPort) -> None:
    nobody = closed_address("127.0.0.1")
    assert list(port.send(b"hello?", nobody)) == []
    assert wait_and_receive(port) == [Unreachable(nobody)]
    assert port.receive(10) == []
    assert not select.select([port], [], [], 0)[0]


@linux_only
def test_a_refusal_does_not_cost_the_next_peer_its_datagram(
    port: UdpPort, peer: socket.socket
) -> None:
    nobody = closed_address("127.0.0.1")
    for _ in range(3):
        events = list(port.send(b"hello?", nobody))
        assert events in ([], [Unreachable(nobody)])
        events += port.send(b"hello!", peer.getsockname())
        assert peer.recv(100) == b"hello!"
        assert Unreachable(peer.getsockname()) not in events
    assert port.failed == 0


@linux_only
@pytest.mark.skipif(not has_ipv6(), reason="this host has no ::1")
@pytest.mark.parametrize("host", ["::1", "127.0.0.1"])
def test_refusals_at_a_socket_for_both_families(host: str) -> None:
    port = UdpPort(open_udp_socket("::", 0))
    nobody = closed_address(host)
    port.send(b"hello?", nobody)
    assert wait_and_receive(port) == [Unreachable(nobody)]
    port.close()


@linux_only
def test_an_error_whose_sender_took_it_does_not_keep_the_socket_readable(port: UdpPort) -> None:
    nobody = closed_address("127.0.0.1")
    port.send(b"hello?", nobody)
    assert select.select([port], [], [], PATIENCE)[0]
    # The pending error is taken, as by a send of another thread; its queue entry remains.
    assert port._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNREFUSED
    assert wait_and_receive(port) == [Unreachable(nobody)]
    assert not select.select([port], [], [], 0)[0]


def test_too_large_is_dropped_without_blaming_the_peer(port: UdpPort, peer: socket.socket) -> None:
    assert list(port.send(b"x" * 65536, peer.getsockname())) == []
    assert (port.sent, port.failed) == (0, 1)


@pytest.mark.parametrize("address", [("::1", 5), ("127.0.0.1", 65536), ("a" * 64 + ".b", 5)])
def test_an_impossible_address_is_unreachable(port: UdpPort, address: tuple[str, int]) -> None:
    assert list(port.send(b"x", address)) == [Unreachable(address)]
    assert port.failed == 1


class Troubled(socket.socket):
    """Fails with each of `troubles` in turn, before it does what it is asked for."""

    troubles: list[int]

    def _trouble(self) -> None:
        if self.troubles:
            number = self.troubles.pop(0)
            raise OSError(number, "trouble")

    def sendto(self, data: bytes, address: object) -> int:  # type: ignore[override]
        self._trouble()
        return super().sendto(data, address)  # type: ignore[call-overload, no-any-return]

    def recvfrom(self, size: int) -> tuple[bytes, object]:  # type: ignore[override]
        self._trouble()
        return super().recvfrom(size)


@pytest.fixture
def troubled() -> Iterator[Troubled]:
    sock = Troubled(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    sock.troubles = []
    yield sock
    sock.close()


@pytest.mark.parametrize("trouble", [errno.EAGAIN, errno.ENOBUFS, errno.ENOMEM])
def test_no_room_drops_the_datagram(troubled: Troubled, peer: socket.socket, trouble: int) -> None:
    port = UdpPort(troubled)
    troubled.troubles = [trouble]
    assert list(port.send(b"x", peer.getsockname())) == []
    assert (port.sent, port.dropped, port.failed) == (0, 1, 0)


@pytest.mark.parametrize(
    "trouble", [errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EPERM, errno.ENETDOWN, errno.ENODEV]
)
def test_no_way_out_is_a_hint(troubled: Troubled, peer: socket.socket, trouble: int) -> None:
    port = UdpPort(troubled)
    troubled.troubles = [trouble, trouble]
    assert list(port.send(b"x", peer.getsockname())) == [Unreachable(peer.getsockname())]
    assert (port.sent, port.dropped, port.failed) == (0, 0, 1)


def test_errors_of_receiving_do_not_hide_what_is_there(
    troubled: Troubled, peer: socket.socket
) -> None:
    port = UdpPort(troubled)
    peer.sendto(b"here", port.address)
    troubled.troubles = [errno.ECONNREFUSED, errno.ECONNRESET, errno.ENETDOWN]
    assert wait_and_receive(port) == [Datagram(b"here", peer.getsockname())]


def test_a_socket_that_is_no_more_is_an_error(troubled: Troubled) -> None:
    port = UdpPort(troubled)
    troubled.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        port.receive(1)
