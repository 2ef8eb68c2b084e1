"""The vocabulary of role "registry": people find each other (PROTOCOL.md, section 6.4)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import IntEnum
from itertools import pairwise
from struct import Struct
from typing import ClassVar, TypeAlias

from palaver.machine import Address
from palaver.values import value

from .errors import DecodeError
from .messages import decode_text
from .names import MAX_NAME

ROLE = "registry"
REPLACED = 128
"""Why a registry ends a link: the owner of the entry has proved itself on another."""
MAX_ID = (1 << 32) - 1
TOKEN_SIZE = 16
NO_TOKEN = bytes(TOKEN_SIZE)
MAX_HOST = 255
MAX_PORT = 65535
MAX_PAGE = 1024
"""The most bytes that PAGE and ROSTER have: one datagram, and the smallest window takes it."""
MAX_REQUESTS = 32
"""Requests of one client that may wait for their answers."""

_ID = Struct("!BI")
_REGISTER = Struct("!BI16sH")
_PAIR = Struct("!BII")
_ENTRY = Struct("!IIHB")


class Refusal(IntEnum):
    """Why a registry does not take a client."""

    NAME_TAKEN = 1
    """Somebody who is there has the name."""
    NAME_INVALID = 2
    """The name is none (6.4.2)."""
    FULL = 3
    """The registry has as many entries as it takes."""
    NO_ADDRESS = 4
    """Others can't be told where the client can be called."""


@value
class Entry:
    """One who is there: `age` is for how many seconds."""

    id: int
    name: str
    address: Address
    age: int

    def encode(self) -> bytes:
        """Give the entry as it stands within a message."""
        host, name = self.address[0].encode(), self.name.encode()
        head = _ENTRY.pack(self.id, self.age, self.address[1], len(host))
        return b"%b%b%c%b" % (head, host, len(name), name)


def is_tellable(address: Address) -> bool:
    """Tell whether an entry can have this address."""
    host, port = address
    try:
        size = len(host.encode())
    except UnicodeEncodeError:
        return False
    return 0 < size <= MAX_HOST and 0 <= port <= MAX_PORT


@value
class Register:
    """Client: enter me as `name`; and, if I have an id from before, this proves it.

    `port` is where it takes calls, if the link goes by a stream, and else 0.
    """

    KIND: ClassVar[int] = 16
    name: str
    id: int = 0
    token: bytes = NO_TOKEN
    port: int = 0

    def encode(self) -> bytes:
        """Give the message."""
        return _REGISTER.pack(self.KIND, self.id, self.token, self.port) + self.name.encode()


@value
class Lookup:
    """Client: who is this? By id or, if that is 0, by name."""

    KIND: ClassVar[int] = 17
    request: int
    id: int
    name: str = ""

    def encode(self) -> bytes:
        """Give the message."""
        return _PAIR.pack(self.KIND, self.request, self.id) + self.name.encode()


@value
class List:
    """Client: who is there? Those with ids above `after`, as many as a page holds."""

    KIND: ClassVar[int] = 18
    request: int
    after: int

    def encode(self) -> bytes:
        """Give the message."""
        return _PAIR.pack(self.KIND, self.request, self.after)


@value
class Unregister:
    """Client: I leave; erase me."""

    KIND: ClassVar[int] = 19

    def encode(self) -> bytes:
        """Give the message."""
        return bytes((self.KIND,))


@value
class Registered:
    """Registry: you are entered as `id`; `token` proves it next time."""

    KIND: ClassVar[int] = 32
    id: int
    token: bytes

    def encode(self) -> bytes:
        """Give the message."""
        return _ID.pack(self.KIND, self.id) + self.token


@value
class Refused:
    """Registry: you are not entered, for this reason."""

    KIND: ClassVar[int] = 33
    code: int

    def encode(self) -> bytes:
        """Give the message."""
        return bytes((self.KIND, self.code))


@value
class Found:
    """Registry: it is this one."""

    KIND: ClassVar[int] = 34
    request: int
    entry: Entry

    def encode(self) -> bytes:
        """Give the message."""
        return _ID.pack(self.KIND, self.request) + self.entry.encode()


@value
class Inactive:
    """Registry: nobody who is there is that."""

    KIND: ClassVar[int] = 35
    request: int

    def encode(self) -> bytes:
        """Give the message."""
        return _ID.pack(self.KIND, self.request)


@value
class Page:
    """Registry: these are there, by rising id; `more` if there are others above."""

    KIND: ClassVar[int] = 36
    request: int
    more: bool
    entries: tuple[Entry, ...]

    def encode(self) -> bytes:
        """Give the message."""
        head = b"%b%c" % (_ID.pack(self.KIND, self.request), self.more)
        return head + b"".join(entry.encode() for entry in self.entries)


@value
class Roster:
    """Registry: what has changed, in order: who is there now, or the id of who is not."""

    KIND: ClassVar[int] = 37
    changes: tuple[Entry | int, ...]

    def encode(self) -> bytes:
        """Give the message."""
        return bytes((self.KIND,)) + b"".join(map(encode_change, self.changes))


@value
class Stale:
    """Registry: more has changed than you were told; list anew if you need to know."""

    KIND: ClassVar[int] = 38

    def encode(self) -> bytes:
        """Give the message."""
        return bytes((self.KIND,))


@value
class Erased:
    """Registry: you are not entered any more, as you wished."""

    KIND: ClassVar[int] = 39

    def encode(self) -> bytes:
        """Give the message."""
        return bytes((self.KIND,))


@value
class RollCall:
    """Registry: are you there? To acknowledge it is all that it asks for; it may be skipped."""

    KIND: ClassVar[int] = 128

    def encode(self) -> bytes:
        """Give the message."""
        return bytes((self.KIND,))


