"""How posts get around, and acknowledgements back (PROTOCOL.md, section 6.6): actions of the hub.

Nobody waits for a reader: what its link can't take stays in the log, and when the log is too short
for it, it is dropped. Only when most of a room can't follow, which no single member brings about,
its authors are slowed down, by the credit of their links.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from palaver.link.events import Pause, Resume
from palaver.machine import Action, UsageError, WouldBlock
from palaver.wire.errors import Reason
from palaver.wire.group import MAX_RUNS, Post, Receipt, Run
from palaver.wire.group_log import Posted

from .events import PostRelayed
from .room import Room, Seat
from .states import SeatInput, SeatState

if TYPE_CHECKING:
    from .hub import Hub

RECEIPTS, STALL = 3, 4


def publish(hub: Hub, seat: Seat, post: Post, now: float, out: list[Action]) -> None:
    """Note a post, unless it was here before; or let it wait with those that wait already."""
    room = hub.rooms[seat.room]
    if room.held:
        room.waiting.append((seat.number, post))
        return
    if post.id <= seat.taken:
        hub.counts["repeated"] += 1
        return
    seat.taken = post.id
    hub.counts["posts"] += 1
    room.post(Posted(seat.name, post.text).encode(), seat, post.id)
    out.append(PostRelayed(seat.link, room.name, room.last, seat.name, post.text))
    note_growth(hub, seat.room, now, out)
    if room.behind:
        drop_overrun(hub, room, now, out)


def note_growth(hub: Hub, number: int, now: float, out: list[Action]) -> None:
    """Have new entries offered to all: at the end of the batch, or now if they are many."""
    room = hub.rooms[number]
    hub.pending[number] = room
    if room.should_flush:
        offer_all(hub, room, now, out)
        if room.behind:
            judge(hub, number, now)
            if room.stalled and not room.held:
                hold(hub, room, now, out)


def flush(hub: Hub, number: int, now: float, out: list[Action]) -> None:
    """Offer new entries to all, and part with those for whom the log is too short."""
    room = hub.pending.pop(number)
    offer_all(hub, room, now, out)
    if room.behind:
        drop_overrun(hub, room, now, out)
    if room.behind or room.held:
        weigh(hub, number, now, out)


def offer_all(hub: Hub, room: Room, now: float, out: list[Action]) -> None:
    """Give everybody who takes something what is new."""
    last, current = room.last, SeatState.CURRENT
    for seat in list(room.present.values()):
        if seat.sent != last and seat.state is current:
            pump(hub, room, seat, now, out)
    room.note_flushed()


def pump(hub: Hub, room: Room, seat: Seat, now: float, out: list[Action]) -> None:
    """Give a link what comes next for its reader, as much as it takes."""
    link = seat.link
    limit = seat.acked + hub.rules.log
    if seat.sent < room.first - 1:
        hub.step(seat, SeatInput.FULL, None, now, out)
        return
    try:
        for number, message in room.packs(seat):
            if seat.sent >= limit:
                # It says that it has packets, and not that it has what is in them.
                hub.step(seat, SeatInput.FULL, None, now, out)
                return
            hub.offer(link, message, number, now, out)
            seat.sent = number
    except WouldBlock:
        hub.step(seat, SeatInput.FULL, None, now, out)
    except UsageError:
        # Its window can't take so long a message, ever.
        seat.sent = room.last
        hub.give_up(link, Reason.OVERWHELMED, now, out)


def fall_behind(hub: Hub, seat: Seat, _: object, now: float, __: list[Action]) -> None:
    """Let the log keep what somebody can't take now."""
    seat.progress = now
    hub.room_of(seat).behind[seat.number] = seat


def catch_up(hub: Hub, seat: Seat, _: object, now: float, out: list[Action]) -> None:
    """Give somebody what it waits for; it may be behind again at once."""
    room = hub.room_of(seat)
    room.behind.pop(seat.number, None)
    progress = seat.progress
    pump(hub, room, seat, now, out)
    seat.progress = progress
    if room.held:
        weigh(hub, seat.room, now, out)


def drop_overrun(hub: Hub, room: Room, now: float, out: list[Action]) -> None:
    """Part with those who need what the log has not kept. To tell of it makes the log longer."""
    overrun = room.overrun()
    while overrun:
        for seat in overrun:
            hub.step(seat, SeatInput.OVERRUN, None, now, out)
        overrun = [seat for seat in room.overrun() if seat not in overrun]


