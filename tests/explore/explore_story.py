"""What is explored: a story has parties (real machines), what programs do, and what must hold.

A *memory* is what a program did and was told, as a hashable value; a *view* is what the story wants
to see of a machine itself. Together they are the *fact* of one party; the facts of all are what
properties speak of. A property that does not hold raises AssertionError.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, ClassVar, NamedTuple, Protocol

from palaver.entropy import Entropy
from palaver.machine import Action, Address, Event, Notice
from palaver.timing import Timing

FAR = float(1 << 28)
"""Seconds: a timer that is not the subject is set this far away, where it never comes due."""
HORIZON = FAR / 4
"""Seconds: what is due later than this is out of reach, and how far it is makes no difference."""

Memory = Hashable
View = Hashable


class Fact(NamedTuple):
    """What is known of one party."""

    memory: Any
    view: Any


Facts = tuple[Fact, ...]


class Explorable(Protocol):
    """A machine as an explorer needs it."""

    def handle(self, event: Event, now: float) -> list[Action]: ...

    @property
    def deadline(self) -> float | None: ...

    def clone(self) -> Explorable: ...

    def state_key(self, now: float) -> tuple[object, ...]: ...


@dataclass
class Party:
    """A machine at its address, and what its program remembers."""

    address: Address
    machine: Explorable
    memory: Memory = ()


@dataclass(frozen=True)
class Flight:
    """A datagram in flight."""

    source: Address
    destination: Address
    data: bytes


@dataclass(frozen=True)
class Budget:
    """How often the wire may do what makes the number of worlds grow."""

    losses: int = 1
    """Datagrams that get lost; those that find the wire full are lost besides."""
    repeats: int = 1
    """Datagrams that arrive and arrive once more."""
    delays: int = 1
    """Timers that come due while something is in flight: it is slower than they expected."""
    forgeries: int = 0
    """Datagrams that a stranger puts on the wire."""


class Story:
    """One configuration: override what it needs."""

    name: ClassVar[str]
    about: ClassVar[str]
    sometimes: ClassVar[frozenset[str]] = frozenset()
    """What must happen in some world, so that what always holds does not hold for want of it."""
    budget: Budget = Budget()
    most_in_flight: int = 4
    batches: bool = False
    """Whether several datagrams can arrive before a tick."""

    def begin(self) -> tuple[list[Party], float]:
        """Give the parties, and what time it is."""
        raise NotImplementedError

    def commands(self, who: int, memory: Any, view: Any) -> list[tuple[str, Event]]:
        """Give what the program could do now: what `did` makes of it must bound how often."""
        return []

    def did(self, who: int, memory: Any, label: str) -> Any:
        """Give what a program remembers when it has done that."""
        return memory

    def told(self, who: int, memory: Any, notice: Notice) -> Any:
        """Give what a program remembers when it was told that; AssertionError if it may not be."""
        return memory

    def view(self, who: int, machine: Any) -> View:
        """Look at a machine; AssertionError if it may not be so."""
        return ()

    def heard(self, who: int, datagram: bytes, sent: list[bytes]) -> None:
        """Look at what a party sent at once for a datagram; AssertionError if it may not."""

    def clock(self, who: int, now: float) -> Hashable:
        """Give what of the time itself decides what a machine does, and not only of differences."""
        return None

    def may_wait(self, facts: Facts) -> bool:
        """Tell whether time can pass: not while a program has to do something without delay."""
        return True

    def forged(self) -> list[Flight]:
        """Give what a stranger can put on the wire, each once."""
        return []

    def check(self, facts: Facts) -> None:
        """Raise AssertionError if this world may not be."""

    def is_goal(self, facts: Facts) -> bool:
        """Tell whether all is done: that must stay possible from every world."""
        raise NotImplementedError

    def witnessed(self, facts: Facts) -> Iterable[str]:
        """Give what of `sometimes` is so in this world."""
        return ()


def entropy(label: str) -> Entropy:
    """Give bytes that only the label determines."""
    return lambda size: blake2b(label.encode(), digest_size=size).digest()


def still(**changes: Any) -> Timing:
    """Give timers that are sums of powers of two; those that are not the subject never come due."""
    timers: dict[str, Any] = {
        "hello_interval": 2.0,
        "hello_fast_tries": 1,
        "hello_interval_max": 2.0,
        "half_open": 32.0,
        "half_open_max": 64.0,
        "initial_rtt": 0.5,
        "probe_floor": 2.0,
        "probe_cap": 2.0,
        "ack_delay": 0.0,
        "overdue": FAR,
        "dead_peer": FAR,
        "keepalive": FAR,
        "keepalive_jitter": 0.0,
        "suspect": 2.0,
        "close_flush": FAR,
        "close_flush_max": FAR,
        "close_ping": FAR,
        "linger_min": 4.0,
        "linger_max": 4.0,
        "tombstone": 32.0,
        "ring": FAR,
        "answered": FAR,
        "verify": 4.0,
        "introduce": FAR,
        "contest": 8.0,
        "keep_name": FAR,
        "roster": 1.0,
        "registry_wait": 1.0,
        "registry_wait_max": 1.0,
    }
    return Timing(**(timers | changes))
