"""How somebody comes into a room, and goes (PROTOCOL.md, section 6.6): actions of the hub."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from palaver.link.events import Abort, Closed, Leave, Pause, Side
from palaver.machine import Action
from palaver.wire.errors import Reason
from palaver.wire.group import (
    MAX_ROOM,
    TOKEN_SIZE,
    Admitted,
    Join,
    JoinRefusal,
    Members,
    Refused,
    Welcome,
)
from palaver.wire.group_log import Coming, Going
from palaver.wire.names import fold_name, is_name, suggest, tidy

from . import contest, relay
from .events import MemberCame, MemberWent
from .room import PACK, Seat
from .states import SeatInput, SeatState

if TYPE_CHECKING:
    from .hub import Hub

LATE, ABSENCE, EMPTY = range(3)


def room_key(name: str) -> str:
    """Give what names of the same room have in common."""
    return fold_name(name)


def meet(hub: Hub, seat: Seat, join: Join, now: float, out: list[Action]) -> None:
    """Take a JOIN: by somebody who comes back, or by somebody new."""
    known = hub.by_token.get(join.token) if join.token else None
    if known is not None and room_key(hub.room_of(known).name) == room_key(join.room):
        welcome_back(hub, seat, known, join, now, out)
        return
    refusal = find_refusal(hub, join)
    holder = None if refusal is None else contest.holder_of(hub, join, refusal)
    if holder is not None:
        hub.step(seat, SeatInput.CONTEST, (join, holder), now, out)
    elif refusal is not None:
        hub.step(seat, SeatInput.REFUSE, refusal, now, out)
    else:
        hub.step(seat, SeatInput.JOIN, join, now, out)


def welcome_back(
    hub: Hub, visitor: Seat, seat: Seat, join: Join, now: float, out: list[Action]
) -> None:
    """Give a link to somebody who has one no more, or has one that may be dead."""
    room = hub.room_of(seat)
    if join.last > seat.sent:
        hub.give_up(visitor.link, Reason.PROTOCOL_ERROR, now, out)
    elif seat.state is SeatState.ABSENT and len(room.present) >= hub.rules.members:
        hub.step(visitor, SeatInput.REFUSE, Refused(JoinRefusal.ROOM_FULL), now, out)
    else:
        link, address = visitor.link, visitor.address
        hub.step(visitor, SeatInput.FORGET, None, now, out)
        old = hub.unlink(seat)
        seat.link, seat.address = link, address
        hub.by_link[link] = seat
        hub.step(seat, SeatInput.RETURN, (join, old), now, out)
        # That is a sign of life, if somebody has asked for its name.
        contest.settle(hub, seat.number, now, out)


def find_refusal(hub: Hub, join: Join) -> Refused | None:
    """Say why somebody new can't be admitted, if so."""
    if not is_name(tidy(join.room)) or len(tidy(join.room).encode()) > MAX_ROOM:
        return Refused(JoinRefusal.BAD_ROOM)
    number = hub.room_names.get(room_key(join.room))
    room = None if number is None else hub.rooms[number]
    taken = {} if room is None else room.names
    name = tidy(join.name)
    if not is_name(name):
        return Refused(JoinRefusal.BAD_NAME, suggest(name, taken))
    if fold_name(name) in taken:
        return Refused(JoinRefusal.NAME_TAKEN, suggest(name, taken))
    if room is not None:
        return Refused(JoinRefusal.ROOM_FULL) if len(room.present) >= hub.rules.members else None
    return None if has_room_to_open(hub) else Refused(JoinRefusal.NO_MORE_ROOMS)


def has_room_to_open(hub: Hub) -> bool:
    """Tell whether there may be another room."""
    return len(hub.rooms) < hub.rules.rooms or any(r.is_empty for r in hub.rooms.values())


def admit(hub: Hub, seat: Seat, join: Join, now: float, out: list[Action]) -> None:
    """Take in somebody new."""
    hub.timers.clear((LATE, seat.number))
    number = hub.open_room(tidy(join.room))
    assert number is not None
    room = hub.rooms[number]
    seat.room, seat.name = number, tidy(join.name)
    seat.token = hub.draws.bytes(TOKEN_SIZE)
    hub.by_token[seat.token] = seat
    for lost in list(room.absent.values()):
        # The name of somebody who is away is free: who comes back without its token may have it.
        if fold_name(lost.name) == fold_name(seat.name):
            hub.step(lost, SeatInput.FORGET, None, now, out)
    start = room.before_posts(min(join.backlog, hub.rules.backlog))
    room.enter(seat, Coming.NEW)
    introduce(hub, seat, start, Welcome.NEW, now, out)
    note_coming(hub, seat, Coming.NEW, now, out)


def readmit(hub: Hub, seat: Seat, subject: tuple[Join, int], now: float, out: list[Action]) -> None:
    """Take back somebody whose loss was announced."""
    hub.timers.clear((ABSENCE, seat.number))
    hub.room_of(seat).enter(seat, Coming.BACK)
    introduce(hub, seat, subject[0].last, Welcome.RESUMED, now, out)
    note_coming(hub, seat, Coming.BACK, now, out)


def take_over(
    hub: Hub, seat: Seat, subject: tuple[Join, int], now: float, out: list[Action]
) -> None:
    """Go on with somebody on a new link; the others need not know."""
    join, old = subject
    hub.command(Abort(old, JoinRefusal.TAKEN_OVER), now, out)
    room = hub.room_of(seat)
    room.behind.pop(seat.number, None)
    relay.note_authors(hub, room, room.count(seat, join.last), now)
    out.append(MemberCame(seat.link, room.name, 0, seat.name, Coming.BACK, seat.address))
    introduce(hub, seat, join.last, Welcome.RESUMED, now, out)


