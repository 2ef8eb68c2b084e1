"""Promises about a registry and those who find each other there."""

from __future__ import annotations

from collections import Counter, defaultdict

from palaver.link.events import Delivered, Undelivered
from palaver.roles.duo_events import Say
from palaver.roles.peer_events import (
    CallEnded,
    Calling,
    CallOpened,
    Connect,
    Enlist,
    Enlisted,
    Heard,
    Present,
    Replaced,
    Ringing,
    Who,
)
from palaver.roles.registry_events import Gone, Joined
from palaver.sim.trace import Began
from palaver.timing import DEFAULT_TIMING
from palaver.wire.names import fold_name

from .observer import Fact, Observer

CallKey = tuple[int, int]
"""A life, and its number for a call."""


class Calls(Observer):
    """A call begins once, opens at most once, and ends once and last, in the time allowed for.

    A caller that gives up needs the time to flush to say so. Nobody is rung more often than it was
    called, as far as the registry says who calls. `slack` is by how many seconds machines may be
    late because they stood still.
    """

    def __init__(self, slack: float = 0.0) -> None:
        super().__init__()
        self._slack = slack
        self._begun: set[CallKey] = set()
        self._open: set[CallKey] = set()
        self._over: set[CallKey] = set()
        self._timeouts: dict[tuple[int, int], float | None] = {}
        self._due: dict[CallKey, float] = {}
        self._lives: dict[int, set[int]] = defaultdict(set)  # by id
        self._made: Counter[int] = Counter()
        self._rung: Counter[tuple[int, int]] = Counter()  # by callee's life and caller's id

    def see(self, fact: Fact) -> None:
        """Take a call, and what becomes of it."""
        item = fact.item
        if isinstance(item, Connect):
            self._timeouts[fact.life, item.ref] = item.timeout
        elif isinstance(item, Enlisted):
            self._lives[item.id].add(fact.life)
        if not isinstance(item, Calling | Ringing | CallOpened | Heard | CallEnded):
            return
        call = (fact.life, item.link)
        if call in self._over:
            self.blame(fact, "it came after the end")
        if isinstance(item, Calling | Ringing):
            if call in self._begun:
                self.blame(fact, "it began twice")
            self._begun.add(call)
            self._begin(fact, call, item)
        elif call not in self._begun:
            self.blame(fact, "it never began")
        if isinstance(item, CallOpened):
            self.witnesses["opened"] += 1
            if call in self._open:
                self.blame(fact, "it opened twice")
            self._open.add(call)
            self._settle(fact, call)
        elif isinstance(item, Heard) and call not in self._open:
            self.blame(fact, "it is not open")
        elif isinstance(item, CallEnded):
            self.witnesses[f"ended: {item.outcome.value}"] += 1
            self._over.add(call)
            self._settle(fact, call)

    def _begin(self, fact: Fact, call: CallKey, item: Calling | Ringing) -> None:
        if isinstance(item, Calling):
            self._made[fact.life] += 1
            timeout = self._timeouts.get((fact.life, item.ref))
            if timeout is not None:
                flush = DEFAULT_TIMING.close_flush_max
                self._due[call] = fact.time + timeout + flush + self._slack
            return
        self.witnesses["rung"] += 1
        self._rung[fact.life, item.peer] += 1
        calls = sum(self._made[life] for life in self._lives[item.peer])
        if item.verified and self._rung[fact.life, item.peer] > calls:
            self.blame(fact, f"it rang more often than the {calls} times that it was called")

    def _settle(self, fact: Fact, call: CallKey) -> None:
        if fact.time > self._due.pop(call, float("inf")) + 1e-6:
            self.blame(fact, "it came too late")

    def finish(self, crashed: frozenset[int], /) -> None:
        """All calls of those who live must be over."""
        for life, link in self._begun - self._over:
            if life not in crashed:
                self.miss(f"call {link} of {life} is not over")


class CallTexts(Observer):
    """Before a call is over, all that was said in it has its outcome."""

    def __init__(self) -> None:
        super().__init__()
        self._pending: Counter[CallKey] = Counter()

    def see(self, fact: Fact) -> None:
        """Take what is said, its outcome, and the end."""
        item = fact.item
        if isinstance(item, Say):
            self._pending[fact.life, item.link] += 1
        elif isinstance(item, Delivered | Undelivered):
            self._pending[fact.life, item.link] -= 1
        elif isinstance(item, CallEnded):
            self.witnesses["ended"] += 1
            if self._pending[fact.life, item.link] > 0:
                self.blame(fact, "it ended before the outcome of all that was said")


class Ownership(Observer):
    """A name has one owner at a time; who is gone is not found; who was replaced keeps away."""

    def __init__(self, registry: tuple[str, int]) -> None:
        super().__init__()
        self._registry = registry
        self._life = 0  # of the registry
        self._owner: dict[str, int] = {}
        # By id and name, when it came and when it was gone.
        self._there: dict[tuple[int, str], list[list[float]]] = defaultdict(list)
        self._asked: dict[tuple[int, int], float] = {}
        self._replaced: set[int] = set()

    def see(self, fact: Fact) -> None:
        """Take who comes and goes at the registry, and what people are told of it."""
        item = fact.item
        if isinstance(item, Began) and item.address == self._registry:
            self._life = fact.life
            for periods in self._there.values():
                for period in periods[-1:]:
                    period[1] = min(period[1], fact.time)
            self._owner.clear()
        elif isinstance(item, Joined):
            name = fold_name(item.entry.name)
            if self._owner.get(name, item.entry.id) != item.entry.id:
                self.blame(fact, f"{self._owner[name]} has that name")
            self._owner[name] = item.entry.id
            self._there[item.entry.id, name].append([fact.time, float("inf")])
            self.witnesses["resumed" if item.resumed else "joined"] += 1
        elif isinstance(item, Gone):
            name = fold_name(item.entry.name)
            if self._owner.pop(name, None) != item.entry.id:
                self.blame(fact, "it did not have that name")
            for period in self._there[item.entry.id, name][-1:]:
                period[1] = fact.time
            self.witnesses[f"gone: {item.why.value}"] += 1
        else:
            self._see_person(fact)

    def _see_person(self, fact: Fact) -> None:
        item = fact.item
        if isinstance(item, Who):
            self._asked[fact.life, item.ref] = fact.time
        elif isinstance(item, Present):
            since = self._asked[fact.life, item.ref]
            self.witnesses["looked up"] += len(item.entries)
            for entry in item.entries:
                periods = self._there.get((entry.id, fold_name(entry.name)), [])
                if not any(start <= fact.time and since <= end for start, end in periods):
                    self.blame(fact, f"{entry.name} was gone before {since:.3f} s")
        elif isinstance(item, Enlist):
            self._replaced.discard(fact.life)
        elif isinstance(item, Replaced):
            self.witnesses["replaced"] += 1
            self._replaced.add(fact.life)
        elif isinstance(item, Enlisted) and fact.life in self._replaced:
            self.blame(fact, "it was replaced, and did not ask to be back")
