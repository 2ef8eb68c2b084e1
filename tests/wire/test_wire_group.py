"""Messages of the role "group": one encoding for each value, and every bound from both sides."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from role_strategies import group_messages as messages
from role_strategies import utf8
from strategies import mutated

from palaver.machine import UsageError
from palaver.timing import MAX_MESSAGE
from palaver.wire import group_log
from palaver.wire.errors import DecodeError
from palaver.wire.group import (
    MAX_RUNS,
    Admitted,
    GroupMessage,
    Join,
    JoinRefusal,
    Members,
    Post,
    Receipt,
    Refused,
    Run,
    check_names,
    check_post,
    decode_group,
    ending_name,
)
from palaver.wire.group_log import MAX_TEXT, Entry, Joined, Left, Log, Posted, Skipped, Taken
from palaver.wire.names import clean, cut, fold_name, is_name, suggest, tidy

encoded = messages.map(lambda message: message.encode())
any_bytes = mutated(encoded) | st.builds(
    lambda kind, rest: bytes((kind,)) + rest, st.integers(16, 23), st.binary(max_size=60)
)


@given(messages)
def test_a_message_decodes_to_what_was_encoded(message: GroupMessage) -> None:
    assert decode_group(message.encode()) == message


@given(any_bytes)
def test_any_bytes_are_a_message_in_one_encoding_or_of_another_kind_or_raise_decode_error(
    data: bytes,
) -> None:
    try:
        message = decode_group(data)
    except DecodeError:
        return
    if message is None:
        assert not 16 <= data[0] <= 22
    else:
        assert message.encode() == data


@given(encoded, st.data())
def test_a_message_that_is_cut_off_is_another_message_or_none(
    data: bytes, where: st.DataObject
) -> None:
    cut_off = data[: where.draw(st.integers(1, max(len(data) - 1, 1)))]
    try:
        message = decode_group(cut_off)
    except DecodeError:
        return
    assert message is not None
    assert message.encode() == cut_off


def test_an_empty_message_raises_and_other_kinds_are_none() -> None:
    with pytest.raises(DecodeError):
        decode_group(b"")
    for kind in set(range(256)) - set(range(16, 23)):
        assert decode_group(bytes((kind, 255))) is None


# Worked messages

_FILE: dict[str, list[dict[str, Any]]] = json.loads(
    (Path(__file__).parents[1] / "vectors" / "group.json").read_text(encoding="utf-8")
)


def data_of(vector: dict[str, Any]) -> bytes:
    return b"".join(bytes.fromhex(part) for part, _ in vector["layout"])


def entry_of(kind: str, *fields: Any) -> Entry:  # noqa: ANN401
    if kind == "Skipped":
        return Skipped(fields[0], bytes.fromhex(fields[1]))
    entry: Entry = getattr(group_log, kind)(*fields)
    return entry


def value_of(vector: dict[str, Any]) -> GroupMessage:
    fields = dict(vector["value"])
    kind = fields.pop("message")
    if "token" in fields:
        fields["token"] = bytes.fromhex(fields["token"])
    if kind == "Log":
        return Log(fields["number"], tuple(entry_of(*entry) for entry in fields["entries"]))
    if kind == "Members":
        return Members(tuple(fields["names"]))
    if kind == "Receipt":
        return Receipt(tuple(Run(*run) for run in fields["runs"]))
    kinds = {"Join": Join, "Post": Post, "Admitted": Admitted, "Refused": Refused}
    message: GroupMessage = kinds[kind](**fields)
    return message


@pytest.mark.smoke
@pytest.mark.parametrize("vector", _FILE["accepted"], ids=lambda vector: vector["name"])
def test_a_worked_message_decodes_to_its_value_and_the_value_encodes_to_it(
    vector: dict[str, Any],
) -> None:
    value = value_of(vector)
    assert decode_group(data_of(vector)) == value
    assert value.encode() == data_of(vector)


@pytest.mark.spec("U-2")
@pytest.mark.parametrize("vector", _FILE["rejected"], ids=lambda vector: vector["name"])
def test_a_message_that_breaks_a_rule_is_rejected(vector: dict[str, Any]) -> None:
    with pytest.raises(DecodeError):
        decode_group(data_of(vector))


def test_the_vectors_show_every_kind_of_message_and_entry() -> None:
    assert {data_of(vector)[0] for vector in _FILE["accepted"]} == set(range(16, 23))
    logs = [value_of(vector) for vector in _FILE["accepted"]]
    kinds = {type(entry) for log in logs if isinstance(log, Log) for entry in log.entries}
    assert kinds == {Posted, Joined, Left, Taken, Skipped}


# Bounds


@pytest.mark.spec("U-2")
@pytest.mark.parametrize(
    ("fits", "too_long"),
    [
        (Post(1, "x" * MAX_TEXT), Post(1, "x" * (MAX_TEXT + 1))),
        (Log(1, (Posted("x", "x" * MAX_TEXT),)), Log(1, (Posted("x", "x" * (MAX_TEXT + 1)),))),
        (Join("é" * 32, "x"), Join("x" * 65, "x")),
        (Join("x", "é" * 16), Join("x", "x" * 33)),
        (Refused(1, "x" * 64), Refused(1, "x" * 65)),
        (Members(("x" * 64,)), Members(("x" * 65,))),
        (Admitted(0, bytes(16), 0, 0, 0, "x" * 64), Admitted(0, bytes(16), 0, 0, 0, "x" * 65)),
        (Receipt((Run(1, 1, 0, 0),) * MAX_RUNS), Receipt((Run(1, 1, 0, 0),) * (MAX_RUNS + 1))),
        (Receipt((Run((1 << 64) - 1, 1, 0, 0),)), Receipt((Run((1 << 64) - 1, 2, 0, 0),))),
        (Admitted(1, bytes(16), 5, 0, 0, "x"), Admitted(1, bytes(16), 5, 0, 1, "x")),
    ],
)
def test_a_field_of_the_greatest_size_is_valid_and_one_more_is_not(
    fits: GroupMessage, too_long: GroupMessage
) -> None:
    assert decode_group(fits.encode()) == fits
    with pytest.raises(DecodeError):
        decode_group(too_long.encode())


def test_the_longest_post_by_the_longest_name_fits_into_a_message() -> None:
    assert len(Log(1 << 63, (Posted("x" * 64, "x" * MAX_TEXT),)).encode()) <= MAX_MESSAGE


@pytest.mark.parametrize("text", ["\ud800", "x" * (MAX_TEXT + 1), "é" * (MAX_TEXT // 2 + 1)])
def test_a_text_that_can_not_be_posted_raises(text: str) -> None:
    check_post("x" * MAX_TEXT)
    with pytest.raises(UsageError):
        check_post(text)


@pytest.mark.parametrize(
    ("name", "room"),
    [("", "x"), ("x", ""), ("x" * 65, "x"), ("x", "x" * 33), ("\ud800", "x"), ("x", "\ud800")],
)
def test_names_that_do_not_fit_into_a_join_raise(name: str, room: str) -> None:
    check_names("x" * 64, "x" * 32)
    with pytest.raises(UsageError):
        check_names(name, room)


def test_reasons_of_the_role_have_names() -> None:
    assert ending_name(JoinRefusal.NAME_TAKEN) == "name-taken"
    assert ending_name(11) == "dead"
    assert ending_name(200) == "reason-200"


# Names


@pytest.mark.spec("U-4")
@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Ann", "aNN"),
        ("é", "e\u0301"),
        ("Straße", "STRASSE"),
        ("\u1f80", "\u1f88"),
        ("Å", "\u212b"),
        ("ΣΑΣ", "σας"),
    ],
)
def test_names_that_differ_in_case_or_form_only_are_the_same(one: str, other: str) -> None:
    assert fold_name(one) == fold_name(other)
    assert fold_name(tidy(one)) == fold_name(one)


@given(utf8)
def test_folding_twice_is_folding_once(text: str) -> None:
    assert fold_name(fold_name(text)) == fold_name(text)


@pytest.mark.spec("U-4")
@pytest.mark.parametrize(
    ("name", "good"),
    [
        ("Ann", True),
        ("x" * 64, True),
        ("Ann Lee", True),
        ("安", True),
        ("", False),
        ("x" * 65, False),
        ("é" * 33, False),
        (" Ann", False),
        ("Ann ", False),
        ("A\nn", False),
        ("A\x1b[31m", False),
        ("A\u202e", False),
        ("A\u200b", False),
        ("A\u00a0n", False),
        ("\ue000", False),
    ],
)
def test_a_name_is_printable_and_bounded(name: str, good: bool) -> None:
    assert is_name(name) is good


@given(utf8, st.sets(utf8.map(fold_name), max_size=20))
def test_what_is_suggested_can_be_taken(name: str, taken: set[str]) -> None:
    suggestion = suggest(name, taken)
    assert is_name(suggestion)
    assert fold_name(suggestion) not in taken


def test_a_suggestion_is_near_to_what_was_asked_for() -> None:
    assert suggest("Ann", {"ann"}) == "Ann-2"
    assert suggest("Ann", {"ann", "ann-2"}) == "Ann-3"
    assert suggest("A\tn\u202e ", {}) == "A n"
    assert suggest("\x00", {}) == "guest"
    assert suggest("x" * 64, {"x" * 64}) == "x" * 62 + "-2"
    assert suggest("é" * 32, {"é" * 32}) == "é" * 31 + "-2"
    assert clean(" a  b ") == "a b"
    assert cut("aé", 2) == "a"


def test_there_may_be_no_suggestion() -> None:
    class Everything:
        def __contains__(self, name: object) -> bool:
            return True

    assert suggest("Ann", Everything()) == ""
