"""What an open link does with messages: the actions of section 7."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from palaver.machine import Action
from palaver.wire.errors import DecodeError, Reason
from palaver.wire.messages import BYE, FIN, FIN_MESSAGE, FIRST_ROLE_KIND, decode_bye

from .events import Delivered, Finish, Finished, Pause, Received, Send, Undelivered
from .heard import Heard
from .states import Input, State

if TYPE_CHECKING:
    from .link import Link

_OPEN = State.OPEN
_FLUSHING = {State.CLOSING, State.ANSWERING}


def queue(link: Link, send: Send, now: float, _: list[Action]) -> None:
    """Queue a message."""
    if send.ref is not None:
        link.channel.counters.messages_sent += 1
    link.channel.outbox.put(send.message, send.ref, now + link.context.timing.overdue)


def refuse_to_queue(link: Link, send: Send, _: float, out: list[Action]) -> None:
    """Tell that a message came too late."""
    if send.ref is not None:
        link.channel.counters.messages_undelivered += 1
        out.append(Undelivered(link.number, send.ref, link.farewell.reason))


def say_fin(link: Link, _: Finish, __: float, ___: list[Action]) -> None:
    """Queue FIN, once."""
    if not link.farewell.fin_said:
        link.farewell.fin_said = True
        link.channel.outbox.put_reserved(FIN_MESSAGE)


def pause(link: Link, _: Pause, __: float, ___: list[Action]) -> None:
    """Hold messages back."""
    link.channel.inbox.pause()


def resume(link: Link, _: object, now: float, out: list[Action]) -> None:
    """Hand over what was held back."""
    hand_over(link, link.channel.resume(now), now, out)
    if link.state is not State.OPEN:
        check_flushed(link, now, out)


def receive(link: Link, heard: Heard, now: float, out: list[Action]) -> None:
    """Act on what a packet brought."""
    if heard.delivered:
        number = link.number
        told = [Delivered(number, one.ref) for one in heard.delivered if one.ref is not None]
        link.channel.counters.messages_delivered += len(told)
        out += told
    if heard.messages:
        hand_over(link, heard.messages, now, out)
    if heard.close is not None:
        link.step(Input.CLOSE, heard.close, now, out)
    elif heard.violation is not None:
        link.step(Input.VIOLATION, heard.violation, now, out)
    if link.state is not _OPEN:
        if heard.progress and link.state in _FLUSHING:
            grant_time(link, now)
        check_flushed(link, now, out)


def grant_time(link: Link, now: float) -> None:
    """Let a close that gets on go on."""
    link.until = min(now + link.context.timing.close_flush, link.farewell.until)


def hand_over(link: Link, messages: list[bytes], now: float, out: list[Action]) -> None:
    """Give messages to the program, or to the link if they are its own."""
    farewell, counters, number = link.farewell, link.channel.counters, link.number
    for index, message in enumerate(messages):
        if message[0] >= FIRST_ROLE_KIND and not farewell.fin_heard:
            counters.messages_in += 1
            out.append(Received(number, message))
            continue
        hear_link_message(link, message, index, now, out)
        if link.state is State.CLOSED:
            return


def hear_link_message(
    link: Link, message: bytes, index: int, now: float, out: list[Action]
) -> None:
    """Act on a message of the link's own, or on one that should not have come."""
    fault = find_fault(link, message)
    if fault is not None:
        link.channel.inbox.take_back(index)
        link.step(Input.VIOLATION, fault, now, out)
    elif message[0] == FIN:
        link.step(Input.FIN, None, now, out)
    else:
        link.step(Input.BYE, decode_bye(message), now, out)


def find_fault(link: Link, message: bytes) -> Reason | None:
    """Give the rule that a message breaks which is not the role's, if it breaks one."""
    farewell, kind = link.farewell, message[0]
    if farewell.bye_heard or (farewell.fin_heard and kind != BYE):
        return Reason.PROTOCOL_ERROR
    if kind == FIN:
        return None if len(message) == 1 else Reason.PROTOCOL_ERROR
    if kind != BYE:
        return Reason.UNSUPPORTED
    try:
        decode_bye(message)
    except DecodeError:
        return Reason.PROTOCOL_ERROR
    return None


def note_fin(link: Link, _: None, __: float, out: list[Action]) -> None:
    """Tell that the peer will send no more."""
    link.farewell.fin_heard = True
    out.append(Finished(link.number))


def check_flushed(link: Link, now: float, out: list[Action]) -> None:
    """See whether all was delivered that the state waits for."""
    outbox = link.channel.outbox
    if link.state is State.CLOSING and outbox.is_empty and link.farewell.bye_heard:
        link.step(Input.FLUSHED, None, now, out)
    if link.state is State.ANSWERING and outbox.is_flushed:
        link.step(Input.FLUSHED, None, now, out)
    if link.state is State.LAST_ACK and outbox.is_empty:
        link.step(Input.FLUSHED, None, now, out)


def tell_held_back(link: Link, out: list[Action]) -> None:
    """Hand over, at the end of a link, what a pause held back."""
    for message in link.channel.inbox.resume():
        if message[0] < FIRST_ROLE_KIND:
            return
        link.channel.counters.messages_in += 1
        out.append(Received(link.number, message))


ACTIONS: dict[str, Callable[[Link, Any, float, list[Action]], None]] = {
    "queue": queue,
    "refuse_to_queue": refuse_to_queue,
    "say_fin": say_fin,
    "pause": pause,
    "resume": resume,
    "receive": receive,
    "note_fin": note_fin,
}
