"""Valid packets, frames and messages for Hypothesis to draw, and bytes that are nearly valid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from hypothesis import strategies as st

from palaver.timing import MAX_MTU, MIN_CREDIT, MIN_MTU
from palaver.wire.duo import Introduce, Same, Text, Twin
from palaver.wire.errors import DecodeError
from palaver.wire.frames import (
    Ack,
    Close,
    Frame,
    PathChallenge,
    PathResponse,
    Ping,
    Segment,
    Unknown,
    decode_frames,
)
from palaver.wire.messages import Bye
from palaver.wire.packets import (
    DATA,
    DATA_HEADER,
    DATA_HEADER_SIZE,
    Cookie,
    Hello,
    Option,
    Refuse,
    Reset,
    Welcome,
    decode_unsealed,
)
from palaver.wire.sealing import CLEAR

U8, U16, U32, U64 = ((1 << bits) - 1 for bits in (8, 16, 32, 64))
ROLE_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789-./"


@dataclass(frozen=True)
class Data:
    """A DATA packet as a value; the library itself never needs one."""

    link: int
    number: int
    frames: tuple[Frame, ...]

    def encode(self) -> bytes:
        header = DATA_HEADER.pack(DATA, self.link, self.number)
        return header + b"".join(frame.encode() for frame in self.frames)


Packet: TypeAlias = Hello | Cookie | Welcome | Refuse | Reset | Data


def decode_packet(packet: bytes) -> Packet:
    """Decode a packet of any kind without its tag. Raises DecodeError."""
    if packet[:1] != bytes((DATA,)):
        return decode_unsealed(packet)
    if len(packet) < DATA_HEADER_SIZE:
        raise DecodeError("too short for the header of DATA")
    _, link, number = DATA_HEADER.unpack_from(packet)
    if not link:
        raise DecodeError("link id 0 is nobody's")
    return Data(link, number, tuple(decode_frames(packet, DATA_HEADER_SIZE)))


def decode_datagram(datagram: bytes) -> Packet:
    """Check the tag and decode what it protects. Raises DecodeError."""
    packet = CLEAR.open(datagram)
    if packet is None:
        raise DecodeError("the tag is wrong")
    return decode_packet(packet)


# Packets

u8 = st.integers(0, U8)
u32 = st.integers(0, U32)
link_ids = st.integers(1, U64)
mtus = st.integers(MIN_MTU, MAX_MTU)
credits_granted = st.integers(MIN_CREDIT, U32)
roles = st.text(ROLE_LETTERS, min_size=1, max_size=16)
versions = st.lists(u8, min_size=1, max_size=8).map(tuple)
key_exchanges = st.just(b"") | st.binary(max_size=64) | st.just(bytes(300))
options = st.lists(
    st.builds(Option, st.just(0), st.integers(0, 255).map(bytes))
    | st.builds(Option, st.integers(128, 255), st.binary(max_size=20) | st.just(b"\xff" * 255)),
    max_size=4,
).map(tuple)

# Those that may be sent.
reasons = st.integers(0, 63) | st.integers(128, 255)

hellos = st.builds(
    Hello,
    link_ids,
    versions,
    versions,
    roles,
    mtus,
    credits_granted,
    st.binary(max_size=16),
    key_exchanges,
    options,
)
cookies = st.builds(Cookie, link_ids, st.binary(min_size=1, max_size=16))
welcomes = st.builds(
    Welcome, link_ids, link_ids, u8, u8, mtus, credits_granted, key_exchanges, options
)
refuses = st.builds(Refuse, link_ids, reasons, versions)
resets = st.builds(Reset, link_ids, u32)
unsealed = hellos | cookies | welcomes | refuses | resets


# Frames

segments = st.builds(Segment, u32, st.binary(min_size=1, max_size=80), st.booleans())


def _possible_ack(wanted: int, newest: int, earlier: int, delay: int, credit: int) -> Ack:
    below_zero = max(64 - newest, 0)
    return Ack(wanted, newest, earlier & (U64 >> below_zero), delay, credit)


acks = st.builds(
    _possible_ack,
    u32,
    st.integers(0, 70) | u32,
    st.integers(0, U64),
    st.integers(0, U16),
    st.integers(0, U64),
)
tokens = st.binary(min_size=8, max_size=8)
closes = st.builds(Close, reasons, u32, st.text(max_size=30))
unknown_frames = st.builds(Unknown, st.integers(0x80, 0xFF), st.binary(max_size=40))
frames = st.one_of(
    segments,
    acks,
    st.builds(Ping),
    st.builds(PathChallenge, tokens),
    st.builds(PathResponse, tokens),
    closes,
    unknown_frames,
)
data_packets = st.builds(Data, link_ids, u32, st.lists(frames, min_size=1, max_size=5).map(tuple))
packets: st.SearchStrategy[Packet] = unsealed | data_packets


# Messages


def _utf8_at_most(size: int) -> st.SearchStrategy[str]:
    return st.text(max_size=size).filter(lambda text: len(text.encode()) <= size)


byes = st.builds(Bye, reasons, st.text(max_size=30) | _utf8_at_most(120))
introductions = st.builds(Introduce, st.text(max_size=16) | _utf8_at_most(64))
texts = st.builds(Text, st.text(max_size=100))
_proofs = st.binary(min_size=16, max_size=16)
questions = st.builds(Twin, _proofs)
answers = st.builds(Same, _proofs, yes=st.booleans())


# Bytes


@st.composite
def mutated(draw: st.DrawFn, originals: st.SearchStrategy[bytes]) -> bytes:
    """Damage what `originals` gives in up to four places: changed, added, taken or cut bytes."""
    data = draw(originals)
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        end = min(start + draw(st.integers(0, 9)), len(data))
        put = draw(st.binary(max_size=9) | st.just(data[start:end] * 2))
        data = data[:start] + put + (data[end:] if draw(st.integers(0, 9)) else b"")
    return data
