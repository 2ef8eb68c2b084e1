"""Lines to send: what they are, and how they are read from a pipe or a file."""

from __future__ import annotations

import os
import select
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

from palaver.timing import MAX_MESSAGE

MAX_TEXT: Final = MAX_MESSAGE - 1  # bytes: one byte of a message tells its kind
_CHUNK: Final = 65536  # bytes per read


@dataclass(frozen=True)
class Line:
    """A line that was typed or piped in, without its end."""

    number: int
    text: str
    problem: str = ""
    """Why it can't be sent, if it can't."""
    target: int | None = None
    """The link that it is for, if that was settled when it was typed."""


@dataclass(frozen=True)
class EndOfInput:
    """No more lines will come."""


Input: TypeAlias = Line | EndOfInput


def make_line(number: int, data: bytes) -> Line:
    """Decode a line; if that fails, or it is too long, it becomes a line with a problem."""
    text = data.decode(errors="replace")
    if len(data) > MAX_TEXT:
        return Line(number, text, f"it has more than {MAX_TEXT:,} bytes")
    try:
        data.decode()
    except UnicodeDecodeError as error:
        return Line(number, text, f"its byte {error.start + 1} is not UTF-8")
    return Line(number, text)


class LineSplitter:
    """Cuts bytes into lines, and keeps no more of any of them than could be sent."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._number = 0

    def feed(self, data: bytes) -> Iterator[Line]:
        """Give the lines that `data` completes."""
        *complete, rest = data.split(b"\n")
        for piece in complete:
            self._keep(piece)
            yield self._take()
        self._keep(rest)

    def finish(self) -> Iterator[Line]:
        """Give what is left if the last line has no end."""
        if self._rest:
            yield self._take()

    def _keep(self, piece: bytes) -> None:
        # Two bytes beyond the limit: a carriage return is not counted, one more is too much.
        self._rest += piece[: MAX_TEXT + 2 - len(self._rest)]

    def _take(self) -> Line:
        self._number += 1
        data = bytes(self._rest).removesuffix(b"\r")
        self._rest.clear()
        return make_line(self._number, data)


class LineReader:
    """Reads lines in a thread of its own, each only after it was asked for.

    It does without Python's buffered stdin: a thread that waits there can't be left behind when
    the program ends.
    """

    def __init__(self, descriptor: int | None, put: Callable[[Input], None]) -> None:
        self._descriptor = descriptor
        self._put = put
        self._wanted = threading.Semaphore(0)
        self._is_at_end = False
        self._is_asked = False
        self._has_answered = True
        self._is_reading = False
        self._thread: threading.Thread | None = None

    @property
    def has_begun(self) -> bool:
        """Whether a line was ever asked for."""
        return self._thread is not None

    @property
    def is_answer_near(self) -> bool:
        """Whether what was asked for is still to come, and there is something to be read."""
        if self._has_answered:
            return False
        return not self._is_reading or _is_readable(self._descriptor)

    def ask(self) -> None:
        """Ask for the next line; asking again before it was taken does nothing."""
        if self._is_asked or self._is_at_end:
            return
        self._is_asked = True
        self._has_answered = False
        self._wanted.release()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="palaver-input", daemon=True)
            self._thread.start()

    def took(self) -> None:
        """Take note that the line was taken from where it was put."""
        self._is_asked = False

    def _run(self) -> None:
        for line in self._read():
            self._wanted.acquire()
            self._put(line)
            self._has_answered = True
        self._is_at_end = True
        self._put(EndOfInput())
        self._has_answered = True

    def _read(self) -> Iterator[Line]:
        splitter = LineSplitter()
        while data := self._read_chunk():
            yield from splitter.feed(data)
        yield from splitter.finish()

    def _read_chunk(self) -> bytes:
        if self._descriptor is None:
            return b""
        self._is_reading = True
        try:
            return os.read(self._descriptor, _CHUNK)
        except OSError:  # the terminal is gone, or stdin is a directory
            return b""
        finally:
            self._is_reading = False


def _is_readable(descriptor: int | None) -> bool:
    try:
        return descriptor is not None and bool(select.select([descriptor], [], [], 0)[0])
    except (OSError, ValueError):  # not on Windows, nor for very high numbers
        return False