def note_coming(hub: Hub, seat: Seat, how: Coming, now: float, out: list[Action]) -> None:
    """Tell the program and the room that somebody is there."""
    room = hub.room_of(seat)
    hub.timers.clear((EMPTY, seat.room))
    out.append(MemberCame(seat.link, room.name, room.last, seat.name, how, seat.address))
    relay.note_growth(hub, seat.room, now, out)


def introduce(
    hub: Hub, seat: Seat, start: int, how: Welcome, now: float, out: list[Action]
) -> None:
    """Tell somebody where it is; what comes after entry `start`, or is left of it, follows."""
    room = hub.room_of(seat)
    if start < room.first - 1:
        start = room.first - 1
        if how is Welcome.RESUMED:
            how = Welcome.GAP
    members = [] if how is Welcome.RESUMED else room.members_at(start)
    seat.sent = seat.acked = start
    seat.progress = now
    admitted = Admitted(how, seat.token, start, seat.taken, len(members), seat.name)
    hub.tell(seat.link, admitted.encode(), now, out)
    names: list[str] = []
    size = 0
    for name in members:
        if size > PACK - 80:
            hub.tell(seat.link, Members(tuple(names)).encode(), now, out)
            names, size = [], 0
        names.append(name)
        size += 1 + len(name.encode())
    if names:
        hub.tell(seat.link, Members(tuple(names)).encode(), now, out)
    if room.held:
        hub.command(Pause(seat.link), now, out)
    relay.pump(hub, room, seat, now, out)


def refuse(hub: Hub, seat: Seat, refused: Refused, now: float, out: list[Action]) -> None:
    """Tell somebody why not, and part."""
    hub.counts["turned_down"] += 1
    link = seat.link
    hub.unseat(seat)
    hub.tell(link, refused.encode(), now, out)
    hub.command(Leave(link, refused.reason), now, out)


def dismiss(hub: Hub, seat: Seat, _: object, now: float, out: list[Action]) -> None:
    """Part with somebody who does not say what it wants."""
    link = seat.link
    hub.unseat(seat)
    hub.command(Abort(link, JoinRefusal.LATE), now, out)


def forget(hub: Hub, seat: Seat, _: object, __: float, ___: list[Action]) -> None:
    """Forget somebody who is not in a room."""
    if seat.room:
        room = hub.room_of(seat)
        room.absent.pop(seat.number, None)
    hub.unseat(seat)


def see_off(hub: Hub, seat: Seat, closed: Closed, now: float, out: list[Action]) -> None:
    """Tell the room that somebody has left."""
    go(hub, seat, Going.LEFT, closed.reason, now, out)
    hub.unseat(seat)


def miss(hub: Hub, seat: Seat, closed: Closed, now: float, out: list[Action]) -> None:
    """Tell the room that somebody was lost, and wait for it."""
    # A link that can't take what must be sent on it is given up.
    was_dropped = closed.reason == Reason.OVERWHELMED and closed.by is Side.LOCAL
    go(hub, seat, Going.DROPPED if was_dropped else Going.LOST, closed.reason, now, out)
    hub.unlink(seat)
    wait_for(hub, seat, now, out)


def drop(hub: Hub, seat: Seat, _: object, now: float, out: list[Action]) -> None:
    """Part with somebody for whom the log is too short; it may come back."""
    hub.counts["dropped"] += 1
    part(hub, seat, Going.DROPPED, Reason.OVERWHELMED, now, out)


def part(hub: Hub, seat: Seat, how: Going, reason: Reason, now: float, out: list[Action]) -> None:
    """End somebody's link for a reason of the hub's own, and wait for it."""
    link = hub.unlink(seat)
    hub.give_up(link, reason, now, out)
    seat.link = link
    go(hub, seat, how, reason, now, out)
    seat.link = 0
    wait_for(hub, seat, now, out)


def go(hub: Hub, seat: Seat, how: Going, reason: int, now: float, out: list[Action]) -> None:
    """Tell the room that somebody is gone."""
    room = hub.room_of(seat)
    authors = room.exit(seat, how)
    relay.note_authors(hub, room, authors, now)
    seat.news.clear()
    out.append(MemberWent(seat.link, room.name, room.last, seat.name, how, reason))
    if room.is_empty:
        hub.timers.set((EMPTY, seat.room), now + hub.rules.absence)
    relay.note_growth(hub, seat.room, now, out)
    contest.note_gone(hub, seat, now)


def wait_for(hub: Hub, seat: Seat, now: float, out: list[Action]) -> None:
    """Remember somebody who may come back."""
    room = hub.room_of(seat)
    room.absent[seat.number] = seat
    hub.timers.set((ABSENCE, seat.number), now + hub.rules.absence)
    if len(room.absent) > hub.rules.absent:
        hub.step(next(iter(room.absent.values())), SeatInput.FORGET, None, now, out)


ACTIONS: dict[str, Callable[[Hub, Seat, Any, float, list[Action]], None]] = {
    "admit": admit,
    "readmit": readmit,
    "take_over": take_over,
    "refuse": refuse,
    "dismiss": dismiss,
    "forget": forget,
    "see_off": see_off,
    "miss": miss,
    "drop": drop,
}
