"""One membership as the member keeps it: its posts, its place in the log, its actions (6.6).

A membership outlives the links that carry it. Posts are kept until the hub has taken them: what
was sent on a link that has ended is sent again, with the same ids, when the hub says that it has
not had them; and is reported as undelivered when the hub can't say.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from palaver.link.events import Closed, Leave, Pause, Undelivered, Writable
from palaver.machine import Action, WouldBlock, copy_slots
from palaver.wire.errors import Reason
from palaver.wire.group import (
    Admitted,
    JoinRefusal,
    Members,
    Receipt,
    Welcome,
    encode_post,
)
from palaver.wire.group_log import Coming, Entry, Going, Joined, Left, Log, Posted, Taken

from . import parting
from .events import (
    CameIn,
    Entered,
    Gap,
    Interrupted,
    JoinRoom,
    Post,
    PostHeard,
    PostSpread,
    PostTaken,
    WentOut,
)
from .rules import MAX_MEMBERS, MemberRules
from .states import GIVE_UP, LATE, OVERDUE, REDIAL, MemberInput, MemberState

if TYPE_CHECKING:
    from .member import Member


class Kept:
    """A post until the hub has taken it."""

    __slots__ = ("due", "id", "message", "ref", "risked")

    def __init__(self, post_id: int, message: bytes, ref: int, due: float) -> None:
        self.id = post_id
        self.message = message
        self.ref = ref
        # When to report it as overdue; infinity when that was done.
        self.due = due
        # Whether it was sent on a link that has ended.
        self.risked = False


class Membership:
    """A place in a room; `number` names it to the program."""

    __slots__ = (
        "attempts",
        "blocked",
        "bytes",
        "expected",
        "how",
        "kept",
        "last",
        "link",
        "members",
        "name",
        "next_id",
        "number",
        "order",
        "parting",
        "paused",
        "refs",
        "sent",
        "since",
        "state",
        "taken",
        "token",
        "why",
    )

    def __init__(self, number: int, order: JoinRoom) -> None:
        self.number = number
        self.order = order
        self.state = MemberState.JOINING
        # The link that carries it now; 0 for none.
        self.link = 0
        self.name = order.name
        self.token = b""
        # The number of the last entry that came.
        self.last = 0
        self.how = Welcome.NEW
        # The names of those who are there, in the order in which they came; and how many are
        # still to be told.
        self.members: dict[str, None] = {}
        self.expected = 0
        # Posts that the hub has not taken, their bytes, and how many of them are on this link.
        self.kept: deque[Kept] = deque()
        self.bytes = 0
        self.sent = 0
        self.next_id = 1
        # The highest id that the hub had when it admitted us.
        self.taken = 0
        # Commands by id of their post, while acknowledgements of others may come.
        self.refs: dict[int, int] = {}
        # Whether WouldBlock was raised, so that Writable is owed; whether the program has paused.
        self.blocked = False
        self.paused = False
        self.parting: Leave | None = None
        # When it was last admitted. Calls since links were lost one soon after the other; and why
        # the last one was.
        self.since = 0.0
        self.attempts = 0
        self.why: int = Reason.LEFT

    def check_room(self, size: int, rules: MemberRules) -> None:
        """Raise WouldBlock if a post of that size can't be kept."""
        if self.kept and (len(self.kept) >= rules.posts or self.bytes + size > rules.post_bytes):
            self.blocked = True
            raise WouldBlock("the hub has not taken enough of the earlier posts; wait for Writable")

    def release(self, rules: MemberRules) -> Kept:
        """Give the oldest post, and keep it no more."""
        kept = self.kept.popleft()
        self.bytes -= len(kept.message)
        self.sent = max(self.sent - 1, 0)
        self.refs[kept.id] = kept.ref
        if len(self.refs) > rules.receipts:
            del self.refs[next(iter(self.refs))]
        return kept

    def clone(self) -> Membership:
        """Give an independent twin."""
        twin = copy_slots(self)
        twin.members = self.members.copy()
        twin.kept = deque(copy_slots(one) for one in self.kept)
        twin.refs = self.refs.copy()
        return twin

    def key(self, now: float) -> tuple[object, ...]:
        """Give the state as a comparable value, times relative to `now`."""
        return (
            *(self.number, self.state, self.link, self.name, self.token, self.last, self.how),
            *(tuple(self.members), self.expected, self.sent, self.next_id, self.taken),
            *(
                self.blocked,
                self.paused,
                self.attempts,
                self.since - now,
                self.why,
                tuple(self.refs.items()),
            ),
            tuple((one.id, one.ref, one.due - now, one.risked) for one in self.kept),
        )


