"""What the tests of the drivers share: small machines, and a check that nothing is left behind."""

from __future__ import annotations

import asyncio
import socket
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, TypeVar

import pytest

from palaver import (
    Action,
    Address,
    Datagram,
    Event,
    Machine,
    Notice,
    Tick,
    Timing,
    Transmit,
    Unreachable,
)
from palaver.machine import StateMachine, UsageError
from palaver.values import value
from palaver_io import (
    BlockingDriver,
    DriverFailed,
    SelectorsDriver,
    UdpPort,
    open_udp_socket,
)
from palaver_io.aio import AsyncioDriver
from palaver_io.port import Port

T = TypeVar("T")

PATIENCE = 20.0  # seconds; what should happen at once fails the test after this

# Patient with a busy machine, and quick to end.
STEADY = Timing(linger_min=0.01, linger_max=0.05)
# A peer is soon missed: only where that is waited for.
FAST = Timing(linger_min=0.01, linger_max=0.05, close_flush=2.0, dead_peer=1.0, probe_cap=0.2)


def _open_files() -> set[str]:
    folder = Path("/proc/self/fd")
    if not folder.exists():
        return set()
    return {f"{one.name} {one.readlink()}" for one in folder.iterdir() if one.is_symlink()}


@contextmanager
def leaving_nothing_behind() -> Iterator[None]:
    threads, files = set(threading.enumerate()), _open_files()
    yield
    assert set(threading.enumerate()) <= threads
    sockets = {one for one in _open_files() - files if "socket" in one or "anon_inode" in one}
    assert not sockets


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


ON_LINUX = sys.platform == "linux"


@value
class Do(Event):
    """Give this notice at once."""

    text: str


@value
class Ring(Event):
    """Give a notice when the time has come."""

    at: float


@value
class Emit(Event):
    """Send this at the next tick."""

    transmit: Transmit


@value
class Refuse(Event):
    """Raise UsageError."""


@value
class Break(Event):
    """Raise something else: now, or at a tick."""

    at_tick: bool = False


@value
class Told(Notice):
    text: str


class Recorder(StateMachine):
    """Does as it is told, and writes down every event."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[Event] = []
        self.due: float | None = None
        self.outgoing: list[Transmit] = []
        self.broken = False

    @property
    def deadline(self) -> float | None:
        return self.due

    def _take(self, event: Event, now: float, out: list[Action]) -> None:
        if isinstance(event, Refuse):
            raise UsageError("refused")
        self.events.append(event)
        if isinstance(event, Do):
            out.append(Told(event.text))
        elif isinstance(event, Ring):
            self.due = event.at
        elif isinstance(event, Emit):
            self.outgoing.append(event.transmit)
            self.due = now
        elif isinstance(event, Break):
            if not event.at_tick:
                raise ZeroDivisionError("a bug")
            self.broken = True
            self.due = now + 0.01
        elif isinstance(event, Datagram):
            self.due = now
        elif isinstance(event, Tick) and self.due is not None and now >= self.due:
            self.due = None
            if self.broken:
                raise ZeroDivisionError("a bug")
            out += self.outgoing or [Told("tick")]
            self.outgoing = []
        elif isinstance(event, Unreachable):
            out.append(Told(f"unreachable {event.address[1]}"))


# Drivers, all with the face of the blocking one


class LoopWithoutReaders(asyncio.SelectorEventLoop):
    """As the default loop of Windows: it can't watch sockets."""

    def add_reader(self, *_: Any) -> None:  # type: ignore[override]  # noqa: ANN401
        raise NotImplementedError

    add_writer = remove_reader = remove_writer = add_reader  # type: ignore[assignment]


def make_uvloop() -> asyncio.AbstractEventLoop:
    uvloop = pytest.importorskip("uvloop", reason="uvloop is not installed")
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop


LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.SelectorEventLoop,
    "asyncio-without-readers": LoopWithoutReaders,
    "asyncio-uvloop": make_uvloop,
}


def skip_without(kind: str) -> None:
    """Skip the test if there is no such event loop here."""
    if kind in LOOPS:
        LOOPS[kind]().close()


