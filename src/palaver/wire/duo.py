"""The vocabulary of role "duo": two people talk (PROTOCOL.md, section 6.3)."""

from __future__ import annotations

from hashlib import blake2s
from struct import Struct
from typing import TypeAlias

from palaver.machine import UsageError
from palaver.timing import MAX_MESSAGE
from palaver.values import value

from .errors import DecodeError
from .messages import decode_text
from .texts import to_utf8

ROLE = "duo"
INTRODUCE = 16
TEXT = 17
TWIN = 128
SAME = 129
MAX_NAME = 64
PROOF_SIZE = 16
MAX_TWINS = 8
"""TWINs that the caller of a link says on it."""
_IDS = Struct("!4Q")


@value
class Introduce:
    """The first message of either side: its display name, which may be empty."""

    name: str

    def encode(self) -> bytes:
        """Give the message."""
        return b"\x10" + self.name.encode()


@value
class Text:
    """Something said."""

    text: str

    def encode(self) -> bytes:
        """Give the message."""
        return b"\x11" + self.text.encode()


@value
class Twin:
    """A question, by the caller of a link: did you call me too, on the link that `proof` names?"""

    proof: bytes

    def encode(self) -> bytes:
        """Give the message."""
        return b"\x80" + self.proof


@value
class Same:
    """The answer to a Twin on the same link: whether the two links are to be one conversation."""

    proof: bytes
    yes: bool

    def encode(self) -> bytes:
        """Give the message."""
        return (b"\x81\1" if self.yes else b"\x81\0") + self.proof


@value
class LinkIds:
    """The two ids of a link."""

    caller: int
    callee: int


def prove_twins(said_on: LinkIds, other: LinkIds) -> bytes:
    """Give what only those can say on the link `said_on` who have the link `other` too."""
    ids = _IDS.pack(said_on.caller, said_on.callee, other.caller, other.callee)
    return blake2s(ids, digest_size=PROOF_SIZE).digest()


DuoMessage: TypeAlias = Introduce | Text | Twin | Same


def decode_duo(message: bytes) -> DuoMessage | None:
    """Decode a message of this role; None for a kind that it does not have.

    Raises DecodeError for a body that is not valid.
    """
    if not message:
        raise DecodeError("a message has at least its kind")
    if message[0] == TEXT:
        return Text(decode_text(message, 1))
    if message[0] == INTRODUCE:
        if len(message) > 1 + MAX_NAME:
            raise DecodeError(f"a name of {len(message) - 1} bytes; {MAX_NAME} are allowed")
        return Introduce(decode_text(message, 1))
    if message[0] == TWIN:
        if len(message) != 1 + PROOF_SIZE:
            raise DecodeError(f"a TWIN has {PROOF_SIZE} bytes, not {len(message) - 1}")
        return Twin(message[1:])
    if message[0] == SAME:
        if len(message) != 2 + PROOF_SIZE or message[1] > 1:
            raise DecodeError(f"a SAME has 0 or 1 and {PROOF_SIZE} bytes")
        return Same(message[2:], message[1] == 1)
    return None


def check_name(name: str) -> None:
    """Raise UsageError unless `name` is at most 64 bytes of UTF-8."""
    size = len(to_utf8(name, "the name"))
    if size > MAX_NAME:
        raise UsageError(f"the name has {size} bytes; {MAX_NAME} are allowed")


def encode_text(text: str) -> bytes:
    """Give the message that says `text`; raises UsageError if it can't be sent."""
    message = b"\x11" + to_utf8(text, "the text")
    if len(message) > MAX_MESSAGE:
        raise UsageError(f"the text has {len(message) - 1} bytes; {MAX_MESSAGE - 1} are allowed")
    return message
