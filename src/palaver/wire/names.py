"""Names that people give themselves, where each may be there only once (6.4.2 and 6.6).

Two names are the same if they look the same but for upper and lower case: both are compared in
Unicode's normal form C, folded. That letters of different alphabets can look alike is not seen.
"""

from __future__ import annotations

from collections.abc import Container
from unicodedata import normalize

from palaver.machine import UsageError

MAX_NAME = 64  # bytes of UTF-8
MAX_SUGGESTIONS = 1000


def tidy(name: str) -> str:
    """Give the name in the form in which it is told to others: normal form C."""
    return normalize("NFC", name)


def clean_name(name: str) -> str:
    """Give a name as a registry keeps it, in Unicode's form NFC.

    Raises UsageError if it can't be registered: no str, empty, longer than 64 bytes of UTF-8, with
    characters that don't print, with a space at either end, or of decimal digits only (those are
    ids).
    """
    if not isinstance(name, str):
        raise UsageError(f"a name has to be a str, not {type(name).__name__}")
    name = shown_name(name)
    if name.isdecimal():
        raise UsageError("a name of digits only would be taken for an id")
    return name


def shown_name(name: str, most: int = MAX_NAME) -> str:
    """Give a name as a hub keeps it, in Unicode's form NFC: `is_name` is true of it.

    Raises UsageError if it can't be kept: empty, longer than `most` bytes of UTF-8, with characters
    that don't print, or with a space at either end.
    """
    name = tidy(name)
    if not name:
        raise UsageError("a name has at least one character")
    if not name.isprintable() or name != name.strip(" "):
        raise UsageError("a name has printable characters only, and no space at either end")
    size = len(name.encode())
    if size > most:
        raise UsageError(f"the name has {size} bytes; {most} are allowed")
    return name


def fold_name(name: str) -> str:
    """Give what two names have in common if they are the same."""
    # Folding can undo the normal form: U+1F80, for one, becomes two characters.
    return normalize("NFC", normalize("NFC", name).casefold())


def is_name(name: str) -> bool:
    """Tell whether a name can be taken: printable, 1 to 64 bytes, no blank at either end."""
    return name.isprintable() and 0 < len(name.encode()) <= MAX_NAME and name == name.strip(" ")


def clean(name: str) -> str:
    """Give the nearest name that can be taken; "guest" if nothing is left."""
    kept = "".join(one if one.isprintable() else " " for one in tidy(name))
    return cut(" ".join(kept.split()), MAX_NAME) or "guest"


def suggest(name: str, taken: Container[str]) -> str:
    """Give a name near to `name` whose fold is not `taken`; empty if none is found."""
    base = clean(name)
    if fold_name(base) not in taken:
        return base
    for number in range(2, MAX_SUGGESTIONS):
        tail = f"-{number}"
        candidate = cut(base, MAX_NAME - len(tail)) + tail
        if fold_name(candidate) not in taken:
            return candidate
    return ""


def cut(text: str, size: int) -> str:
    """Give as much of the text as fits into that many bytes, without blanks at the end."""
    return text.encode()[:size].decode(errors="ignore").rstrip(" ")
