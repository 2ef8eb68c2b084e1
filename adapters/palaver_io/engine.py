"""What every driver does with a machine, without waiting and without a thread.

    engine.handle(events)       # datagrams, hints, or nothing: the time has come
    engine.deadline             # when to call it again at the latest
    engine.command(event)       # a user's verb, and all that it causes

An engine belongs to one thread at a time, and has no branch on protocol or role.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from heapq import heappop, heappush
from typing import Protocol

from palaver.machine import (
    Action,
    Address,
    Disconnect,
    Event,
    Hold,
    Machine,
    Notice,
    OpenStream,
    Tick,
    Transmit,
    UsageError,
    WouldBlock,
)

from .port import Port


class Injector(Protocol):
    """What spoils datagrams on purpose: `palaver.sim.FaultInjector`."""

    def apply(self, data: bytes, now: float) -> list[tuple[float, bytes]]:
        """Give the copies to send, each with the time for it."""


class Engine:
    """A machine, the port it sends from, and the program that it notifies.

    Raises UsageError for an `injector` on a port that loses nothing by itself.
    """

    __slots__ = (
        "_clock",
        "_delayed",
        "_delayed_count",
        "_injector",
        "_machine",
        "_on_notice",
        "_port",
        "_posted",
        "deadline",
    )

    def __init__(
        self,
        machine: Machine,
        port: Port,
        on_notice: Callable[[Notice], object],
        injector: Injector | None,
        clock: Callable[[], float],
    ) -> None:
        if injector is not None and not port.is_lossy:
            raise UsageError(
                "faults can't be injected into TCP, which would repair them: use UDP for that"
            )
        self._machine = machine
        self._port = port
        self._on_notice = on_notice
        self._injector = injector
        self._clock = clock
        self._posted: deque[Event] = deque()
        # Copies that the injector holds back: release, a number to keep the order, data, address.
        self._delayed: list[tuple[float, int, bytes, Address]] = []
        self._delayed_count = 0
        self.deadline = machine.deadline
        """When `handle(())` is next due, if ever."""

    def post(self, event: Event) -> None:
        """Have `event` handled right after the notices at hand; for use within `on_notice`."""
        self._posted.append(event)

    def command(self, event: Event) -> list[Notice]:
        """Handle a user's event and perform what it causes; give the notices among that.

        Raises UsageError and WouldBlock, from the machine and before anything has changed.
        Anything else that is raised, here or in `handle`, is a bug: the engine must not be used
        any further.
        """
        return self._command(event, settles=True)

    def begin(self, event: Event) -> list[Notice]:
        """Handle a user's event as `command` does, but leave the rest of what it causes.

        `handle(())` must follow before anybody waits. So that several commands share packets.
        """
        return self._command(event, settles=False)

    def handle(self, events: Iterable[Event]) -> None:
        """Handle a batch of events, perhaps of none, and perform what it and the time cause."""
        now = self._clock()
        notices: list[Notice] = []
        for event in events:
            self._perform(self._machine.handle(event, now), now, notices)
        self._settle(now, notices)

    def _command(self, event: Event, *, settles: bool) -> list[Notice]:
        now = self._clock()
        actions = self._machine.handle(event, now)
        notices: list[Notice] = []
        try:
            self._perform(actions, now, notices)
            if settles:
                self._settle(now, notices)
        except (UsageError, WouldBlock) as exc:
            # Not of this event: it must not look as if nothing had changed.
            raise RuntimeError(f"raised by what followed a command: {exc}") from exc
        return notices

    def _settle(self, now: float, notices: list[Notice]) -> None:
        machine, port = self._machine, self._port
        while True:
            due = machine.deadline
            if due is not None and due <= now:
                self._perform(machine.handle(Tick(), now), now, notices)
                continue
            if self._delayed and self._delayed[0][0] <= now:
                _, _, data, destination = heappop(self._delayed)
                told = port.send(data, destination)
            else:
                told = port.settle(now)
                if not told:
                    break
            self._posted.extend(told)
            self._perform((), now, notices)
        if self._delayed and (due is None or self._delayed[0][0] < due):
            due = self._delayed[0][0]
        waits = port.deadline
        self.deadline = waits if due is None or (waits is not None and waits < due) else due

    def _perform(self, actions: Iterable[Action], now: float, notices: list[Notice]) -> None:
        while True:
            for action in actions:
                if isinstance(action, Transmit):
                    self._transmit(action, now)
                elif isinstance(action, Notice):
                    notices.append(action)
                    self._on_notice(action)
                elif isinstance(action, Disconnect):
                    self._posted.extend(self._port.disconnect(action.address))
                elif isinstance(action, OpenStream):
                    self._posted.extend(self._port.open_stream(action.address))
                elif isinstance(action, Hold):
                    self._port.hold(action.address, is_held=action.is_held)
                else:
                    raise TypeError(f"no driver can perform {type(action).__name__}")
            if not self._posted:
                return
            actions = self._machine.handle(self._posted.popleft(), now)

    def _transmit(self, action: Transmit, now: float) -> None:
        if self._injector is None:
            self._posted.extend(self._port.send(action.data, action.destination))
            return
        for release, data in self._injector.apply(action.data, now):
            if release <= now:
                self._posted.extend(self._port.send(data, action.destination))
            else:
                self._delayed_count += 1
                entry = (release, self._delayed_count, data, action.destination)
                heappush(self._delayed, entry)
