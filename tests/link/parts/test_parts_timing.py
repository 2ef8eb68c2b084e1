"""Timers and limits: what works is taken, what can't work is refused with a reason."""

from __future__ import annotations

import dataclasses
from dataclasses import FrozenInstanceError, fields

import pytest

from palaver import Datagram, Dial, Endpoint, Tick, Transmit
from palaver import timing as timing_module
from palaver.machine import UsageError
from palaver.timing import DEFAULT_LIMITS, DEFAULT_TIMING, Limits, Timing

TIMERS = [field.name for field in fields(Timing) if field.type != "bool"]
BOUNDS = [field.name for field in fields(Limits)]
MAY_BE_0 = {"ack_delay", "keepalive_jitter"}


def timing(**changes: float) -> Timing:
    return dataclasses.replace(DEFAULT_TIMING, **changes)  # type: ignore[arg-type]


def limits(**changes: int) -> Limits:
    return dataclasses.replace(DEFAULT_LIMITS, **changes)


@pytest.mark.parametrize("name", TIMERS)
@pytest.mark.parametrize("seconds", [-1.0, float("nan"), float("inf"), float("-inf"), 1e9])
def test_a_timer_is_a_number_of_seconds_that_can_pass(name: str, seconds: float) -> None:
    with pytest.raises(UsageError, match=name):
        timing(**{name: seconds})


@pytest.mark.parametrize("name", TIMERS)
def test_only_an_ack_delay_and_a_jitter_may_be_0(name: str) -> None:
    if name in MAY_BE_0:
        timing(**{name: 0.0})
    else:
        with pytest.raises(UsageError, match=name):
            timing(**{name: 0.0})


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ({"ack_delay": 2.9}, {"ack_delay": 3.0}),
        ({"keepalive_jitter": 0.99}, {"keepalive_jitter": 1.0}),
        ({"probe_floor": 3.0}, {"probe_floor": 3.1}),
        ({"linger_min": 2.0}, {"linger_min": 2.1}),
    ],
)
def test_timers_that_contradict_each_other_are_refused(
    good: dict[str, float], bad: dict[str, float]
) -> None:
    timing(**good)
    with pytest.raises(UsageError):
        timing(**bad)


@pytest.mark.parametrize("name", BOUNDS)
@pytest.mark.parametrize("bound", [0, -1])
def test_every_limit_allows_something(name: str, bound: int) -> None:
    with pytest.raises(UsageError, match=name):
        limits(**{name: bound})


@pytest.mark.parametrize(
    ("name", "least", "most"),
    [("mtu", 64, 65507), ("window", 1024, (1 << 32) - 1), ("last_number", 1, (1 << 32) - 1)],
)
def test_limits_that_the_wire_has_are_kept_from_both_sides(
    name: str, least: int, most: int
) -> None:
    limits(**{name: least})
    limits(**{name: most})
    for bad in (least - 1, most + 1):
        with pytest.raises(UsageError, match=name):
            limits(**{name: bad})


@pytest.mark.parametrize("window", [1024, 262144, (1 << 32) - 1])
def test_every_window_that_is_taken_can_be_announced(window: int) -> None:
    caller = Endpoint(bytes, limits=Limits(window=window))
    caller.handle(Dial(("b", 1), "duo"), 0.0)
    (hello,) = caller.handle(Tick(), 0.0)
    assert isinstance(hello, Transmit)
    callee = Endpoint(bytes, roles=["duo"], limits=Limits(window=window))
    (welcome,) = callee.handle(Datagram(hello.data, ("a", 1)), 0.0)
    assert isinstance(welcome, Transmit)


def test_the_defaults_are_the_defaults() -> None:
    assert Timing() == DEFAULT_TIMING
    assert Limits() == DEFAULT_LIMITS


def test_timers_and_limits_can_not_be_changed_afterwards() -> None:
    name: str
    for name in ("overdue", "mtu"):
        target = DEFAULT_TIMING if name == "overdue" else DEFAULT_LIMITS
        with pytest.raises(FrozenInstanceError):
            setattr(target, name, 100)


def test_what_is_part_of_the_wire_never_changes() -> None:
    assert (timing_module.VERSION, timing_module.MIN_MTU, timing_module.MAX_MTU) == (1, 64, 65507)
    assert timing_module.MAX_MESSAGE == 65536
    assert timing_module.SEGMENT_CHARGE == 64
    assert timing_module.CREDIT_RESERVE == 512
    assert timing_module.MIN_CREDIT == 1024
    assert timing_module.REPLAY_WINDOW == 1024
    assert timing_module.MAX_NUMBER == 4294967295


# When HELLO goes out


@pytest.mark.spec("H-10")
def test_hellos_come_fast_at_first_then_ever_more_slowly_up_to_the_maximum() -> None:
    waits = [DEFAULT_TIMING.hello_wait(sent) for sent in range(1, 16)]
    assert waits == [0.25] * 7 + [0.5, 1.0, 2.0, 4.0, 8.0] + [10.0] * 3
    assert DEFAULT_TIMING.hello_wait(10**9) == 10.0


def test_a_maximum_below_the_interval_is_the_interval() -> None:
    made = Timing(hello_interval=5.0, hello_interval_max=2.0)
    assert {made.hello_wait(sent) for sent in range(1, 20)} == {2.0}


def test_without_doubling_every_hello_waits_alike() -> None:
    made = Timing(hello_interval=10.0, hello_interval_max=10.0)
    assert {made.hello_wait(sent) for sent in range(1, 20)} == {10.0}
