"""One machine in the simulation, and the driver that it believes it has."""

from __future__ import annotations

from typing import TypeAlias

from palaver.machine import Address, Event, Machine, Notice, PalaverError, Tick, Transmit

from .trace import Entry, Noticed
from .transit import Transit

MAX_TICKS = 1000
"""Ticks that a machine may want at one instant after one batch of events."""

Log: TypeAlias = list[tuple[float, Notice]]


class SimError(PalaverError, AssertionError):
    """What is simulated fails to do what it must: a timer stands still, a condition never holds."""


class Node:
    """A machine at its address, and the log of what the machines there have told."""

    __slots__ = ("_trace", "_transit", "address", "log", "machine")

    def __init__(
        self,
        address: Address,
        machine: Machine,
        log: Log,
        transit: Transit,
        trace: list[Entry] | None,
    ) -> None:
        self.address = address
        self.machine = machine
        self.log = log
        self._transit = transit
        self._trace = trace

    def handle(self, event: Event, now: float) -> None:
        """Give the machine an event and perform what it causes."""
        for action in self.machine.handle(event, now):
            if isinstance(action, Transmit):
                self._transit.send(now, self.address, action.destination, action.data)
            elif isinstance(action, Notice):
                self.log.append((now, action))
                if self._trace is not None:
                    self._trace.append(Noticed(now, self.address, action))
            else:
                raise SimError(f"the simulation can't perform a {type(action).__name__}")

    def tick(self, now: float) -> None:
        """Keep the rule of every driver: before you wait, tick while `deadline <= now`.

        Raises SimError if that does not end.
        """
        for _ in range(MAX_TICKS):
            deadline = self.machine.deadline
            if deadline is None or deadline > now:
                return
            self.handle(Tick(), now)
        raise SimError(
            f"the timer of {type(self.machine).__name__} at {self.address} does not move on:"
            f" after {MAX_TICKS} ticks at {now} s its deadline is {self.machine.deadline}"
        )
