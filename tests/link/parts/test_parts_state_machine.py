"""What `handle` does in every machine: the clock, re-entrancy, and errors that change nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palaver import Duo, Endpoint
from palaver.machine import Action, Event, Notice, StateMachine, Tick, UsageError, copy_slots
from palaver.values import value


@value
class At(Notice):
    time: float


@value
class Nested(Event):
    """Makes the machine call itself."""


@value
class Refused(Event):
    """Is refused with UsageError."""


class Echo(StateMachine):
    """Tells for each tick what time it is."""

    __slots__ = ("nested",)

    def __init__(self) -> None:
        super().__init__()
        self.nested: list[str] = []

    def _take(self, event: Event, now: float, out: list[Action]) -> None:
        if isinstance(event, Tick):
            out.append(At(now))
        elif isinstance(event, Nested):
            try:
                self.handle(Tick(), now)
            except UsageError as error:
                self.nested.append(str(error))
        elif isinstance(event, Refused):
            raise UsageError("no")
        else:
            super()._take(event, now, out)


def test_what_an_event_causes_is_returned_in_a_list_of_its_own() -> None:
    machine = Echo()
    first = machine.handle(Tick(), 1.0)
    second = machine.handle(Tick(), 2.0)
    assert (first, second) == ([At(1.0)], [At(2.0)])


@pytest.mark.smoke
@given(st.lists(st.floats(-1e9, 1e9), max_size=20))
def test_a_clock_that_runs_backwards_stands_still(times: list[float]) -> None:
    machine = Echo()
    for index, now in enumerate(times):
        assert machine.handle(Tick(), now) == [At(max(times[: index + 1]))]


@pytest.mark.parametrize("now", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("before", [None, 5.0])
def test_a_time_that_is_not_finite_is_refused_and_changes_nothing(
    now: float, before: float | None
) -> None:
    machine = Echo()
    if before is not None:
        machine.handle(Tick(), before)
    with pytest.raises(UsageError, match="finite"):
        machine.handle(Tick(), now)
    assert machine.handle(Tick(), 7.0) == [At(7.0)]


def test_handling_within_handling_is_refused_and_does_no_harm() -> None:
    machine = Echo()
    assert machine.handle(Nested(), 1.0) == []
    (error,) = machine.nested
    assert "within" in error
    assert machine.handle(Tick(), 2.0) == [At(2.0)]


def test_a_refused_event_leaves_the_machine_usable() -> None:
    machine = Echo()
    for _ in range(2):
        with pytest.raises(UsageError):
            machine.handle(Refused(), 1.0)
    assert machine.handle(Tick(), 2.0) == [At(2.0)]


@pytest.mark.parametrize(
    "machine", [Echo(), Endpoint(bytes), Duo(bytes)], ids=lambda m: str(type(m))
)
def test_an_event_that_is_not_known_is_refused(machine: StateMachine) -> None:
    with pytest.raises(UsageError):
        machine.handle(Event(), 1.0)
    machine.handle(Tick(), 2.0)


def test_a_copy_of_slots_has_those_of_all_bases() -> None:
    machine = Echo()
    machine.handle(Tick(), 3.0)
    twin = copy_slots(machine)
    assert twin.nested is machine.nested
    twin.handle(Tick(), 9.0)
    assert machine.handle(Tick(), 4.0) == [At(4.0)]


def test_values_are_equal_by_their_fields_and_can_be_kept_in_sets() -> None:
    assert At(1.0) == At(1.0) != At(2.0)
    assert len({At(1.0), At(1.0), At(2.0)}) == 2
    assert not hasattr(At(1.0), "__dict__")
