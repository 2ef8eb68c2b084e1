"""Where a room's past ends for a member, and who is there then.

A hub sends somebody new the posts that it has asked for, and somebody who is back what it has
missed, and goes on with what happens now (PROTOCOL.md, section 6.6). What tells the one from the
other is our own coming, which is an entry as all others are. Two things remain: it can be that of
somebody who had our name before, and then that one's going follows; and who is back before it was
missed finds no coming of its own. So the past is over when after our coming, or coming back, no
entry follows for a moment.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, TypeAlias

from palaver.roles.group.events import CameIn, Entered, PostHeard, WentOut
from palaver.wire.group import Welcome

Entry: TypeAlias = PostHeard | CameIn | WentOut

QUIET: Final = 0.3  # seconds without an entry after which the past is over
LONGEST: Final = 1.5  # seconds after which it is over even in a room that is never quiet
_FOREVER: Final = float("inf")


class Replay:
    """Follows the log of a room. `due` is when the past will be over; infinity if not known."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.is_on = False
        self.due = _FOREVER
        self.number = 0
        self._clock = clock
        self._latest = _FOREVER
        self._name = ""
        # Who is there after entry `number`, in the order in which they came.
        self._here: dict[str, None] = {}

    @property
    def others(self) -> tuple[str, ...]:
        """Who is there but for us, as far as the log was told."""
        return tuple(name for name in self._here if name != self._name)

    def begin(self, entered: Entered, *, asked: bool) -> None:
        """Start: we are in; `asked`: somebody new wants to be told of the past."""
        self._name, self.number = entered.name, entered.number
        self._here = dict.fromkeys(entered.members)
        is_new = entered.how is Welcome.NEW
        self.is_on = asked or not is_new
        self.due = _FOREVER
        if not is_new:
            self._wait()

    def take(self, entry: Entry) -> bool:
        """Follow the log; tell whether the entry is about somebody else."""
        self.number = entry.number
        if isinstance(entry, CameIn):
            self._here[entry.name] = None
        elif isinstance(entry, WentOut):
            self._here.pop(entry.name, None)
        if isinstance(entry, PostHeard) or entry.name != self._name:
            if self.due < _FOREVER:
                self.due = min(self._clock() + QUIET, self._latest)
            return True
        if isinstance(entry, WentOut):  # that was in the past, for we are here
            self.is_on, self.due = True, _FOREVER
        elif self.is_on:
            self._wait()
        return False

    def end(self) -> None:
        """What was told was all of the past, or no more will be told."""
        self.is_on, self.due = False, _FOREVER

    def _wait(self) -> None:
        now = self._clock()
        self.due, self._latest = now + QUIET, now + LONGEST
