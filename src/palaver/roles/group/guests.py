"""Those who take part in a room without a link, such as people with plain text (appendix A).

A guest is in the log as everybody is: its coming, its posts and its going have their numbers. It is
sent nothing, is owed no acknowledgement, and nobody waits for it: the program answers for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from palaver.machine import Action, UsageError
from palaver.wire.group import MAX_ROOM, check_post
from palaver.wire.group_log import Coming, Posted
from palaver.wire.names import is_name, suggest, tidy

from . import admission, relay
from .events import AdmitGuest, DismissGuest, GuestPost, MemberCame, MemberWent, PostRelayed
from .room import Seat

if TYPE_CHECKING:
    from .hub import Hub

EMPTY = 2


def admit_guest(hub: Hub, event: AdmitGuest, now: float, out: list[Action]) -> None:
    """Let a guest in, under a name that nobody there has. Raises UsageError."""
    if event.guest >= 0 or _find(hub, event.guest) is not None:
        raise UsageError(f"{event.guest} can't be the number of a new guest")
    for text in (event.name, event.room):
        if not isinstance(text, str):
            raise UsageError(f"names have to be str, not {type(text).__name__}")
    room_name = tidy(event.room)
    if not is_name(room_name) or len(room_name.encode()) > MAX_ROOM:
        raise UsageError(f"there can be no room {event.room!r}")
    number = hub.open_room(room_name)
    room = None if number is None else hub.rooms[number]
    name = "" if room is None else suggest(event.name, room.names)
    if number is None or room is None or not name or not places(hub, room_name):
        raise UsageError(f"the room {event.room!r} has no place for another guest")
    guest = Seat(event.guest, event.guest, event.address)
    guest.room, guest.name = number, name
    room.enter_guest(guest)
    hub.timers.clear((EMPTY, number))
    out.append(
        MemberCame(guest.number, room.name, room.last, name, Coming.NEW, event.address, plain=True)
    )
    relay.note_growth(hub, number, now, out)


def take_post(hub: Hub, event: GuestPost, now: float, out: list[Action]) -> None:
    """Note what a guest says; unless its room is held, for nobody could make it wait."""
    check_post(event.text)
    guest = _find(hub, event.guest)
    if guest is None:
        raise UsageError(f"{event.guest} is no guest")
    room = hub.rooms[guest.room]
    if room.held:
        hub.counts["odd"] += 1
        return
    hub.counts["posts"] += 1
    room.post(Posted(guest.name, event.text).encode(), guest, 0)
    out.append(PostRelayed(guest.number, room.name, room.last, guest.name, event.text, plain=True))
    relay.note_growth(hub, guest.room, now, out)
    if room.behind:
        relay.drop_overrun(hub, room, now, out)


def dismiss_guest(hub: Hub, event: DismissGuest, now: float, out: list[Action]) -> None:
    """Note that a guest is gone; of one that is not there, nothing."""
    guest = _find(hub, event.guest)
    if guest is None:
        return
    room = hub.rooms[guest.room]
    room.exit_guest(guest, event.how)
    out.append(
        MemberWent(
            guest.number, room.name, room.last, guest.name, event.how, event.reason, plain=True
        )
    )
    if room.is_empty:
        hub.timers.set((EMPTY, guest.room), now + hub.rules.absence)
    relay.note_growth(hub, guest.room, now, out)


def places(hub: Hub, room_name: str) -> int:
    """Tell how many more guests a room takes."""
    number = hub.room_names.get(admission.room_key(room_name))
    if number is not None:
        room = hub.rooms[number]
        return max(0, hub.rules.members - len(room.present) - len(room.guests))
    return hub.rules.members if admission.has_room_to_open(hub) else 0


def is_held(hub: Hub, room_name: str) -> bool:
    """Tell whether the posts of a room wait, so that what guests say is dropped."""
    number = hub.room_names.get(admission.room_key(room_name))
    return number is not None and hub.rooms[number].held


def _find(hub: Hub, number: int) -> Seat | None:
    found = (room.guests.get(number) for room in hub.rooms.values())
    return next((guest for guest in found if guest is not None), None)
