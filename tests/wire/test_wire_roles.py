"""The messages of the roles "registry" and "peer": worked bytes, round trips, and bounds."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pairs import examples
from role_strategies import peer_messages, registry_messages

from palaver.machine import UsageError
from palaver.wire import names, peer, registry
from palaver.wire.errors import DecodeError
from palaver.wire.names import clean_name, fold_name
from palaver.wire.peer import (
    MAX_CHAT,
    Chat,
    PeerMessage,
    check_chat,
    decode_peer,
)
from palaver.wire.registry import (
    MAX_PAGE,
    Entry,
    Found,
    Page,
    RegistryMessage,
    Roster,
    decode_registry,
    is_tellable,
)

VECTORS = json.loads(
    (Path(__file__).parents[1] / "vectors" / "roles.json").read_text(encoding="utf-8")
)
DECODERS: dict[str, Callable[[bytes], Any]] = {
    "registry": decode_registry,
    "peer": decode_peer,
}


def bytes_of(vector: dict[str, Any]) -> bytes:
    return b"".join(bytes.fromhex(part) for part, _ in vector["layout"])


def value_of(role: str, vector: dict[str, Any]) -> RegistryMessage | PeerMessage:
    name, fields = vector["call"]
    made = {key: field_of(key, value) for key, value in fields.items()}
    module = registry if role == "registry" else peer
    return cast("RegistryMessage | PeerMessage", getattr(module, name)(**made))


def field_of(key: str, value: Any) -> Any:  # noqa: ANN401 - what JSON holds
    if key in {"token", "call"}:
        return bytes.fromhex(value)
    if key == "entry":
        return entry_of(value)
    if key in {"entries", "changes"}:
        return tuple(entry_of(one) if isinstance(one, list) else one for one in value)
    return value


def entry_of(fields: list[Any]) -> Entry:
    number, name, host, port, age = fields
    return Entry(number, name, (host, port), age)


def cases(suffix: str = "") -> list[Any]:
    return [
        pytest.param(role, vector, id=f"{role}: {vector['name']}")
        for role in DECODERS
        for vector in VECTORS[role + suffix]
    ]


@pytest.mark.smoke
@pytest.mark.parametrize(("role", "vector"), cases())
def test_a_worked_message_decodes_to_its_value_and_the_value_encodes_to_it(
    role: str, vector: dict[str, Any]
) -> None:
    value = value_of(role, vector)
    assert DECODERS[role](bytes_of(vector)) == value
    assert value.encode() == bytes_of(vector)


@pytest.mark.spec("M-2")
@pytest.mark.parametrize(("role", "vector"), cases("_rejected"))
def test_a_message_that_breaks_a_rule_is_rejected(role: str, vector: dict[str, Any]) -> None:
    with pytest.raises(DecodeError):
        DECODERS[role](bytes_of(vector))


@pytest.mark.parametrize("role", DECODERS)
def test_the_vectors_show_every_kind_and_a_fault_of_each(role: str) -> None:
    shown = {bytes_of(vector)[0] for vector in VECTORS[role]}
    known = {kind for kind in range(256) if is_known(role, kind)}
    assert shown == known
    assert {bytes_of(vector)[0] for vector in VECTORS[role + "_rejected"]} == known


def is_known(role: str, kind: int) -> bool:
    try:
        return DECODERS[role](bytes((kind,))) is not None
    except DecodeError:
        return True


# Any value, any bytes


@examples(400)
@given(registry_messages)
def test_every_message_of_a_registry_survives_the_wire(message: RegistryMessage) -> None:
    data = message.encode()
    if len(data) <= MAX_PAGE:
        assert decode_registry(data) == message


@examples(400)
@given(peer_messages)
def test_every_message_of_a_peer_survives_the_wire(message: PeerMessage) -> None:
    assert decode_peer(message.encode()) == message


@pytest.mark.parametrize("role", DECODERS)
@examples(1500)
@given(
    st.binary(max_size=80)
    | st.builds(
        lambda kind, body: bytes((kind,)) + body,
        st.sampled_from([*range(16, 23), *range(32, 40), 128]),
        st.binary(max_size=60),
    )
)
def test_any_bytes_decode_to_what_encodes_to_them_or_are_rejected(role: str, data: bytes) -> None:
    try:
        value = DECODERS[role](data)
    except DecodeError:
        return
    assert value is None or value.encode() == data


@pytest.mark.parametrize("kind", [Page, Roster])
def test_a_page_of_more_than_1024_bytes_is_rejected(kind: type[Page | Roster]) -> None:
    many = tuple(Entry(number, "x" * 60, ("h" * 60, 1), 0) for number in range(1, 8))
    fits = Page(1, more=False, entries=many) if kind is Page else Roster(many)
    assert DECODERS["registry"](fits.encode()) == fits
    over = (*many, Entry(8, "x" * 60, ("h" * 60, 1), 0))
    too_long = Page(1, more=False, entries=over) if kind is Page else Roster(over)
    with pytest.raises(DecodeError):
        decode_registry(too_long.encode())


def test_the_longest_text_fits_a_message_and_one_byte_more_does_not() -> None:
    check_chat("x" * MAX_CHAT)
    assert len(Chat(bytes(8), 1, 1, "x" * MAX_CHAT).encode()) == 65536
    for text in ["x" * (MAX_CHAT + 1), "\ud800"]:
        with pytest.raises(UsageError):
            check_chat(text)


@pytest.mark.spec("G-8")
@pytest.mark.parametrize(
    ("address", "told"),
    [
        (("127.0.0.1", 7070), True),
        (("h" * 255, 65535), True),
        (("node-7", 0), True),
        (("h" * 256, 1), False),
        (("", 1), False),
        (("h", 65536), False),
        (("h", -1), False),
        (("\ud800", 1), False),
    ],
)
def test_an_entry_can_hold_addresses_of_the_wire_only(address: tuple[str, int], told: bool) -> None:
    assert is_tellable(address) is told
    if told:
        found = Found(1, Entry(1, "x", address, 0))
        assert decode_registry(found.encode()) == found


# Names


@pytest.mark.spec("G-3")
@pytest.mark.parametrize(
    "name", ["a", "Ann", "Jörg", "O'Neil", "ann 2", "2 anns", "山田", "x" * 64, "👋", "½"]
)
def test_a_name_that_people_have_is_kept(name: str) -> None:
    assert clean_name(name) == name


@pytest.mark.spec("G-3")
def test_a_name_is_kept_in_form_nfc() -> None:
    assert clean_name("Jo\u0308rg") == "J\u00f6rg"
    assert clean_name("\u212bsa") == "\u00c5sa"


@pytest.mark.spec("G-3")
@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        " ann",
        "ann ",
        "an\nn",
        "an\x00n",
        "an\x1b[31mn",
        "an\u200bn",
        "\u202eann",
        "an\u00a0n",
        "\ud800",
        "12",
        "٣",
        "x" * 65,
        "é" * 33,
        "\ue000",
    ],
)
def test_a_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(UsageError):
        clean_name(name)


@pytest.mark.spec("G-4")
@pytest.mark.parametrize(
    ("one", "other"),
    [("Ann", "ANN"), ("straße", "STRASSE"), ("Jo\u0308rg", "JÖRG"), ("ΣΑΣ", "σας")],
)
def test_names_that_differ_in_case_or_form_count_as_one(one: str, other: str) -> None:
    assert fold_name(one) == fold_name(other)


@pytest.mark.spec("G-4")
def test_other_names_count_as_others() -> None:
    assert len({fold_name(name) for name in ["ann", "anne", "an n", "ánn", "ann2"]}) == 5


@pytest.mark.spec("G-3")
@examples(600)
@given(st.text(max_size=12))
def test_a_name_that_was_cleaned_is_clean(name: str) -> None:
    try:
        clean = clean_name(name)
    except UsageError:
        return
    assert clean_name(clean) == clean
    assert fold_name(clean) == fold_name(name)
    assert 0 < len(clean.encode()) <= names.MAX_NAME