# Posts


def keep(member: Member, one: Membership, post: Post, now: float, _: list[Action]) -> None:
    """Keep a post until it can be sent."""
    message = encode_post(one.next_id, post.text)
    one.kept.append(Kept(one.next_id, message, post.ref, now + member.rules.overdue))
    one.bytes += len(message)
    one.next_id += 1
    if (OVERDUE, one.number) not in member.timers:
        member.timers.set((OVERDUE, one.number), now + member.rules.overdue)


def post(member: Member, one: Membership, command: Post, now: float, out: list[Action]) -> None:
    """Send a post, or keep it until the link takes it."""
    keep(member, one, command, now, out)
    send_kept(member, one, now, out)


def send_kept(member: Member, one: Membership, now: float, out: list[Action]) -> None:
    """Send what is kept and not on this link yet, as much as it takes."""
    while one.sent < len(one.kept):
        try:
            member.send(one.link, one.kept[one.sent].message, now, out)
        except WouldBlock:
            return
        one.sent += 1


def note_taken(member: Member, one: Membership, number: int, now: float, out: list[Action]) -> None:
    """Tell that the hub has the oldest post."""
    kept = one.release(member.rules)
    out.append(PostTaken(one.number, kept.ref, number))
    if (
        one.blocked
        and 2 * len(one.kept) <= member.rules.posts
        and (2 * one.bytes <= member.rules.post_bytes)
    ):
        one.blocked = False
        out.append(Writable(one.number))
    if not one.kept and one.state is MemberState.LEAVING:
        member.step(one, MemberInput.DRAINED, None, now, out)


def note_receipt(
    _: Member, membership: Membership, receipt: Receipt, __: float, out: list[Action]
) -> None:
    """Tell how far posts have come."""
    refs = membership.refs
    for run in receipt.runs:
        ids = range(run.first, run.first + run.count)
        # However many posts the hub speaks of, only those that there are cost time.
        known = [one for one in refs if one in ids] if run.count > len(refs) else ids
        for post_id in [one for one in known if one in refs]:
            ref = refs[post_id]
            if not run.awaited:
                del refs[post_id]
            out.append(PostSpread(membership.number, ref, run.acknowledged, run.awaited))


# Coming in


def be_admitted(
    member: Member, one: Membership, admitted: Admitted, now: float, out: list[Action]
) -> None:
    """Take note of our place, and of what has become of our posts meanwhile."""
    for timer in (REDIAL, GIVE_UP):
        member.timers.clear((timer, one.number))
    how, before = Welcome(admitted.how), one.last
    goes_on = admitted.number == before if how is Welcome.RESUMED else admitted.number > before
    if how is not Welcome.NEW and not (one.token and goes_on):
        member.give_up(one.link, Reason.PROTOCOL_ERROR, now, out)
        return
    if how is Welcome.NEW and one.token:
        out.append(Gap(one.number, before + 1, 0))
        forget_risked(one, out)
    elif how is Welcome.GAP:
        out.append(Gap(one.number, before + 1, admitted.number))
        while one.kept and one.kept[0].id <= admitted.taken:
            note_taken(member, one, 0, now, out)
    if how is not Welcome.RESUMED:
        one.members.clear()
    one.how, one.name, one.token = how, admitted.name, admitted.token
    one.last, one.taken, one.expected = admitted.number, admitted.taken, admitted.members
    if not one.expected:
        member.step(one, MemberInput.COMPLETE, None, now, out)


def forget_risked(one: Membership, out: list[Action]) -> None:
    """Report the posts that a hub that knows nothing of us may have taken, or not."""
    one.refs.clear()
    fresh = deque(kept for kept in one.kept if not kept.risked)
    risked = [kept for kept in one.kept if kept.risked]
    out += [Undelivered(one.number, kept.ref, one.why) for kept in risked]
    one.kept, one.sent = fresh, 0
    one.bytes = sum(len(kept.message) for kept in fresh)


