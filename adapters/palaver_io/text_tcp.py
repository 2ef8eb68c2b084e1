"""TCP connections with bare text on them, alone or beside those with records (appendix A).

Where both may come, the first byte of a caller tells: that of a record is below 8, that of a text
is not. Until then nothing can be sent to it.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import Final

from palaver.machine import Address, Chunk, Datagram, Event, StreamBlocked, StreamOpened
from palaver.wire.plain import FIRST_TEXT

from .connection import MAX_UNSENT, BrokenStreamError, Connection
from .tcp import TcpPort

BLOCKED_ABOVE: Final = 65536  # bytes that the system has not taken
SILENT_UNTIL: Final = 60.0  # seconds until a caller of either kind must have said something
CLOSING_FOR: Final = 0.5  # seconds; netcat, for one, does not close as long as it may be typed to
_NO_EVENTS: Final[Sequence[Event]] = ()


class TextConnection(Connection):
    """A connection whose kind may be told by the first byte that comes."""

    __slots__ = ()

    def put(self, data: bytes) -> None:
        """Keep a record, or text as it is, to be sent."""
        if not self.is_text:
            super().put(data)
            return
        if len(self._out) + len(data) > MAX_UNSENT:
            raise BrokenStreamError("the peer has stopped reading")
        self._out += data

    def _split(self, records: list[bytes]) -> None:
        if self.is_text is None:
            self.is_text = self._in[0] >= FIRST_TEXT
        if self.is_text:
            records.append(bytes(self._in))
            self._in.clear()
        else:
            super()._split(records)


class TextTcpPort(TcpPort):
    """Connections with text; with `either`, callers may come with records as well."""

    _fresh_for = SILENT_UNTIL

    def __init__(self, listening: socket.socket | None = None, *, either: bool = False) -> None:
        super().__init__(listening)
        self._either = either

    def send(self, data: bytes, destination: Address) -> Sequence[Event]:
        """Keep `data` for `settle`; text to somebody with whom there is no connection is lost."""
        connection = self._by_address.get(destination)
        if connection is None or not data:
            self.failed += 1
            return _NO_EVENTS
        if not connection.is_text:
            return super().send(data, destination)
        try:
            connection.put(data)
        except BrokenStreamError:
            self.dropped += 1
            return self._end(connection)
        self.sent += 1
        self._dirty[connection] = None
        if connection.unsent <= BLOCKED_ABOVE or connection.is_blocked:
            return _NO_EVENTS
        connection.is_blocked = True
        return [StreamBlocked(destination, is_blocked=True)]

    def _make_connection(
        self, sock: socket.socket, address: Address, *, inbound: bool
    ) -> Connection:
        connection = TextConnection(sock, address, self._clock(), inbound=inbound)
        connection.is_text = None if inbound and self._either else True
        connection.is_fresh = connection.is_text is None
        return connection

    def _note_open(self, connection: Connection) -> Sequence[Event]:
        return [StreamOpened(connection.address)] if connection.is_text else _NO_EVENTS

    def _read(self, connection: Connection, quota: int, told: list[Event]) -> None:
        was_known = connection.is_text is not None
        before = len(told)
        super()._read(connection, quota, told)
        if not was_known and connection.is_text:
            told.insert(before, StreamOpened(connection.address))

    def _events_of(self, connection: Connection, records: list[bytes]) -> Sequence[Event]:
        kind = Chunk if connection.is_text else Datagram
        return [kind(data, connection.address) for data in records]

    def _note_written(self, connection: Connection) -> Sequence[Event]:
        if connection.unsent:
            return _NO_EVENTS
        if connection.is_closing:
            if connection.is_text:
                self._give_time(connection, CLOSING_FOR)
            return _NO_EVENTS
        if not connection.is_blocked:
            return _NO_EVENTS
        connection.is_blocked = False
        return [StreamBlocked(connection.address, is_blocked=False)]
