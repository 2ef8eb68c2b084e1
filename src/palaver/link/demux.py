"""Which link a packet concerns (PROTOCOL.md, section 3.4)."""

from __future__ import annotations

from palaver.wire.errors import DecodeError
from palaver.wire.frames import decode_frames, is_eliciting
from palaver.wire.packets import DATA_HEADER_SIZE, Handshake, Hello, Reset, decode_unsealed
from palaver.wire.sealing import CLEAR, TAG_SIZE

from .counters import Counters


def open_packet(data: bytes, counters: Counters) -> Handshake | Reset | None:
    """Check and decode a datagram that is not DATA; None, and counted, if it is not valid."""
    packet = CLEAR.open(data)
    if packet is None:
        counters.damaged += 1
        return None
    try:
        return decode_unsealed(packet)
    except DecodeError:
        counters.malformed += 1
        return None


def link_id_of(packet: Handshake | Reset) -> int:
    """Give the link id that says whom a packet concerns: for HELLO and RESET it is the peer's."""
    return packet.link if isinstance(packet, Hello | Reset) else packet.destination


def asks_for_ack(data: bytes) -> bool:
    """Tell whether a DATA packet in the clear, whose tag is right, is valid and ack-eliciting."""
    try:
        frames = decode_frames(data[:-TAG_SIZE], DATA_HEADER_SIZE)
    except DecodeError:
        return False
    return any(map(is_eliciting, frames))
