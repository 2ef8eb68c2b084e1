"""One TCP connection: records in, records out (PROTOCOL.md, section 8.9).

A record is a length, u16 big-endian, 1 to 2,047, and that many bytes: so its first byte is 0 to 7,
and text is told from it. Nothing here waits, knows time, or closes the socket.
"""

from __future__ import annotations

import socket
import struct
from typing import Final

from palaver.machine import Address
from palaver.timing import MAX_RECORD

MAX_UNSENT: Final = 1 << 20  # bytes; who takes less than that has stopped reading

_CHUNK: Final = 16384  # bytes per read
_HEADER: Final = struct.Struct("!H")
_BLOCKED: Final = (BlockingIOError, InterruptedError)


class BrokenStreamError(Exception):
    """The connection is over: closed, reset, or spoiled by a length that can't be."""


class Connection:
    """A connected or connecting socket, which does not block.

    Methods raise BrokenStreamError when it is over.
    """

    __slots__ = (
        "_in",
        "_out",
        "address",
        "heard_at",
        "is_blocked",
        "is_closing",
        "is_fresh",
        "is_held",
        "is_open",
        "is_text",
        "sock",
        "watched",
    )

    def __init__(
        self, sock: socket.socket, address: Address, now: float = 0.0, *, inbound: bool
    ) -> None:
        self.sock = sock
        self.address = address
        self.is_open = inbound
        """Whether the connection stands; before, what is to be sent is kept."""
        self.is_fresh = inbound
        """Whether a stranger has called and not said anything yet."""
        self.is_closing = False
        """Whether what comes is thrown away, and the socket closed when all was sent."""
        self.is_held = False
        """Whether nothing is to be read for now."""
        self.is_text: bool | None = False
        """Whether bare text goes over it; None if that is not known yet."""
        self.is_blocked = False
        """Whether it was told that the system takes no more for now (with text only)."""
        self.heard_at = now
        """When something came last."""
        self.watched = 0
        """For what the socket is watched."""
        self._in = bytearray()
        self._out = bytearray()

    @property
    def unsent(self) -> int:
        """Bytes that the system has not taken yet."""
        return len(self._out)

    def finish_opening(self) -> None:
        """Take note that the system is done with connecting."""
        try:
            trouble = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if not trouble and self.sock.getsockname() == self.sock.getpeername():
                # On one host, who dials a port that nobody has can get it and meet itself.
                raise BrokenStreamError("connected to itself")
        except OSError as exc:
            raise BrokenStreamError(str(exc)) from exc
        if trouble:
            raise BrokenStreamError(f"error {trouble}")
        self.is_open = True

    def put(self, data: bytes) -> None:
        """Keep a record to be sent."""
        if len(self._out) + len(data) > MAX_UNSENT:
            raise BrokenStreamError("the peer has stopped reading")
        self._out += _HEADER.pack(len(data))
        self._out += data

    def write(self) -> None:
        """Send what the system takes now."""
        if not (self._out and self.is_open):
            return
        try:
            sent = self.sock.send(self._out)
        except _BLOCKED:
            return
        except OSError as exc:
            raise BrokenStreamError(str(exc)) from exc
        del self._out[:sent]

    def read(self, most: int, records: list[bytes]) -> None:
        """Add the records that are complete to `records`, from about `most` bytes.

        When this raises, those that came before the end are in `records`.
        """
        while most > 0:
            try:
                data = self.sock.recv(_CHUNK)
            except _BLOCKED:
                return
            except OSError as exc:
                raise BrokenStreamError(str(exc)) from exc
            if not data:
                raise BrokenStreamError("closed by the peer")
            if not self.is_closing:
                self._in += data
                self._split(records)
            most -= len(data)
            if len(data) < _CHUNK:
                return

    def _split(self, records: list[bytes]) -> None:
        buffer, start, end = self._in, 0, len(self._in)
        while end - start >= 2:
            size = buffer[start] << 8 | buffer[start + 1]
            if not 0 < size <= MAX_RECORD:
                raise BrokenStreamError(f"a record of {size} bytes")
            if end - start < size + 2:
                break
            records.append(bytes(buffer[start + 2 : start + 2 + size]))
            start += size + 2
        # The first byte of a length tells as much as can be wrong with it.
        if end - start == 1 and buffer[start] > MAX_RECORD >> 8:
            raise BrokenStreamError("no length of a record")
        del buffer[:start]