FromClient: TypeAlias = Register | Lookup | List | Unregister
FromRegistry: TypeAlias = (
    Registered | Refused | Found | Inactive | Page | Roster | Stale | Erased | RollCall
)
RegistryMessage: TypeAlias = FromClient | FromRegistry


def encode_change(change: Entry | int) -> bytes:
    """Give a change as it stands within ROSTER."""
    return _ID.pack(0, change) if isinstance(change, int) else b"\x01" + change.encode()


def decode_registry(message: bytes) -> RegistryMessage | None:
    """Decode a message of this role; None for a kind that it does not have.

    Raises DecodeError for a body that is not valid.
    """
    if not message:
        raise DecodeError("a message has at least its kind")
    decode = _DECODERS.get(message[0])
    return None if decode is None else decode(message)


def _register(message: bytes) -> Register:
    start = _REGISTER.size
    if not start <= len(message) <= start + MAX_NAME:
        raise DecodeError("a REGISTER is too short or too long")
    _, number, token, port = _REGISTER.unpack_from(message)
    return Register(decode_text(message, start), number, token, port)


def _lookup(message: bytes) -> Lookup:
    _, request, number = _unpack(_PAIR, message)
    name = decode_text(message, _PAIR.size)
    if bool(number) == bool(name) or len(message) > _PAIR.size + MAX_NAME:
        raise DecodeError("a LOOKUP has either an id or a name")
    return Lookup(request, number, name)


def _list(message: bytes) -> List:
    _, request, after = _unpack(_PAIR, message, exact=True)
    return List(request, after)


def _registered(message: bytes) -> Registered:
    if len(message) != _ID.size + TOKEN_SIZE:
        raise DecodeError("a REGISTERED has an id and a token")
    _, number = _ID.unpack_from(message)
    return Registered(_check_id(number), message[_ID.size :])


def _refused(message: bytes) -> Refused:
    if len(message) != 2:
        raise DecodeError("a REFUSED has a code")
    return Refused(message[1])


def _found(message: bytes) -> Found:
    _, request = _unpack(_ID, message)
    entry, end = _entry(message, _ID.size)
    if end != len(message):
        raise DecodeError("a FOUND has one entry")
    return Found(request, entry)


def _inactive(message: bytes) -> Inactive:
    _, request = _unpack(_ID, message, exact=True)
    return Inactive(request)


def _page(message: bytes) -> Page:
    if not _ID.size < len(message) <= MAX_PAGE or message[_ID.size] > 1:
        raise DecodeError("a PAGE is too short or too long, or its `more` is neither 0 nor 1")
    _, request = _ID.unpack_from(message)
    entries = tuple(_entries(message, _ID.size + 1))
    ids = [entry.id for entry in entries]
    if any(a >= b for a, b in pairwise(ids)):
        raise DecodeError("the ids of a PAGE must rise")
    more = message[_ID.size] == 1
    if more and not entries:
        raise DecodeError("a PAGE without entries is the last")
    return Page(request, more, entries)


def _roster(message: bytes) -> Roster:
    if not 1 < len(message) <= MAX_PAGE:
        raise DecodeError("a ROSTER is too short or too long")
    changes: list[Entry | int] = []
    at = 1
    while at < len(message):
        if message[at] == 1:
            entry, at = _entry(message, at + 1)
            changes.append(entry)
        elif message[at] == 0 and at + _ID.size <= len(message):
            changes.append(_check_id(_ID.unpack_from(message, at)[1]))
            at += _ID.size
        else:
            raise DecodeError("a change is cut off, or neither a leaving nor a joining")
    return Roster(tuple(changes))


def _entries(message: bytes, at: int) -> Iterator[Entry]:
    while at < len(message):
        entry, at = _entry(message, at)
        yield entry


def _entry(message: bytes, at: int) -> tuple[Entry, int]:
    """Decode the entry at byte `at`; give it, and where it ends."""
    start = at + _ENTRY.size
    if start >= len(message):
        raise DecodeError("an entry is cut off")
    number, age, port, host_size = _ENTRY.unpack_from(message, at)
    middle = start + host_size
    if not host_size or middle >= len(message):
        raise DecodeError("the host of an entry is empty or cut off")
    end = middle + 1 + message[middle]
    if not 0 < message[middle] <= MAX_NAME or end > len(message):
        raise DecodeError("the name of an entry is empty, too long or cut off")
    host, name = decode_text(message[:middle], start), decode_text(message[:end], middle + 1)
    return Entry(_check_id(number), name, (host, port), age), end


def _check_id(number: int) -> int:
    if number == 0:
        raise DecodeError("0 is nobody's id")
    return number


def _unpack(layout: Struct, message: bytes, *, exact: bool = False) -> tuple[int, ...]:
    if len(message) < layout.size or (exact and len(message) > layout.size):
        raise DecodeError("a message is too short or too long")
    return layout.unpack_from(message)


def _bare(kind: type[Unregister | Stale | Erased | RollCall]) -> Callable[[bytes], RegistryMessage]:
    def decode(message: bytes) -> RegistryMessage:
        if len(message) != 1:
            raise DecodeError("a message that is its kind alone has a body")
        return kind()

    return decode


_DECODERS: dict[int, Callable[[bytes], RegistryMessage]] = {
    Register.KIND: _register,
    Lookup.KIND: _lookup,
    List.KIND: _list,
    Unregister.KIND: _bare(Unregister),
    Registered.KIND: _registered,
    Refused.KIND: _refused,
    Found.KIND: _found,
    Inactive.KIND: _inactive,
    Page.KIND: _page,
    Roster.KIND: _roster,
    Stale.KIND: _bare(Stale),
    Erased.KIND: _bare(Erased),
    RollCall.KIND: _bare(RollCall),
}
