"""What is done with a call: the actions of its table (PROTOCOL.md, section 6.5)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from palaver.link.events import Closed, Dial, Leave, Resume, Send, Side, Undelivered
from palaver.machine import Action, UsageError
from palaver.wire.errors import Reason
from palaver.wire.peer import (
    ROLE,
    Accepted,
    Cancelled,
    Chat,
    Rejected,
    Rejection,
    Ring,
    Terminate,
    Terminated,
)
from palaver.wire.registry import Entry

from .calls import Call, Crossing
from .duo_events import Say
from .peer_events import CallEnded, CallOpened, Heard, Outcome, Reject, Ringing, StillCalling
from .peer_states import CallInput, CallState

if TYPE_CHECKING:
    from .peer import Peer

_FOREVER = float("inf")
RING_REF = 1
"""The ref of a RING on its link; those of texts are even."""


# Our calls


def call_up(peer: Peer, call: Call, entry: Entry, now: float, out: list[Action]) -> None:
    """Ask for a call, at the address that the registry gave."""
    call.peer, call.name, call.address = entry.id, entry.name, entry.address
    call.us, call.verified, call.era = peer.client.id, True, peer.client.era
    call.request = Ring(call.id, call.us, call.peer, peer.client.name).encode()
    try:
        link = peer._dial(Dial(entry.address, ROLE, call.number), now, out)
    except UsageError:
        # There are as many links as there may be.
        call.state = CallState.OVER
        call.settle(Outcome.GONE, Side.LOCAL, Reason.BUSY)
        end(peer, call, None, now, out)
        return
    peer.calls.bind(call, link)
    call.attempts = 1
    call.ring_at = now + peer.timing.ring
    send_ring(peer, call, now, out)


def send_ring(peer: Peer, call: Call, now: float, out: list[Action]) -> None:
    """Queue a request; none is added before it was received."""
    call.is_ring_unheard = True
    peer._pass_on(Send(call.link, call.request, RING_REF), now, out)


def ring_again(peer: Peer, call: Call, _: object, now: float, out: list[Action]) -> None:
    """Repeat the request, if the last was received; tell that the call goes on."""
    while call.ring_at <= now:
        call.ring_at += peer.timing.ring
    if not peer._is_open(call.link):
        # The HELLO is what is repeated, and told of.
        return
    if not call.is_ring_unheard:
        call.attempts += 1
        send_ring(peer, call, now, out)
    out.append(StillCalling(call.number, call.ref or 0, call.attempts, unreachable=False))


def be_accepted(peer: Peer, call: Call, _: Accepted, now: float, out: list[Action]) -> None:
    """Begin to talk: the callee wants to."""
    call.ring_at = call.until = _FOREVER
    if call.rival is not None:
        # What is left of the peer's own call must not ring after ours.
        peer.calls.remember(call.rival.ring.call, Rejection.OVER, now)
        if peer.calls.by_link(call.rival.link) is None:
            peer._pass_on(Leave(call.rival.link), now, out)
    tell_open(call, out)


def be_accepted_late(_: Peer, call: Call, __: Accepted, ___: float, ____: list[Action]) -> None:
    """Take note that the callee accepted while we gave up: what it says meanwhile is heard."""
    call.taken_up = call.ref is not None and call.outcome is not Outcome.REJECTED


def be_rejected(peer: Peer, call: Call, no: Rejected, now: float, out: list[Action]) -> None:
    """End a call that the callee has turned down."""
    call.settle(Outcome.REJECTED, Side.PEER, no.code, no.text)
    leave(peer, call, now, out)


def withdraw(peer: Peer, call: Call, why: object, now: float, out: list[Action]) -> None:
    """Give a call up: the program wishes it, its time is over, or nobody is there any more."""
    if isinstance(why, Outcome):
        call.settle(why, Side.PEER if why is Outcome.GONE else Side.LOCAL)
    else:
        call.settle(Outcome.CANCELLED, Side.LOCAL)
    if peer._is_open(call.link):
        peer._tell(call.link, Cancelled(call.id, call.us).encode(), now, out)
    leave(peer, call, now, out)


def cancel(peer: Peer, call: Call, _: object, now: float, out: list[Action]) -> None:
    """Give up a call that has not begun."""
    call.settle(Outcome.CANCELLED, Side.LOCAL)
    end(peer, call, None, now, out)


def be_inactive(peer: Peer, call: Call, _: object, now: float, out: list[Action]) -> None:
    """End a call to somebody who is not there."""
    call.settle(Outcome.INACTIVE, Side.PEER)
    end(peer, call, None, now, out)


def stop_looking(peer: Peer, call: Call, _: object, now: float, out: list[Action]) -> None:
    """End a call for which the registry did not answer in time."""
    call.settle(Outcome.NO_ANSWER, Side.LOCAL)
    end(peer, call, None, now, out)


def be_needless(peer: Peer, call: Call, _: object, now: float, out: list[Action]) -> None:
    """End a call to somebody with whom there is one."""
    call.settle(Outcome.ALREADY, Side.LOCAL)
    end(peer, call, None, now, out)


def cross(peer: Peer, call: Call, crossing: Crossing, now: float, out: list[Action]) -> None:
    """Begin to talk, in the call of the peer's that has crossed ours."""
    spare = call.link
    ring = crossing.ring
    other = peer.calls.by_link(crossing.link)
    if other is not None and other is not call:
        # We called whoever was there before: that is the same peer now, and needs no other call.
        peer.step(other, CallInput.FOLDED, None, now, out)
    peer.calls.rename(call, ring.call)
    peer.calls.bind(call, crossing.link)
    call.us, call.peer, call.verified = ring.callee, ring.caller, True
    call.era = peer.client.era
    call.address = crossing.address
    call.name = call.name or ring.name
    call.ring_at = call.until = _FOREVER
    if spare and spare != crossing.link:
        peer._pass_on(Leave(spare), now, out)
    peer._tell(call.link, Accepted(call.id, call.us).encode(), now, out)
    tell_open(call, out)


