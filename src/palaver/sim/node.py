"""One machine in the simulation, and the driver that it believes it has."""

from __future__ import annotations

from typing import TypeAlias

from palaver.machine import (
    Address,
    Datagram,
    Event,
    Machine,
    Notice,
    PalaverError,
    Tick,
    Transmit,
)

from .trace import Arrived, Entry, Noticed
from .transit import Transit

MAX_TICKS = 1000
"""Ticks that a machine may want at one instant after one batch of events."""

BUFFER = 256
"""Datagrams that wait for a machine that stands still; more are lost, as at a socket."""

Log: TypeAlias = list[tuple[float, Notice]]


class SimError(PalaverError, AssertionError):
    """What is simulated fails to do what it must: a timer stands still, a condition never holds."""


class Node:
    """A machine at its address, its clock, and the log of what the machines there have told."""

    __slots__ = (
        "_behind",
        "_trace",
        "_transit",
        "_waiting",
        "address",
        "log",
        "machine",
        "stalled_until",
    )

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
        self.stalled_until = float("-inf")
        """Until then the machine gets nothing, and what arrives waits."""
        self._behind = 0.0  # by how much the clock here is late
        self._waiting: list[Arrived] = []
        self._transit = transit
        self._trace = trace

    @property
    def due(self) -> float:
        """When the machine has to be ticked or woken next; infinity for never."""
        deadline = self.machine.deadline
        due = _NEVER if deadline is None else deadline + self._behind
        if self._waiting:
            due = min(due, self.stalled_until)
        return max(due, self.stalled_until)

    def stall(self, now: float, seconds: float, *, clock_stops: bool) -> None:
        """Let the machine stand still for so long, and its clock too if `clock_stops`."""
        start = max(now, self.stalled_until)
        self.stalled_until = start + seconds
        if clock_stops:
            self._behind += seconds

    def move(self, address: Address, log: Log) -> None:
        """Go on from another address."""
        self.address = address
        self.log = log
        self._waiting = []  # the old socket is gone

    def arrive(self, arrived: Arrived, now: float) -> bool:
        """Hand over a datagram, or let it wait; say no if it is lost."""
        if self.stalled_until > now:
            if len(self._waiting) >= BUFFER:
                return False
            self._waiting.append(arrived)
            return True
        if self._trace is not None:
            self._trace.append(arrived)
        self.handle(Datagram(arrived.data, arrived.source), now)
        return True

    def handle(self, event: Event, now: float) -> None:
        """Give the machine an event and perform what it causes."""
        for action in self.machine.handle(event, self._local(now)):
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

        What has waited while the machine stood still comes first. Raises SimError if ticking
        does not end.
        """
        if self.stalled_until > now:
            return
        waiting, self._waiting = self._waiting, []
        for arrived in waiting:
            late = Arrived(now, arrived.number, arrived.source, arrived.destination, arrived.data)
            self.arrive(late, now)
        for _ in range(MAX_TICKS):
            if self.due > now:
                return
            self.handle(Tick(), now)
        raise SimError(
            f"the timer of {type(self.machine).__name__} at {self.address} does not move on:"
            f" after {MAX_TICKS} ticks at {now} s its deadline is {self.machine.deadline}"
        )

    def _local(self, now: float) -> float:
        """Give what the clock here shows. Rounding never makes it early for a deadline."""
        if not self._behind:
            return now
        local = now - self._behind
        deadline = self.machine.deadline
        if deadline is not None and deadline + self._behind <= now:
            return max(local, deadline)
        return local


_NEVER = float("inf")
