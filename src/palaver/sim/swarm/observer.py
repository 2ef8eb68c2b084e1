"""What an observer of a run sees: who was told what, and when, without the datagrams."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from palaver.machine import Address, Event, Notice
from palaver.sim.trace import Began, Commanded, Crashed, Entry, Moved, Noticed, Refused
from palaver.values import value


@value
class Fact:
    """At `time` machine number `life` took a command, told a notice, began or crashed."""

    time: float
    life: int
    item: Event | Notice | Began | Crashed


class Observer:
    """Watches one kind of promise over a run, and judges at the end of it.

    `violations` says what was broken, `witnesses` counts what was seen to happen: a promise about
    something that never happens is worth nothing.
    """

    def __init__(self) -> None:
        self.violations: list[str] = []
        self.witnesses: Counter[str] = Counter()

    def see(self, fact: Fact) -> None:
        """Take the next fact; their times do not go backwards."""
        raise NotImplementedError

    def finish(self, crashed: frozenset[int], /) -> None:
        """Judge what is left at the end; these lives were not there any more to tell it."""

    def blame(self, fact: Fact, what: str) -> None:
        """Note that a promise was broken."""
        self.violations.append(f"{type(self).__name__}: at {fact.time:.4f} s {what}: {fact.item}")

    def miss(self, what: str) -> None:
        """Note that something had not happened by the end."""
        self.violations.append(f"{type(self).__name__}: at the end {what}")


def facts_of(trace: Iterable[Entry]) -> Iterator[Fact]:
    """Give what observers see of a trace; commands that were refused never happened."""
    lives: dict[Address, int] = {}
    pending: Commanded | None = None
    for entry in trace:
        if pending is not None:
            if not isinstance(entry, Refused):
                yield Fact(pending.time, lives[pending.address], pending.event)
            pending = None
        if isinstance(entry, Began):
            lives[entry.address] = entry.life
            yield Fact(entry.time, entry.life, entry)
        elif isinstance(entry, Crashed):
            yield Fact(entry.time, lives.pop(entry.address), entry)
        elif isinstance(entry, Moved):
            lives[entry.to] = lives.pop(entry.address)
        elif isinstance(entry, Noticed):
            yield Fact(entry.time, lives[entry.address], entry.notice)
        elif isinstance(entry, Commanded):
            pending = entry
    if pending is not None:
        yield Fact(pending.time, lives[pending.address], pending.event)


def observe(trace: Iterable[Entry], observers: Iterable[Observer]) -> list[str]:
    """Show a trace to observers; give what they have to say against it."""
    observers = list(observers)
    crashed: set[int] = set()
    for fact in facts_of(trace):
        if isinstance(fact.item, Crashed):
            crashed.add(fact.life)
        for observer in observers:
            observer.see(fact)
    for observer in observers:
        observer.finish(frozenset(crashed))
    return [one for observer in observers for one in observer.violations]
