"""Decoders and the framing of streams: bytes are a value in one encoding, or raise DecodeError."""

from __future__ import annotations

from collections.abc import Callable

from strategies import decode_packet

from palaver.timing import MAX_RECORD
from palaver.wire.duo import decode_duo
from palaver.wire.errors import DecodeError
from palaver.wire.frames import decode_frames
from palaver.wire.group import decode_group
from palaver.wire.messages import decode_bye
from palaver.wire.packets import decode_unsealed
from palaver.wire.peer import decode_peer
from palaver.wire.registry import decode_registry
from palaver.wire.sealing import CLEAR
from palaver_io.connection import BrokenStreamError, Connection

from .reader import Reader

MESSAGES: tuple[Callable[[bytes], object], ...] = (
    decode_registry,
    decode_peer,
    decode_group,
    decode_duo,
    decode_bye,
)


def decode(decoder: Callable[[bytes], object], data: bytes) -> object:
    """Give what a decoder makes of bytes, None if it raises DecodeError; it raises nothing else."""
    try:
        return decoder(data)
    except DecodeError:
        return None


def encode(value: object) -> bytes:
    """Give the encoding of a decoded value."""
    encoded = value.encode()  # type: ignore[attr-defined]  # all that is decoded has it
    assert isinstance(encoded, bytes)
    return encoded


def packet(data: bytes) -> None:
    """A packet without its tag; then the same with the tag, whole and damaged."""
    value = decode(decode_packet, data)
    if value is not None:
        assert encode(value) == data, f"{value} has a second encoding"
        assert decode(decode_packet, encode(value)) == value
    if data:
        sealed = CLEAR.seal(data)
        assert CLEAR.open(sealed) == data
        spoiled = bytearray(sealed)
        spoiled[len(data) // 2] ^= 0x10
        assert CLEAR.open(bytes(spoiled)) is None, "a flipped bit was not noticed"
        assert CLEAR.open(sealed[:-1]) is None, "a missing byte was not noticed"
    decode(decode_unsealed, data)


def frames(data: bytes) -> None:
    """What comes after the header of a DATA packet: all frames, or none."""

    def all_frames(body: bytes) -> object:
        return decode_frames(body, 0)

    found = decode(all_frames, data)
    if isinstance(found, list):
        assert found
        assert b"".join(map(encode, found)) == data, f"{found} have a second encoding"


def message(data: bytes) -> None:
    """A message of each role, and a BYE."""
    for decoder in MESSAGES:
        value = decode(decoder, data)
        if value is not None:
            assert encode(value) == data, f"{value} has a second encoding"


class FakeSocket:
    """A socket that has bytes to read, in pieces, and then has no more or is closed."""

    def __init__(self, pieces: list[bytes], *, closes: bool) -> None:
        self._pieces = pieces
        self._closes = closes

    def recv(self, _: int) -> bytes:
        """Give the next piece."""
        if self._pieces:
            return self._pieces.pop(0)
        if self._closes:
            return b""
        raise BlockingIOError


def split(stream: bytes) -> tuple[list[bytes], bool]:
    """Give the records of a stream, and whether it is spoiled: the slow and simple way."""
    found: list[bytes] = []
    while len(stream) >= 2:
        size = int.from_bytes(stream[:2], "big")
        if not 0 < size <= MAX_RECORD:
            return found, True
        if len(stream) < 2 + size:
            return found, False
        found.append(stream[2 : 2 + size])
        stream = stream[2 + size :]
    return found, len(stream) == 1 and stream[0] > MAX_RECORD >> 8


def record(data: bytes) -> None:
    """A stream in pieces: the records are the same wherever it is cut."""
    reader = Reader(data)
    cuts = [1 + reader.u8() % 8 for _ in range(reader.u8() % 8)]
    closes = bool(reader.u8() % 2)
    stream = reader.rest()
    pieces, at = [], 0
    for cut in cuts:
        pieces.append(stream[at : at + cut])
        at += cut
    pieces = [piece for piece in (*pieces, stream[at:]) if piece]
    sock = FakeSocket(pieces, closes=closes)
    connection = Connection(sock, ("a", 1), inbound=True)  # type: ignore[arg-type]
    records: list[bytes] = []
    broken = False
    for _ in range(len(pieces) + 1):
        try:
            connection.read(1, records)
        except BrokenStreamError:
            broken = True
            break
    expected, spoiled = split(stream)
    assert records == expected
    assert broken == (spoiled or closes)
    assert len(connection._in) <= MAX_RECORD + 1 or broken


DECODERS: dict[str, Callable[[bytes], None]] = {
    "packet": packet,
    "frames": frames,
    "message": message,
    "record": record,
}
