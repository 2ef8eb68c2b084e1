"""Machines on drivers of their own, for stories told by commands and notices, without a facade."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from io_support import PATIENCE, AnyDriver, make_driver

from palaver import Address, Event, Machine, Notice
from palaver_io.opening import open_caller, open_listener
from palaver_io.port import Port

N = TypeVar("N", bound=Notice)


class Actor:
    """A machine on a driver, and the notices that it has not been asked about yet."""

    def __init__(self, machine: Machine, driver: AnyDriver, notices: list[Notice]) -> None:
        self.machine = machine
        self.driver = driver
        self.notices = notices
        self.id = 0
        """What a registry calls it."""

    @property
    def address(self) -> Address:
        return self.driver.address

    def do(self, *commands: Event) -> list[Notice]:
        """Have the machine do things; give what it tells at once."""
        return [notice for command in commands for notice in self.driver.perform(command)]


class Stage:
    """Actors over one transport. While one is waited for, the others go on too."""

    def __init__(self, transport: str) -> None:
        self.transport = transport
        self.actors: list[Actor] = []

    @property
    def streams(self) -> bool:
        return self.transport == "tcp"

    def listen(
        self,
        machine: Machine,
        driver: str,
        address: Address = ("127.0.0.1", 0),
        plain: bool = False,
        plain_too: bool = False,
        **more: Any,  # noqa: ANN401 - passed on
    ) -> Actor:
        """Put a machine where it can be called, by those with plain text if it is for them."""
        port = open_listener(*address, tcp=self.streams, plain=plain, plain_too=plain_too)
        return self.put(machine, driver, port, **more)

    def call(
        self,
        machine: Machine,
        driver: str,
        *,
        plain: bool = False,
        **more: Any,  # noqa: ANN401 - passed on
    ) -> Actor:
        """Put a machine where it can only call others."""
        port = open_caller(("127.0.0.1", 1), tcp=self.streams, plain=plain)
        return self.put(machine, driver, port, **more)

    def put(self, machine: Machine, driver: str, port: Port, **more: Any) -> Actor:  # noqa: ANN401
        """Put a machine on a port."""
        notices: list[Notice] = []
        actor = Actor(machine, make_driver(driver, machine, port, notices.append, **more), notices)
        self.actors.append(actor)
        return actor

    def turn(self, who: Actor, until: Callable[[], bool], seconds: float = PATIENCE) -> bool:
        """Wait until something is true of `who`, while everybody goes on."""
        for _ in range(int(seconds / 0.01)):
            for other in self.actors:
                if other is not who:
                    other.driver.wait_until(lambda: False, 0)
            if who.driver.wait_until(until, 0.01):
                return True
        return False

    def expect(self, who: Actor, kind: type[N], which: Callable[[N], bool] = lambda _: True) -> N:
        """Wait until `who` is told something of this kind, and take the first of it."""

        def find() -> N | None:
            found = (one for one in list(who.notices) if isinstance(one, kind) and which(one))
            return next(found, None)

        self.turn(who, lambda: find() is not None)
        notice = find()
        assert notice is not None, f"no {kind.__name__} among {who.notices}"
        who.notices.remove(notice)
        return notice

    def kill(self, actor: Actor) -> None:
        """Take an actor's sockets away, as if its process were gone."""
        self.actors.remove(actor)
        actor.driver.close()

    def end(self) -> None:
        while self.actors:
            self.actors.pop().driver.close()
