"""Text of strangers, made harmless for a terminal."""

from __future__ import annotations

import re

# C0, DEL and C1 can move the cursor or give orders to the terminal; the rest changes the direction
# of what follows, or breaks the line for some programs. Half a surrogate can't be printed at all.
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)

_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def escape(text: str) -> str:
    r"""Write control characters out, such as \n, \x1b and \u202e; the result is one line."""
    return _UNSAFE.sub(_write_out, text)


def escape_text(text: str) -> str:
    """The same of what somebody says, where tabs stay: in tables and in code they mean something.

    On a terminal a tab moves the cursor to the right within its line, and does nothing else.
    """
    return "\t".join(escape(part) for part in text.split("\t"))


def preview(text: str, length: int = 60) -> str:
    """Quote the beginning of `text`, escaped."""
    if len(text) > length:
        return f"'{escape(text[:length])}...'"
    return f"'{escape(text)}'"


def _write_out(match: re.Match[str]) -> str:
    character = match[0]
    code = ord(character)
    return _SHORT.get(character) or (f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}")
