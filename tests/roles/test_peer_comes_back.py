"""A peer that its registry turned away, or forgot, or gave another its place: what comes next."""

from __future__ import annotations

import pytest
from halls import REGISTRY, Hall, Plain

from palaver import (
    Abort,
    CallEnded,
    CallOpened,
    Connect,
    Endpoint,
    Enlist,
    Enlisted,
    EnlistRefused,
    Heard,
    Limits,
    Opened,
    Outcome,
    RegistryAway,
    Replaced,
    Ringing,
    StillCalling,
    Tick,
    Vanished,
)
from palaver.roles.calls import Calls
from palaver.wire.peer import Accepted, Chat, Rejected, Ring
from palaver.wire.registry import REPLACED, Refusal, Register, Registered, Stale, Unregister


def take_place(hall: Hall, name: str) -> Plain:
    """Register as somebody else with what that one has."""
    client = hall.peer(name).client
    rogue = Plain(hall)
    rogue.say(rogue.dial(), Register(name, client.id, client.token))
    hall.run(1)
    assert rogue.heard(Registered)
    return rogue


@pytest.mark.spec("G-6")
def test_who_was_replaced_and_enlists_again_does_not_take_the_place_back() -> None:
    hall = Hall().enlist("ann")
    rogue = take_place(hall, "ann")
    assert len(hall.told("ann", Replaced)) == 1
    hall.tell("ann", Enlist())
    hall.run(3)
    assert [one.code for one in hall.told("ann", EnlistRefused)] == [Refusal.NAME_TAKEN]
    assert rogue.end(1) is None


@pytest.mark.spec("G-11")
def test_who_is_told_that_it_was_replaced_before_it_was_entered_tries_again() -> None:
    hall = Hall().add("ann")
    hall.sim.restart(REGISTRY, Endpoint(hall.sim.entropy("stub"), roles=("registry",)))
    hall.tell("ann", Enlist())
    hall.sim.run_until(
        lambda: any(isinstance(one, Opened) for _, one in hall.sim.notices(REGISTRY))
    )
    opened = next(one for _, one in hall.sim.notices(REGISTRY) if isinstance(one, Opened))
    hall.sim.command(REGISTRY, Abort(opened.link, REPLACED))
    hall.run(3)
    assert not hall.told("ann", Replaced)
    dialled = [one for _, one in hall.sim.notices(REGISTRY) if isinstance(one, Opened)]
    assert len(dialled) >= 2


@pytest.mark.spec("G-11")
def test_who_was_entered_begins_again_with_the_shortest_wait() -> None:
    hall = Hall().enlist("ann")
    for _ in range(6):
        # What is counted is what the registry turns away, and not how long it is.
        (link,) = hall.registry.links
        hall.sim.command(REGISTRY, Abort(link))
        lost = hall.sim.now
        before = len(hall.told("ann", Enlisted))
        hall.sim.run_until(lambda before=before: len(hall.told("ann", Enlisted)) > before)  # type: ignore[misc]
        assert hall.sim.now - lost < 0.5
    assert len(hall.told("ann", RegistryAway)) == 6


@pytest.mark.spec("G-14")
def test_who_was_told_that_it_has_missed_something_is_not_told_so_again() -> None:
    hall = Hall()
    slow = Plain(hall, "slow")
    slow.register("slow")
    (one,) = hall.registry.links
    hall.registry._roster._behind.add(one)  # as after 8 announcements that it did not acknowledge
    for number in range(5):
        Plain(hall, f"c{number}").register(f"c{number}")
        hall.run(1)
    assert len(slow.heard(Stale)) == 1


def test_who_has_no_link_left_for_the_registry_tries_again_when_there_is_one() -> None:
    hall = Hall(limits=Limits(links=1)).add("ann")
    Plain(hall).dial(hall.at("ann"), "peer")  # says nothing, and is hung up on in 10 s
    hall.run(1)
    hall.tell("ann", Enlist())
    hall.run(5)
    assert not hall.told("ann", Enlisted)
    hall.run(30)
    assert hall.told("ann", Enlisted)


@pytest.mark.spec("C-10")
def test_a_call_from_another_who_has_the_id_of_the_one_we_talk_with_rings() -> None:
    hall = Hall().enlist("ann", "bob")
    hall.talk("ann", "bob")
    hall.restart_registry()
    Plain(hall, "x").register("x")
    hall.enlist("zed")
    assert hall.id("zed") == hall.id("bob") == 2
    hall.sim.run_until(lambda: len(hall.told("ann", Enlisted)) == 2)
    hall.tell("zed", Connect("ann", 1))
    hall.run(5)
    assert [(one.name, one.verified) for one in hall.told("ann", Ringing)] == [("zed", True)]


def test_calls_that_were_over_long_ago_take_no_memory() -> None:
    calls = Calls(remember=10.0, most=100)
    calls.remember(b"a" * 8, 3, 0.0)
    calls.remember(b"b" * 8, 3, 9.0)
    assert calls.remembered == 2
    calls.remember(b"c" * 8, 3, 10.0)
    assert calls.remembered == 2
    assert calls.recall(b"b" * 8, 18.9) == 3
    assert calls.recall(b"b" * 8, 19.0) is None


def test_who_has_slept_through_many_requests_is_told_once_that_the_call_goes_on() -> None:
    hall = Hall().enlist("ann", "bob")
    hall.call("ann", "bob")
    told = hall.peer("ann").handle(Tick(), hall.sim.now + 45)
    assert sum(isinstance(one, StillCalling) for one in told) == 1


@pytest.mark.spec("C-8")
def test_who_rejects_and_then_accepts_has_rejected() -> None:
    hall = Hall().enlist("ann")
    rogue = Plain(hall, "rogue", ("peer",))
    rogue.register("rogue")
    hall.tell("ann", Connect("rogue", 1))
    hall.run(1)
    ring = rogue.heard(Ring)[0]
    (link,) = [one.link for one in rogue.told(Opened) if one.role == "peer"]
    about = (ring.call, ring.callee)
    rogue.say(link, Rejected(*about, 0), Accepted(*about), Chat(*about, 1, "and yet"))
    hall.run(5)
    assert [one.outcome for one in hall.told("ann", CallEnded)] == [Outcome.REJECTED]
    assert not hall.told("ann", CallOpened)
    assert not hall.told("ann", Heard)


@pytest.mark.spec("G-11")
def test_one_who_goes_and_has_the_id_that_a_callee_had_before_ends_no_call() -> None:
    hall = Hall().enlist("ann", "bob")
    hall.sim.partition(hall.at("ann"), hall.at("bob"))
    hall.tell("ann", Connect("bob", 1))
    hall.run(1)
    hall.restart_registry()
    Plain(hall, "x").register("x")
    namesake = Plain(hall, "y")
    link = namesake.register("y")
    assert namesake.heard(Registered)[0].id == 2
    hall.sim.run_until(lambda: len(hall.told("ann", Enlisted)) == 2)
    namesake.say(link, Unregister())
    hall.run(1)
    assert hall.told("ann", Vanished) == [Vanished(2)]
    assert not hall.told("ann", CallEnded)
