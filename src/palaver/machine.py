"""The one shape that every machine in Palaver has.

    actions = machine.handle(event, now)
    machine.deadline            # when handle(Tick(), now) is next due, or None

An event is something that happened (a datagram, the passing of time, a command of the user). An
action is something to do (put a datagram on the wire) or to know (a notice). A machine does no
I/O, reads no clock and draws no randomness of its own.

The rules of the shape:

* `now` is in seconds, on any clock that does not run backwards; if it does, it is clamped.
* A batch of events ends with a tick: *before you wait, tick while `deadline <= now`*. Only ticks
  put packets on the wire, and that is how messages that wait together come to share one.
* After a tick at or past the deadline the new deadline is `None` or later than `now`.
* Ticks that are early, late or repeated do no harm.
* `UsageError` and `WouldBlock` are raised before anything has changed. No event that a peer can
  cause raises.
"""

from __future__ import annotations

from typing import Protocol, TypeAlias, TypeVar

from .values import value

Address: TypeAlias = tuple[str, int]
"""Where datagrams come from and go to. Opaque: what a socket gives, or ("node-7", 0)."""


class PalaverError(Exception):
    """The base of all that Palaver raises."""


class UsageError(PalaverError):
    """The caller asked for something that can't be done; nothing has changed."""


class WouldBlock(PalaverError):
    """The send queue of the link is full; nothing was queued. Wait for `Writable`."""


class Event:
    """Something that happened: the input of a machine."""

    __slots__ = ()


class Action:
    """Something to do or to know: the output of a machine."""

    __slots__ = ()


class Notice(Action):
    """An action that tells the program something, and asks nothing of the driver."""

    __slots__ = ()


@value
class Datagram(Event):
    """`data` arrived from `source`."""

    data: bytes
    source: Address


@value
class Tick(Event):
    """Time has passed, or a batch of events is complete."""


@value
class Unreachable(Event):
    """The network hinted that nothing listens at `address`. A hint only: it can be forged."""

    address: Address


@value
class StreamEnded(Event):
    """The stream to or from `address` is over, or could not be opened: nothing more comes of it."""

    address: Address


@value
class Chunk(Event):
    """`data` came on a stream of bare bytes from `source`; where it is cut means nothing."""

    data: bytes
    source: Address


@value
class StreamOpened(Event):
    """The stream of bare bytes to or from `address` stands."""

    address: Address


@value
class StreamBlocked(Event):
    """The stream to `address` takes nothing more for now, or again."""

    address: Address
    is_blocked: bool


@value
class Transmit(Action):
    """Put `data` on the wire to `destination`, now or never: losing it is allowed."""

    data: bytes
    destination: Address


@value
class Disconnect(Action):
    """End the stream to `address`, when all is written that was to be transmitted there before."""

    address: Address


@value
class OpenStream(Action):
    """Open a stream to `address`: `StreamOpened` tells that it stands, or `StreamEnded`."""

    address: Address


@value
class Hold(Action):
    """Read nothing more from the stream from `address` for now, or read again."""

    address: Address
    is_held: bool


class Machine(Protocol):
    """What a driver needs to know of a machine."""

    def handle(self, event: Event, now: float) -> list[Action]:
        """Take one event at `now` (seconds) and give what it causes."""

    @property
    def deadline(self) -> float | None:
        """When `handle(Tick(), now)` is next due; a time in the past means at once."""


class StateMachine:
    """The part of `handle` that is the same in every machine.

    Subclasses implement `_take`, which appends to `out` and need not look at the clock again.
    """

    __slots__ = ("_handling", "_now")

    def __init__(self) -> None:
        self._handling = False
        self._now = float("-inf")

    def handle(self, event: Event, now: float) -> list[Action]:
        """Take one event at `now` (seconds) and give what it causes.

        Raises UsageError if called from within itself, if `now` is not a finite number, or for a
        command that makes no sense; WouldBlock if a send queue is full. Nothing has changed then.
        """
        if self._handling:
            raise UsageError("handle() was called from within handle(); queue the event instead")
        if not -_INFINITY < now < _INFINITY:
            raise UsageError(f"now must be a finite number of seconds, not {now}")
        if now > self._now:
            self._now = now
        else:
            now = self._now
        out: list[Action] = []
        self._handling = True
        try:
            self._take(event, now, out)
        finally:
            self._handling = False
        return out

    def _take(self, event: Event, _now: float, _out: list[Action], /) -> None:
        raise UsageError(f"{type(self).__name__} does not take {type(event).__name__}")


_INFINITY = float("inf")

S = TypeVar("S")


def copy_slots(original: S) -> S:
    """Copy an object with `__slots__` shallowly, for use by hand-written `clone()` methods."""
    cls = type(original)
    twin = object.__new__(cls)
    for base in cls.__mro__:
        for name in getattr(base, "__slots__", ()):
            setattr(twin, name, getattr(original, name))
    return twin
