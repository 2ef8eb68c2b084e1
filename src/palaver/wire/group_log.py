"""What happens in a room, as numbered entries (PROTOCOL.md, section 6.6)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import IntEnum
from struct import Struct
from typing import TypeAlias

from palaver.values import value

from .errors import DecodeError
from .fields import decode_name, take_short
from .messages import decode_text

LOG = 21

POSTED = 1
JOINED = 2
LEFT = 3
TAKEN = 4
FIRST_SKIPPABLE_ENTRY = 128

MAX_TEXT = 65000
"""Bytes of a post: with its number and its author's name it fits into a message."""

_LOG = Struct(">BQ")
_ENTRY = Struct(">BH")
_ID = Struct(">Q")
LOG_HEADER_SIZE = _LOG.size
LAST_NUMBER = (1 << 64) - 1


class Coming(IntEnum):
    """How somebody came in."""

    NEW = 0
    """For the first time, as far as the hub knows."""
    BACK = 1
    """Again, after its loss was announced."""


class Going(IntEnum):
    """Why somebody is gone."""

    LEFT = 0
    """It said so."""
    LOST = 1
    """Its link has ended without that."""
    DROPPED = 2
    """The hub dropped it: it took too little, too slowly."""


@value
class Posted:
    """An entry: a member has said something."""

    name: str
    text: str

    def encode(self) -> bytes:
        """Give the entry."""
        name, text = self.name.encode(), self.text.encode()
        size = 1 + len(name) + len(text)
        return b"".join((_ENTRY.pack(POSTED, size), bytes((len(name),)), name, text))


@value
class Joined:
    """An entry: somebody has come in."""

    how: int
    name: str

    def encode(self) -> bytes:
        """Give the entry."""
        return _entry(JOINED, bytes((self.how,)) + self.name.encode())


@value
class Left:
    """An entry: somebody is gone."""

    how: int
    name: str

    def encode(self) -> bytes:
        """Give the entry."""
        return _entry(LEFT, bytes((self.how,)) + self.name.encode())


@value
class Taken:
    """What an author is sent in the place of its own post."""

    id: int

    def encode(self) -> bytes:
        """Give the entry."""
        return _entry(TAKEN, _ID.pack(self.id))


@value
class Skipped:
    """An entry of a kind that need not be understood."""

    kind: int
    body: bytes

    def encode(self) -> bytes:
        """Give the entry."""
        return _entry(self.kind, self.body)


Entry: TypeAlias = Posted | Joined | Left | Taken | Skipped


@value
class Log:
    """Entries, the first of which has this number; at least one."""

    number: int
    entries: tuple[Entry, ...]

    def encode(self) -> bytes:
        """Give the message."""
        return encode_log(self.number, [entry.encode() for entry in self.entries])


def encode_log(number: int, entries: Iterable[bytes]) -> bytes:
    """Give the LOG of entries that are encoded already, the first of which has this number."""
    return _LOG.pack(LOG, number) + b"".join(entries)


# Decoding


def decode_log(message: bytes) -> Log:
    """Decode a message of kind LOG. Raises DecodeError."""
    _, number = _LOG.unpack_from(message)
    entries = tuple(_decode_entries(message))
    if not entries or not number or number > LAST_NUMBER - len(entries):
        raise DecodeError("no entries, or numbers that there can't be")
    return Log(number, entries)


def _decode_entries(message: bytes) -> Iterator[Entry]:
    at = _LOG.size
    while at < len(message):
        kind, size = _ENTRY.unpack_from(message, at)
        at += _ENTRY.size
        body = message[at : at + size]
        at += size
        if at > len(message):
            raise DecodeError("an entry is cut off")
        yield _decode_entry(kind, body)


def _decode_entry(kind: int, body: bytes) -> Entry:
    if kind == POSTED:
        name, at = take_short(body, 0)
        if len(body) - at > MAX_TEXT:
            raise DecodeError(f"a post of {len(body) - at} bytes")
        return Posted(decode_name(name), decode_text(body, at))
    if kind == TAKEN:
        if len(body) != _ID.size or body == bytes(_ID.size):
            raise DecodeError("a TAKEN without an id")
        return Taken(_ID.unpack(body)[0])
    if kind in {JOINED, LEFT}:
        if not body or body[0] > (Coming.BACK if kind == JOINED else Going.DROPPED):
            raise DecodeError("in what way somebody came or went can't be understood")
        return (Joined if kind == JOINED else Left)(body[0], decode_name(body[1:]))
    if kind < FIRST_SKIPPABLE_ENTRY:
        raise DecodeError(f"an unknown kind of entry: {kind}")
    return Skipped(kind, body)


def _entry(kind: int, body: bytes) -> bytes:
    return _ENTRY.pack(kind, len(body)) + body
