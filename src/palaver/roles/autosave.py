"""When a registry gives a snapshot of its table, so that a restart loses nothing and costs little.

A change is told at once, unless there were many of late: then it waits for its turn, one in
`every` seconds. While changes wait, somebody may be given a fresh id that a successor would not
know of. So when there are many, a snapshot keeps some ids free; when these are used up, another
comes at once, and in the end one that keeps none. That makes one in `every` seconds, 8 more at a
time, and one for every 64 who join.
"""

from __future__ import annotations

from palaver.machine import Action, UsageError

from .registry_events import Snapshot
from .registry_table import RegistryTable

_FOREVER = float("inf")
_RESERVE = 64
"""Ids that are kept free: so there is less than one snapshot for that many who join."""
_BURST = 8
"""Snapshots that may come at once after a quiet time."""


class Autosave:
    """Whether a snapshot is due, and when there may be one."""

    __slots__ = ("_every", "_free_until", "_spent_until", "is_due")

    def __init__(self, every: float) -> None:
        """Begin with nothing to save. Raises UsageError for a time that is not above 0."""
        if not every > 0:
            raise UsageError(f"there must be some time between snapshots, not {every}")
        self._every = every
        # Each snapshot takes `every` seconds from then on; 8 of them may be taken in advance.
        self._spent_until = -_FOREVER
        # The ids below were given out before the last snapshot, or kept free by it.
        self._free_until = 0
        self.is_due = False

    @property
    def due(self) -> float:
        """When a snapshot is to be told; infinity for never."""
        return self._turn if self.is_due else _FOREVER

    @property
    def _turn(self) -> float:
        return self._spent_until - (_BURST - 1) * self._every

    def go_on(self, table: RegistryTable, now: float, out: list[Action]) -> None:
        """Tell a snapshot, if one is due."""
        is_soon = now < self._turn
        if not self.is_due or (is_soon and table.next_id <= self._free_until):
            return
        reserve = _RESERVE if is_soon else 0
        out.append(Snapshot(table.snapshot(reserve)))
        self.is_due = is_soon
        self._free_until = table.next_id + reserve
        self._spent_until = max(self._spent_until, now) + self._every

    def key(self, now: float) -> tuple[object, ...]:
        """Give the state as a comparable value, times relative to `now`."""
        return (self.is_due, max(self._spent_until - now, 0.0), self._free_until)
