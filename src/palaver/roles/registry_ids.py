"""Numbers in order, to be read page by page."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterator

_SHELF = 512


class SortedIds:
    """A set of ids that can be walked from anywhere: on shelves of 512 that lie side by side.

    Adding, discarding and finding a place take the time of one shelf and of a search among the
    shelves, however many there are.
    """

    __slots__ = ("_numbers", "_shelves")

    def __init__(self) -> None:
        self._shelves: dict[int, list[int]] = {}
        self._numbers: list[int] = []

    def add(self, number: int) -> None:
        """Add an id that is not there."""
        shelf = self._shelves.get(number // _SHELF)
        if shelf is None:
            self._shelves[number // _SHELF] = [number]
            insort(self._numbers, number // _SHELF)
        else:
            insort(shelf, number)

    def remove(self, number: int) -> None:
        """Take away an id that is there."""
        at = number // _SHELF
        shelf = self._shelves[at]
        shelf.remove(number)
        if not shelf:
            del self._shelves[at]
            del self._numbers[bisect_right(self._numbers, at) - 1]

    def above(self, number: int) -> Iterator[int]:
        """Give the ids above `number`, in order."""
        first = number // _SHELF
        for place in range(bisect_right(self._numbers, first - 1), len(self._numbers)):
            shelf = self._shelves[self._numbers[place]]
            start = bisect_right(shelf, number) if self._numbers[place] == first else 0
            for index in range(start, len(shelf)):
                yield shelf[index]

    def clone(self) -> SortedIds:
        """Give an independent twin."""
        twin = SortedIds()
        twin._shelves = {at: shelf.copy() for at, shelf in self._shelves.items()}
        twin._numbers = self._numbers.copy()
        return twin
