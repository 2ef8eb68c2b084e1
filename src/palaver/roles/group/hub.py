"""The hub: it admits members to rooms and relays what they say (PROTOCOL.md, section 6.6).

This file routes: events to links, what links tell to seats, and every change of a seat through the
table. `admission` says how somebody comes and goes, `relay` how posts get around.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from palaver.entropy import Draws, Entropy
from palaver.link.events import (
    Alive,
    Closed,
    Delivered,
    Leave,
    Opened,
    Pause,
    Resume,
    Send,
    Side,
    Writable,
)
from palaver.machine import Action, Event, Notice, UsageError
from palaver.roles.role import Options, Role
from palaver.roles.timers import Timers
from palaver.wire.errors import Reason
from palaver.wire.group import ROLE, GroupMessage, Join, Post, decode_group

from . import admission, contest, guests, relay
from .contest import Contest
from .events import AdmitGuest, Disband, DismissGuest, GuestPost
from .room import Room, Seat
from .rules import DEFAULT_HUB_RULES, HubRules
from .states import HUB_TABLE, SeatInput, SeatState

if TYPE_CHECKING:
    from typing_extensions import Unpack

LATE, ABSENCE, EMPTY, RECEIPTS, STALL, CONTEST = range(6)
"""Timers: LATE, ABSENCE and CONTEST are of a seat, the others of a room; their key is (timer,
number)."""

_SAID_SO = {Reason.LEFT, Reason.ABORTED, Reason.SHUTTING_DOWN, Reason.FLUSH_TIMEOUT}


class Hub(Role[GroupMessage]):
    """Rooms at one address.

    Takes `Disband`, `Abort` to be rid of somebody, and `Pause` and `Resume` of a link; and for
    those who take part without one, `AdmitGuest`, `GuestPost` and `DismissGuest`. Tells
    `MemberCame`, `PostRelayed` and `MemberWent`.
    """

    __slots__ = (
        "_disbanded",
        "_last_room",
        "_last_seat",
        "by_link",
        "by_token",
        "contests",
        "counts",
        "draws",
        "paused",
        "pending",
        "room_names",
        "rooms",
        "rules",
        "seats",
        "timers",
    )

    def __init__(
        self,
        entropy: Entropy,
        *,
        rules: HubRules = DEFAULT_HUB_RULES,
        **options: Unpack[Options],
    ) -> None:
        """Make a hub without rooms: they come into being when somebody joins them."""
        super().__init__(entropy, answers=(ROLE,), max_inbound=rules.links, **options)
        self.rules = rules
        self.draws = Draws(entropy)
        self.timers: Timers[tuple[int, int]] = Timers()
        # Everybody by number of the seat, by link and by token; rooms by number, and those by name.
        self.seats: dict[int, Seat] = {}
        self.by_link: dict[int, Seat] = {}
        self.by_token: dict[bytes, Seat] = {}
        self.rooms: dict[int, Room] = {}
        self.room_names: dict[str, int] = {}
        # Rooms with entries that were not offered to all yet.
        self.pending: dict[int, Room] = {}
        # Those who ask for the name of somebody, by the seat of that one.
        self.contests: dict[int, Contest] = {}
        # Links that the program has paused.
        self.paused: set[int] = set()
        self.counts = dict.fromkeys(("posts", "repeated", "dropped", "turned_down", "odd"), 0)
        self._last_seat = 0
        self._last_room = 0
        self._disbanded = False

    # Getters

    def stats(self) -> dict[str, int]:
        """Give the counts of the endpoint, those of the hub, and how much is remembered now."""
        rooms = self.rooms.values()
        return {
            **super().stats(),
            **self.counts,
            "rooms": len(self.rooms),
            "members": sum(len(room.present) for room in rooms),
            "guests": sum(len(room.guests) for room in rooms),
            "behind": sum(len(room.behind) for room in rooms),
            "absent": sum(len(room.absent) for room in rooms),
            "log": sum(len(room.log) for room in rooms),
            "contests": len(self.contests),
        }

    def members(self, room: str) -> list[str]:
        """Give the names of those who are in a room."""
        number = self.room_names.get(admission.room_key(room))
        if number is None:
            return []
        here = self.rooms[number]
        return [one.name for one in (*here.present.values(), *here.guests.values())]

    @property
    def _due(self) -> float:
        return self._now if self.pending else self.timers.deadline

    # Commands

    def _do(self, event: Event, now: float, out: list[Action], /) -> None:
        if isinstance(event, Disband):
            self._disband(now, out)
        elif isinstance(event, Pause):
            super()._do(event, now, out)
            if event.link in self._open:
                self.paused.add(event.link)
        elif isinstance(event, Resume):
            self.paused.discard(event.link)
            if not self._is_held(event.link):
                super()._do(event, now, out)
        elif isinstance(event, AdmitGuest | GuestPost | DismissGuest):
            self._do_for_guest(event, now, out)
        elif isinstance(event, Leave):
            raise UsageError("a hub is rid of somebody by Abort, and of all by Disband")
        else:
            super()._do(event, now, out)

    def _do_for_guest(
        self, event: AdmitGuest | GuestPost | DismissGuest, now: float, out: list[Action]
    ) -> None:
        if self._disbanded:
            return
        if isinstance(event, AdmitGuest):
            guests.admit_guest(self, event, now, out)
        elif isinstance(event, GuestPost):
            guests.take_post(self, event, now, out)
        else:
            guests.dismiss_guest(self, event, now, out)

    def _is_held(self, link: int) -> bool:
        """Tell whether the author on a link waits for the room anyway."""
        seat = self.by_link.get(link)
        return seat is not None and seat.room != 0 and self.room_of(seat).held

    def _disband(self, now: float, out: list[Action]) -> None:
        self._disbanded = True
        for link in list(self._open):
            self._pass_on(Leave(link, Reason.SHUTTING_DOWN), now, out)
        for number in list(self.rooms):
            self.close_room(number)
        self.by_link.clear()
        self.seats.clear()
        self.contests.clear()
        self.timers = Timers()

    # What the links tell

    def _decode(self, _: str, message: bytes, /) -> GroupMessage | None:
        return decode_group(message)

    def _opened(self, opened: Opened, now: float, out: list[Action], /) -> None:
        if self._disbanded:
            self._pass_on(Leave(opened.link, Reason.SHUTTING_DOWN), now, out)
            return
        self._last_seat += 1
        seat = Seat(self._last_seat, opened.link, opened.address)
        self.seats[seat.number] = self.by_link[opened.link] = seat
        self.timers.set((LATE, seat.number), now + self.rules.join_within)

    def _heard(self, opened: Opened, message: GroupMessage, now: float, out: list[Action]) -> None:
        seat = self.by_link.get(opened.link)
        if seat is None:
            return
        if type(message) is Post and seat.room:
            self.step(seat, SeatInput.POST, message, now, out)
        elif isinstance(message, Join) and seat.state is SeatState.WAITING:
            admission.meet(self, seat, message, now, out)
        else:
            self._give_up(opened.link, Reason.PROTOCOL_ERROR, now, out)

    def _closed(self, closed: Closed, _: Opened | None, now: float, out: list[Action], /) -> None:
        seat = self.by_link.get(closed.link)
        self.paused.discard(closed.link)
        if seat is not None:
            said_so = closed.by is Side.PEER and (closed.graceful or closed.reason in _SAID_SO)
            what = SeatInput.LEFT if said_so else SeatInput.LOST
            self.step(seat, what, closed, now, out)

    def _told(self, notice: Notice, now: float, out: list[Action], /) -> None:
        if type(notice) is Delivered:
            seat = self.by_link.get(notice.link)
            if seat is not None:
                self.step(seat, SeatInput.ACKNOWLEDGED, notice.ref, now, out)
        elif isinstance(notice, Alive):
            seat = self.by_link.get(notice.link)
            if seat is not None:
                contest.settle(self, seat.number, now, out)
        elif isinstance(notice, Writable):
            seat = self.by_link.get(notice.link)
            if seat is not None:
                self.step(seat, SeatInput.ROOM, None, now, out)

    def step(
        self, seat: Seat, what: SeatInput, subject: object, now: float, out: list[Action]
    ) -> None:
        """Dispatch an input through the table."""
        row = HUB_TABLE.get((seat.state, what))
        if row is None:
            self.counts["odd"] += 1
            return
        action, seat.state = row
        _ACTIONS[action](self, seat, subject, now, out)

    # Time

    def _on_time(self, now: float, out: list[Action], /) -> None:
        for timer, number in self.timers.take(now):
            if timer in {LATE, ABSENCE}:
                seat = self.seats.get(number)
                if seat is not None:
                    what = SeatInput.LATE if timer == LATE else SeatInput.FORGET
                    self.step(seat, what, None, now, out)
            elif timer == CONTEST:
                contest.decide(self, number, now, out)
            elif number not in self.rooms:
                continue
            elif timer == EMPTY:
                self.close_room(number)
            elif timer == RECEIPTS:
                relay.send_receipts(self, number, now, out)
            else:
                relay.weigh(self, number, now, out)
        while self.pending:
            relay.flush(self, next(iter(self.pending)), now, out)

    # Tables

    def room_of(self, seat: Seat) -> Room:
        """Give the room of somebody who is, or was, in one."""
        return self.rooms[seat.room]

    def open_room(self, name: str) -> int | None:
        """Give the number of the room of that name, made if need be; None if there is no place."""
        key = admission.room_key(name)
        number = self.room_names.get(key)
        if number is not None:
            return number
        if len(self.rooms) >= self.rules.rooms:
            empty = next((n for n, room in self.rooms.items() if room.is_empty), None)
            if empty is None:
                return None
            self.close_room(empty)
        self._last_room += 1
        number = self.room_names[key] = self._last_room
        self.rooms[number] = Room(name, self.rules)
        return number

    def close_room(self, number: int) -> None:
        """Forget a room, and those who might have come back to it."""
        room = self.rooms.pop(number)
        del self.room_names[admission.room_key(room.name)]
        self.pending.pop(number, None)
        for timer in (EMPTY, RECEIPTS, STALL):
            self.timers.clear((timer, number))
        for seat in [*room.absent.values(), *room.present.values()]:
            self.unseat(seat)

    def unlink(self, seat: Seat) -> int:
        """Part somebody from its link, and give that."""
        link, seat.link = seat.link, 0
        self.by_link.pop(link, None)
        return link

    def unseat(self, seat: Seat) -> None:
        """Forget somebody."""
        contest.forget(self, seat)
        self.unlink(seat)
        self.seats.pop(seat.number, None)
        self.by_token.pop(seat.token, None)
        for timer in (LATE, ABSENCE):
            self.timers.clear((timer, seat.number))

    def offer(self, link: int, message: bytes, number: int, now: float, out: list[Action]) -> None:
        """Send a LOG that ends with that entry. Raises WouldBlock, and UsageError if it can't."""
        self._pass_on(Send(link, message, number), now, out)

    def say(self, link: int, message: bytes, now: float, out: list[Action]) -> None:
        """Send what can be said later, too. Raises as `offer` does."""
        self._pass_on(Send(link, message, None), now, out)

    def tell(self, link: int, message: bytes, now: float, out: list[Action]) -> None:
        """Send what must be said now, as `_tell` does."""
        self._tell(link, message, now, out)

    def command(self, event: Event, now: float, out: list[Action]) -> None:
        """Give the endpoint a command."""
        self._pass_on(event, now, out)

    def give_up(self, link: int, reason: Reason, now: float, out: list[Action]) -> None:
        """End a link now."""
        self._give_up(link, reason, now, out)

    # Exploration

    def clone(self) -> Hub:
        """Give an independent twin that will draw the same random values."""
        twin = self._twin()
        twin.draws = self.draws.clone()
        twin.timers = self.timers.clone()
        twin.seats = {number: seat.clone() for number, seat in self.seats.items()}
        twin.by_link = {link: twin.seats[seat.number] for link, seat in self.by_link.items()}
        twin.by_token = {token: twin.seats[seat.number] for token, seat in self.by_token.items()}
        twin.rooms = {number: room.clone(twin.seats) for number, room in self.rooms.items()}
        twin.room_names = self.room_names.copy()
        twin.pending = {number: twin.rooms[number] for number in self.pending}
        twin.contests = {
            number: Contest(twin.seats[one.seat.number], one.join)
            for number, one in self.contests.items()
        }
        twin.paused = self.paused.copy()
        twin.counts = self.counts.copy()
        return twin

    def state_key(self, now: float) -> tuple[object, ...]:
        """Give all that decides the future as one comparable value, times relative to `now`."""
        return (
            *super().state_key(now),
            self.draws.key(),
            self.timers.key(now),
            tuple(seat.key(now) for seat in self.seats.values()),
            tuple((number, room.key()) for number, room in self.rooms.items()),
            tuple(self.pending),
            tuple((number, one.seat.number, one.join) for number, one in self.contests.items()),
            tuple(sorted(self.paused)),
            (self._last_seat, self._last_room, self._disbanded),
        )


_ACTIONS = {**admission.ACTIONS, **contest.ACTIONS, **relay.ACTIONS}