def weigh(hub: Hub, number: int, now: float, out: list[Action]) -> None:
    """Let the authors of a room wait while most of those who take something are behind."""
    room = hub.rooms[number]
    judge(hub, number, now)
    if room.stalled and not room.held:
        hold(hub, room, now, out)
    elif room.held and not room.stalled:
        release(hub, number, now, out)


def judge(hub: Hub, number: int, now: float) -> None:
    """See whether most of those who take something are behind, and plan to see again."""
    room = hub.rooms[number]
    since = now - hub.rules.patience
    taking = sum(seat.progress > since for seat in room.behind.values())
    listening = len(room.present) - len(room.behind) + taking
    room.stalled = 2 * taking > listening
    if not room.stalled:
        hub.timers.clear((STALL, number))
    elif (STALL, number) not in hub.timers:
        hub.timers.set((STALL, number), now + hub.rules.patience)


def hold(hub: Hub, room: Room, now: float, out: list[Action]) -> None:
    """Let posts wait: in the links of their authors, and those that are here already, here."""
    room.held = True
    for seat in room.present.values():
        hub.command(Pause(seat.link), now, out)


def release(hub: Hub, number: int, now: float, out: list[Action]) -> None:
    """Note the posts that have waited; if all could be, let more come."""
    room = hub.rooms[number]
    room.held = False
    while room.waiting and not room.stalled:
        author, post = room.waiting.popleft()
        seat = room.present.get(author)
        # Who is gone, or away, has not been told that we had its post.
        if seat is not None:
            publish(hub, seat, post, now, out)
            if room.held:
                return
    if room.stalled:
        room.held = True
        return
    for seat in room.present.values():
        if seat.link not in hub.paused:
            hub.command(Resume(seat.link), now, out)


def count(hub: Hub, seat: Seat, number: int, now: float, out: list[Action]) -> None:
    """Note that somebody has all entries up to a number."""
    room = hub.rooms[seat.room]
    was_held = seat.sent - seat.acked >= hub.rules.log
    seat.acked = number
    seat.progress = now
    authors = room.count(seat, number)
    if authors:
        note_authors(hub, room, authors, now)
    if was_held:
        hub.step(seat, SeatInput.ROOM, None, now, out)


def note_authors(hub: Hub, room: Room, authors: list[int], now: float) -> None:
    """Have authors told of acknowledgements, a little later, so that they are told of many."""
    if authors:
        number = room.present[authors[0]].room
        if (RECEIPTS, number) not in hub.timers:
            hub.timers.set((RECEIPTS, number), now + hub.rules.receipt_interval)


def send_receipts(hub: Hub, number: int, now: float, out: list[Action]) -> None:
    """Tell authors how far their posts have come."""
    room = hub.rooms[number]
    waiting = False
    for seat in room.present.values():
        while seat.news and seat.state is SeatState.CURRENT:
            runs, rest = runs_of(seat.news)
            try:
                hub.say(seat.link, Receipt(runs).encode(), now, out)
            except (WouldBlock, UsageError):
                break
            seat.news = rest
        waiting = waiting or bool(seat.news)
    if waiting:
        hub.timers.set((RECEIPTS, number), now + hub.rules.receipt_interval)


def runs_of(news: dict[int, tuple[int, int]]) -> tuple[tuple[Run, ...], dict[int, tuple[int, int]]]:
    """Give the news as runs of posts that have come equally far, and those for which is no room."""
    runs: list[Run] = []
    first = count = 0
    have = (0, 0)
    ids = sorted(news)
    for place, post_id in enumerate(ids):
        if count and post_id == first + count and news[post_id] == have and count < 0xFFFF:
            count += 1
            continue
        if count:
            runs.append(Run(first, count, *have))
            if len(runs) == MAX_RUNS:
                return tuple(runs), {one: news[one] for one in ids[place:]}
        first, count, have = post_id, 1, news[post_id]
    runs.append(Run(first, count, *have))
    return tuple(runs), {}


ACTIONS: dict[str, Callable[[Hub, Seat, Any, float, list[Action]], None]] = {
    "publish": publish,
    "count": count,
    "fall_behind": fall_behind,
    "catch_up": catch_up,
}
