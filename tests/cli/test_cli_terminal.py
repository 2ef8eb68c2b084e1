"""A person at a terminal, as a real process on a pseudo-terminal sees one."""

from __future__ import annotations

import errno
import io
import os
import re
import select
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest
from cli_support import COMMAND, PATIENCE, ROOT, make_environment, running

from palaver_io.cli.terminal import Prompt, Terminal

pty = pytest.importorskip("pty")
termios = pytest.importorskip("termios")


class Person:
    """Types on a terminal, and sees what is on it."""

    def __init__(self, *arguments: str) -> None:
        self._ours, self._theirs = pty.openpty()
        self.modes = termios.tcgetattr(self._theirs)
        self.popen = subprocess.Popen(
            [*COMMAND, *arguments],
            stdin=self._theirs,
            stdout=self._theirs,
            stderr=self._theirs,
            cwd=ROOT,
            env={**make_environment(), "TERM": "xterm"},
            start_new_session=True,
        )
        self._seen = b""

    def type(self, keys: str) -> None:
        os.write(self._ours, keys.encode())

    def screen(self) -> list[str]:
        """Give the lines that a terminal would show now."""
        lines, column = [""], 0
        text = self._seen.decode(errors="replace")
        for order, count, character in re.findall(
            r"(\r|\n|\x1b\[K|\x1b\[(\d+)C)|(.)", text, re.DOTALL
        ):
            if character:
                line = lines[-1].ljust(column)
                lines[-1] = line[:column] + character + line[column + 1 :]
                column += 1
            elif order == "\r":
                column = 0
            elif order == "\n":
                lines.append("")
            elif order == "\x1b[K":
                lines[-1] = lines[-1][:column]
            else:
                column += int(count)
        return [line.rstrip() for line in lines]

    def wait_for(self, line: str, *, last: bool = False) -> None:
        """Wait until this line is on the screen, or begins one, or is the last."""
        until = time.monotonic() + PATIENCE
        while True:
            shown = self.screen()
            if shown[-1] == line if last else any(one.startswith(line) for one in shown):
                return
            ready, _, _ = select.select([self._ours], [], [], max(0, until - time.monotonic()))
            assert ready, (line, shown)
            try:
                self._seen += os.read(self._ours, 4096)
            except OSError:
                raise AssertionError((line, shown)) from None

    def are_modes_restored(self) -> bool:
        return bool(termios.tcgetattr(self._theirs) == self.modes)

    def clean_up(self) -> None:
        self.popen.kill()
        self.popen.wait(PATIENCE)
        os.close(self._ours)
        os.close(self._theirs)


@contextmanager
def sitting_at(*arguments: str) -> Iterator[Person]:
    person = Person(*arguments)
    try:
        yield person
    finally:
        person.clean_up()


def test_what_arrives_does_not_garble_what_is_being_typed() -> None:
    with running() as processes:
        ann, address = processes.listen("--name", "Ann")
        with sitting_at("call", address, "--name", "Bob") as bob:
            bob.wait_for(">", last=True)
            assert not bob.are_modes_restored()
            bob.type("hello wrld\x1b[D\x1b[D\x1b[D")
            bob.wait_for("> hello wrld", last=True)
            ann.type("an\tinterruption")
            bob.wait_for("Ann: an\tinterruption")
            bob.wait_for("> hello wrld", last=True)
            bob.type("o\r")
            ann.wait_for_out("Bob: hello world")
            bob.type("exit\r")
            bob.wait_for("You ended the conversation with Ann.")
            assert bob.popen.wait(PATIENCE) == 0
            assert ann.finish() == 0
            assert bob.are_modes_restored()
            assert "> hello world" in bob.screen()


def test_ctrl_d_at_a_terminal_is_the_end_of_input() -> None:
    with running() as processes:
        ann, address = processes.listen("--name", "Ann")
        with sitting_at("call", address) as bob:
            bob.wait_for(">", last=True)
            bob.type("\x04")
            assert bob.popen.wait(PATIENCE) == 0
            assert ann.finish() == 0


