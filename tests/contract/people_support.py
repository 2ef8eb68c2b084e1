"""A registry and people there, each on a driver of its own, for stories told by commands.

town = Town("selectors", "tcp")
ann, bob = town.enter("Ann"), town.enter("Bob", driver="asyncio")
ann.do(Connect("bob", 1))
town.expect(bob, Ringing)
"""

from __future__ import annotations

import os
from typing import TypeVar

from io_support import PATIENCE, AnyDriver, make_driver

from palaver import (
    Address,
    Enlist,
    Enlisted,
    Event,
    Machine,
    Notice,
    Peer,
    Registry,
    Timing,
    UsageError,
)
from palaver_io.opening import open_listener
from palaver_io.port import Port

N = TypeVar("N", bound=Notice)

STEADY = Timing(linger_min=0.01, linger_max=0.05)
# For those who wait until one is missed, on a machine that may be busy.
SOON_MISSED = Timing(linger_min=0.01, linger_max=0.05, dead_peer=2.0, keepalive=0.5, probe_cap=0.25)


class Person:
    """A machine on a driver, and the notices that it has not been asked about yet."""

    def __init__(self, machine: Machine, port: Port, driver: str) -> None:
        self.notices: list[Notice] = []
        self.machine = machine
        self.driver: AnyDriver = make_driver(driver, machine, port, self.notices.append)
        self.id = 0

    def do(self, command: Event) -> list[Notice]:
        return self.driver.perform(command)


class Town:
    """The registry, and whoever has come; `end` takes all sockets away."""

    def __init__(self, driver: str, transport: str, timing: Timing = STEADY) -> None:
        self._driver = driver
        self._tcp = transport == "tcp"
        self._timing = timing
        self._all: list[Person] = []
        self.address: Address = ("127.0.0.1", 0)
        self.registry = self.open()

    def open(self, snapshot: bytes | None = None) -> Person:
        """Open the registry: anywhere at first, and later where it was."""
        port = open_listener(*self.address, tcp=self._tcp)
        self.address = port.address
        machine = Registry(os.urandom, snapshot=snapshot, streams=self._tcp, timing=self._timing)
        return self._add(Person(machine, port, self._driver))

    def enter(self, name: str, driver: str = "") -> Person:
        """Have somebody come, and wait until the registry has them."""
        port = open_listener("127.0.0.1", 0, tcp=self._tcp)
        machine = Peer(
            os.urandom,
            name=name,
            registry=self.address,
            port=port.address[1] if self._tcp else 0,
            streams=self._tcp,
            timing=self._timing,
        )
        person = self._add(Person(machine, port, driver or self._driver))
        person.do(Enlist())
        person.id = self.expect(person, Enlisted).id
        return person

    def kill(self, person: Person) -> None:
        """End a process without a word."""
        self._all.remove(person)
        person.driver.close()

    def expect(self, who: Person, kind: type[N]) -> N:
        """Wait until `who` is told something of this kind, and take the first of it."""

        def is_there() -> bool:
            return any(isinstance(notice, kind) for notice in list(who.notices))

        for _ in range(int(PATIENCE / 0.01)):
            self._turn(except_for=who)
            if who.driver.wait_until(is_there, 0.01):
                break
        for notice in list(who.notices):
            if isinstance(notice, kind):
                who.notices.remove(notice)
                return notice
        raise AssertionError(f"no {kind.__name__} among {who.notices}")

    def ask(self, who: Person, command: Event, kind: type[N]) -> N:
        """Have `who` do something as soon as its registry can be asked, and wait for the answer."""
        for _ in range(int(PATIENCE / 0.01)):
            try:
                who.do(command)
            except UsageError:  # the registry is away
                self._turn(except_for=who)
                who.driver.wait_until(lambda: False, 0.01)
            else:
                return self.expect(who, kind)
        raise AssertionError(f"the registry was away for {PATIENCE} s")

    def end(self) -> None:
        for person in self._all:
            person.driver.close()

    def _turn(self, except_for: Person) -> None:
        """Let all others go on that have no thread of their own."""
        for one in self._all:
            if one is not except_for:
                one.driver.wait_until(lambda: False, 0)

    def _add(self, person: Person) -> Person:
        self._all.append(person)
        return person
