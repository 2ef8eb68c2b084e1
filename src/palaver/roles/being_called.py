"""What a peer does when it is called: which RING rings, and which doesn't (section 6.5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from palaver.link.events import Leave
from palaver.machine import Action
from palaver.wire.peer import Rejected, Rejection, Ring
from palaver.wire.registry import Entry

from .calls import Call, Crossing
from .membership import Purpose, Request
from .peer_states import CallInput, CallState

if TYPE_CHECKING:
    from .peer import Peer


def be_rung(peer: Peer, link: int, ring: Ring, now: float, out: list[Action]) -> None:
    """Take a RING: the first of a call, or one of many."""
    known = peer.calls.by_id(ring.call)
    code = peer.calls.recall(ring.call, now)
    if known is not None and known.link == link:
        peer.ignored += 1
    elif known is not None or code is not None:
        turn_down(peer, link, ring, Rejection.OVER, now, out)
    elif ring.callee != peer.client.id:
        turn_down(peer, link, ring, Rejection.NOT_ME, now, out)
    else:
        be_called(peer, link, ring, now, out)


def be_called(peer: Peer, link: int, ring: Ring, now: float, out: list[Action]) -> None:
    """Take the first RING of a call."""
    address = peer._address_of(link)
    if address is None:
        return
    for ours in peer.calls:
        is_same = ours.state is CallState.CALLING and ours.peer == ring.caller
        if is_same and (ours.link == link or peer.client.is_from(address, ours.address)):
            cross(peer, ours, Crossing(ring, link, ours.address), now, out)
            return
    if peer.calls.by_link(link) is not None or not peer.has_room:
        turn_down(peer, link, ring, Rejection.BUSY, now, out)
        return
    call = peer.calls.add(ring.call, CallState.CHECKING)
    peer.calls.bind(call, link)
    peer.expect(link, None)
    call.us, call.peer, call.name, call.address = ring.callee, ring.caller, ring.name, address
    call.era = peer.client.era
    call.until = now + peer.timing.verify
    if not peer.client.ask(peer, Request(Purpose.CHECK, call.number), ring.caller, now, out):
        peer.step(call, CallInput.CHECKED, None, now, out)


def turn_down(
    peer: Peer, link: int, ring: Ring, code: Rejection, now: float, out: list[Action]
) -> None:
    """Reject a RING of which the program is not told."""
    # The ids of a call stay those of its RING; only who is not meant says another.
    sender = (code is Rejection.NOT_ME and peer.client.id) or ring.callee
    peer._tell(link, Rejected(ring.call, sender, code).encode(), now, out)
    if peer.calls.by_link(link) is None:
        peer.expect(link, None)
        peer._pass_on(Leave(link), now, out)


def cross(peer: Peer, ours: Call, crossing: Crossing, now: float, out: list[Action]) -> None:
    """Decide which of two calls that want the same becomes the conversation.

    If our request can't have arrived yet, it is theirs; else that with the lower id, and the
    other side decides alike.
    """
    peer.expect(crossing.link, None)
    if not peer._is_open(ours.link) or crossing.ring.call < ours.id:
        peer.step(ours, CallInput.CROSSED, crossing, now, out)
    else:
        ours.rival = crossing


def check(peer: Peer, call: Call, entry: Entry | None, now: float, out: list[Action]) -> None:
    """Take what the registry knows of one who calls: in time, or when it rings already."""
    if call.state is CallState.RINGING and entry is not None:
        recognise(peer, entry, now, out)
    if call.state is not CallState.CHECKING:
        return
    if entry is None or not peer.client.is_from(peer._address_of(call.link), entry.address):
        peer.step(call, CallInput.CHECKED, None, now, out)
        return
    call.name, call.address, call.verified = entry.name, entry.address, True
    for ours in peer.calls:
        if ours.is_to(entry, peer.client.era):
            ring = Ring(call.id, call.peer, call.us, call.name)
            crossing = Crossing(ring, call.link, entry.address)
            peer.step(call, CallInput.FOLDED, None, now, out)
            cross(peer, ours, crossing, now, out)
            return
    if is_left_over(peer, call):
        call.until = now + peer.timing.verify
    else:
        peer.step(call, CallInput.CHECKED, entry, now, out)


def recognise(peer: Peer, entry: Entry, now: float, out: list[Action]) -> None:
    """Take what the registry says of one whom we want to call for who it is that calls us."""
    for call in peer.calls:
        if (call.peer, call.era) != (entry.id, peer.client.era):
            continue
        if call.state is CallState.CHECKING:
            check(peer, call, entry, now, out)
        elif call.state is CallState.RINGING and peer.client.is_from(
            peer._address_of(call.link), entry.address
        ):
            call.name, call.address, call.verified = entry.name, entry.address, True


def is_left_over(peer: Peer, call: Call) -> bool:
    """Tell whether a call that has not rung may be what is left of one that has crossed ours.

    It is from the one that has accepted a call of ours, and we talk: its link ends then, however
    late. A call that is meant rings when the conversation is over.
    """
    return any(
        ours.ref is not None
        and ours.state is CallState.OPEN
        and (ours.peer, ours.address) == (call.peer, call.address)
        for ours in peer.calls
    )
