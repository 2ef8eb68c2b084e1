"""What a machine may tell its program, whatever its peers do: fails when it does otherwise."""

from __future__ import annotations

from collections import Counter
from typing import Protocol

from halls import Watched
from pairs import Ledger

from palaver import (
    Closed,
    Dialing,
    Entered,
    Gap,
    MemberCame,
    MemberWent,
    Notice,
    Overdue,
    Peer,
    PlainOpened,
    Post,
    PostRelayed,
    PostTaken,
    Registry,
    Said,
    Say,
    Sent,
    Undelivered,
)
from palaver.link.events import StillDialing
from palaver.machine import Event
from palaver.roles.group.events import CameIn, PostHeard, WentOut


class Book(Protocol):
    """What is told of commands that were taken, and of notices."""

    def asked(self, event: Event) -> None:
        """Note a command that was taken."""

    def told(self, notice: Notice) -> None:
        """Note a notice."""


class CallBook:
    """For a peer and a registry: see `halls.Watched`."""

    def __init__(self, machine: Peer | Registry) -> None:
        self._watched = Watched(machine)

    def asked(self, event: Event) -> None:
        """Note a text that is to be said."""
        if isinstance(event, Say):
            self._watched.pending[event.link, event.ref] += 1

    def told(self, notice: Notice) -> None:
        """Check a notice."""
        self._watched.check(notice)


class HubBook:
    """For a hub, whose entries are numbered room by room."""

    def __init__(self) -> None:
        self._last: dict[str, int] = {}

    def asked(self, event: Event) -> None:
        """Commands to a hub have no outcome."""

    def told(self, notice: Notice) -> None:
        """Check that the entries of a room are told in their order, each once."""
        number, room = getattr(notice, "number", 0), getattr(notice, "room", "")
        if number > 1:
            assert number == self._last.get(room.casefold(), 0) + 1, f"out of order: {notice}"
        if number:
            self._last[room.casefold()] = number


class MemberBook:
    """For a member: entries in order, one outcome for each post, nothing after the end."""

    def __init__(self) -> None:
        self._pending: Counter[tuple[int, int]] = Counter()
        self._last: dict[int, int] = {}
        self._over: set[int] = set()

    def asked(self, event: Event) -> None:
        """Note a post."""
        if isinstance(event, Post):
            self._pending[event.link, event.ref] += 1

    def told(self, notice: Notice) -> None:
        """Check a notice."""
        link = getattr(notice, "link", 0)
        assert isinstance(link, int)
        if isinstance(notice, PostTaken | Undelivered):
            assert self._pending[link, notice.ref], f"no outcome was due: {notice}"
            self._pending[link, notice.ref] -= 1
        if isinstance(notice, Undelivered):
            return
        assert link not in self._over, f"after the end came {notice}"
        if isinstance(notice, Closed):
            left = [ref for (one, ref), count in self._pending.items() if one == link and count]
            assert not left, f"{notice} without an outcome of {left}"
            self._over.add(link)
        elif isinstance(notice, Entered):
            assert notice.number >= self._last.get(link, 0), f"back in time: {notice}"
            self._last[link] = notice.number
        elif isinstance(notice, Gap):
            self._last[link] = notice.last
        elif isinstance(notice, PostHeard | CameIn | WentOut):
            assert notice.number > self._last.get(link, 0), f"out of order: {notice}"
            self._last[link] = notice.number
        elif isinstance(notice, Overdue):
            assert self._pending[link, notice.ref], f"not pending: {notice}"
        else:
            assert link or isinstance(notice, Dialing | StillDialing), f"names nothing: {notice}"


class PlainBook:
    """For what speaks plain text, whose links are below 0; `inner` is for the others."""

    def __init__(self, inner: Book | None = None) -> None:
        self._inner = inner
        self._pending: Counter[tuple[int, int]] = Counter()
        # Links that are open and those that are over; 0 would be nobody's.
        self._open: set[int] = set()
        self._over: set[int] = set()

    def asked(self, event: Event) -> None:
        """Note a text that is to be said."""
        link = getattr(event, "link", 0)
        if isinstance(link, int) and link < 0:
            if isinstance(event, Say):
                self._pending[event.link, event.ref] += 1
        elif self._inner is not None:
            self._inner.asked(event)

    def told(self, notice: Notice) -> None:
        """Check a notice."""
        link = getattr(notice, "link", 0)
        assert isinstance(link, int)
        if self._inner is not None and (link >= 0 or getattr(notice, "number", 0) > 0):
            self._inner.told(notice)
        if link >= 0:
            assert self._inner is not None, f"a link that is not one of plain text: {notice}"
            return
        if isinstance(notice, Sent | Undelivered):
            assert self._pending[link, notice.ref], f"no outcome was due: {notice}"
            self._pending[link, notice.ref] -= 1
        if isinstance(notice, Undelivered):
            return
        assert link not in self._over, f"after the end came {notice}"
        if isinstance(notice, PlainOpened | MemberCame):
            assert link not in self._open, f"opened twice: {notice}"
            self._open.add(link)
        elif isinstance(notice, Said | PostRelayed | MemberWent):
            assert link in self._open, f"before it was opened came {notice}"
        if isinstance(notice, Closed | MemberWent):
            left = [ref for (one, ref), count in self._pending.items() if one == link and count]
            assert not left, f"{notice} without an outcome of {left}"
            self._over.add(link)


LinkBook = Ledger
