"""Every observer is shown a run that keeps its promises, and runs by hand that break each."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from palaver import (
    Accept,
    Address,
    Call,
    CallEnded,
    Calling,
    CallOpened,
    Closed,
    Connect,
    ConversationOpened,
    Delivered,
    Dialing,
    Enlist,
    Enlisted,
    Entered,
    Entry,
    Event,
    Gap,
    Gone,
    Heard,
    Joined,
    Leave,
    Notice,
    Outcome,
    Post,
    PostHeard,
    PostRelayed,
    PostTaken,
    Present,
    Replaced,
    Ringing,
    Said,
    Say,
    Side,
    Undelivered,
    Welcome,
    Who,
    Why,
)
from palaver.sim import Began, Commanded, Crashed, Moved, Noticed, Refused
from palaver.sim import Entry as TraceEntry
from palaver.sim.swarm import Observer, facts_of, observe
from palaver.sim.swarm.group_observers import Posts, Rooms
from palaver.sim.swarm.people_observers import Calls, CallTexts, Ownership
from palaver.sim.swarm.talk_observers import Beginnings, Endings, Outcomes, Prefixes

ANN, BOB, HUB = ("ann", 1), ("bob", 1), ("hub", 1)
Step = tuple[Address, Event | Notice]


def trace_of(*steps: Step, gap: float = 1.0) -> list[TraceEntry]:
    """One step each second, from 1 on; lives: Ann is 1, Bob 2, the hub or registry 3."""
    trace: list[TraceEntry] = [
        Began(0.0, ANN, 1), Began(0.0, BOB, 2), Began(0.0, HUB, 3)
    ]  # fmt: skip
    for n, (who, what) in enumerate(steps, 1):
        if isinstance(what, Notice):
            trace.append(Noticed(n * gap, who, what))
        else:
            trace.append(Commanded(n * gap, who, what))
    return trace


def opened(who: Address, ref: int | None = None) -> Step:
    return who, ConversationOpened(1, ref, ANN, "x")


def closed(who: Address, *, graceful: bool = True, link: int = 1) -> Step:
    return who, Closed(link, None, 0, Side.LOCAL, "", graceful=graceful)


def say(text: str, ref: int, who: Address = ANN) -> Step:
    return who, Say(1, text, ref)


def said(text: str, link: int = 1) -> Step:
    return BOB, Said(link, text)


def ended(who: Address = ANN) -> Step:
    return who, CallEnded(1, 1, Outcome.TERMINATED, Side.LOCAL, 0)


def ring(peer: int = 1, link: int = 1) -> Step:
    return BOB, Ringing(link, peer, "ann", ANN, verified=True)


def entry(id_: int, name: str = "ann") -> Entry:
    return Entry(id_, name, ANN, 0)


def relayed(number: int, text: str) -> Step:
    return HUB, PostRelayed(1, "lobby", number, "ann", text)


def post(text: str, ref: int) -> Step:
    return ANN, Post(1, text, ref)


def heard(number: int, text: str, who: Address = BOB) -> Step:
    return who, PostHeard(1, number, "ann", text)


ENTERED = (BOB, Entered(1, 0, "lobby", "bob", Welcome.NEW, 0, ()))
DELIVERED, UNDELIVERED = (ANN, Delivered(1, 1)), (ANN, Undelivered(1, 1, 0))
CALLING = (ANN, Calling(1, 1, "bob"))
OPEN_CALL = (ANN, CallOpened(1, 1, 2, "bob", BOB, verified=True))
FOUND = (BOB, Present(1, (entry(1),), more=False))
Make = Callable[[], Observer]

GOOD: list[tuple[Make, list[Step]]] = [
    (Prefixes, [say("a", 1), say("b", 2), said("a"), DELIVERED, said("b")]),
    (lambda: Prefixes(3.0), [say("a", 1), DELIVERED, say("b", 2), said("a")]),
    (Outcomes, [say("a", 1), DELIVERED, say("b", 1), UNDELIVERED]),
    (Beginnings, [(ANN, Call(BOB, 1, 5)), (ANN, Dialing(1, 1, BOB)), opened(ANN, 1), closed(ANN)]),
    (Endings, [say("a", 1), (ANN, Leave(1)), DELIVERED, closed(ANN)]),
    (
        Calls,
        [
            (ANN, Enlisted(1, "ann", 0)),
            (ANN, Connect("bob", 1, 5)),
            CALLING,
            ring(),
            OPEN_CALL,
            ended(),
            ended(BOB),
        ],
    ),
    (CallTexts, [say("a", 1), DELIVERED, ended()]),
    (
        lambda: Ownership(HUB),
        [
            (HUB, Joined(entry(1), resumed=False)),
            (BOB, Who(1)),
            (HUB, Gone(entry(1), Why.LEFT)),
            FOUND,
            (HUB, Joined(entry(2), resumed=False)),
            (ANN, Replaced()),
            (ANN, Enlist()),
            (ANN, Enlisted(1, "ann", 1)),
        ],
    ),
    (
        lambda: Rooms(HUB),
        [
            ENTERED,
            post("a", 1),
            relayed(1, "a"),
            (ANN, PostTaken(1, 1, 1)),
            heard(1, "a"),
            relayed(2, "b"),
            relayed(3, "c"),
            (BOB, Gap(1, 2, 2)),
            heard(3, "c"),
        ],
    ),
    (Posts, [post("a", 1), (ANN, PostTaken(1, 1, 1)), closed(ANN)]),
]

BAD: list[tuple[str, Make, list[Step]]] = [
    ("a gap", Prefixes, [say("a", 1), say("b", 2), say("c", 3), said("a"), said("c")]),
    ("a repeat", Prefixes, [say("a", 1), said("a"), said("a")]),
    ("another order", Prefixes, [say("a", 1), say("b", 2), said("b"), said("a")]),
    ("out of thin air", Prefixes, [said("a")]),
    ("two hearers", Prefixes, [say("a", 1), say("b", 2), said("a"), said("b", 2)]),
    ("not heard", Prefixes, [say("a", 1), DELIVERED]),
    ("not yet heard", Prefixes, [say("a", 1), DELIVERED, said("a")]),
    ("held for too long", lambda: Prefixes(1.5), [say("a", 1), DELIVERED, say("b", 2), said("a")]),
    ("delivered and not said", Prefixes, [DELIVERED]),
    ("two outcomes", Outcomes, [say("a", 1), DELIVERED, UNDELIVERED]),
    ("no outcome", Outcomes, [say("a", 1)]),
    ("opened twice", Beginnings, [opened(ANN), opened(ANN), closed(ANN)]),
    ("never closed", Beginnings, [opened(ANN)]),
    ("after the end", Beginnings, [opened(ANN), closed(ANN), (ANN, Said(1, "x"))]),
    ("closed twice", Beginnings, [opened(ANN), closed(ANN), closed(ANN)]),
    ("never answered", Beginnings, [(ANN, Call(BOB, 1, 5)), (ANN, Dialing(1, 1, BOB))]),
    (
        "answered too late",
        Beginnings,
        [
            (ANN, Call(BOB, 1, 5)),
            (ANN, Dialing(1, 1, BOB)),
            *[(ANN, Leave(9))] * 65,
            opened(ANN, 1),
            closed(ANN),
        ],
    ),
    ("not out", Endings, [(ANN, Leave(1))]),
    ("out too late", Endings, [(ANN, Leave(1)), *[(BOB, Say(9, "-", 9))] * 60, closed(ANN)]),
    ("graceful, not delivered", Endings, [say("a", 1), UNDELIVERED, closed(ANN)]),
    ("ended before the outcome", Endings, [say("a", 1), closed(ANN, graceful=False), UNDELIVERED]),
    (
        "rung twice for one call",
        Calls,
        [
            (ANN, Enlisted(1, "ann", 0)),
            CALLING,
            ring(),
            ring(link=2),
            ended(),
            ended(BOB),
            (BOB, CallEnded(2, None, Outcome.CANCELLED, Side.PEER, 0)),
        ],
    ),
    (
        "one call rings twice",
        Calls,
        [(ANN, Enlisted(1, "ann", 0)), CALLING, ring(), ring(), ended(), ended(BOB)],
    ),
    ("a call opens twice", Calls, [CALLING, OPEN_CALL, OPEN_CALL, ended()]),
    ("a call without its end", Calls, [CALLING]),
    ("a call that ends twice", Calls, [CALLING, ended(), ended()]),
    ("heard before it opens", Calls, [CALLING, (ANN, Heard(1, 2, 1, "x")), ended()]),
    ("opened out of nothing", Calls, [OPEN_CALL, ended()]),
    (
        "a call beyond its time",
        Calls,
        [(ANN, Connect("bob", 1, 5)), CALLING, *[(BOB, Accept(7))] * 65, ended()],
    ),
    ("a call ends before its texts", CallTexts, [say("a", 1), ended(), UNDELIVERED]),
    (
        "two owners",
        lambda: Ownership(HUB),
        [(HUB, Joined(entry(1), resumed=False)), (HUB, Joined(entry(2, "Ann"), resumed=False))],
    ),
    ("gone, and never there", lambda: Ownership(HUB), [(HUB, Gone(entry(1), Why.LEFT))]),
    (
        "found after it was gone",
        lambda: Ownership(HUB),
        [
            (HUB, Joined(entry(1), resumed=False)),
            (HUB, Gone(entry(1), Why.VANISHED)),
            (BOB, Who(1)),
            FOUND,
        ],
    ),
    (
        "an old owner comes back",
        lambda: Ownership(HUB),
        [(ANN, Replaced()), (ANN, Enlisted(1, "ann", 1))],
    ),
    ("an echo", lambda: Rooms(HUB), [post("a", 1), relayed(1, "a"), heard(1, "a", ANN)]),
    (
        "a gap in the log",
        lambda: Rooms(HUB),
        [ENTERED, relayed(1, "a"), relayed(2, "b"), heard(2, "b")],
    ),
    ("another text", lambda: Rooms(HUB), [ENTERED, relayed(1, "a"), heard(1, "b")]),
    ("told twice", lambda: Rooms(HUB), [ENTERED, relayed(1, "a"), heard(1, "a"), heard(1, "a")]),
    ("relayed twice", lambda: Rooms(HUB), [relayed(1, "a"), relayed(2, "a")]),
    ("numbers that jump", lambda: Rooms(HUB), [relayed(1, "a"), relayed(3, "b")]),
    ("taken, and in no log", lambda: Rooms(HUB), [post("a", 1), (ANN, PostTaken(1, 1, 1))]),
    (
        "a sender out of order",
        lambda: Rooms(HUB),
        [post("a", 1), post("b", 2), relayed(1, "b"), relayed(2, "a")],
    ),
    ("entered too early", lambda: Rooms(HUB), [ENTERED, relayed(1, "a"), heard(1, "a"), ENTERED]),
    ("a post without outcome", Posts, [post("a", 1)]),
    (
        "a post with two",
        Posts,
        [post("a", 1), (ANN, PostTaken(1, 1, 1)), (ANN, Undelivered(1, 1, 0))],
    ),
    ("told after the end", Posts, [closed(BOB), heard(1, "a")]),
]


@pytest.mark.parametrize(("make", "steps"), GOOD, ids=lambda one: getattr(one, "__name__", ""))
def test_an_observer_is_content_with_a_good_run(make: Make, steps: list[Step]) -> None:
    observer = make()
    assert observe(trace_of(*steps), [observer]) == []
    assert +observer.witnesses


@pytest.mark.parametrize(("make", "steps"), [case[1:] for case in BAD], ids=[one[0] for one in BAD])
def test_an_observer_sees_what_is_wrong(make: Make, steps: list[Step]) -> None:
    observer = make()
    violations = observe(trace_of(*steps), [observer])
    assert violations
    assert all(one.startswith(type(observer).__name__) for one in violations)


def test_every_observer_is_shown_both() -> None:
    shown = {type(make()) for make, _ in GOOD}
    assert shown == {type(make()) for _, make, _ in BAD} == set(Observer.__subclasses__())


def test_who_has_crashed_owes_no_outcome() -> None:
    trace = [*trace_of(say("a", 1)), Crashed(2.0, ANN)]
    assert observe(trace, [Outcomes()]) == []
    assert len(observe(trace_of(say("a", 1)), [Outcomes()])) == 1


def test_what_was_refused_never_happened_and_who_moves_stays_the_same() -> None:
    trace: list[TraceEntry] = [
        Began(0.0, ANN, 1),
        Commanded(1.0, ANN, Say(1, "a", 1)),
        Refused(1.0, ANN, "UsageError"),
        Moved(2.0, ANN, ("ann", 2)),
        Commanded(3.0, ("ann", 2), Say(1, "b", 1)),
        Noticed(4.0, ("ann", 2), Delivered(1, 1)),
        Commanded(5.0, ("ann", 2), Leave(1)),
    ]
    facts = [(one.time, one.life, one.item) for one in facts_of(trace)][1:]
    assert facts == [(3.0, 1, Say(1, "b", 1)), (4.0, 1, Delivered(1, 1)), (5.0, 1, Leave(1))]
