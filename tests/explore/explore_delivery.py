"""Stories of messages on a link that is open: order, loss, credit, fragments, pausing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from explore_links import A, B, Seen, Told, TwoEnds, message
from explore_story import Budget, Facts, still

from palaver.link.events import Pause, Received, Resume
from palaver.machine import Event, Notice
from palaver.timing import Limits, Timing


class Delivery(TwoEnds):
    """Ann sends some messages, as many as the window lets her at a time."""

    name = "delivery"
    about = "5 messages one way, a window of 4 packets of which all are full"
    sometimes = frozenset({"delivered", "gap", "blocked"})
    opened = True
    messages: ClassVar[tuple[int, int]] = (5, 0)
    """How many Ann sends, and Bob."""
    bytes_each = 192
    limits = Limits(mtu=256, window=1024)
    budget = Budget(losses=2, repeats=1, delays=1)
    most_in_flight = 5

    def timing(self) -> Timing:
        return still(bundling=False)

    def size(self, ref: int) -> int:
        return self.bytes_each

    def commands(self, who: int, memory: Told, view: Seen) -> list[tuple[str, Event]]:
        sent = len(memory.sent)
        return [self.send(sent, view)] if sent < self.messages[who] else []

    def check(self, facts: Facts) -> None:
        for (ours, _), (theirs, _) in (facts, facts[::-1]):
            sent = tuple(message(ref, self.size(ref)) for ref in theirs.sent)
            assert ours.received == sent[: len(ours.received)], "received is no prefix of sent"
            assert len(theirs.delivered) <= len(ours.received), (
                "delivered was said of what was not handed over"
            )
            assert ours.closed is None, f"closed: {ours.closed}"
            assert theirs.delivered == theirs.sent[: len(theirs.delivered)], "a gap was delivered"

    def is_goal(self, facts: Facts) -> bool:
        return all(
            len(fact.memory.delivered) == count
            for fact, count in zip(facts, self.messages, strict=True)
        )

    def witnessed(self, facts: Facts) -> Iterable[str]:
        if self.is_goal(facts):
            yield "delivered"
        if facts[B].view.has_gap:
            yield "gap"
        if facts[A].view.is_blocked:
            yield "blocked"

    def view(self, who: int, machine: object) -> Seen:
        return super().view(who, machine)  # type: ignore[arg-type]


class Fragments(Delivery):
    """Messages of three fragments each, some packets of which get lost."""

    name = "fragments"
    about = "2 messages of 3 fragments each, a window of 3 packets"
    sometimes = frozenset({"delivered", "gap", "blocked"})
    messages = (2, 0)
    bytes_each = 720
    limits = Limits(mtu=300, window=1024)
    budget = Budget(losses=1, repeats=1, delays=0)


class BothWays(Delivery):
    """Both send, so that acks and segments share packets; and precautionary copies are on."""

    name = "both-ways"
    about = "2 messages each way at once, with precautionary copies"
    sometimes = frozenset({"delivered"})
    messages = (2, 2)
    bytes_each = 64
    budget = Budget(losses=1, repeats=1, delays=0)

    def timing(self) -> Timing:
        return still()


class Paused(Delivery):
    """Bob's program pauses and resumes: what he has not taken is not delivered."""

    name = "paused"
    about = "3 messages to one who pauses once, a window of 2 packets"
    sometimes = frozenset({"delivered", "gap", "blocked", "held back"})
    messages = (3, 0)
    bytes_each = 448
    limits = Limits(mtu=512, window=1024)
    budget = Budget(losses=1, repeats=0, delays=0)

    def commands(self, who: int, memory: Told, view: Seen) -> list[tuple[str, Event]]:
        if who == A:
            return super().commands(who, memory, view)
        if "pause" not in memory.done:
            return [("pause", Pause(view.number))]
        return [] if "resume" in memory.done else [("resume", Resume(view.number))]

    def told(self, who: int, memory: Told, notice: Notice) -> Told:
        paused = who == B and memory.done == ("pause",)
        assert not (paused and isinstance(notice, Received)), "handed over in a pause"
        return super().told(who, memory, notice)

    def may_wait(self, facts: Facts) -> bool:
        return bool(facts[B].memory.done != ("pause",))

    def witnessed(self, facts: Facts) -> Iterable[str]:
        yield from super().witnessed(facts)
        if facts[B].view.is_paused and facts[A].view.is_blocked:
            yield "held back"


class InBatches(Delivery):
    """Several datagrams arrive before a tick, as a driver that drains its socket has it."""

    name = "batches"
    about = "4 messages, and ticks at any time that the rule of ticks allows"
    sometimes = frozenset({"delivered", "gap"})
    messages = (4, 0)
    budget = Budget(losses=1, repeats=1, delays=0)
    batches = True
