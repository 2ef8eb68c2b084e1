"""How a membership ends, as the member keeps it (PROTOCOL.md, section 6.6)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from palaver.link.events import Abort, Closed, Leave, Side, Undelivered
from palaver.machine import Action
from palaver.wire.errors import Reason
from palaver.wire.group import Refused

from .events import JoinRefused, Post
from .states import GIVE_UP, MemberInput

if TYPE_CHECKING:
    from .member import Member
    from .membership import Membership


def finish(member: Member, one: Membership, leave: Leave, now: float, out: list[Action]) -> None:
    """Leave as soon as the hub has taken all posts."""
    one.parting = leave
    if one.paused:
        # Else it could not be heard that it has.
        member.resume(one, now, out)
    if one.kept:
        member.timers.set((GIVE_UP, one.number), now + member.rules.leave_within)
    else:
        member.step(one, MemberInput.DRAINED, None, now, out)


def say_bye(member: Member, one: Membership, _: None, now: float, out: list[Action]) -> None:
    """End the link in agreement."""
    member.timers.clear((GIVE_UP, one.number))
    leave = one.parting
    assert leave is not None
    member.command(Leave(one.link, leave.reason, leave.text), now, out)


def give_up(
    member: Member, one: Membership, why: Leave | Abort | None, now: float, out: list[Action]
) -> None:
    """End it at once: the program wants it, or the hub could not be reached for too long."""
    link = member.unlink(one)
    if link:
        member.command(why_to_abort(link, why), now, out)
    if why is None:
        reason, text = one.why, ""
    else:
        reason, text = why.reason if one.token else Reason.CANCELLED, why.text
    tell_end(member, one, Closed(link, 0, reason, Side.LOCAL, text), out)


def why_to_abort(link: int, why: Leave | Abort | None) -> Abort:
    """Give the end of a link that nobody needs any more."""
    return Abort(link, Reason.LEFT) if why is None else Abort(link, why.reason, why.text)


def be_refused(
    member: Member, one: Membership, refused: Refused, now: float, out: list[Action]
) -> None:
    """Tell why the hub does not want us."""
    link = member.unlink(one)
    member.command(Leave(link), now, out)
    out.append(JoinRefused(one.number, refused.reason, refused.suggestion))
    tell_end(member, one, Closed(link, 0, refused.reason, Side.PEER), out)


def end(member: Member, one: Membership, closed: Closed, _: float, out: list[Action]) -> None:
    """Tell that it is over."""
    tell_end(member, one, closed, out)


def tell_end(member: Member, one: Membership, closed: Closed, out: list[Action]) -> None:
    """Report the posts that the hub is not known to have, and the end."""
    reason = closed.reason
    out += [Undelivered(one.number, kept.ref, reason) for kept in one.kept]
    graceful = closed.graceful and not one.kept
    ref = one.order.ref
    out.append(Closed(one.number, ref, reason, closed.by, closed.text, graceful))
    member.forget(one, reason)


def refuse_post(_: Member, one: Membership, command: Post, __: float, out: list[Action]) -> None:
    """Tell that a post comes too late."""
    out.append(Undelivered(one.number, command.ref, Reason.LEFT))
