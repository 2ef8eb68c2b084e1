"""Stories of the end of a link: from either side, from both, in peace and at once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from explore_links import ANN, BOB, A, B, Seen, Told, TwoEnds, message
from explore_story import FAR, Budget, Facts, Flight, Party, still

from palaver.link.endpoint import Endpoint
from palaver.link.events import Abort, Leave
from palaver.link.states import State
from palaver.machine import Address, Event
from palaver.timing import Timing
from palaver.wire.errors import Reason
from palaver.wire.frames import Close as CloseFrame
from palaver.wire.packets import DATA, DATA_HEADER, Refuse, Reset
from palaver.wire.sealing import CLEAR


class Close(TwoEnds):
    """Ann says something and leaves; Bob may say something, or has to."""

    name = "close"
    about = "each says something, and one leaves"
    sometimes = frozenset({"clean", "answering", "lingering"})
    opened = True
    budget = Budget(losses=2, repeats=1, delays=1)
    most_in_flight = 4
    leavers: ClassVar[tuple[int, ...]] = (A,)
    aborters: ClassVar[tuple[int, ...]] = ()

    def timing(self) -> Timing:
        # The other side of an abort that got lost finds out by its keepalive.
        return still(keepalive=64.0, dead_peer=FAR, bundling=False)

    def commands(self, who: int, memory: Told, view: Seen) -> list[tuple[str, Event]]:
        if State.OPEN not in view.states:
            return []
        wishes: list[tuple[str, Event]] = []
        if not memory.sent:
            wishes.append(self.send(who, view))
        if who in self.leavers:
            wishes.append(("leave", Leave(view.number)))
        if who in self.aborters:
            wishes.append(("abort", Abort(view.number)))
        return wishes

    def may_wait(self, facts: Facts) -> bool:
        return any("leave" in fact.memory.done or "abort" in fact.memory.done for fact in facts)

    def check(self, facts: Facts) -> None:
        super().check(facts)
        for (ours, _), (theirs, _) in (facts, facts[::-1]):
            if ours.closed is not None and ours.graceful:
                sent = tuple(map(message, ours.sent))
                assert theirs.received == sent, "closed in peace, and not all was handed over"
                assert ours.delivered == ours.sent, "closed in peace, and not all was delivered"
            if "abort" not in ours.done and "abort" not in theirs.done and ours.closed:
                assert ours.closed[0] in {0, 66}, f"closed for another reason: {ours.closed}"

    def is_goal(self, facts: Facts) -> bool:
        return all(fact.memory.closed is not None and not fact.view.states for fact in facts)

    def witnessed(self, facts: Facts) -> Iterable[str]:
        if all(fact.memory.graceful for fact in facts):
            yield "clean"
        if facts[B].memory.undelivered or facts[A].memory.undelivered:
            yield "undelivered"
        states = [state for fact in facts for state in fact.view.states]
        if State.ANSWERING in states:
            yield "answering"
        if State.LINGERING in states:
            yield "lingering"


class CloseBoth(Close):
    """Either may leave, also both at once."""

    name = "close-both"
    about = "each says something, and either leaves, or both do at once"
    budget = Budget(losses=1, repeats=1, delays=1)
    leavers: ClassVar[tuple[int, ...]] = (A, B)


class AbortEither(Close):
    """One leaves and the other may end it at once."""

    name = "abort"
    about = "one leaves in peace, and the other, or both, end it at once"
    sometimes = frozenset({"clean", "undelivered", "lingering"})
    budget = Budget(losses=1, repeats=1, delays=1)
    leavers: ClassVar[tuple[int, ...]] = (A,)
    aborters: ClassVar[tuple[int, ...]] = (A, B)


class CloseAmidForgeries(Close):
    """Somebody has seen a packet and knows the ids, but can't see what is on its way now."""

    name = "close-forged"
    about = "each says something, and one leaves, while old and false packets are put on the wire"
    budget = Budget(losses=1, repeats=0, delays=0, forgeries=1)

    def check(self, facts: Facts) -> None:
        super().check(facts)
        for (ours, _), (theirs, _) in (facts, facts[::-1]):
            if ours.closed is not None and ours.closed[0] == Reason.RESET:
                assert theirs.closed is not None, "reset, and the peer has the link still"

    def forged(self) -> list[Flight]:
        parties, _ = self.begin()
        (ann,), (bob,) = ((*endpoint_of(party).links.values(),) for party in parties)
        close = CloseFrame(Reason.OVERWHELMED, 0).encode()
        return [
            # What a side has had is nothing new, wherever it comes from and whatever is in it.
            Flight(ANN, BOB, seal(bob.local, bob.channel.arrivals.highest, close)),
            Flight(MALLORY, BOB, seal(bob.local, bob.channel.arrivals.highest, close)),
            Flight(BOB, ANN, seal(ann.local, ann.channel.arrivals.highest, close)),
            # Packet 1,000 is not in flight, so nobody can be asked what that is.
            Flight(BOB, ANN, CLEAR.seal(Reset(bob.local, 1000).encode())),
            Flight(ANN, BOB, CLEAR.seal(Reset(ann.local, 1000).encode())),
            # And a link that is open is not refused any more.
            Flight(BOB, ANN, CLEAR.seal(Refuse(ann.local, Reason.BUSY, (1,)).encode())),
        ]


MALLORY: Address = ("mallory", 1)


def endpoint_of(party: Party) -> Endpoint:
    assert isinstance(party.machine, Endpoint)
    return party.machine


def seal(link: int, number: int, frame: bytes) -> bytes:
    """Give a DATA packet that has this frame alone."""
    return CLEAR.seal(DATA_HEADER.pack(DATA, link, number) + frame)
