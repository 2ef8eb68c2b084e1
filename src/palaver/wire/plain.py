"""Plain text: what the programs that people already have put into a datagram (appendix A).

There are no ids, numbers or acknowledgements: a datagram is a text. All that can be said about one
is said here, without state or time.
"""

from __future__ import annotations

from typing import Final

from .names import is_name, tidy

EXIT: Final = "exit"
FIRST_TEXT: Final = 0x08
"""The first byte that can begin a text where Palaver is spoken too: below are lengths, and STUN."""
PAST_TEXT: Final = 0xF8
"""From here on no byte is in any UTF-8 text: the kinds of packets are there."""
MAX_NAME: Final = 32  # bytes: a longer beginning is no name
MARK: Final = " (plain)"

_STAND_IN: Final = "\ufffd"
# What breaks lines becomes a blank; what can move a cursor, give orders to a terminal or change the
# direction of what follows, a mark.
_BLANKS: Final = "\t\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"
_DIRECTIONS: Final = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
_HARMLESS: Final = {
    **dict.fromkeys([*range(0x20), *range(0x7F, 0xA0), *range(0xD800, 0xE000)], _STAND_IN),
    **dict.fromkeys(map(ord, _DIRECTIONS), _STAND_IN),
    **dict.fromkeys(map(ord, _BLANKS), " "),
}
_ENDS: Final = "\r\n"


def is_text(data: bytes) -> bool:
    """Tell by its first byte whether a datagram, or a stream, is text where packets come too."""
    return not data or FIRST_TEXT <= data[0] < PAST_TEXT


def decode(data: bytes) -> str:
    """Give the text of a datagram or line: no line ends behind it, U+FFFD for what is no UTF-8."""
    return data.decode(errors="replace").rstrip(_ENDS)


def ends_line(data: bytes) -> bool:
    """Tell whether the sender ends its texts like lines."""
    return data.endswith((b"\n", b"\r"))


def is_exit(text: str) -> bool:
    """Tell whether a text is the word that ends a chat, in any case."""
    return text.strip().lower() == EXIT


def harmless(text: str, most: int) -> str:
    """Give `text` as it can be passed on to a bare terminal: one line of at most `most` bytes.

    A line break or tab becomes a blank, any other control character U+FFFD, and what is too long
    ends in an ellipsis.
    """
    return shorten(text.replace("\r\n", "\n").translate(_HARMLESS), most)


def shorten(text: str, most: int) -> str:
    """Give `text` in at most `most` bytes; what is too long ends in an ellipsis."""
    data = text.encode()
    if len(data) <= most:
        return text
    return data[: max(0, most - 3)].decode(errors="ignore") + "\u2026"


def name_of(text: str) -> str:
    """Give the name in front of a text of the form "name : text"; empty if there is none."""
    name, colon, _ = text.partition(" : ")
    name = tidy(name)
    return name if colon and is_name(name) and len(name.encode()) <= MAX_NAME else ""


def without_name(text: str, name: str) -> str:
    """Give the text without "name : " in front of it, if that is there."""
    before, colon, rest = text.partition(" : ")
    return rest if colon and tidy(before) == name else text


def with_name(name: str, text: str) -> str:
    """Give the text with a name in front of it."""
    return f"{name} : {text}"
