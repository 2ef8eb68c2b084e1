"""A registry and people there, each on a driver of its own, for stories told by commands.

town = Town("selectors", "tcp")
ann, bob = town.enter("Ann"), town.enter("Bob", driver="asyncio")
ann.do(Connect("bob", 1))
town.expect(bob, Ringing)
"""

from __future__ import annotations

import os
from typing import TypeVar
from zlib import crc32

from io_support import PATIENCE
from stage_support import Actor, Stage

from palaver import (
    Address,
    Enlist,
    Enlisted,
    Event,
    Limits,
    Notice,
    Peer,
    Registry,
    Timing,
    UsageError,
)
from palaver.sim import FaultInjector, Faults
from palaver_io.opening import open_listener

N = TypeVar("N", bound=Notice)

STEADY = Timing(linger_min=0.01, linger_max=0.05)
# For those who wait until one is missed, on a machine that may be busy.
SOON_MISSED = Timing(linger_min=0.01, linger_max=0.05, dead_peer=2.0, keepalive=0.5, probe_cap=0.25)


class Town(Stage):
    """The registry, and whoever has come."""

    def __init__(
        self,
        driver: str,
        transport: str,
        timing: Timing = STEADY,
        faults: Faults | None = None,
    ) -> None:
        super().__init__(transport)
        self._driver = driver
        self._timing = timing
        self._faults = faults
        self.address: Address = ("127.0.0.1", 0)
        self.registry = self.open()

    def open(self, snapshot: bytes | None = None) -> Actor:
        """Open the registry: anywhere at first, and later where it was."""
        machine = Registry(os.urandom, snapshot=snapshot, streams=self.streams, timing=self._timing)
        registry = self.listen(
            machine, self._driver, self.address, injector=self.injector("registry")
        )
        self.address = registry.address
        return registry

    @property
    def is_bad(self) -> bool:
        """Whether the network loses things."""
        return self._faults is not None

    def injector(self, name: str) -> FaultInjector | None:
        """Give what spoils all that somebody sends, the same way each time."""
        return None if self._faults is None else FaultInjector(self._faults, crc32(name.encode()))

    def enter(self, name: str, driver: str = "", limits: Limits | None = None) -> Actor:
        """Have somebody come, and wait until the registry has them."""
        port = open_listener("127.0.0.1", 0, tcp=self.streams)
        machine = Peer(
            os.urandom,
            name=name,
            registry=self.address,
            port=port.address[1] if self.streams else 0,
            streams=self.streams,
            timing=self._timing,
            limits=limits or Limits(),
        )
        person = self.put(machine, driver or self._driver, port, injector=self.injector(name))
        person.do(Enlist())
        person.id = self.expect(person, Enlisted).id
        return person

    def ask(self, who: Actor, command: Event, kind: type[N]) -> N:
        """Have `who` do something as soon as its registry can be asked, and wait for the answer."""
        for _ in range(int(PATIENCE / 0.01)):
            try:
                who.do(command)
            except UsageError:  # the registry is away
                self.turn(who, lambda: False, 0.01)
            else:
                return self.expect(who, kind)
        raise AssertionError(f"the registry was away for {PATIENCE} s")
