"""A second opinion: a decoder of Palaver 1 that was written from PROTOCOL.md alone.

Its author had not seen the implementation, and nothing of `palaver` is imported here. So where the
two decoders agree, PROTOCOL.md says enough; where they don't, one of them or the text has a bug.
Change this file only where PROTOCOL.md changes, never to make it agree with the implementation.

    decode(datagram)            # Hello, Cookie, Welcome, Refuse, Data or Reset
    decode_message(role, raw)   # Fin, Bye, Introduce, Text or Other

Both raise Malformed. Its `reason` is None where the datagram is simply to be dropped [P-1], and a
code (2, 3) where the rules say that the link has to end with CLOSE ([F-1], [M-1], [M-2]); for those
of a DATA packet `link` and `number` are set.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import TypeAlias

KIND_HELLO, KIND_COOKIE, KIND_WELCOME, KIND_REFUSE, KIND_DATA, KIND_RESET = range(0xF8, 0xFE)
ROLE_CHARS = frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789-./")
MAX_MESSAGE = 65536


class Malformed(Exception):
    def __init__(self, why: str, reason: int | None = None, link: int = 0, number: int = 0) -> None:
        super().__init__(why)
        self.reason, self.link, self.number = reason, link, number


@dataclass(frozen=True)
class Option:
    type: int
    value: bytes


@dataclass(frozen=True)
class Hello:
    caller: int
    versions: tuple[int, ...]
    profiles: tuple[int, ...]
    role: str
    cookie: bytes
    mtu: int
    credit: int
    key_exchange: bytes = b""
    options: tuple[Option, ...] = ()
    size: int = 0


@dataclass(frozen=True)
class Cookie:
    link: int
    cookie: bytes


@dataclass(frozen=True)
class Welcome:
    link: int
    callee: int
    version: int
    profile: int
    mtu: int
    credit: int
    key_exchange: bytes = b""
    options: tuple[Option, ...] = ()


@dataclass(frozen=True)
class Refuse:
    link: int
    reason: int
    versions: tuple[int, ...]


@dataclass(frozen=True)
class Reset:
    link: int
    number: int


@dataclass(frozen=True)
class Segment:
    number: int
    data: bytes
    last: bool  # True: SEGMENT, False: FRAGMENT


@dataclass(frozen=True)
class Ack:
    wanted: int
    newest: int
    earlier: int
    delay: int  # units of 10 us; 0xffff: as much or more
    credit: int


@dataclass(frozen=True)
class Ping:
    pass


@dataclass(frozen=True)
class Path:
    response: bool
    token: bytes


@dataclass(frozen=True)
class Close:
    reason: int
    wanted: int
    text: str


@dataclass(frozen=True)
class Unknown:
    type: int
    body: bytes


Frame: TypeAlias = Segment | Ack | Ping | Path | Close | Unknown


@dataclass(frozen=True)
class Data:
    link: int
    number: int
    frames: tuple[Frame, ...] = ()
    size: int = 0

    @property
    def eliciting(self) -> bool:
        return any(not isinstance(f, Ack | Close) for f in self.frames)


Packet: TypeAlias = Hello | Cookie | Welcome | Refuse | Data | Reset


class _Reader:
    def __init__(self, raw: bytes) -> None:
        self.raw, self.at = raw, 0

    def left(self) -> int:
        return len(self.raw) - self.at

    def take(self, n: int) -> bytes:
        if n > self.left():
            raise Malformed("cut off")
        self.at += n
        return self.raw[self.at - n : self.at]

    def uint(self, n: int) -> int:
        return int.from_bytes(self.take(n), "big")

    def counted(self, low: int, high: int, what: str) -> bytes:
        n = self.uint(1)
        if not low <= n <= high:
            raise Malformed(f"{what}: length {n}")
        return self.take(n)

    def mtu(self) -> int:
        mtu = self.uint(2)
        if not 64 <= mtu <= 65507:
            raise Malformed(f"mtu {mtu}")
        return mtu

    def credit(self) -> int:
        credit = self.uint(4)
        if credit < 1024:
            raise Malformed(f"credit {credit}")
        return credit

    def options(self) -> tuple[Option, ...]:
        got = []
        while self.left():
            kind = self.uint(1)
            value = self.take(self.uint(1))
            if kind == 0:
                if any(value):
                    raise Malformed("padding not zero")
            elif kind < 128:
                raise Malformed(f"unknown option {kind}")
            got.append(Option(kind, value))
        return tuple(got)

    def end(self) -> None:
        if self.left():
            raise Malformed(f"{self.left()} bytes too many")


def _link(raw: int) -> int:
    if raw == 0:
        raise Malformed("link id 0")
    return raw


def decode(datagram: bytes) -> Packet:
    if len(datagram) < 13:
        raise Malformed("too short")
    kind = datagram[0]
    if not KIND_HELLO <= kind <= KIND_RESET:
        raise Malformed(f"kind {kind:02x}")
    body, tag = datagram[:-4], datagram[-4:]
    if zlib.crc32(body) != int.from_bytes(tag, "big"):
        raise Malformed("tag")
    r = _Reader(body)
    r.take(1)
    link = r.uint(8)
    if kind == KIND_HELLO:
        if link:
            raise Malformed("link id of HELLO not 0")
        if len(datagram) < 64:
            raise Malformed("HELLO shorter than 64")
        caller = _link(r.uint(8))
        versions = tuple(r.counted(1, 8, "versions"))
        profiles = tuple(r.counted(1, 8, "profiles"))
        role = r.counted(1, 16, "role")
        if not set(role) <= ROLE_CHARS:
            raise Malformed("role")
        cookie = r.counted(0, 16, "cookie")
        mtu, credit = r.mtu(), r.credit()
        key = r.take(r.uint(2))  # ignored when the clear profile is chosen (12)
        return Hello(
            caller,
            versions,
            profiles,
            role.decode("ascii"),
            cookie,
            mtu,
            credit,
            key,
            r.options(),
            len(datagram),
        )
    _link(link)
    if kind == KIND_COOKIE:
        got: Packet = Cookie(link, r.counted(1, 16, "cookie"))
    elif kind == KIND_WELCOME:
        callee = _link(r.uint(8))
        version, profile, mtu, credit = r.uint(1), r.uint(1), r.mtu(), r.credit()
        key = r.take(r.uint(2))
        got = Welcome(link, callee, version, profile, mtu, credit, key, r.options())
    elif kind == KIND_REFUSE:
        got = Refuse(link, _reason(r.uint(1)), tuple(r.counted(1, 8, "versions")))
    elif kind == KIND_RESET:
        got = Reset(link, r.uint(4))
    else:
        number = r.uint(4)
        try:
            return Data(link, number, decode_frames(body[13:]), len(datagram))
        except Malformed as e:
            raise Malformed(str(e), 2, link, number) from None
    r.end()
    return got


def decode_frames(raw: bytes) -> tuple[Frame, ...]:
    if not raw:
        raise Malformed("no frame at all")  # [P-6], [F-1]
    r = _Reader(raw)
    frames: list[Frame] = []
    while r.left():
        kind = r.uint(1)
        body = r.take(r.uint(2))
        n = len(body)
        if kind in (1, 2):
            if n < 5:
                raise Malformed("segment without data")
            frames.append(Segment(int.from_bytes(body[:4], "big"), body[4:], kind == 1))
        elif kind == 3:
            if n != 26:
                raise Malformed("length of ACK")
            ack = Ack(*struct.unpack(">IIQHQ", body))
            if ack.newest < 64 and ack.earlier >> ack.newest:
                raise Malformed("ACK of a packet below 0")  # [F-4]
            frames.append(ack)
        elif kind == 4:
            if n:
                raise Malformed("length of PING")
            frames.append(Ping())
        elif kind in (5, 6):
            if n != 8:
                raise Malformed("length of PATH frame")
            frames.append(Path(kind == 6, body))
        elif kind == 7:
            if n < 5:
                raise Malformed("length of CLOSE")
            text = _utf8(body[5:], 120, "text of CLOSE")
            _reason(body[0])
            frames.append(Close(body[0], int.from_bytes(body[1:5], "big"), text))
        elif kind < 128:
            raise Malformed(f"unknown frame {kind:02x}")
        else:
            frames.append(Unknown(kind, body))
    return tuple(frames)


@dataclass(frozen=True)
class Fin:
    pass


@dataclass(frozen=True)
class Bye:
    reason: int
    text: str


@dataclass(frozen=True)
class Introduce:
    name: str


@dataclass(frozen=True)
class Text:
    text: str


@dataclass(frozen=True)
class Twin:
    proof: bytes


@dataclass(frozen=True)
class Same:
    yes: bool
    proof: bytes


@dataclass(frozen=True)
class Other:
    """A kind that the receiver must ignore (128 to 255), or one of a role not known here."""

    kind: int
    body: bytes


Message: TypeAlias = Fin | Bye | Introduce | Text | Twin | Same | Other


def _utf8(raw: bytes, limit: int, what: str) -> str:
    if len(raw) > limit:
        raise Malformed(f"{what}: {len(raw)} bytes", 2)
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        raise Malformed(f"{what}: not UTF-8", 2) from None


def _reason(code: int, end: int | None = None) -> int:
    if 64 <= code <= 127:
        raise Malformed(f"reason {code} may not be sent", end)
    return code


def decode_message(role: str, raw: bytes) -> Message:
    if not 1 <= len(raw) <= MAX_MESSAGE:
        raise Malformed("length of message", 2)
    kind, body = raw[0], raw[1:]
    if kind == 0:
        if body:
            raise Malformed("FIN with a body", 2)
        return Fin()
    if kind == 1:
        if not body:
            raise Malformed("BYE without reason", 2)
        return Bye(_reason(body[0], 2), _utf8(body[1:], 120, "text of BYE"))
    if kind < 16:
        raise Malformed(f"unknown kind {kind}", 3)
    if role == "duo":
        if kind == 16:
            return Introduce(_utf8(body, 64, "name"))
        if kind == 17:
            return Text(_utf8(body, 65535, "text"))
        if kind == 128:
            if len(body) != 16:
                raise Malformed("length of TWIN", 2)
            return Twin(body)
        if kind == 129:
            if len(body) != 17 or body[0] not in (0, 1):
                raise Malformed("SAME", 2)
            return Same(body[0] == 1, body[1:])
        if kind < 128:
            raise Malformed(f"unknown kind {kind}", 3)
    return Other(kind, body)
