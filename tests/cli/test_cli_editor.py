from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from palaver_io.cli.editor import LineEditor
from palaver_io.cli.escape import escape


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        (b"hello\r", "hello"),
        (b"hello\n", "hello"),
        (b"helo\x1b[Dl\r", "hello"),
        (b"hxllo\x01\x1b[C\x1b[3~e\r", "hello"),
        (b"hellp\x7fo\r", "hello"),
        (b"hello you\x17\x7f\r", "hello"),
        (b"wrong\x15hello\r", "hello"),
        (b"hello you\x01\x1b[1;5C\x1b[D\x0b\r", "hello"),
        (b"ello\x01h\x05\r", "hello"),
        (b"he lo\x1bbl\x7f\x1b[Fx\x7f\r", "he lo"),
        ("h\u00e9\u4f60\r".encode(), "h\u00e9\u4f60"),
        (b"a\x00\x07\x1b[15~\x1b[200~b\r", "ab"),
        (b"a\tb\r", "a\tb"),
        (b"one\x04\r", "one"),
        (b"\xff\r", "\ufffd"),
    ],
)
def test_keys_make_a_line(keys: bytes, line: str) -> None:
    assert LineEditor().feed(keys) == [line]
    # However they come in pieces.
    editor = LineEditor()
    assert [done for key in keys for done in editor.feed(bytes([key]))] == [line]


def test_several_lines_can_be_pasted() -> None:
    editor = LineEditor()
    assert editor.feed(b"one\ntwo\nthr") == ["one", "two"]
    assert editor.text == "thr"


def test_ctrl_d_ends_the_input_only_on_an_empty_line() -> None:
    editor = LineEditor()
    assert editor.feed(b"a\x01\x04\x04") == [None]
    assert editor.text == ""


def test_old_lines_come_back_and_the_new_one_is_kept() -> None:
    editor = LineEditor()
    editor.feed(b"one\ntwo\ntwo\nnew")
    seen = []
    for key in (b"\x1b[A", b"\x1b[A", b"\x1b[A", b"\x1b[B", b"\x1b[B", b"\x1b[B"):
        editor.feed(key)
        seen.append(editor.text)
    assert seen == ["two", "one", "one", "two", "new", "new"]


def _show(drawn: str, width: int) -> tuple[str, int]:
    """Do what a terminal does with `drawn`: the row, and where the cursor is (ASCII only)."""
    row, column = [" "] * (width + 10), 0
    for order, count, text in re.findall(r"(\r|\x1b\[K|\x1b\[(\d+)C)|([^\r\x1b])", drawn):
        if text:
            row[column] = text
            column += 1
        elif order == "\r":
            column = 0
        elif order == "\x1b[K":
            row[column:] = [" "] * (width + 10 - column)
        else:
            column += int(count)
    return "".join(row).rstrip(), column


def test_it_is_drawn_with_the_cursor_where_it_is() -> None:
    editor = LineEditor()
    editor.feed(b"hello\x1b[D\x1b[D")
    assert _show(editor.draw("> ", 40), 40) == ("> hello", 5)
    editor.feed(b"\x01")
    assert _show(editor.draw("> ", 40), 40) == ("> hello", 2)
    assert _show(editor.draw("", 40), 40) == ("hello", 0)


@given(st.text(st.characters(codec="ascii"), max_size=60), st.integers(0, 70), st.integers(4, 30))
def test_it_never_needs_more_than_one_row(text: str, left: int, width: int) -> None:
    editor = LineEditor()
    editor.feed(text.replace("\n", "").replace("\r", "").encode() + b"\x1b[D" * left)
    row, column = _show(editor.draw("@Ann> ", width), width)
    assert len(row) < width
    assert column < width


def test_wide_characters_count_double() -> None:
    editor = LineEditor()
    editor.feed("\u4f60\u597de\u0301x".encode() + b"\x1b[D")
    assert editor.draw("> ", 40).endswith("\r\x1b[7C")


@given(st.binary(max_size=80))
@example("\u0600".encode())  # not printable to Python, and harmless
def test_no_keys_break_it(keys: bytes) -> None:
    editor = LineEditor()
    editor.feed(keys)
    drawn = editor.draw("> ", 20)
    assert 0 <= editor.cursor <= len(editor.text)
    shown = re.sub(r"\r|\x1b\[\d*[CK]", "", drawn)
    assert escape(shown) == shown