# Their calls


def ring(_: Peer, call: Call, __: object, ___: float, out: list[Action]) -> None:
    """Tell the program that somebody calls."""
    call.until = _FOREVER
    call.was_told = True
    out.append(Ringing(call.number, call.peer, call.name, call.address, call.verified))


def accept(peer: Peer, call: Call, _: object, now: float, out: list[Action]) -> None:
    """Begin to talk: the program wants to."""
    peer._tell(call.link, Accepted(call.id, call.us).encode(), now, out)
    tell_open(call, out)


def reject(peer: Peer, call: Call, command: object, now: float, out: list[Action]) -> None:
    """Turn a call down."""
    text = command.text if isinstance(command, Reject) else ""
    call.settle(Outcome.REJECTED, Side.LOCAL, Rejection.DECLINED, text)
    no = Rejected(call.id, call.us, Rejection.DECLINED, text)
    peer._tell(call.link, no.encode(), now, out)
    leave(peer, call, now, out)


def be_cancelled(peer: Peer, call: Call, _: Cancelled, now: float, out: list[Action]) -> None:
    """End a call that the caller does not want any more."""
    call.settle(Outcome.CANCELLED, Side.PEER)
    leave(peer, call, now, out)


def fold(peer: Peer, call: Call, _: object, __: float, ___: list[Action]) -> None:
    """Make of a call that the program was never told of a part of one of ours."""
    peer.calls.drop(call)


def vanish(peer: Peer, call: Call, _: object, now: float, out: list[Action]) -> None:
    """Forget a call that the program was never told of."""
    end(peer, call, None, now, out)


# Conversations


