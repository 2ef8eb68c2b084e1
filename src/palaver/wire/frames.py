"""Frames: the parts of a DATA packet (PROTOCOL.md, section 5)."""

from __future__ import annotations

from struct import Struct, error
from typing import TypeAlias

from palaver.values import value

from .errors import DecodeError, decode_reason, decode_reason_text

SEGMENT = 0x01
FRAGMENT = 0x02
ACK = 0x03
PING = 0x04
PATH_CHALLENGE = 0x05
PATH_RESPONSE = 0x06
CLOSE = 0x07
FIRST_SKIPPABLE = 0x80

FRAME_HEADER = Struct(">BH")
SEGMENT_HEADER = Struct(">BHI")
ACK_FRAME = Struct(">BHIIQHQ")
_CLOSE_HEADER = Struct(">BHBI")

FRAME_HEADER_SIZE = FRAME_HEADER.size
SEGMENT_HEADER_SIZE = SEGMENT_HEADER.size
ACK_SIZE = ACK_FRAME.size
PING_FRAME = FRAME_HEADER.pack(PING, 0)

MAP_BITS = 64
NO_DELAY = 0xFFFF
DELAY_UNIT = 1e-5  # seconds
PATH_TOKEN_SIZE = 8
PATH_FRAME_SIZE = FRAME_HEADER_SIZE + PATH_TOKEN_SIZE
_ACK_BODY = ACK_SIZE - FRAME_HEADER_SIZE
_CLOSE_BODY = 5


@value
class Segment:
    """A numbered piece of a message (5.1, 5.2); `last` if the message ends with it."""

    number: int
    data: bytes
    last: bool

    def encode(self) -> bytes:
        """Give the frame."""
        kind = SEGMENT if self.last else FRAGMENT
        return SEGMENT_HEADER.pack(kind, 4 + len(self.data), self.number) + self.data


@value
class Ack:
    """What has arrived (5.3).

    `wanted`: the segment after the last one of which the message was handed over. `newest`: the
    newest ack-eliciting packet; bit i of `earlier`: packet `newest - 1 - i` has arrived. `delay`:
    since `newest` arrived, in 10 µs, NO_DELAY if more than fits. `credit`: the total granted.
    """

    wanted: int
    newest: int
    earlier: int
    delay: int
    credit: int

    def encode(self) -> bytes:
        """Give the frame."""
        return ACK_FRAME.pack(
            ACK, _ACK_BODY, self.wanted, self.newest, self.earlier, self.delay, self.credit
        )


@value
class Ping:
    """Asks for an ack and says nothing (5.4)."""

    def encode(self) -> bytes:
        """Give the frame."""
        return PING_FRAME


@value
class PathChallenge:
    """Asks whoever is at an address to prove it (5.5)."""

    token: bytes

    def encode(self) -> bytes:
        """Give the frame."""
        return FRAME_HEADER.pack(PATH_CHALLENGE, PATH_TOKEN_SIZE) + self.token


@value
class PathResponse:
    """Echoes the token of a PATH CHALLENGE (5.6)."""

    token: bytes

    def encode(self) -> bytes:
        """Give the frame."""
        return FRAME_HEADER.pack(PATH_RESPONSE, PATH_TOKEN_SIZE) + self.token


@value
class Close:
    """Ends the link at once (5.7). `wanted` as in Ack; `text` is for people."""

    reason: int
    wanted: int
    text: str = ""

    def encode(self) -> bytes:
        """Give the frame."""
        text = self.text.encode()
        return _CLOSE_HEADER.pack(CLOSE, _CLOSE_BODY + len(text), self.reason, self.wanted) + text


@value
class Unknown:
    """A frame of a type that may be skipped (5.8)."""

    type: int
    data: bytes

    def encode(self) -> bytes:
        """Give the frame."""
        return FRAME_HEADER.pack(self.type, len(self.data)) + self.data


Frame: TypeAlias = Segment | Ack | Ping | PathChallenge | PathResponse | Close | Unknown


def decode_frames(packet: bytes, start: int) -> list[Frame]:
    """Decode the frames of `packet` from byte `start` to its end: all of them, or none.

    Raises DecodeError if there are none, if one is malformed, or if one has an unknown type that
    may not be skipped.
    """
    frames: list[Frame] = []
    position, end = start, len(packet)
    try:
        while position < end:
            kind = packet[position]
            if kind <= FRAGMENT:
                # Inline, because most of what comes is segments.
                _, length, number = SEGMENT_HEADER.unpack_from(packet, position)
                data = position + SEGMENT_HEADER_SIZE
                position = data + length - 4
                if kind == 0 or length <= 4 or position > end:
                    raise DecodeError("a segment is empty, cut off, or of type 0")
                frames.append(Segment(number, packet[data:position], kind == SEGMENT))
            else:
                body = position + FRAME_HEADER_SIZE
                _, length = FRAME_HEADER.unpack_from(packet, position)
                position = body + length
                if position > end:
                    raise DecodeError("a frame is longer than what is left of the packet")
                frames.append(_decode_other(kind, packet, body, position))
    except error:
        raise DecodeError("a frame is cut off in its header") from None
    if not frames:
        raise DecodeError("the packet has no frames")
    return frames


def _decode_ack(packet: bytes, body: int, end: int) -> Ack:
    if end - body != _ACK_BODY:
        raise DecodeError(f"an ACK of {end - body} bytes; it has {_ACK_BODY}")
    fields = ACK_FRAME.unpack_from(packet, body - FRAME_HEADER_SIZE)
    ack = Ack(*fields[2:])
    # A map that reaches below packet 0 would name packets that cannot exist.
    if ack.newest < MAP_BITS and ack.earlier >> ack.newest:
        raise DecodeError("an ACK names packets below number 0")
    return ack


def _decode_other(kind: int, packet: bytes, start: int, end: int) -> Frame:
    if kind == ACK:
        return _decode_ack(packet, start, end)
    body = packet[start:end]
    if kind == PING:
        if body:
            raise DecodeError("a PING has no body")
        return Ping()
    if kind in {PATH_CHALLENGE, PATH_RESPONSE}:
        if len(body) != PATH_TOKEN_SIZE:
            raise DecodeError(f"a path token has {PATH_TOKEN_SIZE} bytes, not {len(body)}")
        return PathChallenge(body) if kind == PATH_CHALLENGE else PathResponse(body)
    if kind == CLOSE:
        return _decode_close(body)
    if kind < FIRST_SKIPPABLE:
        raise DecodeError(f"frame type {kind} is unknown and must not be skipped")
    return Unknown(kind, body)


def _decode_close(body: bytes) -> Close:
    if len(body) < _CLOSE_BODY:
        raise DecodeError("a CLOSE is cut off")
    text = decode_reason_text(body[_CLOSE_BODY:])
    return Close(decode_reason(body[0]), int.from_bytes(body[1:_CLOSE_BODY], "big"), text)


def is_eliciting(frame: Frame) -> bool:
    """Tell whether a packet with this frame is to be acknowledged (section 7.1)."""
    return not isinstance(frame, Ack | Close)
