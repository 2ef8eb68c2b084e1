"""A UDP socket as a source of events and a sink of datagrams, for every driver.

Nothing here waits, and no error of the network is raised: what can't be sent is dropped and
counted, as the wire itself might have done, and what the network says about an address becomes an
`Unreachable` event.
"""

from __future__ import annotations

import errno
import selectors
import socket
import struct
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Final

from palaver.machine import Address, Datagram, Event, Unreachable

from .addresses import from_sockaddr, to_sockaddr
from .port import Ready, Watcher

# Numbers of Linux, because the socket module of older Pythons doesn't name all of them.
_IP_RECVERR: Final = 11
_IPV6_RECVERR: Final = 25
_MSG_ERRQUEUE: Final = 0x2000
_ERROR_SPACE: Final = 256  # bytes of control data: a sock_extended_err and an address fit well

_MAX_ERRORS: Final = 256  # of the error queue at a time
_MAX_DATAGRAM: Final = 65536
_DROPPED = {errno.EAGAIN, errno.EWOULDBLOCK, errno.ENOBUFS, errno.ENOMEM}
_BROKEN = {errno.EBADF, errno.ENOTSOCK}
_NO_EVENTS: Final[Sequence[Event]] = ()


class UdpPort:
    """A bound, unconnected UDP socket, which it takes over and makes non-blocking."""

    __slots__ = ("_errors_queue", "_family", "_sock", "dropped", "failed", "received", "sent")

    sent: int
    """Datagrams that the system took."""
    received: int
    dropped: int
    """Datagrams that did not go out because the system had no room for them."""
    failed: int
    """Datagrams that did not go out for any other reason."""

    is_lossy: Final = True
    is_idle: Final = True
    deadline: Final = None

    def __init__(self, sock: socket.socket) -> None:
        sock.settimeout(0)
        self._sock = sock
        self._family = sock.family
        self._errors_queue = _queue_errors(sock)
        self.sent = self.received = self.dropped = self.failed = 0

    # Getters

    def fileno(self) -> int:
        """Give the descriptor of the socket."""
        return self._sock.fileno()

    @property
    def address(self) -> Address:
        """Where the socket is bound."""
        return from_sockaddr(self._sock.getsockname())

    @property
    def traffic(self) -> dict[str, int]:
        """Datagrams so far."""
        return {name: getattr(self, name) for name in ("sent", "received", "dropped", "failed")}

    # What a driver asks for

    def start(self, watcher: Watcher, clock: Callable[[], float]) -> None:  # noqa: ARG002
        """Have the socket watched."""
        watcher.watch(self._sock, selectors.EVENT_READ)

    def take(self, ready: Iterable[Ready], most: int) -> list[Event]:
        """Give what has come, if the socket is ready; as `receive`."""
        for _ in ready:
            return self.receive(most)
        return []

    def receive(self, most: int) -> list[Event]:
        """Give what is there, up to `most` datagrams; an empty list if there is nothing.

        Raises OSError only if the socket itself is no more.
        """
        events: list[Event] = []
        for _ in range(most):
            try:
                data, source = self._sock.recvfrom(_MAX_DATAGRAM)
            except BlockingIOError:
                break
            except OSError as exc:
                if exc.errno in _BROKEN:
                    raise
                # An ICMP message about something sent before; the error queue knows what.
                events += self._read_error_queue()
                continue
            self.received += 1
            events.append(Datagram(data, from_sockaddr(source)))
        # A sender may have taken the error and left its entry, which keeps the socket readable.
        return events or self._read_error_queue()

    def send(self, data: bytes, destination: Address) -> Sequence[Event]:
        """Send `data`, or drop and count it; give what that told about this or other addresses."""
        events = _NO_EVENTS
        trouble = self._try_to_send(data, destination)
        if trouble and trouble not in _DROPPED and self._errors_queue:
            # It may be about an earlier datagram, to anybody, and this one did not go out.
            events = self._read_error_queue()
            trouble = self._try_to_send(data, destination)
        if not trouble:
            self.sent += 1
        elif trouble in _DROPPED:
            self.dropped += 1
        else:
            self.failed += 1
            if trouble != errno.EMSGSIZE:
                return [*events, Unreachable(destination)]
        return events

    def disconnect(self, address: Address) -> Sequence[Event]:  # noqa: ARG002
        """Do nothing: there are no connections."""
        return _NO_EVENTS

    def open_stream(self, address: Address) -> Sequence[Event]:  # noqa: ARG002
        """Do nothing: there are no connections."""
        return _NO_EVENTS

    def hold(self, address: Address, *, is_held: bool) -> None:
        """Do nothing, too."""

    def settle(self, now: float) -> Sequence[Event]:  # noqa: ARG002
        """Do nothing: nothing is kept."""
        return _NO_EVENTS

    def close(self) -> None:
        """Close the socket; closing twice does nothing."""
        self._sock.close()

    def _try_to_send(self, data: bytes, destination: Address) -> int:
        """Give 0, or what the system says is wrong."""
        try:
            self._sock.sendto(data, to_sockaddr(destination, self._family))
        except OSError as exc:
            return exc.errno or errno.EIO
        except (ValueError, OverflowError):  # not an address at all
            return errno.EDESTADDRREQ
        return 0

    def _read_error_queue(self) -> list[Event]:
        events: list[Event] = []
        for _ in range(_MAX_ERRORS if self._errors_queue else 0):
            try:
                _, control, _, about = self._sock.recvmsg(0, _ERROR_SPACE, _MSG_ERRQUEUE)
            except OSError:
                break
            if about and any(_is_unreachable(kind, data) for _, kind, data in control):
                events.append(Unreachable(from_sockaddr(about)))
        return events


def _queue_errors(sock: socket.socket) -> bool:
    """Ask for ICMP errors with the address that they are about; tell whether that works."""
    if sys.platform != "linux":
        return False
    works = False
    with suppress(OSError):
        sock.setsockopt(socket.IPPROTO_IP, _IP_RECVERR, 1)
        works = True
    if sock.family == socket.AF_INET6:
        with suppress(OSError):
            sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVERR, 1)
            works = True
    return works


def _is_unreachable(kind: int, data: bytes) -> bool:
    # struct sock_extended_err starts with the error as a u32.
    if kind not in {_IP_RECVERR, _IPV6_RECVERR} or len(data) < 4:
        return False
    number: int = struct.unpack_from("=I", data)[0]
    return number != errno.EMSGSIZE