class LoopThread:
    """An event loop in a thread of its own, for tests that are told in blocking calls."""

    def __init__(self, make_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
        self.loop = make_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="test-loop")
        self._thread.start()

    @property
    def is_here(self) -> bool:
        return threading.current_thread() is self._thread

    def run(self, coroutine: Coroutine[Any, Any, T], patience: float | None = None) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(patience)

    def call(self, function: Callable[[], T]) -> T:
        """Call `function` in the loop's thread."""
        if self.is_here:
            return function()

        async def call() -> T:
            return function()

        return self.run(call())

    def close(self) -> None:
        async def tasks_left() -> int:
            return len(asyncio.all_tasks()) - 1

        if not self.loop.is_closed():
            left = self.run(tasks_left())
            self.loop.call_soon_threadsafe(self.loop.stop)
            self._thread.join(PATIENCE)
            self.loop.close()
            assert not left


class LoopedDriver:
    """An asyncio driver with the face of a blocking one."""

    def __init__(
        self,
        make_loop: Callable[[], asyncio.AbstractEventLoop],
        machine: Machine,
        port: Port,
        on_notice: Callable[[Notice], object],
        **more: Any,  # noqa: ANN401 - passed on
    ) -> None:
        self._loop = LoopThread(make_loop)
        try:
            self._driver = self._loop.call(
                lambda: AsyncioDriver(machine, port, on_notice, loop=self._loop.loop, **more)
            )
        except BaseException:
            self._loop.close()
            raise
        self.address = self._driver.address
        self.wake = self._driver.wake

    @property
    def traffic(self) -> dict[str, int]:
        return self._driver.traffic

    def perform(self, event: Event) -> list[Notice]:
        return self._loop.call(lambda: self._driver.perform(event))

    def post(self, event: Event) -> None:
        return self._loop.call(lambda: self._driver.post(event))

    def inspect(self, getter: Callable[[], T]) -> T:
        return self._loop.call(lambda: self._driver.inspect(getter))

    def wait_until(self, predicate: Callable[[], bool], timeout: float | None = None) -> bool:
        if self._loop.is_here:
            self._driver._refuse_reentry()
        if self._loop.loop.is_closed():
            return predicate()
        return self._loop.run(self._driver.wait_until(predicate, timeout))

    def close(self) -> None:
        if self._loop.loop.is_closed():
            return
        try:
            self._loop.call(self._driver.close)
        finally:
            if not self._loop.is_here:
                self._loop.close()


class AnyDriver(Protocol):
    """What the tests use of any of them."""

    address: Address

    @property
    def traffic(self) -> dict[str, int]: ...
    def perform(self, event: Event) -> list[Notice]: ...
    def post(self, event: Event) -> None: ...
    def inspect(self, getter: Callable[[], T]) -> T: ...
    def wait_until(self, predicate: Callable[[], bool], timeout: float | None = None) -> bool: ...
    def wake(self) -> None: ...
    def close(self) -> None: ...


KINDS = ["blocking", "selectors", *LOOPS]


def make_driver(kind: str, *arguments: Any, **more: Any) -> AnyDriver:  # noqa: ANN401
    if kind in LOOPS:
        return LoopedDriver(LOOPS[kind], *arguments, **more)
    if kind == "selectors":
        return SelectorsDriver(*arguments, **more)
    return BlockingDriver(*arguments, **more)


Start = Callable[..., AnyDriver]


@contextmanager
def drivers_that_end(kind: str = "blocking") -> Iterator[Start]:
    """Give what starts a driver of a machine; all of them are closed at the end."""
    skip_without(kind)
    drivers: list[AnyDriver] = []

    def start(
        machine: Recorder,
        on_notice: Callable[[Notice], object],
        port: Port | None = None,
        **more: Any,  # noqa: ANN401 - passed on
    ) -> AnyDriver:
        port = port or UdpPort(open_udp_socket("127.0.0.1", 0))
        drivers.append(make_driver(kind, machine, port, on_notice, **more))
        return drivers[-1]

    yield start
    for driver in drivers:
        try:
            driver.close()
        except DriverFailed:
            driver.close()
