"""A command that a shell puts into the background of its terminal, and back to the front."""

from __future__ import annotations

import os
import re
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from cli_support import COMMAND, PATIENCE, ROOT, make_environment, running

pty = pytest.importorskip("pty")
pytest.importorskip("termios")
pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")

# As a login would: the terminal is to be that of the session.
BASH = (
    "import fcntl, os, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
    "os.execvp('bash', ['bash', '--norc', '--noprofile', '--noediting', '-i'])"
)


class Shell:
    """A shell with job control on a terminal."""

    def __init__(self) -> None:
        self._ours, self._theirs = pty.openpty()
        self.popen = subprocess.Popen(
            [sys.executable, "-c", BASH],
            stdin=self._theirs,
            stdout=self._theirs,
            stderr=self._theirs,
            cwd=ROOT,
            env={**make_environment(), "TERM": "xterm", "PS1": "$ ", "HISTFILE": ""},
            start_new_session=True,
        )
        self._seen = ""
        self._told = 0

    def type(self, keys: str) -> None:
        os.write(self._ours, keys.encode())

    def wait_for(self, pattern: str) -> re.Match[str]:
        """Wait until this has come on the screen after what was waited for before."""
        until = time.monotonic() + PATIENCE
        while (found := re.compile(pattern).search(self._seen, self._told)) is None:
            ready, _, _ = select.select([self._ours], [], [], max(0, until - time.monotonic()))
            assert ready, (pattern, self._seen)
            self._seen += os.read(self._ours, 4096).decode(errors="replace")
        self._told = found.end()
        return found

    def clean_up(self) -> None:
        # Jobs of an interactive shell have groups of their own: hanging up reaches them all.
        os.close(self._ours)
        os.close(self._theirs)
        try:
            self.popen.wait(PATIENCE)
        finally:
            self.popen.kill()


@contextmanager
def sitting_at_a_shell() -> Iterator[Shell]:
    shell = Shell()
    try:
        shell.wait_for(r"\$ ")
        yield shell
    finally:
        shell.clean_up()


LISTEN = " ".join([*COMMAND, "listen", "127.0.0.1:0", "--name", "Ann"])


def test_what_begins_in_the_background_works_there_and_takes_keys_in_front() -> None:
    with sitting_at_a_shell() as shell, running() as processes:
        shell.type(f"{LISTEN} &\n")
        address = shell.wait_for(r"Listening on (\S+:\d+)")[1]
        bob = processes.call(address, "--name", "Bob")
        bob.type("hi")
        shell.wait_for("Bob: hi")
        shell.type("jobs\n")
        shell.wait_for("Running")
        shell.type("fg\n")
        shell.wait_for(r"\r> \x1b\[K")
        shell.type("good day\r")
        bob.wait_for_out("Ann: good day")
        shell.type("exit\r")
        shell.wait_for("You ended the conversation")
        shell.wait_for(r"\$ ")
        assert bob.finish() == 0
        shell.type("stty -a\n")
        shell.wait_for(r"[^-]icanon")
        shell.wait_for(r"[^-]echo\b")


def test_who_is_sent_to_the_background_goes_on_there() -> None:
    with sitting_at_a_shell() as shell, running() as processes:
        shell.type(f"{LISTEN}\n")
        address = shell.wait_for(r"Listening on (\S+:\d+)")[1]
        bob = processes.call(address, "--name", "Bob")
        shell.wait_for("> ")
        shell.type("\x1a")
        shell.wait_for("Stopped")
        bob.type("are you there?")
        shell.type("bg\n")
        shell.wait_for(re.escape("Bob: are you there?"))
        shell.type("jobs\n")
        shell.wait_for("Running")
        shell.type("kill %1\n")
        shell.wait_for("Leaving ...")
        bob.wait_for_err("Ann ended the conversation.")
        shell.type("wait\n")
        shell.wait_for("Exit 143")
        assert bob.finish() == 0
