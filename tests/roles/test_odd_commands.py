"""Whatever a program asks of a machine, it is done or refused, and a refusal changes nothing."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import pytest
from fuzz.world import Subject

import palaver
from palaver import (
    Action,
    AdmitGuest,
    Call,
    Chunk,
    Connect,
    Datagram,
    Dial,
    Duo,
    EitherHub,
    EitherPair,
    Endpoint,
    Enlist,
    Event,
    Going,
    Hub,
    JoinRoom,
    Member,
    Peer,
    PlainPair,
    PlainRelay,
    Registry,
    StreamBlocked,
    StreamEnded,
    StreamOpened,
    Tick,
    Unreachable,
    UsageError,
    WouldBlock,
)
from palaver.sim import Sim

FROM_OUTSIDE = (Chunk, Datagram, StreamBlocked, StreamEnded, StreamOpened, Tick, Unreachable)


def is_command(kind: Any) -> bool:  # noqa: ANN401
    """Tell whether this is a kind of event that a program makes; one that has fields or none."""
    is_event = isinstance(kind, type) and issubclass(kind, Event) and kind is not Event
    return is_event and kind not in FROM_OUTSIDE


COMMANDS: list[type[Any]] = [
    kind for name in palaver.__all__ if is_command(kind := getattr(palaver, name))
]
SMALL = (-(1 << 70), -1, 0, 1, 2, 127, 128, 255, 256, 65535, 65536)
INTEGERS = (*SMALL, *((1 << bits) + more for bits in (31, 32, 64, 200) for more in (-1, 0)))
STRINGS = ("", " ", "bob", "é", "a\0b", "\x1b[2J", "\ud800", "x" * 64, "é" * 61, "x" * 70000)
NUMBERS = (0.0, -1.0, 1e-9, 1.0, 1e300, math.inf, -math.inf, math.nan)
ODD: dict[str, tuple[object, ...]] = {
    "int": INTEGERS,
    "int | None": (None, *INTEGERS),
    "int | str": (b"hello", *INTEGERS, *STRINGS),
    "str": (b"hello", *STRINGS),
    "str | None": (None, b"hello", *STRINGS),
    "bytes": ("hello", b"", b"\0", b"\x0f", b"\x10", b"\xff", b"\x10" * 65536, b"\x10" * (1 << 21)),
    "float | None": (None, *NUMBERS),
    "Address": (("there", 1), ("subject", 1), ("nowhere", 1)),
    "Going": tuple(Going),
}
USUAL: dict[str, object] = {
    "int": 1,
    "int | None": 1,
    "int | str": 1,
    "str": "ann",
    "str | None": "ann",
    "bytes": b"\x10hello",
    "float | None": None,
    "Address": ("there", 1),
    "Going": Going.LEFT,
}


def variants(kind: type[Any]) -> Iterator[Event]:
    """Give commands of a kind: each of its fields odd in turn, the others as usual."""
    fields = {field.name: str(field.type) for field in dataclasses.fields(kind)}
    usual = {name: USUAL[of] for name, of in fields.items()}
    yield kind(**usual)
    for name, of in fields.items():
        for odd in ODD[of]:
            yield kind(**{**usual, name: odd})


Scene: TypeAlias = tuple[Subject, Subject, tuple[Event, ...], tuple[Event, ...]]
"""A subject, somebody it talks with, and the first commands of each."""
Pair: TypeAlias = Callable[[Sim], Scene]
THERE = ("there", 1)


def _endpoints(sim: Sim) -> Scene:
    one, other = (Endpoint(sim.entropy(name), roles=("test",)) for name in "ab")
    return one, other, (Dial(THERE, "test"),), ()


def _duos(sim: Sim) -> Scene:
    return Duo(sim.entropy("a")), Duo(sim.entropy("b")), (Call(THERE),), ()


def _registry(sim: Sim) -> Scene:
    registry = Registry(sim.entropy("a"))
    peer = Peer(sim.entropy("b"), name="bob", registry=("subject", 1))
    return registry, peer, (), (Enlist(),)


def _peer(sim: Sim) -> Scene:
    peer = Peer(sim.entropy("a"), name="ann", registry=("registry", 1))
    other = Peer(sim.entropy("b"), name="bob", registry=("registry", 1))
    sim.add(("registry", 1), Registry(sim.entropy("registry")))
    return peer, other, (Enlist(),), (Enlist(), Connect("ann"))


def _hub(sim: Sim) -> Scene:
    joins = (JoinRoom(("subject", 1), "bob"),)
    return Hub(sim.entropy("a")), Member(sim.entropy("b")), (AdmitGuest(-1, "guest", THERE),), joins


def _member(sim: Sim) -> Scene:
    return Member(sim.entropy("a")), Hub(sim.entropy("b")), (JoinRoom(THERE, "bob"),), ()


def _plain_pair(_: Sim) -> Scene:
    return PlainPair(), PlainPair(), (Call(THERE),), ()


def _plain_relay(_: Sim) -> Scene:
    return PlainRelay(), PlainPair(), (), (Call(("subject", 1)),)


def _either_duo(sim: Sim) -> Scene:
    return EitherPair(sim.entropy("a")), Duo(sim.entropy("b")), (Call(THERE),), ()


def _either_hub(sim: Sim) -> Scene:
    joins = (JoinRoom(("subject", 1), "bob"),)
    return EitherHub(sim.entropy("a")), Member(sim.entropy("b")), (), joins


PAIRS: tuple[Pair, ...] = (
    *(_endpoints, _duos, _registry, _peer, _hub, _member),
    *(_plain_pair, _plain_relay, _either_duo, _either_hub),
)


def prepare(pair: Pair, seconds: float) -> tuple[Subject, float]:
    """Give the subject of a pair when it has had some time with the other, and the time."""
    sim = Sim(7)
    subject, other, commands, of_other = pair(sim)
    sim.add(("subject", 1), subject)
    sim.add(THERE, other)
    sim.command(("subject", 1), *commands)
    sim.command(THERE, *of_other)
    sim.run_for(seconds)
    return subject, sim.now


def try_out(machine: Subject, command: Event, now: float) -> bool:
    """Give a copy of a machine a command, and time afterwards; give whether it was refused."""
    copy = machine.clone()
    before = copy.state_key(now), copy.stats()
    try:
        copy.handle(command, now)
    except (UsageError, WouldBlock):
        assert (copy.state_key(now), copy.stats()) == before, f"{command} was refused, and did"
        return True
    for _ in range(50):
        if copy.deadline is None:
            break
        now = max(now, copy.deadline)
        actions: list[Action] = copy.handle(Tick(), now)
        assert isinstance(actions, list)
    return False


@pytest.mark.parametrize("seconds", [0.0, 3.0], ids=["at once", "when all is up"])
@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.__name__.strip("_"))
def test_a_command_is_done_or_refused(pair: Pair, seconds: float) -> None:
    machine, now = prepare(pair, seconds)
    refused = done = 0
    for kind in COMMANDS:
        for command in variants(kind):
            if try_out(machine, command, now):
                refused += 1
            else:
                done += 1
    assert refused > 100
    assert done > 5


@pytest.mark.parametrize(("name", "room"), [(b"cy", "lobby"), ("cy", b"lobby"), ("cy", None)])
def test_a_guest_whose_names_are_no_text_is_refused(name: Any, room: Any) -> None:  # noqa: ANN401
    hub, now = prepare(_hub, 3.0)
    assert try_out(hub, AdmitGuest(-2, name, THERE, room), now)
    assert not try_out(hub, AdmitGuest(-2, "cy", THERE, "lobby"), now)
