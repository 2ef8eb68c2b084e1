"""What the tests of the drivers share: small machines, and a check that nothing is left behind."""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from palaver import Action, Datagram, Event, Notice, Tick, Timing, Transmit, Unreachable
from palaver.machine import StateMachine, UsageError
from palaver.values import value
from palaver_io import BlockingDriver, DriverFailed, open_udp_socket

PATIENCE = 20.0  # seconds; what should happen at once fails the test after this

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


Start = Callable[..., BlockingDriver]


@contextmanager
def drivers_that_end() -> Iterator[Start]:
    """Give what starts a driver of a machine; all of them are closed at the end."""
    drivers: list[BlockingDriver] = []

    def start(
        machine: Recorder,
        on_notice: Callable[[Notice], object],
        **more: Any,  # noqa: ANN401 - passed on
    ) -> BlockingDriver:
        sock = open_udp_socket("127.0.0.1", 0)
        drivers.append(BlockingDriver(machine, sock, on_notice, **more))
        return drivers[-1]

    yield start
    for driver in drivers:
        try:
            driver.close()
        except DriverFailed:
            driver.close()
