"""Every role on every driver and transport, and between any two: a row for each.

A row tells a short story of two machines, by commands and notices alone, so that no facade is
needed. To add a role: two functions that make its machines, a story, and a line in `ROLES`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeVar

import pytest
from contract_support import DRIVERS, TRANSPORTS, open_caller, open_listener
from io_support import PATIENCE, STEADY, AnyDriver, leaving_nothing_behind, make_driver

from palaver import (
    Address,
    Call,
    Closed,
    ConversationOpened,
    Delivered,
    Duo,
    Event,
    Finish,
    Finished,
    Leave,
    Machine,
    Notice,
    Said,
    Say,
    Side,
)

N = TypeVar("N", bound=Notice)


class Actor:
    """A machine on a driver, and the notices that it has not been asked about yet."""

    def __init__(self, machine: Machine, driver: str, transport: str, *, listens: bool) -> None:
        self.notices: list[Notice] = []
        port = open_listener(transport) if listens else open_caller(transport)
        self.driver: AnyDriver = make_driver(driver, machine, port, self.notices.append)
        self.machine = machine

    @property
    def address(self) -> Address:
        return self.driver.address

    def do(self, command: Event) -> list[Notice]:
        return self.driver.perform(command)


class Stage:
    """Two actors. While one is waited for, the other turns, if it has nobody else to do it."""

    def __init__(self, server: Actor, client: Actor) -> None:
        self.server = server
        self.client = client

    def expect(self, who: Actor, kind: type[N]) -> N:
        """Wait until `who` is told something of this kind, and take the first of it."""
        other = self.client if who is self.server else self.server

        def is_there() -> bool:
            return any(isinstance(notice, kind) for notice in list(who.notices))

        for _ in range(int(PATIENCE / 0.01)):
            other.driver.wait_until(lambda: False, 0)
            if who.driver.wait_until(is_there, 0.01):
                break
        for notice in who.notices:
            if isinstance(notice, kind):
                who.notices.remove(notice)
                return notice
        raise AssertionError(f"no {kind.__name__} among {who.notices}")


class Role(NamedTuple):
    name: str
    make_server: Callable[[bool], Machine]
    """Given whether it is for streams."""
    make_client: Callable[[bool], Machine]
    play: Callable[[Stage], None]


def make_duo(name: str) -> Callable[[bool], Duo]:
    def make(streams: bool) -> Duo:
        return Duo(os.urandom, name=name, accept=name == "Bob", timing=STEADY, streams=streams)

    return make


def play_duo(stage: Stage) -> None:
    bob, ann = stage.server, stage.client
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
    streams = transport == "tcp"
    actors: list[Actor] = []
    try:
        actors.append(Actor(role.make_server(streams), server, transport, listens=True))
        actors.append(Actor(role.make_client(streams), client, transport, listens=False))
        role.play(Stage(*actors))
    finally:
        for actor in actors:
            actor.driver.close()
