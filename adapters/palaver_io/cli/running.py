"""The driver that was asked for, with one face: the main thread waits in `wait_until`.

With the blocking driver a thread does the work meanwhile; with the other two the main thread does
it while it waits, and only then.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from palaver import Address, Event, Machine, Notice
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

    @property
    def is_idle(self) -> bool:
        """Whether no connection is being closed."""

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
        from .own_loop import OwnLoop  # noqa: PLC0415 - takes a while to load

        return OwnLoop(machine, port, on_notice, injector)
    make = SelectorsDriver if kind == "selectors" else BlockingDriver
    return make(machine, port, on_notice, injector=injector)
