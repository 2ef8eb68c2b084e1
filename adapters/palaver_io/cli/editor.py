"""A line that is being typed: keys in, finished lines out, and what it looks like now.

It is here because what arrives must be printed above the line that is being typed, with the
cursor left where it was. Python's `readline` can neither tell where the cursor is nor be asked
anything while another thread waits in it.
"""

from __future__ import annotations

import codecs
import unicodedata
from typing import Final

_HISTORY: Final = 200  # lines
_ESCAPE: Final = "\x1b"
_LONGEST_SEQUENCE: Final = 32  # characters

# What terminals send for the keys that have no character of their own.
_KEYS: Final = {
    "[A": "previous",
    "OA": "previous",
    "[B": "next",
    "OB": "next",
    "[C": "right",
    "OC": "right",
    "[D": "left",
    "OD": "left",
    "[H": "home",
    "OH": "home",
    "[1~": "home",
    "[7~": "home",
    "[F": "end",
    "OF": "end",
    "[4~": "end",
    "[8~": "end",
    "[3~": "delete",
    "[1;5C": "word_right",
    "[1;3C": "word_right",
    "f": "word_right",
    "[1;5D": "word_left",
    "[1;3D": "word_left",
    "b": "word_left",
    "\x7f": "erase_word",
    "\x01": "home",
    "\x02": "left",
    "\x05": "end",
    "\x06": "right",
    "\x08": "erase",
    "\x0b": "erase_to_end",
    "\x0e": "next",
    "\x10": "previous",
    "\x15": "erase_to_start",
    "\x17": "erase_word",
}
_CONTROLS: Final = {key: action for key, action in _KEYS.items() if key < " "} | {"\x7f": "erase"}

# What cuts away the text between the cursor and where that move would take it.
_CUTS: Final = {
    "erase": "left",
    "delete": "right",
    "erase_word": "word_left",
    "erase_to_start": "home",
    "erase_to_end": "end",
}


class LineEditor:
    """One line, its cursor, and the lines before it."""

    def __init__(self) -> None:
        self.text = ""
        self.cursor = 0
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._sequence: str | None = None
        self._history: list[str] = []
        self._place = 0  # in the history; its length stands for the line that is new
        self._new = ""

    def feed(self, data: bytes) -> list[str | None]:
        """Take keys; give the lines that they finished, and None for the end of input."""
        done: list[str | None] = []
        for character in self._decoder.decode(data):
            if self._sequence is not None:
                self._continue_sequence(self._sequence, character)
            elif character == _ESCAPE:
                self._sequence = ""
            elif character in "\r\n":
                done.append(self._submit())
            elif character == "\x04" and not self.text:
                done.append(None)
            elif character == "\x04":
                self._do("delete")
            elif character in _CONTROLS:
                self._do(_CONTROLS[character])
            elif character >= " " or character == "\t":
                self.text = self.text[: self.cursor] + character + self.text[self.cursor :]
                self.cursor += 1
        return done

    def draw(self, prompt: str, width: int) -> str:
        """Give what to write to the terminal so that it shows the line, on one row of `width`."""
        prompt = _clip(prompt, max(width // 2, 1))
        room = max(width - 1 - _width(prompt), 1)
        start, before = self.cursor, 0
        if _width(self.text) <= room:
            start, before = 0, _width(self.text[: self.cursor])
        else:  # as much of the text as fits, up to the cursor
            while start and before + _width(self.text[start - 1]) <= room:
                start -= 1
                before += _width(self.text[start])
        shown = _clip(self.text[start:], room)
        drawn = f"\r{prompt}{_printable(shown)}\x1b[K"
        column = _width(prompt) + before
        if before < _width(shown):
            drawn += f"\r\x1b[{column}C" if column else "\r"
        return drawn

    def _submit(self) -> str:
        line = self.text
        if line and self._history[-1:] != [line]:
            self._history = [*self._history[1 - _HISTORY :], line]
        self._place = len(self._history)
        self._set("")
        return line

    def _continue_sequence(self, begin: str, character: str) -> None:
        """Take the next character of an escape sequence; do what it means when it is complete."""
        if character == _ESCAPE:
            self._sequence = ""
            return
        sequence = begin + character
        # CSI sequences end with a letter or a tilde, the others after one or two characters.
        if sequence[0] == "[":
            is_complete = len(sequence) > 1 and "@" <= character <= "~"
        else:
            is_complete = sequence != "O"
        self._sequence = None if is_complete or len(sequence) > _LONGEST_SEQUENCE else sequence
        if is_complete and sequence in _KEYS:
            self._do(_KEYS[sequence])

    def _do(self, action: str) -> None:
        if action == "previous":
            self._recall(self._place - 1)
        elif action == "next":
            self._recall(self._place + 1)
        elif action in _CUTS:
            start, end = sorted((self.cursor, self._find(_CUTS[action])))
            self.text = self.text[:start] + self.text[end:]
            self.cursor = start
        else:
            self.cursor = self._find(action)

    def _find(self, move: str) -> int:
        """Give where the cursor would go."""
        text, cursor = self.text, self.cursor
        match move:
            case "left":
                return max(cursor - 1, 0)
            case "right":
                return min(cursor + 1, len(text))
            case "word_left":
                return text[:cursor].rstrip().rfind(" ") + 1
            case "word_right":
                return len(text) - len(text[cursor:].lstrip().partition(" ")[2])
            case "home":
                return 0
            case _:
                return len(text)

    def _recall(self, place: int) -> None:
        if not 0 <= place <= len(self._history):
            return
        if self._place == len(self._history):
            self._new = self.text
        self._place = place
        self._set(self._new if place == len(self._history) else self._history[place])

    def _set(self, text: str) -> None:
        self.text = text
        self.cursor = len(text)


def _width(text: str) -> int:
    """Give how many columns a terminal uses for `text`."""
    if text.isascii():
        return len(text)
    return sum(
        0
        if unicodedata.combining(character) or unicodedata.category(character) in {"Mn", "Me", "Cf"}
        else 1 + (unicodedata.east_asian_width(character) in {"W", "F"})
        for character in text
    )


def _clip(text: str, width: int) -> str:
    """Give as much of the beginning of `text` as fits."""
    if _width(text) <= width:
        return text
    used = 0
    for index, character in enumerate(text):
        used += _width(character)
        if used > width:
            return text[:index]
    return text


def _printable(text: str) -> str:
    """Show something harmless, of the same width, for what was pasted and can't be printed."""
    return "".join(
        character if character.isprintable() or _width(character) == 0 else " "
        for character in text
    )
