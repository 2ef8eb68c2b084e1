"""Names that are unique at a registry (PROTOCOL.md, section 6.4.2)."""

from __future__ import annotations

from unicodedata import normalize

from palaver.machine import UsageError

MAX_NAME = 64


def clean_name(name: str) -> str:
    """Give a name as a registry keeps it, in Unicode's form NFC.

    Raises UsageError if it can't be registered: empty, longer than 64 bytes of UTF-8, with
    characters that don't print, with a space at either end, or of decimal digits only (those are
    ids).
    """
    name = normalize("NFC", name)
    if not name:
        raise UsageError("a name has at least one character")
    if not name.isprintable() or name != name.strip(" "):
        raise UsageError("a name has printable characters only, and no space at either end")
    if name.isdecimal():
        raise UsageError("a name of digits only would be taken for an id")
    size = len(name.encode())
    if size > MAX_NAME:
        raise UsageError(f"the name has {size} bytes; {MAX_NAME} are allowed")
    return name


def fold_name(name: str) -> str:
    """Give what two names have in common that count as one: without case, in form NFC."""
    return normalize("NFC", normalize("NFC", name).casefold())
