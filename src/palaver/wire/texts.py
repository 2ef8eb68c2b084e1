"""Text that a program hands in, as the UTF-8 that goes over the wire (PROTOCOL.md, section 1)."""

from __future__ import annotations

from palaver.machine import UsageError


def to_utf8(text: str, what: str) -> bytes:
    """Give `text` as UTF-8; `what` is what to call it in an error.

    Raises UsageError if it has half a surrogate, or is no str: to hand in bytes is a mistake that
    is easily made, and must not harm those who talk already.
    """
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise UsageError(f"{what} can't be encoded in UTF-8: it has half a surrogate") from None
    except AttributeError:
        raise UsageError(f"{what} has to be a str, not {type(text).__name__}") from None
