"""Stories of calls: two peers that are entered at a registry, all three of them whole machines."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, NamedTuple

from explore_links import rehearse
from explore_story import Budget, Facts, Party, Story, entropy, still

from palaver import Say
from palaver.link.events import Delivered, Overdue, Undelivered
from palaver.machine import Address, Event, Notice
from palaver.roles.peer import Peer
from palaver.roles.peer_events import (
    Accept,
    CallEnded,
    Calling,
    CallOpened,
    Connect,
    Enlist,
    Heard,
    Outcome,
    Reject,
    Ringing,
    StillCalling,
    Terminate,
)
from palaver.roles.peer_states import CallState
from palaver.roles.registry import Registry
from palaver.timing import Limits, Timing

REGISTRY: Address = ("registry", 1)
ANN: Address = ("ann", 1)
BOB: Address = ("bob", 1)
A, B, R = 0, 1, 2
START = 1024.0


class CallTold(NamedTuple):
    """What a program did and was told of its calls, which it names by their numbers."""

    done: tuple[str, ...] = ()
    calling: tuple[int, ...] = ()
    rung: tuple[int, ...] = ()
    opened: tuple[int, ...] = ()
    ended: tuple[tuple[int, str], ...] = ()
    heard: tuple[str, ...] = ()
    delivered: int = 0
    undelivered: int = 0

    @property
    def alive(self) -> tuple[int, ...]:
        """The calls that the program knows and that have no outcome."""
        over = {number for number, _ in self.ended}
        return tuple(sorted({*self.calling, *self.rung} - over))

    def is_ringing(self, number: int) -> bool:
        """Tell whether that call rings and was not answered."""
        return number in self.rung and number not in self.opened and "reject" not in self.done


class CallSeen(NamedTuple):
    """What there is to see of a peer."""

    calls: tuple[CallState, ...]
    links: int


class CallStory(Story):
    """Ann calls Bob; what either may do is said by sets of words."""

    budget = Budget(losses=1, repeats=1, delays=0)
    most_in_flight = 4
    may: ClassVar[tuple[frozenset[str], frozenset[str]]]
    """What Ann may do, and Bob: connect, accept, reject, cancel, say, terminate."""
    beforehand: ClassVar[tuple[str, ...]] = ()

    def timing(self) -> Timing:
        return still(bundling=False)

    def begin(self) -> tuple[list[Party], float]:
        timing, limits = self.timing(), Limits(window=4096)
        parties = [
            Party(
                address,
                Peer(
                    entropy(address[0]),
                    name=address[0],
                    registry=REGISTRY,
                    timing=timing,
                    limits=limits,
                ),
                CallTold(),
            )
            for address in (ANN, BOB)
        ]
        registry = Registry(entropy("registry"), timing=timing, limits=limits)
        parties.append(Party(REGISTRY, registry, ()))
        now = rehearse(parties, [(ANN, Enlist()), (BOB, Enlist())], START, 64.0)
        return parties, now

    def commands(self, who: int, memory: CallTold, view: CallSeen) -> list[tuple[str, Event]]:
        if who == R:
            return []
        may, wishes = self.may[who], list[tuple[str, Event]]()
        if "connect" in may and not memory.done and not memory.opened:
            wishes.append(("connect", Connect(("bob", "ann")[who], 7)))
        for number in memory.alive:
            if memory.is_ringing(number):
                if "accept" in may:
                    wishes.append(("accept", Accept(number)))
                if "reject" in may:
                    wishes.append(("reject", Reject(number)))
            elif number in memory.opened:
                over = f"terminate {number}"
                if "say" in may and "say" not in memory.done and over not in memory.done:
                    wishes.append(("say", Say(number, "hello", 1)))
                if "terminate" in may and over not in memory.done:
                    wishes.append((over, Terminate(number)))
            elif "cancel" in may and number in memory.calling and "cancel" not in memory.done:
                wishes.append(("cancel", Terminate(number)))
        return wishes

    def did(self, who: int, memory: CallTold, label: str) -> CallTold:
        return memory._replace(done=(*memory.done, label))

    def told(self, who: int, memory: CallTold, notice: Notice) -> CallTold:
        if who == R:
            return memory
        if isinstance(notice, Calling):
            return memory._replace(calling=(*memory.calling, notice.link))
        if isinstance(notice, Ringing):
            assert not memory.rung, "it rings a second time"
            return memory._replace(rung=(*memory.rung, notice.link))
        if isinstance(notice, CallOpened):
            assert notice.link in memory.alive, f"not alive: {notice}"
            return memory._replace(opened=(*memory.opened, notice.link))
        if isinstance(notice, CallEnded):
            assert notice.link in memory.alive, f"a second outcome, or of nothing: {notice}"
            return memory._replace(ended=(*memory.ended, (notice.link, notice.outcome.value)))
        if isinstance(notice, Heard):
            assert notice.link in memory.opened, f"not open: {notice}"
            assert notice.link in memory.alive, f"over: {notice}"
            return memory._replace(heard=(*memory.heard, notice.text))
        if isinstance(notice, Delivered):
            return memory._replace(delivered=memory.delivered + 1)
        if isinstance(notice, Undelivered):
            return memory._replace(undelivered=memory.undelivered + 1)
        assert isinstance(notice, StillCalling | Overdue) or not hasattr(notice, "link"), notice
        return memory

    def view(self, who: int, machine: Peer | Registry) -> CallSeen:
        links = len(machine._endpoint.links)
        if isinstance(machine, Registry):
            assert links == 2, "somebody lost the registry"
            return CallSeen((), links)
        assert links <= 4, "links abound"
        assert machine.calls.remembered <= 4, "what is remembered abounds"
        return CallSeen(tuple(call.state for call in machine.calls), links)

    def check(self, facts: Facts) -> None:
        for fact in facts[:R]:
            calls = fact.view.calls
            assert calls.count(CallState.OPEN) <= 1, "both calls are open"
            talk = CallState.OPEN in calls and CallState.RINGING in calls
            assert not talk, "it rings, and they talk already"
        ann, bob = facts[A].memory, facts[B].memory
        for ours, theirs in ((ann, bob), (bob, ann)):
            assert len(ours.heard) <= theirs.done.count("say"), "heard what was not said"
            assert ours.delivered + ours.undelivered <= ours.done.count("say"), "two outcomes"
            assert ours.delivered <= len(theirs.heard), "delivered was said of what was not heard"
            outcomes = dict(ours.ended).values()
            if Outcome.REJECTED.value in outcomes:
                assert "reject" in ours.done + theirs.done, "rejected by nobody"
                assert not theirs.opened, "rejected, and open on the other side"
            if Outcome.TERMINATED.value in outcomes:
                done = ours.done + theirs.done
                assert any(one.startswith("terminate") for one in done), "terminated by nobody"
        if ann.opened and not bob.calling:
            assert bob.opened, "open at the caller, and not accepted"

    def is_goal(self, facts: Facts) -> bool:
        return any(fact.memory.ended for fact in facts[:R]) and all(
            not fact.memory.alive and not fact.view.calls and fact.view.links == 1
            for fact in facts[:R]
        )

    def witnessed(self, facts: Facts) -> Iterable[str]:
        ann, bob = facts[A].memory, facts[B].memory
        for memory in (ann, bob):
            for _, outcome in memory.ended:
                yield outcome
        if ann.opened and bob.opened:
            yield "both open"
        if ann.opened and bob.opened and not ann.rung + bob.rung:
            yield "nobody rung"
        if bob.rung:
            yield "rung"
        if ann.heard or bob.heard:
            yield "heard"


class Call(CallStory):
    """The whole life of a call, with few faults."""

    name = "call"
    about = "a call is accepted, something is said, and either ends it"
    sometimes = frozenset({"rung", "both open", "heard", "terminated"})
    may = (frozenset({"connect", "say", "terminate"}), frozenset({"accept", "terminate"}))


class CallRejected(CallStory):
    """No is no: late copies don't ring again."""

    name = "call-rejected"
    about = "a call is rejected, with late duplicates"
    sometimes = frozenset({"rung", "rejected"})
    may = (frozenset({"connect"}), frozenset({"reject"}))
    budget = Budget(losses=1, repeats=2, delays=1)


class CallCancelled(CallStory):
    """The caller changes its mind at any time, while the callee accepts or rejects."""

    name = "call-cancelled"
    about = "a call is cancelled at any time, while it is accepted or rejected"
    sometimes = frozenset({"rung", "rejected", "cancelled"})
    may = (
        frozenset({"connect", "cancel", "terminate"}),
        frozenset({"accept", "reject", "terminate"}),
    )


class CallCrossed(CallStory):
    """Both call: they talk at once, on one call."""

    name = "call-crossed"
    about = "both call at the same time, and one ends it"
    sometimes = frozenset({"both open", "nobody rung", "terminated"})
    may = (frozenset({"connect", "accept", "terminate"}), frozenset({"connect", "accept"}))
    budget = Budget(losses=0, repeats=0, delays=0)
    most_in_flight = 2
