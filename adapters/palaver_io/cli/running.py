"""The driver that was asked for, with one face: the main thread waits in `wait_until`.

With the blocking driver a thread does the work meanwhile; with the other two the main thread does
it while it waits, and only then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from palaver import Address, Event, Machine, Notice
from palaver_io.asyncio_driver import AsyncioDriver
from palaver_io.blocking import BlockingDriver
from palaver_io.engine import Injector
from palaver_io.port import Port
from palaver_io.selectors_driver import SelectorsDriver

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self


class Running(Protocol):
    """A machine on a driver; as `palaver_io.driver` tells."""

    address: Address

    def perform(self, event: Event) -> list[Notice]:
        """Hand `event` to the machine, and perform what it causes."""

    def post(self, event: Event) -> None:
        """Hand `event` to the machine; also within `on_notice`."""

    def wait_until(self, predicate: Callable[[], bool], timeout: float | None = None) -> bool:
        """Wait until `predicate` is true, and let the driver work meanwhile."""

    def wake(self) -> None:
        """Have `wait_until` look again; from any thread."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


def start_driver(
    kind: str,
    machine: Machine,
    port: Port,
    on_notice: Callable[[Notice], object],
    injector: Injector | None,
) -> Running:
    """Start one of `arguments.DRIVERS` on `port`, which it takes over and closes."""
    if kind == "asyncio":
        return _OwnLoop(machine, port, on_notice, injector)
    make = SelectorsDriver if kind == "selectors" else BlockingDriver
    return make(machine, port, on_notice, injector=injector)


class _OwnLoop:
    """An asyncio driver, in an event loop that runs only within `wait_until`."""

    def __init__(
        self,
        machine: Machine,
        port: Port,
        on_notice: Callable[[Notice], object],
        injector: Injector | None,
    ) -> None:
        # Not the default one of Windows, which takes the signals away from the session.
        self._loop = asyncio.SelectorEventLoop()
        try:
            self._driver = AsyncioDriver(
                machine, port, on_notice, loop=self._loop, injector=injector
            )
        except BaseException:
            self._loop.close()
            raise
        self.address = self._driver.address
        self.perform = self._driver.perform
        self.post = self._driver.post
        self.wake = self._driver.wake

    def wait_until(self, predicate: Callable[[], bool], timeout: float | None = None) -> bool:
        """Run the loop until `predicate` is true."""
        return self._loop.run_until_complete(self._driver.wait_until(predicate, timeout))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._driver.__exit__(kind, exc, trace)
        finally:
            self._loop.close()
