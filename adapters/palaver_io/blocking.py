"""The driver for programs that use threads and calls that block.

    driver = BlockingDriver(machine, open_udp_socket("127.0.0.1", 0), notices.put)
    driver.perform(Call(address))
    notices.get()
    driver.close()

It runs any machine, and owns one thread, which waits until the socket has something to read or
the machine's deadline has come. So acknowledgements and keepalives go out while the program
computes. An idle driver sleeps in the kernel and wakes up for nothing else.

Why the thread waits for two descriptors, the socket and a pair to wake it up by, and not simply in
`recvfrom`: a verb that moves the deadline forward, and `close`, must get the thread out of there.
All that could is a datagram from the socket to itself, and that fails just when the network does:
when the address of the socket has left the host, when a firewall minds, when the receive buffer
is full. A pair always works, on every system.
"""

from __future__ import annotations

import selectors
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Final, TypeVar

from palaver.machine import Address, Event, Machine, Notice, UsageError, WouldBlock

from .engine import Engine, Injector
from .errors import DriverFailed
from .udp import UdpPort

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

_BATCH: Final = 256  # datagrams that are read before the tick that answers them
_LONGEST_WAIT: Final = 86400.0  # seconds; some systems can't wait for a month at once
_NEVER: Final = float("inf")

T = TypeVar("T")


