"""TCP connections as a port: addresses are connections, and records are datagrams.

A record that is sent to an address with which there is no connection opens one. That and closing
happen without waiting; what is to be sent meanwhile is kept, up to 1 MiB for each connection. How
a connection ends is told by `StreamEnded`, after `Unreachable` if it never stood.

Written for Windows and macOS too, but tried on Linux only.
"""

from __future__ import annotations

import errno
import socket
import struct
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from selectors import EVENT_READ, EVENT_WRITE
from typing import Final

from palaver.machine import Address, Datagram, Event, StreamEnded, Unreachable
from palaver.timing import MAX_RECORD

from .addresses import from_sockaddr, to_sockaddr
from .connection import BrokenStreamError, Connection
from .port import Ready, Watcher

MAX_CONNECTIONS: Final = 4096
MAX_FRESH: Final = 256  # callers that have not said anything yet; beyond, the oldest goes
FRESH_FOR: Final = 10.0  # seconds until a caller must have said something
CONNECTING_FOR: Final = 30.0  # seconds until a connection must stand
SILENT_FOR: Final = 60.0  # seconds after which a newcomer may take the place, if there is no other
CLOSING_FOR: Final = 2.0  # seconds in which the rest must be sent and the peer must close too
_ACCEPT_AGAIN: Final = 0.5  # seconds to wait when there are no descriptors left

_ACCEPTED_AT_ONCE: Final = 64  # callers
_BUDGET: Final = 262144  # bytes that are read at a time, from all connections together
_AT_LEAST: Final = 16384  # bytes that are read at a time from each
_NO_EVENTS: Final[Sequence[Event]] = ()

# struct linger: to close is to reset, and to throw away what was not sent.
_RESET: Final = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)
_UNDERWAY: Final = {0, errno.EINPROGRESS, errno.EWOULDBLOCK, errno.EAGAIN}
_EXHAUSTED: Final = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
_BROKEN: Final = {errno.EBADF, errno.ENOTSOCK, errno.EINVAL}


