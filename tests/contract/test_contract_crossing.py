"""Two who call each other at once, on every driver and transport, find themselves in one talk."""

from __future__ import annotations

import os
from collections.abc import Iterator
from zlib import crc32

import pytest
from contract_support import DRIVERS, TRANSPORTS
from io_support import leaving_nothing_behind
from stage_support import Actor, Stage

from palaver import Call, Closed, ConversationOpened, Delivered, Duo, Leave, Said, Say, Timing
from palaver.sim import FaultInjector, Faults

STEADY = Timing(linger_min=0.01, linger_max=0.05)
PAIRS = [*((driver, driver) for driver in DRIVERS), ("blocking", "asyncio")]


@pytest.fixture(autouse=True)
def _no_leaks() -> Iterator[None]:
    with leaving_nothing_behind():
        yield


def cross(
    stage: Stage, drivers: tuple[str, str], faults: Faults | None = None
) -> tuple[Actor, Actor]:
    """Give two that have called each other, neither told before of the other's call."""
    for _ in range(20):
        ann, bob = (
            stage.listen(
                Duo(os.urandom, name=name, timing=STEADY, streams=stage.streams),
                driver,
                injector=None if faults is None else FaultInjector(faults, crc32(name.encode())),
            )
            for name, driver in zip(("Ann", "Bob"), drivers, strict=True)
        )
        ann.do(Call(bob.address, 1))
        bob.do(Call(ann.address, 2))
        # A program that calls somebody whose call it was told of wants a second conversation.
        if not any(isinstance(one, ConversationOpened) for one in list(bob.notices)):
            return ann, bob
        stage.end()
    raise AssertionError("the first call was always there before the second was made")


def is_over(actor: Actor) -> bool:
    return any(isinstance(notice, Closed) for notice in list(actor.notices))


@pytest.mark.parametrize("transport", [*TRANSPORTS, "bad udp"])
@pytest.mark.parametrize("drivers", PAIRS, ids="-".join)
def test_two_who_call_each_other_at_once_talk_once(
    drivers: tuple[str, str], transport: str
) -> None:
    stage = Stage(transport.removeprefix("bad "))
    faults = Faults(loss=0.3, duplicate=0.2) if transport == "bad udp" else None
    try:
        ann, bob = cross(stage, drivers, faults)
        opened = [stage.expect(one, ConversationOpened) for one in (ann, bob)]
        assert [one.name for one in opened] == ["Bob", "Ann"]
        for one, other, at, there in ((ann, bob, 0, 1), (bob, ann, 1, 0)):
            one.do(Say(opened[at].link, f"from {at}", 1))
            said = stage.expect(other, Said)
            assert (said.link, said.text) == (opened[there].link, f"from {at}")
            stage.expect(one, Delivered)
        ann.do(Leave(opened[0].link))
        assert stage.turn(ann, lambda: is_over(ann) and is_over(bob))
        # Nobody was told of another conversation, or of anything twice.
        for one in (ann, bob):
            kinds = [type(notice) for notice in one.notices]
            assert kinds.count(Closed) == 1
            assert not {ConversationOpened, Said, Delivered} & {*kinds}
    finally:
        stage.end()