@pytest.mark.parametrize("times", [1, 2])
def test_the_terminal_is_given_back_however_it_ends(times: int) -> None:
    with running() as processes:
        ann, address = processes.listen("--name", "Ann")
        with sitting_at("call", address) as bob:
            bob.wait_for(">", last=True)
            if times == 2:
                ann.signal(signal.SIGSTOP)
            for _ in range(times):
                bob.popen.send_signal(signal.SIGINT)
                bob.wait_for("Leaving ...")
            assert bob.popen.wait(PATIENCE) == 130
            assert bob.are_modes_restored()


def test_a_line_that_was_not_finished_is_taken_away_in_the_end() -> None:
    with running() as processes:
        _, address = processes.listen("--name", "Ann")
        with sitting_at("call", address) as bob:
            bob.wait_for(">", last=True)
            bob.type("never fini")
            bob.wait_for("> never fini", last=True)
            bob.popen.send_signal(signal.SIGINT)
            assert bob.popen.wait(PATIENCE) == 130
            bob.wait_for("You ended the conversation with Ann.")
            assert bob.screen()[-1] == ""


def test_a_listener_shows_whom_a_line_is_for() -> None:
    with running() as processes, sitting_at("listen", "127.0.0.1:0", "--max", "2", "-k") as hub:
        hub.wait_for("Listening on ")
        line = next(line for line in hub.screen() if line.startswith("Listening on "))
        address = line.split()[-1].removesuffix(".")
        ann = processes.call(address, "--name", "Ann")
        hub.wait_for("@Ann>", last=True)
        bob = processes.call(address, "--name", "Bob")
        hub.wait_for("Bob (")
        hub.wait_for("@Ann>", last=True)
        hub.type("I was saying")
        hub.wait_for("@Ann> I was saying", last=True)
        bob.type("listen to me!")
        hub.wait_for("Bob: listen to me!")
        hub.wait_for("@Ann> I was saying", last=True)
        hub.type("\r")
        ann.wait_for(lambda: ann.out)
        assert ann.out[0].endswith(": I was saying")
        hub.wait_for("@Bob>", last=True)
        hub.type("@Ann exit\r")
        assert ann.finish() == 0
        hub.type("exit\r")
        hub.wait_for("Waiting for the next call")
        hub.type("hello?\r")
        hub.wait_for("NOT sent: 'hello?': nobody is here")
        hub.type("exit\r")
        assert hub.popen.wait(PATIENCE) == 0


@pytest.mark.parametrize(("fault", "is_ours"), [(errno.EINTR, True), (errno.EIO, False)])
def test_a_signal_amid_setting_up_does_no_harm_nor_a_terminal_that_is_gone(
    monkeypatch: pytest.MonkeyPatch, fault: int, is_ours: bool
) -> None:
    ours, theirs = pty.openpty()
    set_modes, faults = termios.tcsetattr, [fault]

    def set_or_fail(*arguments: object) -> None:
        if faults:
            raise termios.error(faults.pop(), "as if")
        set_modes(*arguments)

    with closing(os.fdopen(theirs, "r+b", buffering=0)) as stream:
        monkeypatch.setattr("sys.stdin", stream)
        before = termios.tcgetattr(stream)
        terminal = Terminal(io.StringIO(), lambda _: None)
        monkeypatch.setattr("palaver_io.cli.terminal.threading.Thread", NoThread)
        handler = signal.getsignal(signal.SIGTTIN)
        monkeypatch.setattr(termios, "tcsetattr", set_or_fail)
        terminal.start(lambda: Prompt("> "))
        signal.signal(signal.SIGTTIN, handler)
        assert (termios.tcgetattr(stream) != before) == is_ours
        terminal.restore()
        assert termios.tcgetattr(stream) == before
    os.close(ours)


class NoThread:
    """Reads no keys."""

    def __init__(self, **_: object) -> None: ...

    def start(self) -> None: ...
