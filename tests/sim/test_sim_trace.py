"""The canonical form of a trace: equal for equal values, different for others."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, IntEnum

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from palaver.machine import Notice, UsageError
from palaver.sim import Noticed, digest
from palaver.sim.trace import canonical
from palaver.values import value


class Colour(Enum):
    RED = 1


class Number(IntEnum):
    ONE = 1


@value
class Told(Notice):
    what: object


@dataclass
class Told1:
    what: object


items = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.sampled_from([Colour.RED, Number.ONE]),
    lambda inner: (
        st.lists(inner, max_size=3).map(tuple)
        | st.builds(Told, inner)
        | st.dictionaries(st.text(max_size=3), inner, max_size=3)
        | st.frozensets(st.integers(), max_size=3)
    ),
    max_leaves=6,
)


def exactly(item: object) -> str:
    """What tells values apart that Python calls equal, such as 1, 1.0 and True."""
    if isinstance(item, (frozenset, dict)):
        pairs = item.items() if isinstance(item, dict) else item
        return f"{type(item)}{sorted(exactly(pair) for pair in pairs)}"
    if isinstance(item, tuple):
        return f"tuple{[exactly(part) for part in item]}"
    if isinstance(item, Told):
        return f"Told({exactly(item.what)})"
    return f"{type(item)}{item!r}"


@settings(deadline=None)
@given(items, items)
def test_different_values_differ(one: object, other: object) -> None:
    assert (canonical(one) == canonical(other)) == (exactly(one) == exactly(other))


def test_look_alikes_differ() -> None:
    alike: list[object] = [
        1, 1.0, True, "1", b"1", None, "None", Number.ONE, Colour.RED, (1,), ((1,),), (), "", b"",
        ("a", "b"), ("ab",), frozenset({1}), {1: 1}, Told(1), Told1(1), Told("1"),
    ]  # fmt: skip
    assert len({canonical(item) for item in alike}) == len(alike)


def test_the_order_of_sets_and_dicts_does_not_matter() -> None:
    assert canonical({"a": 1, "b": 2}) == canonical({"b": 2, "a": 1})
    assert canonical({"a", "b", "c"}) == canonical({"c", "b", "a"})


def test_the_order_of_entries_matters() -> None:
    one, other = Noticed(0.0, ("a", 1), Told(1)), Noticed(0.0, ("a", 1), Told(2))
    assert digest([one, other]) != digest([other, one])
    assert len(digest([])) == 32


@pytest.mark.parametrize("item", [object(), Told, lambda: None, Told(object())])
def test_what_has_no_canonical_form_is_refused(item: object) -> None:
    with pytest.raises(UsageError, match="canonical"):
        canonical(item)
