"""The driver for asyncio, on any event loop.

    driver = AsyncioDriver(machine, UdpPort(open_udp_socket("127.0.0.1", 0)), notices.append)
    driver.perform(Call(address))
    await driver.wait_until(lambda: notices)

It makes no tasks: the loop calls it when a socket is ready or the deadline has come, and each call
reads all that is there. (An asyncio transport would hand over one datagram per turn of the loop.)
What is performed within one turn of the loop leaves at its end, so that messages share packets.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Final

from palaver.machine import Event, Machine, Notice

from .driver import Driver
from .engine import Injector
from .loop_watching import LoopWatcher
from .port import Port, Ready

_NEVER: Final = float("inf")
_SHORTEST_WAIT: Final = 0.001  # seconds; loops round to it, and must not come back too early


class AsyncioDriver(Driver):
    """Runs `machine` on `port`, which it takes over and closes, in an event loop.

    Any task of that loop may use it; from other threads only `wake` may be called. Within
    `on_notice` only `post` and `close` may: the others raise UsageError there. Cancelling who waits
    does nothing else.
    """

    def __init__(
        self,
        machine: Machine,
        port: Port,
        on_notice: Callable[[Notice], object],
        *,
        loop: asyncio.AbstractEventLoop | None = None,
        injector: Injector | None = None,
        clock: Callable[[], float] | None = None,
        on_failure: Callable[[BaseException], object] | None = None,
    ) -> None:
        """Start in `loop`, by default the one that runs; the other arguments are those of `Driver`.

        The clock is that of the loop, if none is given. A failure that nobody would see goes to
        the loop's exception handler.
        """
        try:
            self._loop = loop or asyncio.get_running_loop()
        except RuntimeError:
            port.close()
            raise
        super().__init__(machine, port, on_notice, injector, clock or self._loop.time, on_failure)
        self._progress = self.make_bell()
        self._wakes_at = _NEVER
        self._timer: asyncio.TimerHandle | None = None
        self._settling: asyncio.Handle | None = None
        self._watcher = LoopWatcher(self._loop, self._take)
        try:
            port.start(self._watcher, self._clock)
            self._wake_by(self._engine.deadline)
        except BaseException:
            self._release()
            raise

    # For facades

    @property
    def guard(self) -> AbstractContextManager[object]:
        """Nothing to hold: there is only one thread."""
        return nullcontext()

    @property
    def progress(self) -> FutureBell:
        """What rings each time that something has happened, and at the end."""
        return self._progress

    def make_bell(self) -> FutureBell:
        """Make a bell on which tasks wait."""
        return FutureBell(self._loop)

    # The face

    async def wait_until(self, predicate: Callable[[], bool], timeout: float | None = None) -> bool:
        """Wait until `predicate` is true of the machine, the driver ends or time is out.

        `predicate` is called each time that something has happened; gives what it gave last.
        `timeout` is in seconds; None waits as long as it takes. Raises DriverFailed.
        """
        self._refuse_reentry()
        await self._progress.wait_until(lambda: self._closing or predicate(), timeout)
        self._raise_failure()
        return predicate()

    def wake(self) -> None:
        """Have the predicates of all who wait looked at again. May be called from any thread."""
        with suppress(RuntimeError):  # the loop is closed, so nobody waits
            self._loop.call_soon_threadsafe(self._progress.ring)

    # Called by the loop

    def _take(self, ready: list[Ready]) -> None:
        if self._closing:
            return
        self._settled()
        self._handle(ready)
        if self._failure and not self._failure_told and self._on_failure is None:
            about = {"message": "a Palaver driver has stopped", "exception": self._failure}
            self._loop.call_exception_handler(about)

    def _on_time(self) -> None:
        self._wakes_at = _NEVER
        self._take([])

    # Helpers

    def _command(self, event: Event) -> list[Notice]:
        notices = self._engine.begin(event)
        if self._settling is None:
            # Not call_later: what is to leave now goes before any timer.
            self._settling = self._loop.call_soon(self._take, [])
        return notices

    def _settled(self) -> bool:
        """Take note that the engine settles now; give whether it had to."""
        settling, self._settling = self._settling, None
        if settling is not None:
            settling.cancel()
        return settling is not None

    def _wake_by(self, deadline: float | None) -> None:
        if deadline is None or deadline >= self._wakes_at:
            return
        self._wakes_at = deadline
        if self._timer is not None:
            self._timer.cancel()
        wait = deadline - self._clock()
        wait = max(wait, _SHORTEST_WAIT) if wait > 0 else 0.0
        self._timer = self._loop.call_later(wait, self._on_time)

    def _release(self) -> None:
        if self._settled() and self._failure is None:
            self._send_the_rest()
        if self._timer is not None:
            self._timer.cancel()
        self._watcher.close()
        self._port.close()

    def _send_the_rest(self) -> None:
        self._busy = True
        try:
            self._engine.handle(())
        except Exception as exc:  # noqa: BLE001 - as in _handle
            self._fail(exc)
        finally:
            self._busy = False


class FutureBell:
    """Wakes up tasks that wait for something. Belongs to the thread of the loop."""

    __slots__ = ("_loop", "_waiting")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: set[asyncio.Future[None]] = set()

    def ring(self) -> None:
        """Have all who wait look again at what they wait for."""
        with suppress(RuntimeError):  # the loop is closed, so that nobody goes on waiting
            for future in self._waiting:
                _resolve(future)

    async def wait_until(self, predicate: Callable[[], bool], timeout: float | None = None) -> bool:
        """Wait until `predicate` is true, or for `timeout` seconds; give what it gave last."""
        if timeout is not None and timeout <= 0:
            for _ in range(2):  # once to look at the sockets, once to be called for them
                await asyncio.sleep(0)
            return predicate()
        until = None if timeout is None else self._loop.time() + timeout
        while not predicate():
            if until is not None and self._loop.time() >= until:
                return False
            future = self._loop.create_future()
            timer = None if until is None else self._loop.call_at(until, _resolve, future)
            self._waiting.add(future)
            try:
                await future
            finally:
                self._waiting.discard(future)
                if timer is not None:
                    timer.cancel()
        return True


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
