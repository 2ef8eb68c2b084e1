"""Handshakes and calls on a terrible network, each on its own, in virtual time."""

from __future__ import annotations

from dataclasses import dataclass, field

from palaver.link.events import Closed
from palaver.machine import Address, Notice
from palaver.roles.duo import Duo
from palaver.roles.duo_events import Call, ConversationOpened
from palaver.roles.peer import Peer
from palaver.roles.peer_events import (
    Accept,
    CallEnded,
    CallOpened,
    Connect,
    Enlist,
    Enlisted,
    Ringing,
)
from palaver.roles.registry import Registry
from palaver.sim.faults import Faults
from palaver.sim.network import Sim
from palaver.timing import DEFAULT_TIMING

TERRIBLE = Faults(
    loss=0.5, duplicate=0.3, reorder=0.3, corrupt=0.1, delay=0.02, jitter=0.02, reorder_delay=0.1
)
TIMEOUT = 60.0
"""How long a caller tries, in seconds."""
HANDSHAKE_BOUND = TIMEOUT + DEFAULT_TIMING.dead_peer
"""Then a conversation has opened, or it was told that it has not: the link's word is last."""
CALL_BOUND = TIMEOUT + DEFAULT_TIMING.close_flush_max
"""The same of a call: who gives up needs the time to flush."""
ANN, BOB, REGISTRY = ("ann", 1), ("bob", 1), ("registry", 1)


@dataclass
class HardCalls:
    """What came of handshakes and calls."""

    opened: dict[str, int] = field(default_factory=lambda: {"handshakes": 0, "calls": 0})
    failed: dict[str, int] = field(default_factory=lambda: {"handshakes": 0, "calls": 0})
    slowest: dict[str, float] = field(default_factory=lambda: {"handshakes": 0.0, "calls": 0.0})
    stuck: list[str] = field(default_factory=list)
    """Those without an outcome within their bound."""
    rung_twice: list[str] = field(default_factory=list)
    rung: int = 0
    seconds: float = 0.0
    datagrams: int = 0

    def note(self, what: str, seed: int, sim: Sim, since: float, *, up: bool, over: bool) -> None:
        """Take the outcome of one."""
        took = sim.now - since
        self.seconds += sim.now
        self.datagrams += sim.counts()["sent"]
        if up:
            self.opened[what] += 1
            self.slowest[what] = max(self.slowest[what], took)
        elif over:
            self.failed[what] += 1
        else:
            self.stuck.append(f"seed {seed}: one of the {what}, for {took:.1f} s")


def try_hard(seed: int, found: HardCalls) -> None:
    """Make one handshake and one call of this seed."""
    _shake_hands(seed, found)
    _call(seed, found)


def _told(sim: Sim, address: Address, *kinds: type[Notice]) -> int:
    return sum(isinstance(notice, kinds) for _, notice in sim.notices(address))


def _run(sim: Sim, seconds: float, *either: tuple[Address, type[Notice]]) -> None:
    """Let time pass until somebody was told what it waits for, or for so long."""
    until = sim.now + seconds
    while sim.now < until and not any(_told(sim, who, kind) for who, kind in either):
        sim.run_until(min(until, sim.now + 0.05))


def _shake_hands(seed: int, found: HardCalls) -> None:
    sim = Sim(seed, TERRIBLE, record=False)
    sim.add(ANN, Duo(sim.entropy("ann"), name="ann"))
    sim.add(BOB, Duo(sim.entropy("bob"), name="bob"))
    sim.command(ANN, Call(BOB, timeout=TIMEOUT))
    _run(sim, HANDSHAKE_BOUND, (ANN, ConversationOpened), (ANN, Closed))
    up, over = _told(sim, ANN, ConversationOpened) == 1, _told(sim, ANN, Closed) == 1
    found.note("handshakes", seed, sim, 0.0, up=up, over=over)


def _call(seed: int, found: HardCalls) -> None:
    sim = Sim(seed, Faults(delay=0.02), record=False)
    sim.add(REGISTRY, Registry(sim.entropy("registry")))
    for who in (ANN, BOB):
        sim.add(who, Peer(sim.entropy(who[0]), name=who[0], registry=REGISTRY))
        sim.command(who, Enlist())
    sim.run_until(lambda: _told(sim, ANN, Enlisted) == _told(sim, BOB, Enlisted) == 1)
    sim.set_faults(TERRIBLE)
    since = sim.now
    sim.command(ANN, Connect("bob", 1, TIMEOUT))
    _run(sim, CALL_BOUND, (ANN, CallEnded), (BOB, Ringing))
    rings = [one.link for _, one in sim.notices(BOB) if isinstance(one, Ringing)]
    if rings and not _told(sim, BOB, CallEnded):
        sim.command(BOB, Accept(rings[0]))
        _run(sim, since + CALL_BOUND - sim.now, (ANN, CallOpened), (ANN, CallEnded))
    up, over = _told(sim, ANN, CallOpened) == 1, _told(sim, ANN, CallEnded) == 1
    found.note("calls", seed, sim, since, up=up, over=over)
    sim.run_for(30)  # late copies must not ring again
    found.rung += 1 if rings else 0
    if _told(sim, BOB, Ringing) > 1:
        found.rung_twice.append(f"seed {seed}: {_told(sim, BOB, Ringing)} times")
