"""Two who want one name (PROTOCOL.md, [U-19]): actions of the hub.

Who asks for a name that a member has waits until that member's link has shown life. If it does, the
one who asks is refused; if it doesn't, the link is given up for dead and the name is free. There is
one contest for a name at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from palaver.link.events import Probe
from palaver.machine import Action
from palaver.wire.errors import Reason
from palaver.wire.group import Join, JoinRefusal, Refused
from palaver.wire.group_log import Going
from palaver.wire.names import fold_name, tidy

from . import admission
from .room import Seat
from .states import SeatInput

if TYPE_CHECKING:
    from .hub import Hub

CONTEST = 5


class Contest:
    """One who asks for a name that is taken, and its JOIN."""

    __slots__ = ("join", "seat")

    def __init__(self, seat: Seat, join: Join) -> None:
        self.seat = seat
        self.join = join


def holder_of(hub: Hub, join: Join, refused: Refused) -> Seat | None:
    """Give the member whose name a JOIN asks for, if that is why it is refused and may change."""
    if refused.reason != JoinRefusal.NAME_TAKEN:
        return None
    room = hub.rooms[hub.room_names[admission.room_key(join.room)]]
    holder = room.names[fold_name(tidy(join.name))]
    is_member = holder.number in room.present
    return holder if is_member and holder.number not in hub.contests else None


def contest(
    hub: Hub, seat: Seat, subject: tuple[Join, Seat], now: float, out: list[Action]
) -> None:
    """Ask the one who has the name for a sign of life."""
    join, holder = subject
    seat.rival = holder.number
    hub.contests[holder.number] = Contest(seat, join)
    hub.timers.set((CONTEST, holder.number), now + hub.rules.contest)
    hub.command(Probe(holder.link), now, out)


def note_gone(hub: Hub, holder: Seat, now: float) -> None:
    """Have the contest for a name decided in the next tick, for the one who had it is gone."""
    if holder.number in hub.contests:
        hub.timers.set((CONTEST, holder.number), now)


def decide(hub: Hub, number: int, now: float, out: list[Action]) -> None:
    """Part with the one who has the name, if it is still there, and answer the one who asks."""
    holder = hub.seats.get(number)
    if holder is not None:
        hub.step(holder, SeatInput.SILENT, None, now, out)
    settle(hub, number, now, out)


def settle(hub: Hub, number: int, now: float, out: list[Action]) -> None:
    """Answer the one who asks for the name of that seat, if anybody does, as things are now."""
    found = hub.contests.get(number)
    if found is not None:
        forget(hub, found.seat)
        refused = admission.find_refusal(hub, found.join)
        if refused is None:
            hub.step(found.seat, SeatInput.JOIN, found.join, now, out)
        else:
            hub.step(found.seat, SeatInput.REFUSE, refused, now, out)


def forget(hub: Hub, seat: Seat) -> None:
    """Let somebody wait no more for a name."""
    number, seat.rival = seat.rival, 0
    if hub.contests.pop(number, None) is not None:
        hub.timers.clear((CONTEST, number))


def bury(hub: Hub, seat: Seat, _: object, now: float, out: list[Action]) -> None:
    """Take somebody for dead who has shown no life; it may come back."""
    admission.part(hub, seat, Going.LOST, Reason.DEAD, now, out)


ACTIONS: dict[str, Callable[[Hub, Seat, Any, float, list[Action]], None]] = {
    "contest": contest,
    "bury": bury,
}
