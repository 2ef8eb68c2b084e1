"""What a link does while it is being opened: the actions of caller and callee (section 4)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from palaver.machine import Action
from palaver.wire.errors import Reason
from palaver.wire.packets import Cookie, Refuse, Welcome

from .ending import end_link
from .events import Opened, Side, StillDialing, Undelivered
from .heard import Heard
from .outbox import Pending
from .states import State
from .talking import receive

if TYPE_CHECKING:
    from .link import Link


def send_hello(link: Link, _: None, now: float, out: list[Action]) -> None:
    """Send HELLO; from the second on, tell that it is not answered yet."""
    caller, ref = link.caller, link.ref
    assert caller is not None
    assert ref is not None
    if caller.attempts and not caller.is_answering:
        attempt = caller.attempts + 1
        out.append(StillDialing(link.number, ref, attempt, caller.unreachable))
    link.transmit(caller.next_hello(now), out)


def present_cookie(link: Link, packet: Cookie, now: float, _: list[Action]) -> None:
    """Repeat HELLO with the cookie."""
    assert link.caller is not None
    link.caller.present(packet.cookie, now)


def be_welcomed(link: Link, welcome: Welcome, now: float, out: list[Action]) -> None:
    """Open the caller's end."""
    assert link.caller is not None
    channel = link.channel
    link.until = None
    refused = channel.open(welcome.link, welcome.mtu, welcome.credit, now)
    rtt = link.caller.rtt(now)
    if rtt is not None:
        channel.recovery.rtt.sample(rtt, 0.0)
    link.caller = None
    if not channel.outbox.has_more:
        # The callee's end is up only when it has heard from us.
        channel.greet()
    out.append(Opened(link.number, link.ref, channel.address, link.role))
    tell_too_large(link, refused, out)


def be_refused(link: Link, refuse: Refuse, _: float, out: list[Action]) -> None:
    """End a call that the callee turned down."""
    end_link(link, refuse.reason, Side.PEER, "", out)


def give_up(link: Link, _: object, __: float, out: list[Action]) -> None:
    """End a call that was not answered in time."""
    end_link(link, Reason.NO_ANSWER, Side.LOCAL, "", out)


def cancel(link: Link, _: object, __: float, out: list[Action]) -> None:
    """End a call that the program has lost interest in."""
    end_link(link, Reason.CANCELLED, Side.LOCAL, "", out)


def repeat_welcome(link: Link, _: object, now: float, out: list[Action]) -> None:
    """Answer HELLO, always alike."""
    if link.callee is None:
        return
    if link.state is State.WELCOMED:
        link.until = link.callee.expiry(now)
    link.callee.count()
    link.transmit(link.callee.welcome, out)


def accept(link: Link, heard: Heard, now: float, out: list[Action]) -> None:
    """Open the callee's end, and take the packet that did it."""
    assert link.callee is not None
    if link.crossed is not None:
        take_over(link, link.crossed, out)
    rtt = link.callee.rtt(now)
    if rtt is not None:
        link.channel.recovery.rtt.sample(rtt, 0.0)
    link.until = None
    link.was_announced = True
    out.append(Opened(link.number, link.ref, link.channel.address, link.role))
    receive(link, heard, now, out)


def take_over(link: Link, call: Link, out: list[Action]) -> None:
    """Become the link of a call that has crossed the peer's: its number, its messages."""
    link.number, link.ref = call.number, call.ref
    link.farewell = call.farewell
    tell_too_large(link, link.channel.outbox.take_over(call.channel.outbox), out)


def tell_too_large(link: Link, messages: list[Pending], out: list[Action]) -> None:
    """Tell that messages queued before the link was open don't fit the peer's window."""
    for message in messages:
        if message.ref is not None:
            link.channel.counters.messages_undelivered += 1
            out.append(Undelivered(link.number, message.ref, Reason.TOO_LARGE))


def turn_away(link: Link, _: Heard, now: float, out: list[Action]) -> None:
    """Tell the caller that the last free place has gone."""
    link.until = None
    # Nothing of what the packet brought was handed over.
    link.channel.inbox.wanted = 0
    link.farewell.settle(Reason.BUSY, Side.LOCAL)
    link.farewell.last_word = link.channel.farewell(Reason.BUSY, "", now, out)


def vanish(link: Link, _: object, __: float, ___: list[Action]) -> None:
    """Forget the link: there is nobody to be told."""
    link.until = None


ACTIONS: dict[str, Callable[[Link, Any, float, list[Action]], None]] = {
    "send_hello": send_hello,
    "present_cookie": present_cookie,
    "be_welcomed": be_welcomed,
    "be_refused": be_refused,
    "give_up": give_up,
    "cancel": cancel,
    "repeat_welcome": repeat_welcome,
    "accept": accept,
    "turn_away": turn_away,
    "vanish": vanish,
}
