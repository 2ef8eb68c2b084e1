"""The driver for programs with one thread, or with a selector loop of their own.

By itself it waits in `turn` or `wait_until`, and works only then:

    driver = SelectorsDriver(machine, UdpPort(open_udp_socket("127.0.0.1", 0)), notices.append)
    driver.perform(Call(address))
    driver.wait_until(lambda: notices)

Within somebody else's loop it is given their selector, and told what that has found:

    driver = SelectorsDriver(machine, port, take_notice, selector=selector)
    while True:
        ready = selector.select(driver.timeout())
        driver.ready(ready)  # its own keys; and whatever is due
        for key, events in ready:
            if key.data is not driver:
                ...  # somebody else's

There is no thread, so nothing is acknowledged and no keepalive goes out while the program does
something else for long.
"""

from __future__ import annotations

import selectors
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, ExitStack, nullcontext

from palaver.machine import Machine, Notice

from .driver import Driver
from .engine import Injector
from .port import Port, Ready
from .watching import SelectorWatcher


class SelectorsDriver(Driver):
    """Runs `machine` on `port`, which it takes over and closes, in the thread that calls it.

    Its methods may be called from one thread only, but for `wake`. Within `on_notice` only `post`
    and `close` may: the others raise UsageError there.
    """

    def __init__(
        self,
        machine: Machine,
        port: Port,
        on_notice: Callable[[Notice], object],
        *,
        selector: selectors.BaseSelector | None = None,
        injector: Injector | None = None,
        clock: Callable[[], float] = time.monotonic,
        on_failure: Callable[[BaseException], object] | None = None,
    ) -> None:
        """Start; the arguments are those of `Driver`.

        In `selector`, if there is one, the sockets are registered with the driver as their data;
        the program keeps it and closes it, after the driver.
        """
        super().__init__(machine, port, on_notice, injector, clock, on_failure)
        self._progress = self.make_bell()
        with ExitStack() as undo:
            undo.callback(port.close)
            self._watcher = SelectorWatcher(selector, self)
            undo.callback(self._watcher.close)
            port.start(self._watcher, clock)
            undo.pop_all()

    # For facades

    @property
    def guard(self) -> AbstractContextManager[object]:
        """Nothing to hold: there is only one thread."""
        return nullcontext()

    @property
    def progress(self) -> TurningBell:
        """What rings each time that something has happened, and at the end."""
        return self._progress

    def make_bell(self) -> TurningBell:
        """Make a bell for which to wait is to turn."""
        return TurningBell(self)

    # For a loop of the program

    @property
    def deadline(self) -> float | None:
        """When `ready` is to be called at the latest, on the driver's clock; None: no need."""
        return None if self._closing else self._engine.deadline

    def timeout(self) -> float | None:
        """Give how long the program may wait, in seconds; None: until something comes."""
        deadline = self.deadline
        return None if deadline is None else max(0.0, deadline - self._clock())

    def ready(self, ready: Iterable[tuple[selectors.SelectorKey, int]] = ()) -> None:
        """Handle what the program's `select` has given, and what is due.

        Keys of others are passed over. Raises DriverFailed.
        """
        own = [(key.fileobj, events) for key, events in ready if key.data is self]
        self._take(self._watcher.sift(own))  # type: ignore[arg-type]

    # For a program that waits here

    def turn(self, timeout: float | None = None) -> None:
        """Wait until something has come or is due, at most `timeout` seconds; handle that.

        Raises DriverFailed.
        """
        self._refuse_reentry()
        if self._closing:
            return
        waits = [wait for wait in (timeout, self.timeout()) if wait is not None]
        self._take(self._watcher.select(min(waits, default=None)))

    def wait_until(self, predicate: Callable[[], bool], timeout: float | None = None) -> bool:
        """Turn until `predicate` is true of the machine, the driver ends or time is out.

        `predicate` is called after each turn; gives what it gave last. `timeout` is in seconds;
        None waits as long as it takes, 0 looks once for what has come. Raises DriverFailed.
        """
        self._refuse_reentry()
        until = None if timeout is None else time.monotonic() + timeout
        while not (self._closing or predicate()):
            left = None if until is None else until - time.monotonic()
            self.turn(left)
            if left is not None and left <= 0:
                break
        self._raise_failure()
        return predicate()

    def wake(self) -> None:
        """Have `turn`, or the program's selector, return soon. May be called from any thread."""
        self._watcher.wake()

    # Helpers

    def _take(self, ready: list[Ready]) -> None:
        self._refuse_reentry()
        if not self._closing:
            self._handle(ready)
            self._raise_failure()

    def _wake_by(self, deadline: float | None) -> None:
        """Do nothing: `timeout` is asked before each wait."""

    def _release(self) -> None:
        self._watcher.close()
        self._port.close()


class TurningBell:
    """Turns the driver until something has come."""

    __slots__ = ("_driver",)

    def __init__(self, driver: SelectorsDriver) -> None:
        self._driver = driver

    def ring(self) -> None:
        """Do nothing: it is looked at after each turn."""

    async def wait_until(self, predicate: Callable[[], bool], timeout: float | None) -> bool:
        """Turn until `predicate` is true, or for `timeout` seconds; give what it gave last."""
        return self._driver.wait_until(predicate, timeout)
