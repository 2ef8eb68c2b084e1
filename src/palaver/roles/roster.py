"""What a registry tells all who are there, and how it does not drown them (section 6.4.4)."""

from __future__ import annotations

from palaver.wire.registry import MAX_PAGE
from palaver.wire.registry import Roster as RosterMessage

_FOREVER = float("inf")
_UNHEARD = 8
"""Announcements that one client may have before it; then it is left alone until it has them."""
_PER_SECOND = 10_000
"""Announcements sent per second, to all together: a registry has other things to do."""


class Roster:
    """Changes since the last announcement, and who can be told of them.

    Announcements are at least `interval` seconds apart, so that those who come in crowds share
    one. What would not fit one message is not told at all, but that there is something to ask for.
    """

    __slots__ = ("_behind", "_changes", "_interval", "_next", "_size", "_unheard", "due")

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._changes: list[bytes] = []
        self._size = 1
        # When the next announcement may be made, and when it is to be made.
        self._next = 0.0
        self.due = _FOREVER
        # By link: announcements that were not acknowledged yet; and who was left out since.
        self._unheard: dict[int, int] = {}
        self._behind: set[int] = set()

    def note(self, change: bytes, now: float) -> None:
        """Take note of an encoded change."""
        self._size += len(change)
        if self._size <= MAX_PAGE:
            self._changes.append(change)
        else:
            self._changes.clear()
        self.due = max(now, self._next)

    def take(self, now: float, audience: int) -> bytes | None:
        """Give the announcement that is due; None if there is too much to tell."""
        kind = bytes((RosterMessage.KIND,))
        message = kind + b"".join(self._changes) if self._size <= MAX_PAGE else None
        self._changes.clear()
        self._size = 1
        self._next = now + max(self._interval, audience / _PER_SECOND)
        self.due = _FOREVER
        return message

    def ready(self, links: list[int]) -> list[int]:
        """Give those of the links that can be told now, and count on it; note who can't."""
        told = []
        for link in links:
            unheard = self._unheard.get(link, 0)
            if unheard < _UNHEARD:
                self._unheard[link] = unheard + 1
                told.append(link)
            else:
                self._behind.add(link)
        return told

    def settled(self, link: int) -> bool:
        """Take note that one has its announcement; tell whether it has all and missed others."""
        unheard = self._unheard.get(link, 0) - 1
        if unheard > 0:
            self._unheard[link] = unheard
            return False
        self._unheard.pop(link, None)
        was_behind = link in self._behind
        self._behind.discard(link)
        return was_behind

    def forget(self, link: int) -> None:
        """Take note that one is not there any more."""
        self._unheard.pop(link, None)
        self._behind.discard(link)

    def clone(self) -> Roster:
        """Give an independent twin."""
        twin = Roster(self._interval)
        twin._changes = self._changes.copy()
        twin._size, twin._next, twin.due = self._size, self._next, self.due
        twin._unheard, twin._behind = self._unheard.copy(), self._behind.copy()
        return twin

    def key(self, now: float) -> tuple[object, ...]:
        """Give the state as a comparable value, times relative to `now`."""
        return (
            tuple(self._changes),
            self._size,
            max(self._next - now, 0.0),
            self.due - now,
            tuple(sorted(self._unheard.items())),
            tuple(sorted(self._behind)),
        )
