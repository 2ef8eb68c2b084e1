"""Messages of the link itself, and what the vocabularies of the roles share (section 6).

A message is a kind (one byte) and a body. Kinds 0 to 15 belong to the link, 16 to 127 to the role
and must be understood, 128 to 255 to the role and are skipped by those that don't know them.
"""

from __future__ import annotations

from palaver.machine import UsageError
from palaver.values import value

from .errors import (
    FIRST_LOCAL_REASON,
    FIRST_ROLE_REASON,
    LAST_REASON,
    MAX_REASON_TEXT,
    DecodeError,
    decode_reason,
    decode_reason_text,
)
from .texts import to_utf8

FIN = 0
BYE = 1
FIRST_ROLE_KIND = 16
FIRST_SKIPPABLE_KIND = 128

FIN_MESSAGE = bytes((FIN,))


@value
class Bye:
    """Ends the link when all before it was delivered (6.2); `text` is for people."""

    reason: int = 0
    text: str = ""

    def encode(self) -> bytes:
        """Give the message."""
        return bytes((BYE, self.reason)) + self.text.encode()


def decode_bye(message: bytes) -> Bye:
    """Decode a message of kind BYE. Raises DecodeError."""
    if len(message) < 2 or message[0] != BYE:
        raise DecodeError("a BYE has a kind and a reason")
    return Bye(decode_reason(message[1]), decode_reason_text(message[2:]))


def decode_text(message: bytes, start: int) -> str:
    """Decode UTF-8 from byte `start` to the end. Raises DecodeError."""
    try:
        return message[start:].decode()
    except UnicodeDecodeError:
        raise DecodeError("the text is not UTF-8") from None


def check_reason(code: int, text: str) -> None:
    """Raise UsageError unless a program may end a link with this code and text."""
    if not (0 <= code < FIRST_LOCAL_REASON or FIRST_ROLE_REASON <= code <= LAST_REASON):
        raise UsageError(f"{code} is not a reason that can be sent: use 0 to 63 or 128 to 255")
    size = len(to_utf8(text, "the text of a reason"))
    if size > MAX_REASON_TEXT:
        raise UsageError(f"the text of a reason has {size} bytes; {MAX_REASON_TEXT} are allowed")
