"""A terminal on which one types while messages arrive."""

from __future__ import annotations

import errno
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final, TextIO

from .editor import LineEditor
from .escape import escape
from .lines import EndOfInput, Input, make_line
from .screen import Screen
from .signals import Redraw

_GLANCE: Final = 0.5  # seconds between looks at whether the terminal is ours

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

    While a shell has put us in the background it prints, and leaves the terminal alone otherwise.
    All but `_read` runs in the main thread.
    """

    def __init__(self, stream: TextIO, put: Callable[[Keys | Redraw], None]) -> None:
        super().__init__()
        self._prompt: Callable[[], Prompt] = lambda: Prompt("")
        self._stream = stream
        self._put = put
        self._editor = LineEditor()
        self._shown = Prompt("")
        self._count = 0
        self._input = sys.stdin.fileno()
        # As we found it; None before the start and after the end.
        self._modes: list[Any] | None = None
        # Whether it is set up for the editor.
        self._is_ours = False

    # Modes

    def start(self, prompt: Callable[[], Prompt]) -> None:
        """Take keys one by one; `prompt` gives what to show in front of a new line."""
        self._prompt = prompt
        self._modes = termios.tcgetattr(self._input)
        # Reading in the background is to fail and not to stop us.
        signal.signal(signal.SIGTTIN, signal.SIG_IGN)
        self.resume()
        threading.Thread(target=self._read, name="palaver-keys", daemon=True).start()

    def resume(self) -> None:
        """Set up the terminal, after a stop too, or another size."""
        if self._modes is None:
            return
        modes = self._modes.copy()
        modes[3] &= ~(termios.ICANON | termios.ECHO)
        self._is_ours = self._is_in_front() and self._set_modes(modes)
        self._draw()

    def restore(self) -> None:
        """Give the terminal back as it was; doing so twice does nothing."""
        self._write("\r\x1b[K")
        modes, self._modes = self._modes, None
        was_ours, self._is_ours = self._is_ours, False
        if modes is not None and was_ours and self._is_in_front():
            self._set_modes(modes)

    def _is_in_front(self) -> bool:
        """Tell whether the shell has left the terminal to us."""
        try:
            return os.tcgetpgrp(self._input) == os.getpgrp()
        except OSError:  # there is no shell to decide about it, or it is gone
            return True

    def _set_modes(self, modes: list[Any]) -> bool:
        """Set up the terminal; False if it is gone."""
        while True:
            try:
                termios.tcsetattr(self._input, termios.TCSADRAIN, modes)
            except termios.error as error:
                if error.args[0] != errno.EINTR:
                    return False
            else:
                return True

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
        while True:
            if not self._is_in_front():
                self._wait_for_the_front()
            try:
                return os.read(self._input, 4096)
            except OSError:
                if self._is_in_front():
                    return b""

    def _wait_for_the_front(self) -> None:
        """Wait until the shell leaves the terminal to us, which it need not tell."""
        while not self._is_in_front():
            time.sleep(_GLANCE)
        self._put(Redraw())

    def _draw(self) -> None:
        if not self._is_ours:
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
        if not self._is_ours:
            return
        try:
            self._stream.write(text)
            self._stream.flush()
        except OSError:  # the terminal is gone, and SIGHUP or the end of input will tell
            return