def meet(member: Member, one: Membership, members: Members, now: float, out: list[Action]) -> None:
    """Take note of who is there."""
    one.expected -= len(members.names)
    one.members.update(dict.fromkeys(members.names))
    if one.expected < 0:
        member.give_up(one.link, Reason.PROTOCOL_ERROR, now, out)
    elif not one.expected:
        member.step(one, MemberInput.COMPLETE, None, now, out)


def enter(member: Member, one: Membership, _: None, now: float, out: list[Action]) -> None:
    """Be there, and send what the hub has not had."""
    member.timers.clear((LATE, one.number))
    one.since = now
    order = one.order
    names = tuple(one.members)
    out.append(Entered(one.number, order.ref, order.room, one.name, one.how, one.last, names))
    # What the hub has had will be told in the log.
    one.sent = sum(kept.id <= one.taken for kept in one.kept)
    send_kept(member, one, now, out)
    if one.paused:
        member.command(Pause(one.link), now, out)


# Being there


def follow(member: Member, one: Membership, log: Log, now: float, out: list[Action]) -> None:
    """Take entries, which must be the next ones."""
    for number, entry in enumerate(log.entries, log.number):
        if number != one.last + 1:
            member.give_up(one.link, Reason.PROTOCOL_ERROR, now, out)
            return
        one.last = number
        if not take_entry(member, one, number, entry, now, out):
            member.give_up(one.link, Reason.PROTOCOL_ERROR, now, out)
            return


def take_entry(
    member: Member, one: Membership, number: int, entry: Entry, now: float, out: list[Action]
) -> bool:
    """Tell of an entry; False if there can't be one like it."""
    link = one.number
    if isinstance(entry, Posted):
        out.append(PostHeard(link, number, entry.name, entry.text))
    elif isinstance(entry, Joined):
        one.members[entry.name] = None
        if len(one.members) > MAX_MEMBERS:
            return False
        out.append(CameIn(link, number, entry.name, Coming(entry.how)))
    elif isinstance(entry, Left):
        one.members.pop(entry.name, None)
        out.append(WentOut(link, number, entry.name, Going(entry.how)))
    elif isinstance(entry, Taken):
        if entry.id >= one.next_id or (one.kept and entry.id > one.kept[0].id):
            return False
        if one.kept and entry.id == one.kept[0].id:
            note_taken(member, one, number, now, out)
    return True


# Losing the link, and coming back


def lose(member: Member, one: Membership, closed: Closed, now: float, out: list[Action]) -> None:
    """Tell that the link is gone, and plan to come back."""
    for kept in list(one.kept)[: one.sent]:
        kept.risked = True
    one.sent = 0
    one.why = closed.reason
    if now - one.since >= member.rules.rejoin_max:
        one.attempts = 0
    out.append(Interrupted(one.number, closed.reason))
    member.timers.set((GIVE_UP, one.number), now + member.rules.rejoin_for)
    wait(member, one, closed, now, out)


def wait(member: Member, one: Membership, _: Closed, now: float, __: list[Action]) -> None:
    """Plan the next call."""
    rules = member.rules
    pause = min(rules.rejoin_first * 2.0 ** min(one.attempts, 40), rules.rejoin_max)
    member.timers.set((REDIAL, one.number), now + pause)


def redial(member: Member, one: Membership, _: None, now: float, out: list[Action]) -> None:
    """Call the hub again."""
    one.attempts += 1
    member.dial(one, None, now, out)


def hang_up(member: Member, one: Membership, _: None, now: float, out: list[Action]) -> None:
    """End the link: the hub does not say what it must. What follows is that the link is lost."""
    member.give_up(one.link, JoinRefusal.LATE, now, out)


ACTIONS: dict[str, Callable[[Member, Membership, Any, float, list[Action]], None]] = {
    "keep": keep,
    "post": post,
    "refuse_post": parting.refuse_post,
    "note_receipt": note_receipt,
    "be_admitted": be_admitted,
    "meet": meet,
    "enter": enter,
    "follow": follow,
    "lose": lose,
    "wait": wait,
    "redial": redial,
    "hang_up": hang_up,
    "finish": parting.finish,
    "say_bye": parting.say_bye,
    "give_up": parting.give_up,
    "be_refused": parting.be_refused,
    "end": parting.end,
}
