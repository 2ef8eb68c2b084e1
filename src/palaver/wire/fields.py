"""Fields that the messages of several roles have."""

from __future__ import annotations

from .errors import DecodeError
from .messages import decode_text
from .names import MAX_NAME


def short(data: bytes) -> bytes:
    """Give up to 255 bytes behind their number."""
    return bytes((len(data),)) + data


def take_short(message: bytes, at: int) -> tuple[bytes, int]:
    """Give the bytes behind a length of one byte, and where they end."""
    if at >= len(message):
        raise DecodeError("a length is missing")
    end = at + 1 + message[at]
    if end > len(message):
        raise DecodeError("a field is cut off")
    return message[at + 1 : end], end


def decode_name(data: bytes, most: int = MAX_NAME) -> str:
    """Decode a name of 1 to `most` bytes. Raises DecodeError."""
    if not 0 < len(data) <= most:
        raise DecodeError(f"a name of {len(data)} bytes")
    return decode_text(data, 0)