class TcpPort:
    """Connections to anybody, and from callers if there is a listening socket; takes that over."""

    is_lossy: Final = False
    _fresh_for = FRESH_FOR

    def __init__(self, listening: socket.socket | None = None) -> None:
        self._listening = listening
        if listening is not None:
            listening.settimeout(0)
        self._watcher: Watcher | None = None
        self._clock: Callable[[], float] = lambda: 0.0
        self._by_address: dict[Address, Connection] = {}
        self._by_sock: dict[socket.socket, Connection] = {}
        # Those to which something is to be sent at the end of the batch.
        self._dirty: dict[Connection, None] = {}
        # Those that must get further until some time: fresh, connecting or closing ones.
        self._timed: dict[Connection, float] = {}
        self._fresh: dict[Connection, None] = {}
        self._accept_again: float | None = None
        self._due: float | None = None
        self.sent = self.received = self.dropped = self.failed = 0

    # Getters

    @property
    def address(self) -> Address:
        """Where it listens; of no meaning if it does not."""
        if self._listening is None:
            return "0.0.0.0", 0  # noqa: S104 - not bound
        return from_sockaddr(self._listening.getsockname())

    @property
    def traffic(self) -> dict[str, int]:
        """Records so far; those of a connection that broke may count as sent and not have been."""
        return {name: getattr(self, name) for name in ("sent", "received", "dropped", "failed")}

    @property
    def is_idle(self) -> bool:
        """Whether no connection is being closed: the port may be closed without loss."""
        # Those that are being closed have an address no more.
        return len(self._by_sock) == len(self._by_address)

    @property
    def deadline(self) -> float | None:
        """When a connection, or the lack of room for more, has lasted too long."""
        return self._due

    # What a driver asks for

    def start(self, watcher: Watcher, clock: Callable[[], float]) -> None:
        """Have the sockets watched."""
        self._watcher, self._clock = watcher, clock
        if self._listening is not None:
            watcher.watch(self._listening, EVENT_READ)

    def take(self, ready: Iterable[Ready], most: int) -> list[Event]:  # noqa: ARG002 - bytes count
        """Give what has come, and go on with what is ready to go on."""
        ready = list(ready)
        quota = max(_AT_LEAST, _BUDGET // max(1, len(ready)))
        told: list[Event] = []
        for sock, events in ready:
            connection = self._by_sock.get(sock)
            if connection is not None:
                self._go_on(connection, events, quota, told)
            elif sock is self._listening:
                self._accept(told)
        return told

    def send(self, data: bytes, destination: Address) -> Sequence[Event]:
        """Keep `data` for `settle`, and open a connection if there is none."""
        if not 0 < len(data) <= MAX_RECORD:
            self.failed += 1
            return _NO_EVENTS
        connection = self._by_address.get(destination)
        if connection is None:
            try:
                connection = self._connect(destination)
            except (OSError, ValueError, OverflowError):  # nothing to connect with, or to
                self.failed += 1
                return [Unreachable(destination), StreamEnded(destination)]
        try:
            connection.put(data)
        except BrokenStreamError:
            self.dropped += 1
            return self._end(connection)
        self.sent += 1
        self._dirty[connection] = None
        return _NO_EVENTS

    def disconnect(self, address: Address) -> Sequence[Event]:
        """End the connection with `address`, if there is one, after what was sent before.

        Tells nothing: from now on there is none, and the next record opens another.
        """
        connection = self._by_address.pop(address, None)
        if connection is not None:
            connection.is_closing = True
            connection.is_held = False
            if not (connection.is_open or connection.unsent):
                return self._end(connection)
            self._fresh.pop(connection, None)
            self._dirty[connection] = None
            self._give_time(connection, CLOSING_FOR)
        return _NO_EVENTS

    def open_stream(self, address: Address) -> Sequence[Event]:
        """Open a connection, before there is anything to send."""
        if address in self._by_address:
            return _NO_EVENTS
        try:
            self._connect(address)
        except (OSError, ValueError, OverflowError):  # nothing to connect with, or to
            self.failed += 1
            return [Unreachable(address), StreamEnded(address)]
        return _NO_EVENTS

    def hold(self, address: Address, *, is_held: bool) -> None:
        """Read nothing more from the connection with `address`, or read again."""
        connection = self._by_address.get(address)
        if connection is not None:
            connection.is_held = is_held
            if connection.is_open:
                self._watch(connection)

    def settle(self, now: float) -> Sequence[Event]:
        """Send what was kept, end what has lasted too long; give what that told."""
        if not self._dirty and (self._due is None or now < self._due):
            return _NO_EVENTS
        told: list[Event] = []
        while self._dirty:
            connection, _ = self._dirty.popitem()
            self._write(connection, told)
        if self._due is not None and now >= self._due:
            self._expire(now, told)
        return told

    def close(self) -> None:
        """Close all sockets; what the system does not take at once is lost. Twice does nothing."""
        for connection in self._by_sock.values():
            with suppress(BrokenStreamError):
                connection.write()
                connection.is_closing = True
                # Unread bytes would make the system reset the connection, and lose ours.
                connection.read(_BUDGET, [])
            connection.sock.close()
        for table in (self._by_sock, self._by_address, self._dirty, self._timed, self._fresh):
            table.clear()
        if self._listening is not None:
            self._listening.close()

    # Opening

    def _connect(self, address: Address) -> Connection:
        if len(self._by_sock) >= MAX_CONNECTIONS:
            raise OSError(errno.EMFILE, "too many connections")
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            _prepare(sock)
            trouble = sock.connect_ex(to_sockaddr(address, family))
        except BaseException:
            sock.close()
            raise
        if trouble not in _UNDERWAY:
            sock.close()
            raise OSError(trouble, "no connection")
        connection = self._make_connection(sock, address, inbound=False)
        self._add(connection, EVENT_WRITE)
        self._give_time(connection, CONNECTING_FOR)
        return connection

    def _accept(self, told: list[Event]) -> None:
        assert self._listening is not None
        for _ in range(_ACCEPTED_AT_ONCE):
            try:
                sock, sockaddr = self._listening.accept()
            except BlockingIOError:
                return
            except OSError as exc:
                if exc.errno in _EXHAUSTED:
                    self._pause_accepting()
                    return
                if exc.errno in _BROKEN:
                    raise
                continue  # that caller has gone
            self._admit(sock, from_sockaddr(sockaddr), told)

    def _admit(self, sock: socket.socket, address: Address, told: list[Event]) -> None:
        if len(self._by_sock) >= MAX_CONNECTIONS and not self._make_room(told):
            sock.close()
            return
        try:
            _prepare(sock)
        except OSError:  # it has gone already
            sock.close()
            return
        before = self._by_address.get(address)
        if before is not None:  # it was restarted, and we had not noticed
            told += self._end(before)
        connection = self._make_connection(sock, address, inbound=True)
        self._add(connection, EVENT_READ)
        told += self._note_open(connection)
        if connection.is_fresh:
            self._give_time(connection, self._fresh_for)
            self._fresh[connection] = None
            if len(self._fresh) > MAX_FRESH:
                told += self._end(next(iter(self._fresh)))

    def _make_room(self, told: list[Event]) -> bool:
        """End the connection that has been silent longest, if for long: links don't do that."""
        quietest = min(self._by_sock.values(), key=lambda one: one.heard_at)
        if self._clock() - quietest.heard_at < SILENT_FOR:
            return False
        told += self._end(quietest)
        return True

    def _pause_accepting(self) -> None:
        assert self._watcher is not None
        assert self._listening is not None
        # The caller stays in the queue, and would wake us up again and again.
        self._watcher.watch(self._listening, 0)
        self._accept_again = self._clock() + _ACCEPT_AGAIN
        self._be_due(self._accept_again)

    def _add(self, connection: Connection, events: int) -> None:
        assert self._watcher is not None
        self._by_address[connection.address] = connection
        self._by_sock[connection.sock] = connection
        connection.watched = events
        self._watcher.watch(connection.sock, events)

    # Going on

    def _go_on(self, connection: Connection, events: int, quota: int, told: list[Event]) -> None:
        if not connection.is_open:
            try:
                connection.finish_opening()
            except BrokenStreamError:
                told += self._end(connection)
                return
            if not connection.is_closing:
                self._timed.pop(connection, None)
                told += self._note_open(connection)
            self._watch(connection)
        if events & EVENT_WRITE:
            self._dirty[connection] = None
        if events & EVENT_READ:
            self._read(connection, quota, told)

    def _read(self, connection: Connection, quota: int, told: list[Event]) -> None:
        records: list[bytes] = []
        over = False
        try:
            connection.read(quota, records)
        except BrokenStreamError:
            over = True
        if records and connection.is_fresh:
            connection.is_fresh = False
            self._fresh.pop(connection, None)
            self._timed.pop(connection, None)
        if records:
            connection.heard_at = self._clock()
        self.received += len(records)
        told += self._events_of(connection, records)
        if over:
            told += self._end(connection)

    def _write(self, connection: Connection, told: list[Event]) -> None:
        try:
            connection.write()
        except BrokenStreamError:
            told += self._end(connection)
            return
        if not connection.is_open:
            return
        if connection.is_closing and not connection.unsent:
            # Not closed yet: the peer may have sent something that would reset the connection.
            with suppress(OSError):
                connection.sock.shutdown(socket.SHUT_WR)
        self._watch(connection)
        told += self._note_written(connection)

    def _watch(self, connection: Connection) -> None:
        assert self._watcher is not None
        events = 0 if connection.is_held else EVENT_READ
        if connection.unsent:
            events |= EVENT_WRITE
        if events != connection.watched:
            connection.watched = events
            self._watcher.watch(connection.sock, events)

    # What is on the connections: records, here

    def _make_connection(
        self, sock: socket.socket, address: Address, *, inbound: bool
    ) -> Connection:
        return Connection(sock, address, self._clock(), inbound=inbound)

    def _note_open(self, connection: Connection) -> Sequence[Event]:  # noqa: ARG002
        """Give what is to be told of a connection that stands."""
        return _NO_EVENTS

    def _events_of(self, connection: Connection, records: list[bytes]) -> Sequence[Event]:
        """Give what has come, as events."""
        return [Datagram(data, connection.address) for data in records]

    def _note_written(self, connection: Connection) -> Sequence[Event]:  # noqa: ARG002
        """Give what is to be told of a connection that has taken something."""
        return _NO_EVENTS

    # Ending

    def _end(self, connection: Connection) -> Sequence[Event]:
        """Close the socket; give what is to be told."""
        assert self._watcher is not None
        for table in (self._dirty, self._timed, self._fresh):
            table.pop(connection, None)
        self._by_sock.pop(connection.sock, None)
        if connection.unsent:  # and more of it with the system, for a peer that doesn't read
            with suppress(OSError):
                connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._watcher.discard(connection.sock)
        if connection.is_closing:
            return _NO_EVENTS
        del self._by_address[connection.address]
        if connection.is_open:
            return [StreamEnded(connection.address)]
        return [Unreachable(connection.address), StreamEnded(connection.address)]

    def _give_time(self, connection: Connection, seconds: float) -> None:
        self._timed[connection] = until = self._clock() + seconds
        self._be_due(until)

    def _be_due(self, until: float) -> None:
        # Not moved back when what it was for is over: to come too early does no harm.
        if self._due is None or until < self._due:
            self._due = until

    def _expire(self, now: float, told: list[Event]) -> None:
        if self._accept_again is not None and now >= self._accept_again:
            self._accept_again = None
            if self._watcher is not None and self._listening is not None:
                self._watcher.watch(self._listening, EVENT_READ)
        for connection in [one for one, until in self._timed.items() if now >= until]:
            told += self._end(connection)
        self._due = min(self._timed.values(), default=self._accept_again)
        if self._accept_again is not None:
            self._be_due(self._accept_again)


def _prepare(sock: socket.socket) -> None:
    sock.settimeout(0)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
