"""Many timers by name, for roles that have timers of their own."""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from typing import Generic, TypeVar

from palaver.machine import copy_slots

K = TypeVar("K", bound=tuple[int, ...])

_NEVER = float("inf")


class Timers(Generic[K]):
    """A lazy heap: setting and clearing cost little, and `deadline` is exact."""

    __slots__ = ("_heap", "_set")

    def __init__(self) -> None:
        self._set: dict[K, float] = {}
        self._heap: list[tuple[float, K]] = []

    @property
    def deadline(self) -> float:
        """When the first one is due; infinity for none."""
        return self._heap[0][0] if self._heap else _NEVER

    def __contains__(self, key: K) -> bool:
        """Tell whether this timer is set."""
        return key in self._set

    def set(self, key: K, when: float) -> None:
        """Set a timer, instead of what it was set to."""
        self._set[key] = when
        heappush(self._heap, (when, key))
        self._tidy()

    def clear(self, key: K) -> None:
        """Stop a timer, if it is set."""
        if self._set.pop(key, None) is not None:
            self._tidy()

    def take(self, now: float) -> list[K]:
        """Give those that are due, in the order in which they were; they are not set any more."""
        due = []
        while self._heap and self._heap[0][0] <= now:
            when, key = heappop(self._heap)
            if self._set.get(key) == when:
                del self._set[key]
                due.append(key)
        self._tidy()
        return due

    def _tidy(self) -> None:
        """Drop what counts no more: from the top, and everywhere if it abounds."""
        heap = self._heap
        while heap and self._set.get(heap[0][1]) != heap[0][0]:
            heappop(heap)
        if len(heap) > 2 * len(self._set) + 64:
            heap[:] = [(when, key) for key, when in self._set.items()]
            heapify(heap)

    def clone(self) -> Timers[K]:
        """Give an independent twin."""
        twin = copy_slots(self)
        twin._set = self._set.copy()
        twin._heap = self._heap.copy()
        return twin

    def key(self, now: float) -> tuple[object, ...]:
        """Give the state as a comparable value, times relative to `now`."""
        return tuple(sorted((key, when - now) for key, when in self._set.items()))
