"""asyncio on the command line: an event loop that runs while the main thread waits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from palaver import Machine, Notice
from palaver_io.asyncio_driver import AsyncioDriver
from palaver_io.engine import Injector
from palaver_io.port import Port

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self


class OwnLoop:
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

    @property
    def is_idle(self) -> bool:
        """Whether no connection is being closed."""
        return self._driver.is_idle

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
