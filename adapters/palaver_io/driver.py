"""What all drivers share: everything but waiting.

A driver runs any machine on any port: it waits for what the port has to read, for room where the
port has to write, or for the deadline; hands what came to the engine; and waits again. How it
waits is what the drivers differ in, and all that they differ in:

* `BlockingDriver` has a thread for it. Every method may be called from any thread.
* `SelectorsDriver` waits within `turn` and `wait_until`, in the program's thread.
* `AsyncioDriver` leaves it to the event loop, in whose thread it lives.

The face is the same: `perform`, `post`, `inspect`, `wait_until`, `wake`, `close`, `address`,
`traffic`. `wait_until` is a coroutine function with asyncio. `wake` may always be called from any
thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from palaver.machine import Address, Event, Machine, Notice, UsageError, WouldBlock

from .engine import Engine, Injector
from .errors import DriverFailed
from .port import Port, Ready

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

BATCH: Final = 256  # datagrams that are read before the tick that answers them

T = TypeVar("T")


class Bell(Protocol):
    """How those who wait for one and the same thing hear that it may have come."""

    def ring(self) -> None:
        """Have all who wait look again; within `on_notice`, or under the driver's guard."""

    async def wait_until(self, predicate: Callable[[], bool], timeout: float | None) -> bool:
        """Wait until `predicate` is true, or for `timeout` seconds; give what it gave last.

        It suspends with asyncio only; otherwise the call blocks. Raises DriverFailed.
        """


class Driver:
    """Runs `machine` on `port`, which it takes over and closes; by one thread at a time.

    Subclasses wait, and call `_handle` for what has come and for the deadline.
    """

    def __init__(
        self,
        machine: Machine,
        port: Port,
        on_notice: Callable[[Notice], object],
        injector: Injector | None,
        clock: Callable[[], float],
        on_failure: Callable[[BaseException], object] | None,
    ) -> None:
        """Begin; the subclass starts the port.

        `on_notice` gets every notice, in order, one at a time, from whatever caused it. It holds
        up everything, so it must be quick and must not wait; `queue.put` will do. `injector`
        spoils what is sent. `clock` is in seconds. `on_failure` gets what the machine or
        `on_notice` raised, when that has stopped the driver. Raises UsageError for an injector on
        a port that is not lossy.
        """
        self._port = port
        try:
            self.address: Address = port.address
            """Where the port can be reached."""
            self._engine = Engine(machine, port, on_notice, injector, clock)
        except BaseException:
            port.close()
            raise
        self._clock = clock
        self._on_failure = on_failure
        self._busy = False  # inside of the engine
        self._closing = False
        self._failure: BaseException | None = None
        self._failure_told = False

    # Getters

    takes_threads = False
    """Whether verbs may be called from any thread."""

    @property
    def is_closed(self) -> bool:
        """Whether the driver has ended, or failed, or is about to."""
        return self._closing

    @property
    def is_idle(self) -> bool:
        """Whether no connection is being closed; with an idle machine, nothing is left to do."""
        return self._port.is_idle

    @property
    def traffic(self) -> dict[str, int]:
        """Datagrams so far: sent and received, dropped for want of room, failed otherwise."""
        return self._port.traffic

    def inspect(self, getter: Callable[[], T]) -> T:
        """Give what `getter` gives, called while nothing happens to the machine."""
        self._refuse_reentry()
        return getter()

    # For facades

    @property
    def guard(self) -> AbstractContextManager[object]:
        """What to hold so that no notice comes meanwhile; `perform` may be called within."""
        raise NotImplementedError

    @property
    def progress(self) -> Bell:
        """What rings each time that something has happened, and at the end."""
        raise NotImplementedError

    def make_bell(self) -> Bell:
        """Make a bell on which to wait in this driver's way."""
        raise NotImplementedError

    # Verbs

    def perform(self, event: Event) -> list[Notice]:
        """Hand `event` to the machine, perform what it causes and give the notices among that.

        Those notices have also gone to `on_notice`. Raises what the machine raises for the event
        (UsageError, WouldBlock), and nothing has changed then; UsageError when the driver is
        closed; DriverFailed when it has failed.
        """
        self._refuse_reentry()
        self._raise_failure()
        if self._closing:
            raise UsageError("the driver is closed")
        self._busy = True
        try:
            notices = self._command(event)
        except (UsageError, WouldBlock):
            raise
        except Exception as exc:
            self._fail(exc)
            self._failure_told = True
            raise self._make_failure() from exc
        finally:
            self._leave()
        return notices

    def post(self, event: Event) -> None:
        """Hand `event` to the machine: now, or within `on_notice` as soon as that has returned.

        Within `on_notice`, an event that the machine refuses stops the driver.
        """
        if self._busy:
            self._engine.post(event)
        else:
            self.perform(event)

    def close(self) -> None:
        """Stop now and close the port. Sends nothing; closing twice does nothing.

        Raises DriverFailed if the driver had failed and nobody was told.
        """
        self._closing = True
        if not self._busy:
            self._leave()
            if not self._failure_told:
                self._raise_failure()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self.close()
        except DriverFailed:
            if exc is None:
                raise

    # For subclasses

    def _command(self, event: Event) -> list[Notice]:
        """Perform a user's event, and all that it causes."""
        notices = self._engine.command(event)
        self._wake_by(self._engine.deadline)
        return notices

    def _handle(self, ready: Iterable[Ready]) -> None:
        """Take what has come on these sockets, and what is due. A failure only stops the driver."""
        self._busy = True
        try:
            self._engine.handle(self._port.take(ready, BATCH))
            self._wake_by(self._engine.deadline)
        except Exception as exc:  # noqa: BLE001 - the next verb is told
            self._fail(exc)
        finally:
            self._leave()

    def _leave(self) -> None:
        """Come out of the engine, or begin to close."""
        self._busy = False
        if self._closing:
            self._release()
        self.progress.ring()

    def _fail(self, exc: Exception) -> None:
        self._failure = exc
        self._closing = True
        if self._on_failure is not None:
            self._on_failure(exc)

    def _raise_failure(self) -> None:
        if self._failure is not None:
            self._failure_told = True
            raise self._make_failure() from self._failure

    def _make_failure(self) -> DriverFailed:
        return DriverFailed(f"the driver has stopped: {self._failure!r}")

    def _refuse_reentry(self) -> None:
        if self._busy:
            raise UsageError("not within on_notice: post() the event instead")

    def _wake_by(self, deadline: float | None) -> None:
        """See to it that `_handle` is called at `deadline` at the latest."""
        raise NotImplementedError

    def _release(self) -> None:
        """Stop waiting and close the port, if that was not done; called with `_closing` set."""
        raise NotImplementedError
