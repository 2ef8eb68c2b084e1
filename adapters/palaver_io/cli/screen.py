"""Where lines are printed. Messages go to stdout, everything else to stderr."""

from __future__ import annotations

import os
import sys
from io import TextIOWrapper
from typing import TextIO

from .status import EXIT_FAILURE, EXIT_OK, EXIT_UNREAD


class Screen:
    """Prints whole lines, at once."""

    def __init__(self) -> None:
        # A closed stream is None. Characters that a terminal's encoding does not have are written
        # out, so that no message can end the program.
        self._out: TextIO | None = sys.stdout
        self._notes: TextIO | None = sys.stderr
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")
        self._failure: OSError | None = None

    @property
    def has_failed(self) -> bool:
        """Whether printing to stdout has failed, and was not asked about yet."""
        return self._failure is not None

    def tell_failure(self) -> int:
        """Say, once, why printing to stdout failed, if it did; give the exit status for it, or 0.

        A reader that has had enough is no fault, and not worth a word.
        """
        failure = self.take_failure()
        if failure is None:
            return EXIT_OK
        if isinstance(failure, BrokenPipeError):  # head(1) and the like
            return EXIT_UNREAD
        self.note(f"palaver: can't print: {failure.strerror}")
        return EXIT_FAILURE

    def take_failure(self) -> OSError | None:
        """Give, once, why printing to stdout failed, if it did."""
        failure, self._failure = self._failure, None
        return failure

    def out(self, line: str) -> None:
        """Print a line to stdout; after a failure, do nothing."""
        if self._out is None:
            return
        try:
            _write(self._out, line)
        except OSError as error:
            self._failure = error
            self._out = None
            _silence_stdout()

    def note(self, line: str) -> None:
        """Print a line to stderr, if anybody listens there."""
        if self._notes is None:
            return
        try:
            _write(self._notes, line)
        except OSError:
            self._notes = None


def _write(stream: TextIO, line: str) -> None:
    """Write the line with its end at once, even if the stream has no buffer."""
    stream.write(f"{line}\n")
    stream.flush()


def _silence_stdout() -> None:
    """Let Python's last flush go nowhere, so that it does not complain about a broken pipe."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)
