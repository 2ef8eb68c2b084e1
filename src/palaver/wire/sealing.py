"""The seam for protection: `seal` before a packet goes out, `open` when it came in.

Handshake packets and RESET always carry the CRC tag. DATA packets are protected by the profile
that the handshake chose; *clear* (CRC-32, no secrecy, no authenticity) is the one there is. An
encrypting profile needs what is here and nothing more: the header (kind, link id and packet
number: the nonce) in the clear, and the frames (PROTOCOL.md, sections 3.2 and 11).
"""

from __future__ import annotations

from typing import Protocol
from zlib import crc32

TAG_SIZE = 4


class Protection(Protocol):
    """A profile with its keys, if it has any, for one direction pair of one link."""

    overhead: int
    """Bytes that `seal` adds."""

    def seal(self, packet: bytes) -> bytes:
        """Give the datagram for `packet`: a DATA header and its frames."""

    def open(self, datagram: bytes) -> bytes | None:
        """Give back header and frames, or None if the datagram is damaged or forged."""


class Clear:
    """CRC-32 (IEEE 802.3, as in zlib) over all that stands before it, big-endian."""

    __slots__ = ()
    overhead = TAG_SIZE

    def seal(self, packet: bytes) -> bytes:
        """Add the tag."""
        return packet + crc32(packet).to_bytes(4, "big")

    def open(self, datagram: bytes) -> bytes | None:
        """Check the tag and remove it; None if it is wrong or missing."""
        packet = datagram[:-4]
        if packet and crc32(packet).to_bytes(4, "big") == datagram[-4:]:
            return packet
        return None


CLEAR = Clear()
