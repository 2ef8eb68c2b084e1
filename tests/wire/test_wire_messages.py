"""Messages of the link and of the role "duo", and the names of reasons."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import answers, byes, introductions, mutated, questions, texts

from palaver.machine import PalaverError, UsageError
from palaver.wire.duo import (
    DuoMessage,
    Introduce,
    Same,
    Text,
    Twin,
    check_name,
    decode_duo,
    encode_text,
)
from palaver.wire.errors import DecodeError, Reason, reason_name
from palaver.wire.messages import Bye, check_reason, decode_bye

HALF_A_SURROGATE = "\ud800"
any_message = (byes | introductions | texts | questions | answers).map(
    lambda message: message.encode()
)
any_bytes = (
    st.binary(max_size=140)
    | st.builds(
        bytes.__add__,
        st.sampled_from([b"\1", b"\x10", b"\x11", b"\x80", b"\x81\1"]),
        st.binary(max_size=140),
    )
    | mutated(any_message)
)


# One encoding for each value, one value for each encoding


@given(byes)
def test_a_bye_decodes_to_what_was_encoded(bye: Bye) -> None:
    assert decode_bye(bye.encode()) == bye


@given(introductions | texts | questions | answers)
def test_a_message_of_duo_decodes_to_what_was_encoded(message: DuoMessage) -> None:
    assert decode_duo(message.encode()) == message


@given(any_bytes)
def test_any_bytes_are_a_bye_in_one_encoding_or_raise_decode_error(data: bytes) -> None:
    try:
        bye = decode_bye(data)
    except DecodeError:
        return
    assert bye.encode() == data


@given(any_bytes)
def test_any_bytes_are_a_message_of_duo_in_one_encoding_or_of_another_kind_or_raise_decode_error(
    data: bytes,
) -> None:
    try:
        message = decode_duo(data)
    except DecodeError:
        return
    if message is None:
        assert data[0] not in {16, 17, 128, 129}
    else:
        assert message.encode() == data


def test_an_empty_message_raises_decode_error() -> None:
    with pytest.raises(DecodeError):
        decode_bye(b"")
    with pytest.raises(DecodeError):
        decode_duo(b"")


def test_duo_has_four_kinds_of_messages() -> None:
    for kind in set(range(256)) - {16, 17, 128, 129}:
        assert decode_duo(bytes((kind,))) is None
        assert decode_duo(bytes((kind,)) + b"\xff") is None


def test_a_bye_has_kind_1() -> None:
    for kind in set(range(256)) - {1}:
        with pytest.raises(DecodeError):
            decode_bye(bytes((kind, 0)))


# The bounds of every field, from both sides


@pytest.mark.spec("M-2")
def test_the_text_of_a_bye_has_at_most_120_bytes() -> None:
    assert decode_bye(b"\1\0" + b"a" * 120) == Bye(0, "a" * 120)
    with pytest.raises(DecodeError):
        decode_bye(b"\1\0" + b"a" * 121)


@pytest.mark.spec("M-2")
def test_a_bye_has_a_reason() -> None:
    assert decode_bye(b"\1\xff") == Bye(255, "")
    with pytest.raises(DecodeError):
        decode_bye(b"\1")


@pytest.mark.spec("M-2")
def test_a_name_has_at_most_64_bytes() -> None:
    assert decode_duo(b"\x10" + b"a" * 64) == Introduce("a" * 64)
    with pytest.raises(DecodeError):
        decode_duo(b"\x10" + b"a" * 65)


@pytest.mark.spec("M-2")
def test_a_question_has_a_proof_and_an_answer_says_yes_or_no() -> None:
    proof = bytes(range(16))
    assert decode_duo(b"\x80" + proof) == Twin(proof)
    assert decode_duo(b"\x81\0" + proof) == Same(proof, yes=False)
    assert decode_duo(b"\x81\1" + proof) == Same(proof, yes=True)
    for bad in (
        b"\x80",
        b"\x80\0" + proof,
        b"\x81" + proof,
        b"\x81\2" + proof,
        b"\x81\1\1" + proof,
    ):
        with pytest.raises(DecodeError):
            decode_duo(bad)


def test_a_text_has_any_length() -> None:
    assert decode_duo(b"\x11") == Text("")
    assert decode_duo(b"\x11" + b"a" * 65535) == Text("a" * 65535)


@pytest.mark.spec("M-2")
@pytest.mark.parametrize(
    "text", [b"\xff", b"\xc3", b"a\x80", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80"]
)
def test_text_that_is_not_strict_utf8_is_rejected(text: bytes) -> None:
    for kind in (b"\x10", b"\x11"):
        with pytest.raises(DecodeError):
            decode_duo(kind + text)
    with pytest.raises(DecodeError):
        decode_bye(b"\1\0" + text)


@pytest.mark.parametrize("text", ["", "\0", "\ufeff", "\x1b[2J", "\u202e", "\U0010ffff"])
def test_text_is_carried_as_it_is(text: str) -> None:
    assert decode_duo(Text(text).encode()) == Text(text)
    assert decode_duo(Introduce(text).encode()) == Introduce(text)
    assert decode_bye(Bye(0, text).encode()) == Bye(0, text)


# What a program may ask for


@given(texts)
def test_the_short_way_to_encode_a_text_gives_the_same(text: Text) -> None:
    assert encode_text(text.text) == text.encode()


def test_a_program_may_say_65535_bytes_of_utf8_and_no_more() -> None:
    assert len(encode_text("a" * 65535)) == 65536
    assert len(encode_text("ü" * 32767)) == 65535
    for text in ("a" * 65536, "ü" * 32768, HALF_A_SURROGATE):
        with pytest.raises(UsageError):
            encode_text(text)


@given(st.text(max_size=70))
def test_a_program_may_use_exactly_the_names_that_the_wire_carries(name: str) -> None:
    try:
        check_name(name)
    except UsageError:
        with pytest.raises(DecodeError):
            decode_duo(Introduce(name).encode())
    else:
        assert decode_duo(Introduce(name).encode()) == Introduce(name)


def test_a_name_is_measured_in_bytes() -> None:
    check_name("")
    check_name("a" * 64)
    check_name("ü" * 32)
    for name in ("a" * 65, "ü" * 33, HALF_A_SURROGATE):
        with pytest.raises(UsageError):
            check_name(name)


@pytest.mark.spec("R-1")
@pytest.mark.parametrize("code", [0, 1, 63, 128, 255])
def test_a_program_may_give_reasons_of_the_link_and_of_its_role(code: int) -> None:
    check_reason(code, "")


@pytest.mark.spec("R-1")
@pytest.mark.parametrize("code", [-1, 64, 67, 127, 256, 1000])
def test_a_program_may_not_give_reasons_that_are_findings_of_one_side(code: int) -> None:
    with pytest.raises(UsageError):
        check_reason(code, "")


def test_the_text_of_a_reason_is_measured_in_bytes() -> None:
    check_reason(0, "a" * 120)
    check_reason(0, "ü" * 60)
    for text in ("a" * 121, "ü" * 61, HALF_A_SURROGATE):
        with pytest.raises(UsageError):
            check_reason(0, text)


@pytest.mark.spec("R-1")
@given(st.integers(0, 255))
def test_every_code_has_a_name_for_people(code: int) -> None:
    known = {reason.value for reason in Reason}
    assert reason_name(code).startswith("reason-") == (code not in known)


def test_names_of_reasons_are_lower_case_and_distinct() -> None:
    names = [reason_name(reason) for reason in Reason]
    assert "no-common-version" in names
    assert reason_name(200) == "reason-200"
    assert len(set(names)) == len(names)
    assert all(name == name.lower() for name in names)


def test_both_errors_of_a_decoder_and_of_a_program_are_errors_of_palaver() -> None:
    assert issubclass(DecodeError, PalaverError)
    assert issubclass(UsageError, PalaverError)
    assert not issubclass(DecodeError, UsageError)
