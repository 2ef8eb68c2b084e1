"""The vocabulary of role "duo": two people talk (PROTOCOL.md, section 6.3)."""

from __future__ import annotations

from typing import TypeAlias

from palaver.machine import UsageError
from palaver.timing import MAX_MESSAGE
from palaver.values import value

from .errors import DecodeError
from .messages import decode_text

ROLE = "duo"
INTRODUCE = 16
TEXT = 17
MAX_NAME = 64


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


DuoMessage: TypeAlias = Introduce | Text


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
    return None


def check_name(name: str) -> None:
    """Raise UsageError unless `name` is at most 64 bytes of UTF-8."""
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        raise UsageError("the name can't be encoded in UTF-8") from None
    if size > MAX_NAME:
        raise UsageError(f"the name has {size} bytes; {MAX_NAME} are allowed")


def encode_text(text: str) -> bytes:
    """Give the message that says `text`; raises UsageError if it can't be sent."""
    try:
        message = b"\x11" + text.encode()
    except UnicodeEncodeError:
        raise UsageError("the text can't be encoded in UTF-8: it has half a surrogate") from None
    if len(message) > MAX_MESSAGE:
        raise UsageError(f"the text has {len(message) - 1} bytes; {MAX_MESSAGE - 1} are allowed")
    return message
