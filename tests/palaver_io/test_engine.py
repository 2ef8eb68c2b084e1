from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import ClassVar

import pytest
from io_support import Break, Do, Emit, Recorder, Refuse, Ring, Told

from palaver import Action, Datagram, Event, Notice, Tick, Transmit, Unreachable, UsageError
from palaver.machine import Hold, OpenStream
from palaver_io.engine import Engine
from palaver_io.port import Ready, Watcher

HERE = ("here", 1)


class Wire:
    """A port that writes down what is sent, and a clock."""

    def __init__(self) -> None:
        self.sent: list[tuple[float, bytes]] = []
        self.hints: list[Event] = []
        self.now = 0.0
        self.settled: list[float] = []
        self.asked: list[tuple[str, tuple[str, int]]] = []

    def send(self, data: bytes, destination: tuple[str, int]) -> Sequence[Event]:
        assert destination == HERE
        self.sent.append((self.now, data))
        hints, self.hints = self.hints, []
        return hints

    def clock(self) -> float:
        return self.now

    # The rest of a port.

    is_lossy = True
    is_idle = True
    address = HERE
    traffic: ClassVar[dict[str, int]] = {}
    deadline: float | None = None

    def start(self, watcher: Watcher, clock: Callable[[], float]) -> None: ...

    def take(self, ready: Iterable[Ready], most: int) -> list[Event]:
        return []

    def disconnect(self, address: tuple[str, int]) -> Sequence[Event]:
        return ()

    def open_stream(self, address: tuple[str, int]) -> Sequence[Event]:
        self.asked.append(("open", address))
        return [Unreachable(address)]

    def hold(self, address: tuple[str, int], *, is_held: bool) -> None:
        self.asked.append(("hold" if is_held else "go on", address))

    def settle(self, now: float) -> Sequence[Event]:
        self.settled.append(now)
        if self.deadline is None or now < self.deadline:
            return ()
        self.deadline = None
        return [Unreachable(("there", 8))]

    def close(self) -> None: ...


class Slow:
    """An injector that sends each datagram now and again after its first byte's seconds."""

    def apply(self, data: bytes, now: float) -> list[tuple[float, bytes]]:
        return [(now, data), (now + data[0], data)]


def make(
    machine: Recorder, wire: Wire, injector: Slow | None = None
) -> tuple[Engine, list[Notice]]:
    notices: list[Notice] = []
    return Engine(machine, wire, notices.append, injector, wire.clock), notices


def emit(data: bytes) -> Emit:
    return Emit(Transmit(data, HERE))


def test_a_command_drains_what_it_causes() -> None:
    wire = Wire()
    engine, notices = make(Recorder(), wire)
    assert engine.command(Do("a")) == notices == [Told("a")]
    assert engine.command(emit(b"x")) == []
    assert wire.sent == [(0.0, b"x")]
    assert engine.deadline is None


def test_one_tick_ends_a_batch() -> None:
    machine, wire = Recorder(), Wire()
    engine, notices = make(machine, wire)
    batch: list[Event] = [Datagram(b"%d" % number, HERE) for number in range(5)]
    engine.handle(batch)
    assert machine.events == [*batch, Tick()]
    assert notices == [Told("tick")]


def test_without_events_only_the_time_counts() -> None:
    machine, wire = Recorder(), Wire()
    engine, notices = make(machine, wire)
    engine.command(Ring(5.0))
    assert engine.deadline == 5.0
    engine.handle(())
    assert notices == []
    wire.now = 5.0
    engine.handle(())
    assert notices == [Told("tick")]
    assert engine.deadline is None


def test_what_is_refused_changes_nothing_and_due_ticks_wait() -> None:
    machine, wire = Recorder(), Wire()
    engine, _ = make(machine, wire)
    with pytest.raises(UsageError, match="refused"):
        engine.command(Refuse())
    assert machine.events == []


def test_hints_of_sending_go_to_the_machine() -> None:
    wire = Wire()
    wire.hints = [Unreachable(("there", 7))]
    engine, _ = make(Recorder(), wire)
    assert engine.command(emit(b"x")) == [Told("unreachable 7")]


def test_posted_events_follow_the_notices_at_hand() -> None:
    heard: list[str] = []

    def on_notice(notice: Notice) -> None:
        assert isinstance(notice, Told)
        heard.append(notice.text)
        if notice.text == "a":
            engine.post(Do("b"))
            engine.post(Do("c"))

    wire = Wire()
    engine = Engine(Recorder(), wire, on_notice, None, wire.clock)
    assert engine.command(Do("a")) == [Told("a"), Told("b"), Told("c")]
    assert heard == ["a", "b", "c"]


def test_a_refused_posted_event_does_not_look_like_a_refused_command() -> None:
    wire = Wire()
    engine = Engine(Recorder(), wire, lambda _: engine.post(Refuse()), None, wire.clock)
    with pytest.raises(RuntimeError, match="refused"):
        engine.command(Do("a"))


def test_copies_that_are_held_back_set_the_deadline() -> None:
    machine, wire = Recorder(), Wire()
    engine, _ = make(machine, wire, Slow())
    engine.command(emit(b"\x03"))
    engine.command(emit(b"\x02"))
    assert wire.sent == [(0.0, b"\x03"), (0.0, b"\x02")]
    assert engine.deadline == 2.0
    engine.command(Ring(2.5))
    assert engine.deadline == 2.0
    wire.now = 2.0
    wire.hints = [Unreachable(("there", 7))]
    engine.handle(())
    assert wire.sent[2:] == [(2.0, b"\x02")]
    assert Unreachable(("there", 7)) in machine.events
    assert engine.deadline == 2.5
    wire.now = 9.0
    engine.handle(())
    assert wire.sent[3:] == [(9.0, b"\x03")]
    assert engine.deadline is None


def test_actions_that_nobody_knows_are_not_passed_over() -> None:
    class Odd(Recorder):
        def _take(self, event: Event, now: float, out: list[Action]) -> None:
            out.append(Action())

    engine, _ = make(Odd(), Wire())
    with pytest.raises(TypeError, match="no driver can perform Action"):
        engine.command(Break())


def test_a_port_is_told_that_a_batch_is_over_and_has_a_deadline_of_its_own() -> None:
    machine, wire = Recorder(), Wire()
    engine, notices = make(machine, wire)
    wire.deadline = 2.0
    engine.command(Ring(1.0))
    deadlines = [engine.deadline]
    wire.now = 1.0
    engine.handle(())
    deadlines.append(engine.deadline)
    wire.now = 2.5
    engine.handle(())
    assert notices == [Told("tick"), Told("unreachable 8")]
    deadlines.append(engine.deadline)
    assert deadlines == [1.0, 2.0, None]
    assert wire.settled == [0.0, 1.0, 2.5, 2.5]


class Asks(Recorder):
    """A machine that asks for streams to be opened and held."""

    def _take(self, event: Event, now: float, out: list[Action]) -> None:
        super()._take(event, now, out)
        if isinstance(event, Do):
            out += [OpenStream(HERE), Hold(HERE, is_held=True), Hold(HERE, is_held=False)]


def test_streams_are_opened_and_held_as_the_machine_asks_and_what_that_tells_comes_back() -> None:
    machine, wire = Asks(), Wire()
    engine, _ = make(machine, wire)
    engine.command(Do("it"))
    assert wire.asked == [("open", HERE), ("hold", HERE), ("go on", HERE)]
    assert Unreachable(HERE) in machine.events