class BlockingDriver:
    """Runs `machine` on the UDP socket `sock`, which it takes over and closes.

    Every method may be called from any thread. Within `on_notice` only `post` and `close` may:
    the others raise UsageError there.

    A KeyboardInterrupt that hits a verb at work can lose notices of that verb.
    """

    def __init__(
        self,
        machine: Machine,
        sock: socket.socket,
        on_notice: Callable[[Notice], object],
        *,
        injector: Injector | None = None,
        clock: Callable[[], float] = time.monotonic,
        on_failure: Callable[[BaseException], object] | None = None,
    ) -> None:
        """Start.

        `on_notice` gets every notice, in order, one at a time, from whichever thread caused it.
        It holds up everything, so it must be quick and must not wait; `queue.put` will do.
        `injector` spoils what is sent. `clock` is in seconds. `on_failure` gets what the machine
        or `on_notice` raised, when that has stopped the driver.
        """
        self._port = UdpPort(sock)
        self.address: Address = self._port.address
        """Where the socket is bound."""
        self._engine = Engine(machine, self._port, on_notice, injector, clock)
        self._clock = clock
        self._on_failure = on_failure
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        # All that follows is guarded by the lock.
        self._busy = False  # the holder of the lock is inside of the engine
        self._wakes_at = -_NEVER  # when the thread looks again by itself
        self._closing = False
        self._failure: BaseException | None = None
        self._failure_told = False
        self._wake_out, self._wake_in = socket.socketpair()
        self._selector = selectors.DefaultSelector()
        try:
            for end in (self._wake_out, self._wake_in):
                end.settimeout(0)
            self._selector.register(self._wake_out, selectors.EVENT_READ)
            self._selector.register(self._port, selectors.EVENT_READ)
            self._thread = threading.Thread(target=self._run, name="palaver-driver", daemon=True)
            self._thread.start()
        except BaseException:
            self._release()
            raise

    # Getters

    @property
    def traffic(self) -> dict[str, int]:
        """Datagrams so far: sent and received, dropped for want of room, failed otherwise."""
        names = ("sent", "received", "dropped", "failed")
        return {name: getattr(self._port, name) for name in names}

    def inspect(self, getter: Callable[[], T]) -> T:
        """Give what `getter` gives, called while nothing happens to the machine."""
        with self._lock:
            self._refuse_reentry()
            return getter()

    # Verbs

    def perform(self, event: Event) -> list[Notice]:
        """Hand `event` to the machine, perform what it causes and give the notices among that.

        Those notices have also gone to `on_notice`. Raises what the machine raises for the event
        (UsageError, WouldBlock), and nothing has changed then; UsageError when the driver is
        closed; DriverFailed when it has failed.
        """
        with self._lock:
            self._refuse_reentry()
            self._raise_failure()
            if self._closing:
                raise UsageError("the driver is closed")
            self._busy = True
            try:
                notices = self._engine.command(event)
                self._wake_by(self._engine.deadline)
            except (UsageError, WouldBlock):
                raise
            except Exception as exc:
                self._fail(exc)
                self._failure_told = True
                raise DriverFailed(f"the driver has stopped: {exc!r}") from exc
            finally:
                self._busy = False
                self._changed.notify_all()
            return notices

    def post(self, event: Event) -> None:
        """Hand `event` to the machine: now, or within `on_notice` as soon as that has returned.

        Within `on_notice`, an event that the machine refuses stops the driver.
        """
        with self._lock:
            if self._busy:
                self._engine.post(event)
            else:
                self.perform(event)

    def wait_until(self, predicate: Callable[[], bool], timeout: float | None = None) -> bool:
        """Wait until `predicate` is true of the machine, the driver ends or time is out.

        `predicate` is called as by `inspect`, each time that something has happened; gives what
        it gave last. `timeout` is in seconds; None waits as long as it takes. Raises DriverFailed.
        """
        with self._lock:
            self._refuse_reentry()
            self._changed.wait_for(lambda: self._closing or predicate(), timeout)
            self._raise_failure()
            return predicate()

    def close(self) -> None:
        """Stop now, close the socket and wait until the thread has ended. Sends nothing.

        Closing twice does nothing. Within `on_notice` it does not wait. Raises DriverFailed if
        the driver had failed and no verb has told.
        """
        with self._lock:
            self._closing = True
            self._wake()
            self._changed.notify_all()
            waits = not self._busy
        if waits:
            self._thread.join()
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

    # The thread

    def _run(self) -> None:
        ready: set[object] = set()
        try:
            while (wait := self._turn(ready)) is not None:
                ready = {key.fileobj for key, _ in self._selector.select(wait)}
        except Exception as exc:  # noqa: BLE001 - the next verb is told
            with self._lock:
                self._fail(exc)
        finally:
            with self._lock:
                self._closing = True
                self._changed.notify_all()
                self._release()
        if self._failure and not self._failure_told and self._on_failure is None:
            raise self._failure  # for threading.excepthook: somebody ought to see it

    def _turn(self, ready: set[object]) -> float | None:
        """Handle what has come; give for how long to wait, in seconds, or None at the end."""
        with self._lock:
            if self._closing:
                return None
            self._busy = True
            try:
                if self._wake_out in ready:
                    self._wake_out.recv(4096)
                self._engine.handle(self._port.receive(_BATCH) if self._port in ready else ())
                deadline = self._engine.deadline
            finally:
                self._busy = False
                self._changed.notify_all()
            self._wakes_at = _NEVER if deadline is None else deadline
            return max(0.0, min(self._wakes_at - self._clock(), _LONGEST_WAIT))

    # Under the lock

    def _wake_by(self, deadline: float | None) -> None:
        if deadline is not None and deadline < self._wakes_at:
            self._wakes_at = deadline
            self._wake()

    def _wake(self) -> None:
        # If there is no room for another byte, the thread will wake up anyway.
        with suppress(OSError):
            self._wake_in.send(b"\0")

    def _fail(self, exc: Exception) -> None:
        self._failure = exc
        self._closing = True
        self._wake()
        if self._on_failure is not None:
            self._on_failure(exc)

    def _raise_failure(self) -> None:
        if self._failure is not None:
            self._failure_told = True
            raise DriverFailed(f"the driver has stopped: {self._failure!r}") from self._failure

    def _refuse_reentry(self) -> None:
        if self._busy:
            raise UsageError("not within on_notice: post() the event instead")

    def _release(self) -> None:
        self._selector.close()
        self._wake_in.close()
        self._wake_out.close()
        self._port.close()
