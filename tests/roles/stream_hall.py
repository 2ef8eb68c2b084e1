"""A registry and people who reach each other by streams, in virtual time.

As with TCP, whoever opens a stream comes from a port of its own, at which nobody can be called.
A record takes `DELAY`, none is lost, and a stream that ends is told to both.
"""

from __future__ import annotations

from heapq import heappop, heappush
from itertools import count
from typing import TypeVar

from palaver import (
    Address,
    Datagram,
    Disconnect,
    Enlist,
    Enlisted,
    Event,
    Machine,
    Notice,
    Peer,
    Registry,
    StreamEnded,
    Tick,
    Transmit,
    Unreachable,
)
from palaver.sim.random import SeededRandom

N = TypeVar("N", bound=Notice)
DELAY = 1 / 64
REGISTRY: Address = ("10.0.0.1", 7070)


class StreamHall:
    """Machines by name; `hosts` says where each lives, by default at a host of its own."""

    def __init__(self, seed: int = 1) -> None:
        self.now = 0.0
        self.random = SeededRandom(seed)
        self.machines: dict[str, Machine] = {}
        self.homes: dict[str, Address] = {}
        self.notices: dict[str, list[Notice]] = {}
        # Where the record goes that somebody sends to an address: to whom, and as from where.
        self.streams: dict[tuple[str, Address], tuple[str, Address]] = {}
        self._ports = count(50_000)
        self._queue: list[tuple[float, int, str, Event]] = []
        self._order = count()
        self.add("registry", Registry(self.random.fork("r").bytes, streams=True), REGISTRY)

    def add(self, name: str, machine: Machine, home: Address) -> None:
        self.machines[name], self.homes[name] = machine, home
        self.notices.setdefault(name, [])

    def enlist(self, *names: str, host: str = "") -> StreamHall:
        for name in names:
            home = (host or f"10.0.1.{len(self.machines)}", 40_000 + len(self.machines))
            entropy = self.random.fork(f"{name} {len(self.machines)}").bytes
            peer = Peer(entropy, name=name, registry=REGISTRY, port=home[1], streams=True)
            self.add(name, peer, home)
            self.tell(name, Enlist())
            self.run(1)
            assert self.told(name, Enlisted)
        return self

    def kill(self, name: str) -> None:
        """End a process: its system ends its streams."""
        del self.machines[name]
        for who, address in [key for key in self.streams if key[0] == name]:
            self._cut(who, address)

    def told(self, name: str, kind: type[N]) -> list[N]:
        return [notice for notice in self.notices[name] if isinstance(notice, kind)]

    def tell(self, name: str, event: Event) -> None:
        self._handle(name, event)
        self._tick(name)

    def run(self, seconds: float) -> None:
        until = self.now + seconds
        while True:
            due = min((m.deadline or float("inf") for m in self.machines.values()), default=until)
            at = min(self._queue[0][0] if self._queue else until, max(due, self.now))
            if at >= until:
                self.now = until
                return
            self.now = at
            while self._queue and self._queue[0][0] <= self.now:
                _, _, name, event = heappop(self._queue)
                if name in self.machines:
                    self._handle(name, event)
            for name in list(self.machines):
                self._tick(name)

    def _tick(self, name: str) -> None:
        machine = self.machines[name]
        while machine.deadline is not None and machine.deadline <= self.now:
            self._handle(name, Tick())

    def _handle(self, name: str, event: Event) -> None:
        for action in self.machines[name].handle(event, self.now):
            if isinstance(action, Transmit):
                self._send(name, action)
            elif isinstance(action, Disconnect):
                self._cut(name, action.address)
            else:
                assert isinstance(action, Notice)
                self.notices[name].append(action)

    def _send(self, name: str, action: Transmit) -> None:
        key = (name, action.destination)
        if key not in self.streams:
            there = [one for one in self.machines if self.homes[one] == action.destination]
            if not there:
                self._later(name, Unreachable(action.destination))
                self._later(name, StreamEnded(action.destination))
                return
            seen = (self.homes[name][0], next(self._ports))
            self.streams[key] = (there[0], seen)
            self.streams[there[0], seen] = key
        whom, seen = self.streams[key]
        self._later(whom, Datagram(action.data, seen))

    def _cut(self, name: str, address: Address) -> None:
        other = self.streams.pop((name, address), None)
        if other is not None:
            self.streams.pop(other, None)
            self._later(other[0], StreamEnded(other[1]))

    def _later(self, name: str, event: Event) -> None:
        heappush(self._queue, (self.now + DELAY, next(self._order), name, event))
