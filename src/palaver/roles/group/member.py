"""A member: it joins rooms of hubs, posts, and comes back when its link was lost (section 6.6).

This file routes; what a membership does is in `membership`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from palaver.entropy import Entropy
from palaver.link.events import (
    Abort,
    Closed,
    Dial,
    Dialing,
    Leave,
    Opened,
    Overdue,
    Pause,
    Resume,
    Send,
    StillDialing,
    Undelivered,
    Writable,
)
from palaver.machine import Action, Address, Event, Notice, UsageError, WouldBlock
from palaver.roles.role import Options, Role
from palaver.roles.timers import Timers
from palaver.wire.errors import Reason
from palaver.wire.group import (
    ROLE,
    Admitted,
    GroupMessage,
    Join,
    JoinRefusal,
    Members,
    Receipt,
    Refused,
    check_names,
    check_post,
    decode_group,
)
from palaver.wire.group_log import Log
from palaver.wire.messages import check_reason

from . import membership
from .events import JoinRoom, Post
from .membership import Membership
from .rules import DEFAULT_MEMBER_RULES, MemberRules
from .states import GIVE_UP, LATE, MEMBER_TABLE, OVERDUE, REDIAL, MemberInput, MemberState

if TYPE_CHECKING:
    from typing_extensions import Unpack

MOST_ENDED = 256
"""Memberships whose end is remembered, to tell it to posts that come too late."""

MAY_COME_BACK = {
    Reason.BUSY,
    Reason.EXHAUSTED,
    Reason.FLUSH_TIMEOUT,
    Reason.DEAD,
    Reason.OVERWHELMED,
    Reason.NO_ANSWER,
    Reason.RESET,
    Reason.DISCONNECTED,
    JoinRefusal.LATE,
}
"""Ends of a link that are not the end of the membership."""

_NEVER = float("inf")


class Member(Role[GroupMessage]):
    """Memberships of rooms, each over a link of its own.

    Takes `JoinRoom` and `Post`, and `Leave`, `Abort`, `Pause` and `Resume` as a link does. Tells
    `Dialing`, `StillDialing`, `Entered`, `PostHeard`, `CameIn`, `WentOut`, `PostTaken`,
    `PostSpread`, `Overdue`, `Undelivered`, `Writable`, `Interrupted`, `Gap`, `JoinRefused` and
    `Closed`.
    """

    __slots__ = ("_ended", "_last", "by_link", "counts", "memberships", "rules", "timers")

    def __init__(
        self,
        entropy: Entropy,
        *,
        rules: MemberRules = DEFAULT_MEMBER_RULES,
        **options: Unpack[Options],
    ) -> None:
        """Make a member of nothing. Raises UsageError as `Endpoint` does."""
        super().__init__(entropy, answers=(), **options)
        self.rules = rules
        self.timers: Timers[tuple[int, int]] = Timers()
        # Those that are not over, by their number and by their present link.
        self.memberships: dict[int, Membership] = {}
        self.by_link: dict[int, Membership] = {}
        self.counts = dict.fromkeys(("rejoins", "odd"), 0)
        self._ended: dict[int, int] = {}
        self._last = 0

    # Getters

    def members(self, link: int) -> tuple[str, ...]:
        """Give the names of those who are in the room, as far as its log was told."""
        one = self.memberships.get(link)
        return () if one is None else tuple(one.members)

    def address(self, link: int) -> Address | None:
        """Give where the hub of a membership is; None if that is over."""
        one = self.memberships.get(link)
        return None if one is None else one.order.address

    def stats(self) -> dict[str, int]:
        """Give the counts of the endpoint and of the member, and how much is remembered now."""
        kept = sum(len(one.kept) for one in self.memberships.values())
        return {**super().stats(), **self.counts, "rooms": len(self.memberships), "kept": kept}

    @property
    def _due(self) -> float:
        return self.timers.deadline

    # Commands

    def _do(self, event: Event, now: float, out: list[Action], /) -> None:
        if isinstance(event, JoinRoom):
            self._join(event, now, out)
        elif isinstance(event, Post):
            self._post(event, now, out)
        elif isinstance(event, Leave | Abort | Pause | Resume):
            self._command(event, now, out)
        else:
            raise UsageError(f"a Member does not take {type(event).__name__}")

    def _join(self, order: JoinRoom, now: float, out: list[Action]) -> None:
        check_names(order.name, order.room)
        if not 0 <= order.backlog <= 0xFFFF:
            raise UsageError(f"a backlog of 0 to 65,535 posts, not {order.backlog}")
        one = Membership(self._last + 1, order)
        self.dial(one, order.timeout, now, out)
        self._last += 1
        self.memberships[one.number] = one

    def _post(self, post: Post, now: float, out: list[Action]) -> None:
        check_post(post.text)
        one = self._find(post.link)
        if one is None:
            out.append(Undelivered(post.link, post.ref, self._ended.get(post.link, Reason.LEFT)))
            return
        if one.state < MemberState.LEAVING:
            one.check_room(len(post.text.encode()), self.rules)
        self.step(one, MemberInput.POST, post, now, out)

    def _command(
        self, command: Leave | Abort | Pause | Resume, now: float, out: list[Action]
    ) -> None:
        if isinstance(command, Leave | Abort):
            check_reason(command.reason, command.text)
        one = self._find(command.link)
        if one is None:
            return
        if isinstance(command, Leave):
            self.step(one, MemberInput.LEAVE, command, now, out)
        elif isinstance(command, Abort):
            self.step(one, MemberInput.ABORT, command, now, out)
        elif isinstance(command, Pause):
            one.paused = True
            if one.state is MemberState.IN:
                self.command(Pause(one.link), now, out)
        elif one.paused:
            self.resume(one, now, out)

    def _find(self, number: int) -> Membership | None:
        """Give a membership; None if it is over. Raises UsageError if there never was one."""
        if not 0 < number <= self._last:
            raise UsageError(f"there is no membership {number}")
        return self.memberships.get(number)

    # What the links tell

    def _decode(self, _: str, message: bytes, /) -> GroupMessage | None:
        return decode_group(message)

    def _dialing(self, dialing: Dialing, _: str, now: float, out: list[Action], /) -> None:
        one = self.by_link[dialing.link]
        order = one.order
        if not one.attempts:
            out.append(Dialing(one.number, order.ref, order.address))
        backlog = 0 if one.token else order.backlog
        join = Join(one.name if one.token else order.name, order.room, backlog, one.token, one.last)
        self._tell(dialing.link, join.encode(), now, out)

    def _opened(self, opened: Opened, now: float, _: list[Action], /) -> None:
        one = self.by_link.get(opened.link)
        if one is not None:
            self.timers.set((LATE, one.number), now + self.rules.admit_within)

    def _heard(self, opened: Opened, message: GroupMessage, now: float, out: list[Action]) -> None:
        one = self.by_link.get(opened.link)
        if one is None:
            return
        what = _MESSAGES.get(type(message))
        if what is None or (one.state, what) not in MEMBER_TABLE:
            self._give_up(opened.link, Reason.PROTOCOL_ERROR, now, out)
        else:
            self.step(one, what, message, now, out)

    def _closed(self, closed: Closed, _: Opened | None, now: float, out: list[Action], /) -> None:
        one = self.by_link.pop(closed.link, None)
        if one is not None:
            one.link = 0
            self.timers.clear((LATE, one.number))
            may_come_back = closed.reason in MAY_COME_BACK
            what = MemberInput.LOST if may_come_back else MemberInput.ENDED
            self.step(one, what, closed, now, out)

    def _told(self, notice: Notice, now: float, out: list[Action], /) -> None:
        one = self.by_link.get(getattr(notice, "link", 0))
        if one is None:
            return
        if isinstance(notice, Writable):
            if one.state in {MemberState.IN, MemberState.LEAVING}:
                membership.send_kept(self, one, now, out)
        elif isinstance(notice, StillDialing) and not one.attempts:
            order = one.order
            out.append(StillDialing(one.number, order.ref, notice.attempt, notice.unreachable))

    def step(
        self, one: Membership, what: MemberInput, subject: object, now: float, out: list[Action]
    ) -> None:
        """Dispatch an input through the table."""
        row = MEMBER_TABLE.get((one.state, what))
        if row is None:
            self.counts["odd"] += 1
            return
        action, one.state = row
        membership.ACTIONS[action](self, one, subject, now, out)

    # Time

    def _on_time(self, now: float, out: list[Action], /) -> None:
        for timer, number in self.timers.take(now):
            one = self.memberships.get(number)
            if one is None:
                continue
            if timer == OVERDUE:
                self._report_overdue(one, now, out)
            else:
                self.step(one, _TIMERS[timer], None, now, out)

    def _report_overdue(self, one: Membership, now: float, out: list[Action]) -> None:
        """Report, once, the posts that the hub has not taken for long."""
        for kept in one.kept:
            if kept.due > now:
                if kept.due < _NEVER:
                    self.timers.set((OVERDUE, one.number), kept.due)
                    return
            else:
                kept.due = _NEVER
                out.append(Overdue(one.number, kept.ref))

    # What a membership asks for

    def dial(self, one: Membership, timeout: float | None, now: float, out: list[Action]) -> None:
        """Call its hub. Raises UsageError."""
        order = one.order
        link = self._dial(Dial(order.address, ROLE, order.ref, timeout), now, out)
        one.link = link
        self.by_link[link] = one
        self.counts["rejoins"] += bool(one.attempts)

    def send(self, link: int, message: bytes, now: float, out: list[Action]) -> None:
        """Send a message. Raises WouldBlock."""
        try:
            self._pass_on(Send(link, message, None), now, out)
        except UsageError:
            # The hub's window can't take it, ever.
            self._give_up(link, Reason.PROTOCOL_ERROR, now, out)
            raise WouldBlock("the hub takes no such post") from None

    def resume(self, one: Membership, now: float, out: list[Action]) -> None:
        """Let entries come again."""
        one.paused = False
        if one.link:
            self.command(Resume(one.link), now, out)

    def command(self, event: Event, now: float, out: list[Action]) -> None:
        """Give the endpoint a command."""
        self._pass_on(event, now, out)

    def give_up(self, link: int, reason: int, now: float, out: list[Action]) -> None:
        """End a link now: its end will be told like that of any other."""
        self._give_up(link, reason, now, out)

    def unlink(self, one: Membership) -> int:
        """Part it from its link, and give that; 0 for none."""
        link, one.link = one.link, 0
        self.by_link.pop(link, None)
        return link

    def forget(self, one: Membership, reason: int) -> None:
        """Take note that it is over."""
        del self.memberships[one.number]
        for timer in (REDIAL, GIVE_UP, OVERDUE, LATE):
            self.timers.clear((timer, one.number))
        self._ended[one.number] = reason
        if len(self._ended) > MOST_ENDED:
            del self._ended[next(iter(self._ended))]

    # Exploration

    def clone(self) -> Member:
        """Give an independent twin that will draw the same random values."""
        twin = self._twin()
        twin.timers = self.timers.clone()
        twin.memberships = {number: one.clone() for number, one in self.memberships.items()}
        twin.by_link = {link: twin.memberships[one.number] for link, one in self.by_link.items()}
        twin.counts = self.counts.copy()
        twin._ended = self._ended.copy()
        return twin

    def state_key(self, now: float) -> tuple[object, ...]:
        """Give all that decides the future as one comparable value, times relative to `now`."""
        return (
            *super().state_key(now),
            self.timers.key(now),
            tuple(one.key(now) for one in self.memberships.values()),
            tuple(self._ended.items()),
            self._last,
        )


_TIMERS = {
    REDIAL: MemberInput.REDIAL,
    GIVE_UP: MemberInput.GIVE_UP,
    LATE: MemberInput.LATE,
}

_MESSAGES: dict[type[GroupMessage], MemberInput] = {
    Admitted: MemberInput.ADMITTED,
    Refused: MemberInput.REFUSED,
    Members: MemberInput.MEMBERS,
    Log: MemberInput.LOG,
    Receipt: MemberInput.RECEIPT,
}
