"""What a Duo remembers while calls may have crossed, and of those that have (section 6.3).

A *talk* is a conversation that we have called for. A caller who may be the very peer of one is
*held*: it is not announced until it is known whether the two links are twins. Each link that we
dialled and that it could be the twin of is a *candidate*. When we have told the held caller that
its link is the twin of a candidate, it is *bound* to that one, and the peer has the last word.
"""

from __future__ import annotations

from enum import IntEnum

from palaver.link.events import Abort, Closed, Leave
from palaver.machine import Notice, copy_slots
from palaver.wire.duo import LinkIds

MAX_HELD = 8
"""Callers held at a time; others are announced at once."""


class Doubt(IntEnum):
    """What we know of a candidate."""

    CALLING = 0
    """It is not open, so that nothing could be asked on it."""
    ASKED = 1
    """Its peer was asked whether it is the caller."""
    AFFIRMED = 2
    """Its peer has said so."""


class Talk:
    """A conversation that we called for: the link that we dialled, and its twin if there is one.

    `number` is that of the dialled link, and names the conversation to the program.
    """

    __slots__ = (
        "asked",
        "blocked",
        "drain_at",
        "finished",
        "heard_fin",
        "ids",
        "is_spare",
        "leaving",
        "links",
        "number",
        "paused",
        "ref",
        "sender",
        "texts",
        "told_fin",
        "twin",
        "worst",
        "young_until",
    )

    def __init__(self, number: int, ref: int, young_until: float) -> None:
        self.number = number
        self.ref = ref
        self.young_until = young_until
        # Known when the dialled link is open.
        self.ids: LinkIds | None = None
        # The TWINs said on it.
        self.asked = 0
        # The link that the peer dialled, if it is part of this conversation.
        self.twin: int | None = None
        # Of the two links, those that have not ended.
        self.links = [number]
        # The link that texts go by; and whether the dialled one is the spare.
        self.sender = number
        self.is_spare = False
        # Texts under way on the dialled link, and when they must come to an end if it is spare.
        self.texts = 0
        self.drain_at = float("inf")
        # What the program has asked for: to finish, to pause, or to end it.
        self.finished = False
        self.paused = False
        self.leaving: Leave | Abort | None = None
        # Whether the program was told WouldBlock, so that it waits for Writable.
        self.blocked = False
        # The links that the peer will send no more on, and whether the program knows.
        self.heard_fin: frozenset[int] = frozenset()
        self.told_fin = False
        # The end of a link of the two that was no good one, while the conversation ended.
        self.worst: Closed | None = None

    def may_have_twin(self, now: float) -> bool:
        """Tell whether a caller that comes now may be its peer."""
        return (
            now < self.young_until
            and self.twin is None
            and self.leaving is None
            and not self.finished
            and not self.heard_fin
        )

    def is_drained(self) -> bool:
        """Tell whether texts can go by the twin from now on, because none are under way."""
        return (
            self.is_spare
            and self.sender == self.number
            and self.twin in self.links
            and self.texts == 0
            and self.leaving is None
        )

    def must_drain(self, now: float) -> bool:
        """Tell whether no more texts may go by the dialled link, which is the spare."""
        is_over = self.finished or self.leaving is not None
        return self.sender == self.number and now >= self.drain_at and not is_over

    def has_finished(self) -> bool:
        """Tell whether the peer will send no more, which the program was not told yet."""
        return (
            not self.told_fin
            and bool(self.heard_fin)
            and all(link in self.heard_fin for link in self.links)
        )

    def clone(self) -> Talk:
        """Give an independent twin."""
        twin = copy_slots(self)
        twin.links = self.links.copy()
        return twin

    def key(self, now: float) -> tuple[object, ...]:
        """Give the state as a comparable value, times relative to `now`."""
        return (
            self.number,
            self.ref,
            max(0.0, self.young_until - now),
            self.ids,
            self.asked,
            self.twin,
            tuple(self.links),
            self.sender,
            self.is_spare,
            self.texts,
            max(0.0, self.drain_at - now),
            self.finished,
            self.paused,
            self.leaving,
            self.blocked,
            self.heard_fin,
            self.told_fin,
            self.worst,
        )


class Held:
    """A caller that is not announced yet, because it may be the peer of a talk."""

    __slots__ = ("bound", "candidates", "ended", "ids", "link", "paused", "size", "until", "untold")

    def __init__(self, link: int, ids: LinkIds, until: float) -> None:
        self.link = link
        self.ids = ids
        # When it is announced in any case.
        self.until = until
        # By the number of the dialled link.
        self.candidates: dict[int, Doubt] = {}
        # The candidate that we have told the caller to be its link's twin.
        self.bound: int | None = None
        # What the program would have been told, and its bytes.
        self.untold: list[Notice] = []
        self.size = 0
        # Whether we make it hold its messages back.
        self.paused = False
        # Whether the link has ended, as the last of `untold` says.
        self.ended = False

    def clone(self) -> Held:
        """Give an independent twin."""
        twin = copy_slots(self)
        twin.candidates = self.candidates.copy()
        twin.untold = self.untold.copy()
        return twin

    def key(self, now: float) -> tuple[object, ...]:
        """Give the state as a comparable value, times relative to `now`."""
        return (
            self.link,
            self.ids,
            self.until - now,
            tuple(sorted(self.candidates.items())),
            self.bound,
            tuple(self.untold),
            self.size,
            self.paused,
            self.ended,
        )
