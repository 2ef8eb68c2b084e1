"""Bugs of decoders: few, because a decoder is the easy part."""

from __future__ import annotations

from .mutant import Mutant

WIRE = (
    Mutant(
        "tag-unchecked",
        "wire",
        "wire/sealing.py",
        'if packet and crc32(packet).to_bytes(4, "big") == datagram[-4:]:',
        "if packet:",
        "a packet with a wrong tag is dropped",
        "P-4",
    ),
    Mutant(
        "id-zero-welcome",
        "wire",
        "wire/packets.py",
        "    _check_id(link)\n    if not MIN_MTU",
        "    if not MIN_MTU",
        "link id 0 is nobody's",
        "P-3",
    ),
    Mutant(
        "ack-below-zero",
        "wire",
        "wire/frames.py",
        "if ack.newest < MAP_BITS and ack.earlier >> ack.newest:",
        "if ack.newest < MAP_BITS and ack.earlier >> ack.newest > 1:",
        "an ACK that names a packet below 0 is malformed",
        "F-4",
    ),
    Mutant(
        "empty-segment",
        "wire",
        "wire/frames.py",
        "if kind == 0 or length <= 4 or position > end:",
        "if kind == 0 or length < 4 or position > end:",
        "a segment has at least one byte",
        "5.1",
    ),
    Mutant(
        "text-not-strict",
        "wire",
        "wire/messages.py",
        "return message[start:].decode()",
        'return message[start:].decode(errors="replace")',
        "text is strict UTF-8",
        "M-2",
    ),
    Mutant(
        "page-repeats-an-id",
        "wire",
        "wire/registry.py",
        "if any(a >= b for a, b in pairwise(ids)):",
        "if any(a > b for a, b in pairwise(ids)):",
        "the ids of a page rise",
        "G-13",
    ),
    Mutant(
        "empty-name",
        "wire",
        "wire/fields.py",
        "if not 0 < len(data) <= most:",
        "if not len(data) <= most:",
        "a name has at least one byte",
        "U-2",
    ),
    Mutant(
        "chat-number-zero",
        "wire",
        "wire/peer.py",
        "        if number == 0:\n",
        "        if number < 0:\n",
        "the numbers of CHAT begin with 1",
        "C-11",
    ),
)
