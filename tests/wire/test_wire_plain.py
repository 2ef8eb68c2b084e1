"""What can be said about one text: is it one, what is it, who says it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palaver import Call, Duo, Tick, Transmit
from palaver.wire.packets import Kind
from palaver.wire.plain import (
    MAX_NAME,
    decode,
    ends_line,
    harmless,
    is_exit,
    is_text,
    name_of,
    with_name,
    without_name,
)

printable = st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S"]), min_size=1)


@pytest.mark.spec("T-11")
@given(printable)
def test_what_a_person_can_write_begins_a_text_in_utf_8(text: str) -> None:
    assert is_text(text.encode())


@pytest.mark.smoke
@pytest.mark.spec("T-11")
def test_the_first_byte_tells_texts_from_packets_records_and_stun() -> None:
    kinds = {int(kind) for kind in Kind}
    texts = {byte for byte in range(256) if is_text(bytes((byte,)) + b"rest")}
    assert texts == set(range(8, 0xF8))
    assert not texts & kinds
    assert is_text(b"")
    duo = Duo(lambda size: bytes(range(1, size + 1)))
    duo.handle(Call(("a", 1)), 0.0)
    (hello,) = [one for one in duo.handle(Tick(), 0.0) if isinstance(one, Transmit)]
    assert not is_text(hello.data)
    assert not is_text(len(hello.data).to_bytes(2, "big") + hello.data)


@pytest.mark.spec("T-1")
@given(st.binary())
def test_any_bytes_are_a_text_without_line_ends_behind_it(data: bytes) -> None:
    text = decode(data)
    assert not text.endswith(("\n", "\r"))
    text.encode()


@pytest.mark.spec("T-1")
@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"hi", "hi"),
        (b"hi\n", "hi"),
        (b"hi\r\n", "hi"),
        (b"hi \n", "hi "),
        (b"\n", ""),
        (b"", ""),
        (b"a\nb\n", "a\nb"),
        (b"gr\xfc\xdfe", "gr\ufffd\ufffde"),
        ("grüße".encode(), "grüße"),
    ],
)
def test_a_text_is_what_stands_before_its_line_end(data: bytes, text: str) -> None:
    assert decode(data) == text
    assert ends_line(data) == data.endswith(b"\n")


@pytest.mark.spec("T-4")
@pytest.mark.parametrize("text", ["exit", "EXIT", "Exit", " exit ", "exit\r"])
def test_the_word_that_ends_a_chat(text: str) -> None:
    assert is_exit(text)


@pytest.mark.spec("T-4")
@pytest.mark.parametrize("text", ["", "exit now", "the exit", "exit.", "Ann : exit", "exi t"])
def test_what_only_looks_like_it(text: str) -> None:
    assert not is_exit(text)


@pytest.mark.spec("T-3", "T-7")
@given(st.text(), st.integers(64, 200))
def test_what_is_passed_on_is_one_line_that_orders_nothing(text: str, most: int) -> None:
    made = harmless(text, most)
    assert len(made.encode()) <= most
    assert len(made.splitlines()) <= 1
    assert not [one for one in made if one < " " or "\x7f" <= one <= "\x9f"]
    assert not [one for one in made if one in "\u202a\u202b\u202d\u202e\u2066\u2067\u2068\u200f"]
    if text.isprintable() and len(text.encode()) <= most:
        assert made == text
    assert harmless(made, most) == made


@pytest.mark.spec("T-3", "T-7")
def test_what_stands_in_for_what_is_not_passed_on() -> None:
    assert harmless("a\nb\r\nc\td", 99) == "a b c d"
    assert harmless("\x1b[31mred\x07 \x9b \u202e", 99) == "\ufffd[31mred\ufffd \ufffd \ufffd"
    assert harmless("é" * 100, 64) == "é" * 30 + "\u2026"


@pytest.mark.spec("T-7", "T-8")
@given(st.text(st.sampled_from("exitEXIT \n\t\x00\x0b\x1b\u2028\u202e"), max_size=8))
def test_nothing_becomes_the_last_word_by_being_passed_on(text: str) -> None:
    assert is_exit(harmless(text, 99)) <= is_exit(text)


@pytest.mark.parametrize(
    ("text", "name", "said"),
    [
        ("Ryo : Hii", "Ryo", "Hii"),
        ("Ryo B : a : b", "Ryo B", "a : b"),
        ("Ryo: Hii", "", "Ryo: Hii"),
        (" : Hii", "", " : Hii"),
        (" Ryo : Hii", "", " Ryo : Hii"),
        ("R\x1byo : Hii", "", "R\x1byo : Hii"),
        ("hello", "", "hello"),
        ("x" * MAX_NAME + " : y", "x" * MAX_NAME, "y"),
        ("x" * (MAX_NAME + 1) + " : y", "", "x" * (MAX_NAME + 1) + " : y"),
    ],
)
def test_a_name_stands_in_front_of_a_text(text: str, name: str, said: str) -> None:
    assert name_of(text) == name
    assert (without_name(text, name) if name else text) == said


def test_a_name_is_only_taken_off_where_it_is() -> None:
    assert without_name("Bob : hi", "Ann") == "Bob : hi"
    assert without_name("hi", "Ann") == "hi"
    assert without_name(with_name("Ann", "hi"), "Ann") == "hi"
