"""The driver for programs that use threads and calls that block.

    driver = BlockingDriver(machine, UdpPort(open_udp_socket("127.0.0.1", 0)), notices.put)
    driver.perform(Call(address))
    notices.get()
    driver.close()

It runs any machine, and owns one thread, which waits until the port has something to read or the
machine's deadline has come. So acknowledgements and keepalives go out while the program computes.
An idle driver sleeps in the kernel and wakes up for nothing else.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from typing import Final, TypeVar

from palaver.machine import Event, Machine, Notice

from .driver import Driver
from .engine import Injector
from .port import Port, Ready
from .watching import DeferredWatcher

_NEVER: Final = float("inf")

T = TypeVar("T")


class BlockingDriver(Driver):
    """Runs `machine` on `port`, which it takes over and closes, in a thread of its own.

    Every method may be called from any thread. Within `on_notice` only `post` and `close` may:
    the others raise UsageError there.

    A KeyboardInterrupt that hits a verb at work can lose notices of that verb.
    """

    takes_threads = True

    def __init__(
        self,
        machine: Machine,
        port: Port,
        on_notice: Callable[[Notice], object],
        *,
        injector: Injector | None = None,
        clock: Callable[[], float] = time.monotonic,
        on_failure: Callable[[BaseException], object] | None = None,
    ) -> None:
        """Start; the arguments are those of `Driver`."""
        self._lock = threading.RLock()
        super().__init__(machine, port, on_notice, injector, clock, on_failure)
        self._progress = self.make_bell()
        # All that follows, and all of the base class, is guarded by the lock.
        self._wakes_at = -_NEVER  # when the thread looks again by itself
        with ExitStack() as undo:
            undo.callback(port.close)
            self._watcher = DeferredWatcher()
            undo.callback(self._watcher.close)
            port.start(self._watcher, clock)
            self._thread = threading.Thread(target=self._run, name="palaver-driver", daemon=True)
            self._thread.start()
            undo.pop_all()

    # For facades

    @property
    def guard(self) -> AbstractContextManager[object]:
        """What to hold so that no notice comes meanwhile; `perform` may be called within."""
        return self._lock

    @property
    def progress(self) -> ConditionBell:
        """What rings each time that something has happened, and at the end."""
        return self._progress

    def make_bell(self) -> ConditionBell:
        """Make a bell on which threads wait."""
        return ConditionBell(self._lock)

    # The face

    def inspect(self, getter: Callable[[], T]) -> T:
        """Give what `getter` gives, called while nothing happens to the machine."""
        with self._lock:
            return super().inspect(getter)

    def perform(self, event: Event) -> list[Notice]:
        """Hand `event` to the machine, perform what it causes and give the notices among that."""
        with self._lock:
            return super().perform(event)

    def post(self, event: Event) -> None:
        """Hand `event` to the machine: now, or within `on_notice` as soon as that has returned."""
        with self._lock:
            super().post(event)

    def wait_until(self, predicate: Callable[[], bool], timeout: float | None = None) -> bool:
        """Wait until `predicate` is true of the machine, the driver ends or time is out.

        `predicate` is called as by `inspect`, each time that something has happened; gives what
        it gave last. `timeout` is in seconds; None waits as long as it takes. Raises DriverFailed.
        """
        with self._lock:
            self._refuse_reentry()
            self._progress.wait_for(lambda: self._closing or predicate(), timeout)
            self._raise_failure()
            return predicate()

    def wake(self) -> None:
        """Have the predicates of all who wait looked at again."""
        with self._lock:
            self._progress.ring()

    def close(self) -> None:
        """Stop now, close the port and wait until the thread has ended. Sends nothing.

        Closing twice does nothing. Within `on_notice` it does not wait. Raises DriverFailed if
        the driver had failed and nobody was told.
        """
        with self._lock:
            self._closing = True
            self._watcher.wake()
            self._progress.ring()
            waits = not self._busy
        if waits:
            self._thread.join()
            if not self._failure_told:
                self._raise_failure()

    # The thread

    def _run(self) -> None:
        ready: list[Ready] = []
        while (wait := self._turn(ready)) is not None:
            ready = self._watcher.select(wait)
        with self._lock:
            self._watcher.close()
            self._port.close()
        if self._failure and not self._failure_told and self._on_failure is None:
            raise self._failure  # for threading.excepthook: somebody ought to see it

    def _turn(self, ready: list[Ready]) -> float | None:
        """Handle what has come; give for how long to wait, in seconds, or None at the end."""
        with self._lock:
            self._wakes_at = -_NEVER  # nobody need wake this thread
            if not self._closing:
                self._handle(ready)
            if self._closing:
                return None
            deadline = self._engine.deadline
            self._wakes_at = _NEVER if deadline is None else deadline
            return self._wakes_at - self._clock()

    # Under the lock

    def _wake_by(self, deadline: float | None) -> None:
        if deadline is not None and deadline < self._wakes_at:
            self._wakes_at = deadline
            self._watcher.wake()

    def _release(self) -> None:
        self._watcher.wake()  # the thread does it


class ConditionBell:
    """Wakes up threads that wait for something."""

    __slots__ = ("_condition",)

    def __init__(self, lock: threading.RLock) -> None:
        self._condition = threading.Condition(lock)

    def ring(self) -> None:
        """Have all who wait look again at what they wait for."""
        self._condition.notify_all()

    def wait_for(self, predicate: Callable[[], bool], timeout: float | None) -> bool:
        """Wait until `predicate` is true, or for `timeout` seconds; give what it gave last."""
        with self._condition:
            return self._condition.wait_for(predicate, timeout)

    async def wait_until(self, predicate: Callable[[], bool], timeout: float | None) -> bool:
        """Do as `wait_for`, and never suspend."""
        return self.wait_for(predicate, timeout)