def say(peer: Peer, call: Call, command: Say, now: float, out: list[Action]) -> None:
    """Send a text. Raises WouldBlock before anything has changed."""
    chat = Chat(call.id, call.us, call.said + 1, command.text)
    peer._pass_on(Send(call.link, chat.encode(), command.ref << 1), now, out)
    call.said += 1


def refuse_to_say(_: Peer, call: Call, command: Say, __: float, out: list[Action]) -> None:
    """Tell that a text came too late."""
    out.append(Undelivered(call.number, command.ref, Reason.LEFT))


def hear(_: Peer, call: Call, chat: Chat, __: float, out: list[Action]) -> None:
    """Hand over a text, if its number says that it is new."""
    if chat.number > call.heard:
        call.heard = chat.number
        out.append(Heard(call.number, call.peer, chat.number, chat.text))


def hear_late(peer: Peer, call: Call, chat: Chat, now: float, out: list[Action]) -> None:
    """Hand over a text that comes while the link is closing: its sender is told that it arrived."""
    if call.taken_up and not call.talked:
        tell_open(call, out)
    if call.talked:  # else there never was a conversation
        hear(peer, call, chat, now, out)


def terminate(peer: Peer, call: Call, _: object, now: float, out: list[Action]) -> None:
    """Tell the peer that the conversation is over, and wait to hear that it knows."""
    call.settle(Outcome.TERMINATED, Side.LOCAL)
    call.until = now + peer.timing.close_flush
    # What answers this must not be held back.
    peer._pass_on(Resume(call.link), now, out)
    peer._tell(call.link, Terminate(call.id, call.us).encode(), now, out)


def be_terminated(peer: Peer, call: Call, _: Terminate, now: float, out: list[Action]) -> None:
    """Say that we know that the conversation is over."""
    call.settle(Outcome.TERMINATED, Side.PEER)
    peer._tell(call.link, Terminated(call.id, call.us).encode(), now, out)
    leave(peer, call, now, out)


def hang_up(peer: Peer, call: Call, _: object, now: float, out: list[Action]) -> None:
    """Close the link of a conversation that is over, as the peer knows or does not care."""
    leave(peer, call, now, out)


# Ends


def leave(peer: Peer, call: Call, now: float, out: list[Action]) -> None:
    """Close the link when all is said; its end is the call's."""
    call.ring_at = call.until = _FOREVER
    peer._pass_on(Leave(call.link), now, out)


def end(peer: Peer, call: Call, closed: Closed | None, now: float, out: list[Action]) -> None:
    """Tell what became of a call, and forget it."""
    if closed is not None:
        call.settle(Outcome.GONE, closed.by, closed.reason, closed.text)
    peer.calls.drop(call)
    peer.calls.remember(call.id, Rejection.OVER, now)
    if call.was_told:
        outcome = call.outcome or Outcome.GONE
        out.append(CallEnded(call.number, call.ref, outcome, call.by, call.reason, call.text))


def tell_open(call: Call, out: list[Action]) -> None:
    """Tell the program that both want to talk."""
    call.talked = True
    out.append(CallOpened(call.number, call.ref, call.peer, call.name, call.address, call.verified))


ACTIONS: dict[str, Callable[[Peer, Call, Any, float, list[Action]], None]] = {
    "call_up": call_up,
    "ring_again": ring_again,
    "be_accepted": be_accepted,
    "be_accepted_late": be_accepted_late,
    "be_rejected": be_rejected,
    "withdraw": withdraw,
    "cancel": cancel,
    "be_inactive": be_inactive,
    "stop_looking": stop_looking,
    "be_needless": be_needless,
    "cross": cross,
    "ring": ring,
    "accept": accept,
    "reject": reject,
    "be_cancelled": be_cancelled,
    "fold": fold,
    "vanish": vanish,
    "say": say,
    "refuse_to_say": refuse_to_say,
    "hear": hear,
    "hear_late": hear_late,
    "terminate": terminate,
    "be_terminated": be_terminated,
    "hang_up": hang_up,
    "end": end,
}
