"""The table of a registry, without links: `palaver.roles.registry_table`."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pairs import examples

from palaver.machine import Address, UsageError
from palaver.roles.registry_ids import SortedIds
from palaver.roles.registry_table import RegistryTable
from palaver.wire.names import fold_name
from palaver.wire.registry import MAX_ID, NO_TOKEN

SECRET = bytes(range(32))
HERE: Address = ("here", 1)


def table_of(*names: str) -> RegistryTable:
    table = RegistryTable(SECRET)
    for link, name in enumerate(names, 1):
        table.enter(name, HERE, link, 0.0)
    return table


@pytest.mark.spec("G-5")
def test_ids_are_small_rise_and_are_never_used_again() -> None:
    table = table_of("ann", "bob")
    table.erase(2)
    table.erase(1)
    assert [table.enter(name, HERE, 9, 1.0).id for name in ["bob", "cid"]] == [3, 4]


@pytest.mark.spec("G-5")
def test_an_owner_that_comes_back_leaves_the_ids_of_others_alone() -> None:
    table = table_of("ann", "bob", "cid")
    table.erase(3)
    table.erase(1)
    assert table.enter("ann", HERE, 9, 1.0, number=1).id == 1
    assert table.enter("dan", HERE, 10, 1.0).id == 4


@pytest.mark.spec("G-4")
def test_a_name_is_found_however_it_is_spelt_and_can_not_be_entered_twice() -> None:
    table = table_of("Jörg")
    assert table.by_name("JO\u0308RG") is table.by_id(1)
    with pytest.raises(UsageError):
        table.enter("jörg", HERE, 2, 0.0)
    assert len(table) == 1
    assert table.next_id == 2


@pytest.mark.spec("G-9")
def test_one_that_was_erased_is_nowhere() -> None:
    table = table_of("ann", "bob", "cid")
    row = table.erase(2)
    assert row is not None
    assert row.name == "bob"
    assert table.by_id(2) is None
    assert table.by_name("bob") is None
    assert [one.id for one in table.above(0)] == [1, 3]
    assert table.erase(2) is None


@pytest.mark.spec("G-5")
def test_a_token_proves_one_id_and_name_and_only_to_the_one_who_made_it() -> None:
    table = table_of("ann", "bob")
    token = table.token(1, "ann")
    assert table.proves(1, token, "ANN")
    assert not table.proves(2, token, "ann")
    assert not table.proves(1, token, "bob")
    assert not table.proves(0, table.token(0, "ann"), "ann")
    assert not table.proves(1, NO_TOKEN, "ann")
    assert not RegistryTable(bytes(32)).proves(1, token, "ann")
    assert len({table.token(number, "ann") for number in range(1, 100)}) == 99


def test_the_last_id_is_used_and_then_no_other() -> None:
    table = RegistryTable(SECRET)
    table.next_id = MAX_ID
    assert table.enter("ann", HERE, 1, 0.0).id == MAX_ID
    with pytest.raises(UsageError):
        table.enter("bob", HERE, 2, 0.0)
    assert len(table) == 1
    assert RegistryTable.restore(table.snapshot()).next_id == MAX_ID + 1


# Across a restart


@pytest.mark.spec("G-5")
def test_what_is_restored_keeps_names_for_their_owners_and_shows_nobody() -> None:
    old = table_of("Ann", "bob")
    old.erase(2)
    new = RegistryTable.restore(old.snapshot())
    new.keep_until(60.0)
    assert (len(new), new.kept) == (1, 1)
    assert new.by_id(1) is new.by_name("ann") is None
    assert list(new.above(0)) == []
    row = new.holder("ANN")
    assert row is not None
    assert new.proves(row.id, old.token(1, "Ann"), "ann")
    new.hand_over(row, "ann", HERE, 7, 10.0)
    assert (row.since, row.link, new.kept) == (10.0, 7, 0)
    assert new.by_id(1) is row
    assert [one.id for one in new.above(0)] == [1]
    assert new.enter("bob", HERE, 8, 10.0).id == 3


def test_a_name_that_nobody_comes_for_is_free_in_time() -> None:
    new = RegistryTable.restore(table_of("ann", "bob").snapshot())
    assert new.deadline == float("inf")
    new.keep_until(60.0)
    assert new.deadline == 60.0
    new.expire(59.9)
    assert len(new) == 2
    new.expire(60.0)
    assert len(new) == 0
    assert new.deadline == float("inf")
    assert new.enter("ann", HERE, 1, 61.0).id == 3


def damaged(change: Callable[[bytes], bytes]) -> bytes:
    return change(table_of("ann", "bob").snapshot())


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"junk",
        bytes(100),
        damaged(lambda data: data[:-1]),
        damaged(lambda data: data + b"\0"),
        damaged(lambda data: data[:50] + b"\xff" + data[51:]),
    ],
)
def test_what_is_no_snapshot_raises(data: bytes) -> None:
    with pytest.raises(UsageError, match="snapshot"):
        RegistryTable.restore(data)


def test_every_bit_of_a_snapshot_counts() -> None:
    data = table_of("ann").snapshot()
    for bit in range(len(data) * 8):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(UsageError):
            RegistryTable.restore(bytes(flipped))


@examples(150)
@given(st.lists(st.text("abcdeéß", min_size=1, max_size=5), max_size=12, unique_by=fold_name))
def test_a_table_survives_any_number_of_restarts(names: list[str]) -> None:
    table = table_of(*names)
    once = RegistryTable.restore(table.snapshot())
    again = RegistryTable.restore(once.snapshot())
    for one in (once, again):
        assert len(one) == len(names)
        assert one.next_id == table.next_id
        for number, name in enumerate(names, 1):
            row = one.holder(name)
            assert row is not None
            assert (row.id, row.name) == (number, name)
            assert one.proves(number, table.token(number, name), name)


# Against a model


@examples(200)
@given(
    st.lists(
        st.tuples(st.sampled_from("ejlp"), st.integers(0, 12), st.sampled_from("AaBbCcDd")),
        max_size=60,
    )
)
def test_a_table_is_what_a_list_of_all_entries_would_be(steps: list[tuple[str, int, str]]) -> None:
    table = RegistryTable(SECRET)
    model: dict[int, str] = {}
    for time, (what, number, name) in enumerate(steps):
        if what == "e":
            taken = fold_name(name) in map(fold_name, model.values())
            if taken:
                with pytest.raises(UsageError):
                    table.enter(name, HERE, time + 1, float(time))
            else:
                model[table.enter(name, HERE, time + 1, float(time)).id] = name
        elif what == "l":
            row = table.erase(number)
            assert (row.name if row else None) == model.pop(number, None)
        elif what == "j":
            row = table.by_name(name)
            found = [key for key, one in model.items() if fold_name(one) == fold_name(name)]
            assert ([row.id] if row else []) == found
        else:
            above = [row.id for row in table.above(number)]
            assert above == sorted(key for key in model if key > number)
    twin = table.clone()
    assert twin.key(5.0) == table.key(5.0)
    for key in model:
        twin.erase(key)
    assert (len(twin), len(table)) == (0, len(model))


@examples(150)
@given(st.sets(st.integers(1, 5000)), st.sets(st.integers(1, 5000)), st.integers(0, 5001))
def test_sorted_ids_are_what_sorting_them_gives(added: set[int], gone: set[int], at: int) -> None:
    ids = SortedIds()
    for number in added:
        ids.add(number)
    for number in added & gone:
        ids.remove(number)
    assert list(ids.above(at)) == sorted(number for number in added - gone if number > at)
    assert list(ids.clone().above(0)) == sorted(added - gone)
