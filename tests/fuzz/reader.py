"""Bytes as a source of choices: any bytes are a script, and each prefix of it does the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Reader:
    """Takes choices off the front of `data`; when it is used up, each choice is the first one."""

    __slots__ = ("_at", "_data")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def is_empty(self) -> bool:
        """Whether all is used up."""
        return self._at >= len(self._data)

    def u8(self) -> int:
        """Give a number from 0 to 255."""
        if self.is_empty:
            return 0
        self._at += 1
        return self._data[self._at - 1]

    def number(self, small: int = 4) -> int:
        """Give a number: mostly below `small`, sometimes one at a bound of 16, 32 or 64 bits."""
        choice = self.u8()
        if choice < 240:
            return choice % small
        return EDGES[choice - 240]

    def pick(self, choices: Sequence[T]) -> T:
        """Give one of some."""
        return choices[self.u8() % len(choices)]

    def take(self, size: int) -> bytes:
        """Give up to that many bytes as they are."""
        start, self._at = self._at, min(self._at + size, len(self._data))
        return self._data[start : self._at]

    def rest(self) -> bytes:
        """Give all that is left."""
        return self.take(len(self._data))


EDGES = (
    *(63, 64, 65, 127, 128, 255, 256, 1023),
    *(1 << 15, (1 << 16) - 1, 1 << 31, (1 << 32) - 2, (1 << 32) - 1, 1 << 63),
    *((1 << 64) - 2, (1 << 64) - 1),
)
