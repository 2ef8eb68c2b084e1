"""What ends a link: the actions of section 8.4."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from palaver.machine import Action
from palaver.wire.errors import Reason
from palaver.wire.frames import Close
from palaver.wire.messages import Bye
from palaver.wire.packets import Reset

from .events import Abort, Closed, Leave, Side, Undelivered
from .talking import grant_time, resume, tell_held_back

if TYPE_CHECKING:
    from .link import Link


def say_bye(link: Link, leave: Leave, now: float, out: list[Action]) -> None:
    """Begin to close."""
    link.farewell.settle(leave.reason, Side.LOCAL, leave.text)
    link.farewell.until = now + link.context.timing.close_flush_max
    grant_time(link, now)
    link.channel.outbox.put_reserved(Bye(leave.reason, leave.text).encode())
    if not link.context.streams:
        # We may have moved, and have nothing to say from there while we wait for the peer's BYE.
        link.channel.vigil.hasten(link.context.timing.close_ping)
    # Nobody will ask for what is held back any more.
    resume(link, None, now, out)


def answer_bye(link: Link, bye: Bye, now: float, _: list[Action]) -> None:
    """Close because the peer does."""
    link.farewell.settle(bye.reason, Side.PEER, bye.text)
    link.farewell.until = now + link.context.timing.close_flush_max
    grant_time(link, now)
    link.channel.outbox.put_reserved(Bye().encode())
    note_bye(link, bye, now, _)


def note_bye(link: Link, _: Bye, now: float, __: list[Action]) -> None:
    """Take note of the peer's BYE."""
    # From here on every packet says that the BYE came, so that the peer can't miss it.
    link.farewell.bye_heard = link.farewell.fin_heard = True
    link.channel.repeat_ack = True
    link.channel.arrivals.hurry(now)


def linger(link: Link, _: None, now: float, out: list[Action]) -> None:
    """Tell that the link has ended; stay to acknowledge repeats."""
    timing = link.context.timing
    if link.context.streams:
        # Nothing gets lost, so one acknowledgement will do.
        link.until = now + timing.ack_delay
    else:
        stay = 3 * link.channel.recovery.rtt.probe_timeout()
        link.until = now + min(max(stay, timing.linger_min), timing.linger_max)
    link.channel.vigil.hasten(None)
    tell_closed(link, None, now, out)


def rest(link: Link, _: None, now: float, __: list[Action]) -> None:
    """Forget the link, but for an acknowledgement of everything, for a peer that missed it."""
    link.until = None
    link.farewell.last_word = link.channel.last_ack(now)


def tell_closed(link: Link, _: None, __: float, out: list[Action]) -> None:
    """Tell that the link has ended, gracefully."""
    end = link.farewell
    out.append(Closed(link.number, link.ref, end.reason, end.by, end.text, graceful=True))


def abort(link: Link, command: Abort, now: float, out: list[Action]) -> None:
    """End the link at once, as the program wishes."""
    tell_held_back(link, out)
    link.farewell.last_word = link.channel.farewell(command.reason, command.text, now, out)
    end_link(link, command.reason, Side.LOCAL, command.text, out)


def fail(link: Link, reason: Reason, now: float, out: list[Action]) -> None:
    """End the link at once, for a reason of its own."""
    tell_held_back(link, out)
    link.farewell.last_word = link.channel.farewell(reason, "", now, out)
    end_link(link, reason, Side.LOCAL, "", out)


def be_closed(link: Link, close: Close, _: float, out: list[Action]) -> None:
    """End the link as the peer's CLOSE says."""
    end_link(link, close.reason, Side.PEER, close.text, out)


def be_reset(link: Link, _: Reset, __: float, out: list[Action]) -> None:
    """End a link that the peer has forgotten."""
    end_link(link, Reason.RESET, Side.PEER, "", out)


def be_cut_off(link: Link, _: None, __: float, out: list[Action]) -> None:
    """End a link whose stream has ended."""
    end_link(link, Reason.DISCONNECTED, Side.PEER, "", out)


def end_link(link: Link, reason: int, by: Side, text: str, out: list[Action]) -> None:
    """Tell the fate of all messages, and the end."""
    link.until = None
    tell_held_back(link, out)
    link.farewell.settle(reason, by, text)
    for message in link.channel.outbox.undelivered:
        if message.ref is not None:
            link.channel.counters.messages_undelivered += 1
            out.append(Undelivered(link.number, message.ref, reason))
    out.append(Closed(link.number, link.ref, reason, by, text))


ACTIONS: dict[str, Callable[[Link, Any, float, list[Action]], None]] = {
    "say_bye": say_bye,
    "answer_bye": answer_bye,
    "note_bye": note_bye,
    "linger": linger,
    "rest": rest,
    "tell_closed": tell_closed,
    "abort": abort,
    "fail": fail,
    "be_closed": be_closed,
    "be_reset": be_reset,
    "be_cut_off": be_cut_off,
}
