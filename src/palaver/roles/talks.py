"""Conversations that go by two links, because the calls of two have crossed (PROTOCOL.md, 6.3).

The program knows such a talk by the number of the link that we dialled. Its other link, the twin,
was dialled by the peer. Texts are sent on one of them at a time, and heard on both.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from palaver.entropy import Entropy
from palaver.link.events import (
    Closed,
    Delivered,
    Finished,
    Leave,
    Overdue,
    Undelivered,
    Writable,
)
from palaver.machine import Action, Notice
from palaver.wire.duo import DuoMessage

from .role import Options, Role
from .twins import Talk

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

_FOREVER = float("inf")
# Conversations that had two links, whose end is remembered for those who speak too late.
_MOST_PAST = 64


class Talks(Role[DuoMessage]):
    """Keeps talks, and shows each as one conversation; `places` are for callers of all others."""

    __slots__ = ("_past", "_places", "_talks", "_twins")

    def __init__(
        self,
        entropy: Entropy,
        *,
        answers: Iterable[str],
        places: int,
        **options: Unpack[Options],
    ) -> None:
        """Make a role without links. Raises UsageError as `Role` does."""
        super().__init__(entropy, answers=answers, max_inbound=places, **options)
        self._places = places
        # What we have called for, while it is young or has a twin.
        self._talks: dict[int, Talk] = {}
        # The twins that have not ended, and the numbers of their talks.
        self._twins: dict[int, int] = {}
        # The reasons for which talks of two links have ended, of the latest few.
        self._past: dict[int, int] = {}

    def rtt(self, link: int) -> float | None:
        """Give the round-trip time of a conversation in seconds; None if it is not known."""
        talk = self._talks.get(link)
        return super().rtt(link if talk is None else talk.sender)

    def _count_places(self) -> None:
        """Let the twins of our own calls take nobody's place."""
        self._endpoint.max_inbound = self._places + len(self._twins)

    def _drain(self, talk: Talk, now: float, out: list[Action]) -> None:
        """Send by the link that is kept, if all was delivered on the spare; and leave that."""
        if not talk.is_drained():
            return
        assert talk.twin is not None
        if talk.number in talk.links:
            self._pass_on(Leave(talk.number), now, out)
        self._send_by(talk, talk.twin, out)

    def _send_by(self, talk: Talk, link: int, out: list[Action]) -> None:
        """Let texts go by another link from now on."""
        talk.sender = link
        if talk.blocked:
            talk.blocked = False
            out.append(Writable(talk.number))

    def _part(self, talk: Talk, closed: Closed, out: list[Action]) -> None:
        """Take note that one of two links has ended: the talk ends with the last."""
        talk.links.remove(closed.link)
        self._twins.pop(closed.link, None)
        self._count_places()
        if talk.leaving is not None and not closed.graceful:
            talk.worst = talk.worst or closed
        if not talk.links:
            del self._talks[talk.number]
            if len(self._past) >= _MOST_PAST:
                del self._past[next(iter(self._past))]
            last = talk.worst or closed
            self._past[talk.number] = last.reason
            out.append(replace(last, link=talk.number, ref=talk.ref))
            return
        talk.drain_at = _FOREVER
        if talk.sender == closed.link:
            self._send_by(talk, talk.links[0], out)
        self._tell_finished(talk, out)

    def _tell_finished(self, talk: Talk, out: list[Action]) -> None:
        if talk.has_finished():
            talk.told_fin = True
            out.append(Finished(talk.number))

    def _told(self, notice: Notice, now: float, out: list[Action], /) -> None:
        link: int = getattr(notice, "link", 0)
        number = self._twins.get(link, link)
        talk = self._talks.get(number)
        if type(notice) is Writable and talk is not None:
            if talk.blocked and link == talk.sender and not talk.must_drain(now):
                talk.blocked = False
                out.append(Writable(number))
            return
        if number != link and isinstance(notice, Delivered | Overdue | Undelivered):
            notice = replace(notice, link=number)
        out.append(notice)
        if talk is not None and link == talk.number and isinstance(notice, Delivered | Undelivered):
            talk.texts -= 1
            self._drain(talk, now, out)

    # Exploration

    def _twin(self) -> Self:
        twin = super()._twin()
        twin._talks = {number: talk.clone() for number, talk in self._talks.items()}
        twin._twins = self._twins.copy()
        twin._past = self._past.copy()
        return twin

    def state_key(self, now: float) -> tuple[object, ...]:
        """Give all that decides the future as one comparable value, times relative to `now`."""
        return (
            *super().state_key(now),
            tuple(talk.key(now) for talk in self._talks.values()),
            tuple(self._past.items()),
        )
