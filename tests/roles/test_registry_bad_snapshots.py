"""Snapshots whose checksum is right and that make no sense all the same: they are refused."""

from __future__ import annotations

from zlib import crc32

import pytest

from palaver import UsageError
from palaver.roles.registry_table import RegistryTable
from palaver.wire.registry import MAX_ID


def forge(*entries: tuple[int, bytes], next_id: int = 9) -> bytes:
    head = b"palaver1" + b"s" * 32 + next_id.to_bytes(4, "big") + len(entries).to_bytes(8, "big")
    rows = [number.to_bytes(4, "big") + bytes((len(name),)) + name for number, name in entries]
    data = head + b"".join(rows)
    return data + crc32(data).to_bytes(4, "big")


def test_a_sound_one_is_taken() -> None:
    table = RegistryTable.restore(forge((1, b"ann"), (MAX_ID, "Bärbel".encode())))
    assert (len(table), table.kept, table.next_id) == (2, 2, MAX_ID + 1)
    table.keep_until(1.0)
    table.expire(1.0)
    assert len(table) == 0


@pytest.mark.parametrize(
    "entries",
    [
        [(0, b"ann")],
        [(1, b"ann"), (0, b"bob")],
        [(1, b"ann"), (1, b"bob")],
        [(1, b"ann"), (2, b"ANN")],
        [(1, b"")],
        [(1, b"\xff")],
        [(1, b"a" * 65)],
    ],
    ids=repr,
)
def test_an_entry_that_a_registry_can_not_have_is_refused(entries: list[tuple[int, bytes]]) -> None:
    with pytest.raises(UsageError):
        RegistryTable.restore(forge(*entries))


def test_each_beginning_of_one_is_refused_also_with_a_checksum_of_its_own() -> None:
    whole = forge((1, b"ann"), (2, b"bob"))[:-4]
    for size in range(len(whole)):
        part = whole[:size]
        with pytest.raises(UsageError):
            RegistryTable.restore(part + crc32(part).to_bytes(4, "big"))


def test_what_follows_the_entries_is_refused() -> None:
    whole = forge((1, b"ann"))[:-4] + b"\0"
    with pytest.raises(UsageError):
        RegistryTable.restore(whole + crc32(whole).to_bytes(4, "big"))


def test_a_name_with_characters_that_are_none_here_costs_the_others_nothing() -> None:
    table = RegistryTable.restore(forge((1, "a\u0378".encode()), (2, b"bob")))
    assert table.kept == 2
    assert table.by_id(1) is None, "it is shown to nobody"
