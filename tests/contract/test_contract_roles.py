"""Every role on every driver and transport, and between any two: a row for each.

A row tells a short story of two machines, by commands and notices alone, so that no facade is
needed. To add a role: two functions that make its machines, a story, and a line in `ROLES`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest
from contract_support import DRIVERS, TRANSPORTS
from io_support import STEADY, leaving_nothing_behind
from stage_support import Actor, Stage

from palaver import (
    Call,
    Closed,
    ConversationOpened,
    Delivered,
    Duo,
    Finish,
    Finished,
    Leave,
    Machine,
    Said,
    Say,
    Side,
)


class Role(NamedTuple):
    name: str
    make_server: Callable[[bool], Machine]
    """Given whether it is for streams."""
    make_client: Callable[[bool], Machine]
    play: Callable[[Stage, Actor, Actor], None]


def make_duo(name: str) -> Callable[[bool], Duo]:
    def make(streams: bool) -> Duo:
        return Duo(os.urandom, name=name, accept=name == "Bob", timing=STEADY, streams=streams)

    return make


def play_duo(stage: Stage, bob: Actor, ann: Actor) -> None:
    ann.do(Call(bob.address, ref=7))
    opened = stage.expect(ann, ConversationOpened)
    assert (opened.name, opened.ref, opened.address) == ("Bob", 7, bob.address)
    met = stage.expect(bob, ConversationOpened)
    assert (met.name, met.inbound) == ("Ann", True)
    for size in (0, 1, 20_000, 65_535):
        ann.do(Say(opened.link, "a" * size, size))
        bob.do(Say(met.link, "b" * size, size))
        assert stage.expect(bob, Said).text == "a" * size
        assert stage.expect(ann, Said).text == "b" * size
        for one in (ann, bob):
            assert stage.expect(one, Delivered).ref == size
    ann.do(Finish(opened.link))
    stage.expect(bob, Finished)
    bob.do(Leave(met.link))
    closed = stage.expect(ann, Closed)
    assert closed.clean
    assert closed.by is Side.PEER
    assert stage.expect(bob, Closed).clean


ROLES = [Role("duo", make_duo("Bob"), make_duo("Ann"), play_duo)]


@pytest.fixture(autouse=True)
def _no_leaks() -> Iterator[None]:
    with leaving_nothing_behind():
        yield


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("client", DRIVERS)
@pytest.mark.parametrize("server", DRIVERS)
@pytest.mark.parametrize("role", ROLES, ids=[role.name for role in ROLES])
def test_a_role_on_any_two_drivers(role: Role, server: str, client: str, transport: str) -> None:
    stage = Stage(transport)
    try:
        here = stage.listen(role.make_server(stage.streams), server)
        there = stage.call(role.make_client(stage.streams), client)
        role.play(stage, here, there)
    finally:
        stage.end()
