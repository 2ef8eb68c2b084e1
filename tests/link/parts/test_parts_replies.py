"""The bound on stateless replies to each host."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palaver.link.replies import ReplyBudget
from palaver.machine import Address

A: Address = ("192.0.2.1", 1)
B: Address = ("192.0.2.2", 1)


def take(budget: ReplyBudget, now: float, count: int, address: Address = A) -> int:
    """Ask so often for a reply and tell how many there were; those come first."""
    taken = [budget.take(address, now) for _ in range(count)]
    assert taken == sorted(taken, reverse=True)
    return taken.count(True)


@pytest.mark.spec("L-14")
def test_a_burst_is_as_large_as_a_second_of_replies() -> None:
    assert take(ReplyBudget(4), 0.0, 6) == 4


@pytest.mark.spec("L-14")
def test_replies_come_back_at_their_rate_and_no_more_than_a_burst_is_saved_up() -> None:
    budget = ReplyBudget(4)
    assert take(budget, 0.0, 4) == 4
    assert take(budget, 0.125, 1) == 0
    assert take(budget, 0.25, 2) == 1
    assert take(budget, 0.75, 3) == 2
    assert take(budget, 1000.0, 6) == 4


@pytest.mark.spec("L-14")
def test_each_host_has_a_budget_of_its_own_whatever_its_ports() -> None:
    budget = ReplyBudget(2)
    assert take(budget, 0.0, 3) == 2
    assert take(budget, 0.0, 3, ("192.0.2.1", 999)) == 0
    assert take(budget, 0.0, 3, B) == 2
    assert take(budget, 0.0, 3, ("2001:db8::1", 1)) == 2
    assert take(budget, 0.0, 3, ("2001:db8::2", 1)) == 0
    assert len(budget) == 3


def test_a_budget_is_full_at_first_whatever_the_clock_says() -> None:
    for start in (-1e6, 0.0, 1e9):
        assert take(ReplyBudget(2), start, 3) == 2


@pytest.mark.spec("L-14")
def test_a_host_is_forgotten_when_its_budget_is_full_again() -> None:
    budget = ReplyBudget(4)
    assert budget.deadline == float("inf")
    take(budget, 1.0, 9)
    take(budget, 1.5, 1, B)
    assert budget.deadline == 2.0
    budget.forget(1.75)
    assert len(budget) == 2
    budget.forget(2.0)
    assert len(budget) == 1
    assert budget.deadline == 2.5
    # To be forgotten is no advantage.
    assert take(budget, 2.0, 9) == 4
    budget.forget(1000.0)
    assert len(budget) == 0


@pytest.mark.spec("L-14")
def test_a_host_that_goes_on_asking_is_not_forgotten_for_it() -> None:
    budget = ReplyBudget(4)
    take(budget, 0.0, 4)
    take(budget, 0.0, 1, B)
    take(budget, 0.125, 1)
    assert budget.deadline == 1.0
    budget.forget(1.0)
    assert len(budget) == 1
    assert budget.deadline == 1.125


@pytest.mark.spec("L-14")
def test_so_many_hosts_are_remembered_and_no_more() -> None:
    budget = ReplyBudget(1)
    for number in range(3000):
        budget.take((f"host-{number}", 1), 0.0)
    assert len(budget) == 1024
    assert not budget.take(("host-2999", 1), 0.0)
    assert not budget.take(("host-1976", 1), 0.0)
    assert budget.take(("host-0", 1), 0.0)


@pytest.mark.spec("L-14")
@given(st.integers(1, 20), st.lists(st.integers(0, 100), max_size=200))
def test_no_second_has_more_than_its_rate_and_a_burst(rate: int, waits: list[int]) -> None:
    budget = ReplyBudget(rate)
    now, taken = 0.0, []
    for wait in waits:
        now += wait / 256
        budget.forget(now)
        if budget.take(A, now):
            taken.append(now)
    for index, start in enumerate(taken):
        within = [time for time in taken[index:] if time <= start + 1]
        assert len(within) <= 2 * rate
