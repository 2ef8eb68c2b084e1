"""A terminal on which one types while messages arrive."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TextIO

from .editor import LineEditor
from .escape import escape
from .lines import EndOfInput, Input, make_line
from .screen import Screen

try:
    import termios
except ImportError:  # Windows
    HAS_TERMIOS = False
else:
    HAS_TERMIOS = True


@dataclass(frozen=True)
class Keys:
    """What was typed; nothing, if the terminal is gone."""

    data: bytes


@dataclass(frozen=True)
class Prompt:
    """What stands in front of the line that is being typed, and the link that it is for."""

    text: str
    target: int | None = None


def find_terminal() -> TextIO | None:
    """Give the stream to draw on, if a person types here and lines can be edited."""
    if not HAS_TERMIOS or os.environ.get("TERM", "dumb") == "dumb" or not stdin_is_terminal():
        return None
    for stream in (sys.stderr, sys.stdout):
        if stream is not None and stream.isatty():
            return stream
    return None


def stdin_is_terminal() -> bool:
    """Whether a person types the lines."""
    return sys.stdin is not None and sys.stdin.isatty()


class Terminal(Screen):
    """Shows the line that is being typed below everything that is printed.

    All but `_read` runs in the main thread.
    """

    def __init__(self, stream: TextIO, put: Callable[[Keys], None]) -> None:
        super().__init__()
        self._prompt: Callable[[], Prompt] = lambda: Prompt("")
        self._stream = stream
        self._put = put
        self._editor = LineEditor()
        self._shown = Prompt("")
        self._count = 0
        self._input = sys.stdin.fileno()
        self._modes: list[Any] | None = None

    # Modes

    def start(self, prompt: Callable[[], Prompt]) -> None:
        """Take keys one by one; `prompt` gives what to show in front of a new line."""
        self._prompt = prompt
        self._modes = termios.tcgetattr(self._input)
        self.resume()
        threading.Thread(target=self._read, name="palaver-keys", daemon=True).start()

    def resume(self) -> None:
        """Set up the terminal, after a stop too, or another size."""
        if self._modes is None:
            return
        modes = self._modes.copy()
        modes[3] &= ~(termios.ICANON | termios.ECHO)
        termios.tcsetattr(self._input, termios.TCSADRAIN, modes)
        self._draw()

    def restore(self) -> None:
        """Give the terminal back as it was; doing so twice does nothing."""
        if self._modes is None:
            return
        self._write("\r\x1b[K")
        modes, self._modes = self._modes, None
        try:
            termios.tcsetattr(self._input, termios.TCSADRAIN, modes)
        except termios.error:  # it is gone
            return

    # Printing

    def out(self, line: str) -> None:
        """Print a line to stdout, above the one that is being typed."""
        self._write("\r\x1b[K")
        super().out(line)
        self._draw()

    def note(self, line: str) -> None:
        """Print a line to stderr, above the one that is being typed."""
        self._write("\r\x1b[K")
        super().note(line)
        self._draw()

    # Typing

    def take(self, keys: Keys) -> list[Input]:
        """Take what was typed; give the lines that it finished."""
        if not keys.data:
            return [EndOfInput()]
        taken: list[Input] = []
        for text in self._editor.feed(keys.data):
            if text is None:
                taken.append(EndOfInput())
            elif text.strip():
                self._write(f"\r\x1b[K{self._shown.text}{escape(text)}\n")
                self._count += 1
                line = make_line(self._count, text.encode(errors="replace"))
                taken.append(replace(line, target=self._shown.target))
        self._draw()
        return taken

    def _read(self) -> None:
        while data := self._read_keys():
            self._put(Keys(data))
        self._put(Keys(b""))

    def _read_keys(self) -> bytes:
        try:
            return os.read(self._input, 4096)
        except OSError:
            return b""

    def _draw(self) -> None:
        if self._modes is None:
            return
        if not self._editor.text:
            # Who gets the line is settled when its first character is typed.
            self._shown = self._prompt()
        self._write(self._editor.draw(self._shown.text, self._columns()))

    def _columns(self) -> int:
        try:
            return os.get_terminal_size(self._stream.fileno()).columns or 80
        except OSError:
            return 80

    def _write(self, text: str) -> None:
        if self._modes is None:
            return
        try:
            self._stream.write(text)
            self._stream.flush()
        except OSError:  # the terminal is gone, and SIGHUP or the end of input will tell
            return
