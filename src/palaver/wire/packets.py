"""Packets: what crosses the wire at once, as typed values (PROTOCOL.md, sections 3 and 4).

Each kind has `encode` next to its decoder. The integrity tag is added and checked by `sealing`;
what is handled here is all that stands before it.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from struct import Struct
from typing import TypeAlias

from palaver.machine import UsageError
from palaver.timing import MAX_MTU, MIN_CREDIT, MIN_MTU
from palaver.values import value

from .errors import DecodeError, decode_reason
from .sealing import TAG_SIZE

MAX_VERSIONS = 8
MAX_PROFILES = 8
MAX_ROLE = 16
MAX_COOKIE = 16
CLEAR_PROFILE = 0

FIRST_SKIPPABLE_OPTION = 128
PADDING = 0


class Kind(IntEnum):
    """The first byte of a packet. None of these can begin text in UTF-8, nor a STUN message."""

    HELLO = 0xF8
    COOKIE = 0xF9
    WELCOME = 0xFA
    REFUSE = 0xFB
    DATA = 0xFC
    RESET = 0xFD


# As plain numbers, for comparison with a byte.
HELLO, COOKIE, WELCOME = int(Kind.HELLO), int(Kind.COOKIE), int(Kind.WELCOME)
REFUSE, DATA, RESET = int(Kind.REFUSE), int(Kind.DATA), int(Kind.RESET)

_HEADER = Struct(">BQ")
DATA_HEADER = Struct(">BQI")
_ID = Struct(">Q")
_U16 = Struct(">H")
_GRANT = Struct(">HI")
_WELCOME = Struct(">BQQBBHI")

HEADER_SIZE = _HEADER.size
DATA_HEADER_SIZE = DATA_HEADER.size
RESET_SIZE = DATA_HEADER_SIZE + TAG_SIZE


@value
class Option:
    """An extension of HELLO or WELCOME: a type from 0 to 255 and up to 255 bytes."""

    type: int
    data: bytes


@value
class Hello:
    """Asks for a link (section 4.1). `link` is the id that the caller will receive under."""

    link: int
    versions: tuple[int, ...]
    profiles: tuple[int, ...]
    role: str
    mtu: int
    credit: int
    cookie: bytes = b""
    key_exchange: bytes = b""
    options: tuple[Option, ...] = ()

    def encode(self) -> bytes:
        """Give the packet without its tag."""
        role = self.role.encode("ascii")
        return b"".join(
            (
                _HEADER.pack(HELLO, 0),
                _ID.pack(self.link),
                bytes((len(self.versions), *self.versions)),
                bytes((len(self.profiles), *self.profiles)),
                bytes((len(role),)),
                role,
                bytes((len(self.cookie),)),
                self.cookie,
                _GRANT.pack(self.mtu, self.credit),
                _U16.pack(len(self.key_exchange)),
                self.key_exchange,
                _encode_options(self.options),
            )
        )


@value
class Cookie:
    """Asks the caller to prove its address by sending HELLO again with `cookie` (section 4.5)."""

    destination: int
    cookie: bytes

    def encode(self) -> bytes:
        """Give the packet without its tag."""
        length = bytes((len(self.cookie),))
        return _HEADER.pack(COOKIE, self.destination) + length + self.cookie


@value
class Welcome:
    """Answers a HELLO (section 4.2). `link` is the id that the callee will receive under."""

    destination: int
    link: int
    version: int
    profile: int
    mtu: int
    credit: int
    key_exchange: bytes = b""
    options: tuple[Option, ...] = ()

    def encode(self) -> bytes:
        """Give the packet without its tag."""
        head = _WELCOME.pack(
            WELCOME,
            self.destination,
            self.link,
            self.version,
            self.profile,
            self.mtu,
            self.credit,
        )
        key_exchange = _U16.pack(len(self.key_exchange)) + self.key_exchange
        return head + key_exchange + _encode_options(self.options)


@value
class Refuse:
    """Turns a HELLO down (section 4.4), with the versions that would have been welcome."""

    destination: int
    reason: int
    versions: tuple[int, ...]

    def encode(self) -> bytes:
        """Give the packet without its tag."""
        head = _HEADER.pack(REFUSE, self.destination)
        return head + bytes((self.reason, len(self.versions), *self.versions))


@value
class Reset:
    """Says that DATA packet `number` came for the unknown link id `link` (section 8.6)."""

    link: int
    number: int

    def encode(self) -> bytes:
        """Give the packet without its tag."""
        return DATA_HEADER.pack(RESET, self.link, self.number)


Handshake: TypeAlias = Hello | Cookie | Welcome | Refuse


def decode_unsealed(packet: bytes) -> Handshake | Reset:
    """Decode any packet but DATA, whose tag was checked and removed.

    Raises DecodeError for everything that is not the one valid encoding of a packet.
    """
    reader = _Reader(packet)
    kind, destination = reader.unpack(_HEADER)
    decode = _DECODERS.get(kind)
    if decode is None:
        raise DecodeError(f"{kind:#04x} is not the kind of a packet outside a link")
    decoded = decode(destination, reader)
    reader.end()
    return decoded


class _Reader:
    """Takes fields off the front of `data`; raises DecodeError where there is too little."""

    __slots__ = ("data", "position")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.position = 0

    def unpack(self, layout: Struct) -> tuple[int, ...]:
        return layout.unpack(self.take(layout.size))

    def take(self, size: int) -> bytes:
        start, self.position = self.position, self.position + size
        if self.position > len(self.data):
            raise DecodeError("the packet is too short for its fields")
        return self.data[start : self.position]

    def counted(self, least: int, most: int, what: str) -> bytes:
        """Take a u8 length and that many bytes."""
        (size,) = self.take(1)
        if not least <= size <= most:
            raise DecodeError(f"{size} bytes of {what}; {least} to {most} are allowed")
        return self.take(size)

    def end(self) -> None:
        if self.position != len(self.data):
            raise DecodeError("bytes are left over after the packet's fields")


def _decode_hello(destination: int, reader: _Reader) -> Hello:
    if destination != 0:
        raise DecodeError("a HELLO has destination 0")
    (link,) = reader.unpack(_ID)
    versions = reader.counted(1, MAX_VERSIONS, "versions")
    profiles = reader.counted(1, MAX_PROFILES, "profiles")
    role = _decode_role(reader.counted(1, MAX_ROLE, "role"))
    cookie = reader.counted(0, MAX_COOKIE, "cookie")
    mtu, credit = reader.unpack(_GRANT)
    key_exchange = reader.take(*reader.unpack(_U16))
    options = _decode_options(reader)
    _check_grant(link, mtu, credit)
    return Hello(
        link, tuple(versions), tuple(profiles), role, mtu, credit, cookie, key_exchange, options
    )


def _decode_cookie(destination: int, reader: _Reader) -> Cookie:
    _check_id(destination)
    return Cookie(destination, reader.counted(1, MAX_COOKIE, "cookie"))


def _decode_welcome(destination: int, reader: _Reader) -> Welcome:
    link, version, profile, mtu, credit = reader.unpack(_WELCOME_FIELDS)
    key_exchange = reader.take(*reader.unpack(_U16))
    options = _decode_options(reader)
    _check_id(destination)
    _check_grant(link, mtu, credit)
    return Welcome(destination, link, version, profile, mtu, credit, key_exchange, options)


_WELCOME_FIELDS = Struct(">QBBHI")


def _decode_refuse(destination: int, reader: _Reader) -> Refuse:
    _check_id(destination)
    (reason,) = reader.take(1)
    return Refuse(
        destination, decode_reason(reason), tuple(reader.counted(1, MAX_VERSIONS, "versions"))
    )


def _decode_reset(destination: int, reader: _Reader) -> Reset:
    _check_id(destination)
    return Reset(destination, int.from_bytes(reader.take(4), "big"))


_DECODERS: dict[int, Callable[[int, _Reader], Handshake | Reset]] = {
    HELLO: _decode_hello,
    COOKIE: _decode_cookie,
    WELCOME: _decode_welcome,
    REFUSE: _decode_refuse,
    RESET: _decode_reset,
}


def check_role(role: str) -> None:
    """Raise UsageError unless `role` is 1 to 16 of a-z, 0-9, '-', '.', '/'."""
    if not (1 <= len(role) <= MAX_ROLE and _ROLE_LETTERS.issuperset(role)):
        raise UsageError(
            f"{role!r} is not a role name: use 1 to {MAX_ROLE} of a-z, 0-9, '-', '.', '/'"
        )


_ROLE_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-./")


def _decode_role(data: bytes) -> str:
    role = data.decode("latin-1")
    if not _ROLE_LETTERS.issuperset(role):
        raise DecodeError("the role has a byte that role names don't have")
    return role


def _check_id(link: int) -> None:
    if link == 0:
        raise DecodeError("link id 0 is nobody's")


def _check_grant(link: int, mtu: int, credit: int) -> None:
    _check_id(link)
    if not MIN_MTU <= mtu <= MAX_MTU:
        raise DecodeError(f"an mtu of {mtu}; {MIN_MTU} to {MAX_MTU} are allowed")
    if credit < MIN_CREDIT:
        raise DecodeError(f"a credit of {credit}; at least {MIN_CREDIT} is required")


def pad(hello: Hello, size: int) -> Hello:
    """Give `hello` with the padding that makes it, with its tag, at least `size` bytes long."""
    missing = size - len(hello.encode()) - TAG_SIZE
    padding = []
    while missing > 0:
        zeros = min(max(missing - 2, 0), 255)
        padding.append(Option(PADDING, bytes(zeros)))
        missing -= zeros + 2
    return Hello(
        hello.link,
        hello.versions,
        hello.profiles,
        hello.role,
        hello.mtu,
        hello.credit,
        hello.cookie,
        hello.key_exchange,
        (*hello.options, *padding),
    )


def _encode_options(options: tuple[Option, ...]) -> bytes:
    return b"".join(bytes((option.type, len(option.data))) + option.data for option in options)


def _decode_options(reader: _Reader) -> tuple[Option, ...]:
    options = []
    while reader.position < len(reader.data):
        (kind,) = reader.take(1)
        data = reader.counted(0, 255, "option")
        if kind == PADDING:
            if any(data):
                raise DecodeError("padding has a byte that is not zero")
        elif kind < FIRST_SKIPPABLE_OPTION:
            raise DecodeError(f"option {kind} is unknown and must not be skipped")
        options.append(Option(kind, data))
    return tuple(options)
