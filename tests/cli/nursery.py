"""Processes that are born quickly: forks of one that has imported `palaver_io` already.

A test that needs five processes would else spend a second on imports. What is born here is a
process like any other, with descriptors, signals and an exit of its own; only `python -m` and the
imports are not repeated. Run as a script, this file is the mother.
"""

from __future__ import annotations

import atexit
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from queue import SimpleQueue
from typing import IO

IS_POSSIBLE = hasattr(os, "fork") and hasattr(socket, "send_fds")
PATIENCE = 30.0  # seconds


class Child:
    """What tests use of a `subprocess.Popen`, for a process that the mother has born."""

    def __init__(
        self, nursery: Nursery, arguments: tuple[str, ...], stdin: int, stdout: int
    ) -> None:
        self.stdin: IO[bytes] | None = None
        self.stdout: IO[bytes] | None = None
        ends: list[int] = []
        if stdin == subprocess.PIPE:
            theirs, ours = os.pipe()
            self.stdin = os.fdopen(ours, "wb", 0)
        else:
            theirs = _open_null(os.O_RDONLY) if stdin == subprocess.DEVNULL else os.dup(stdin)
        ends.append(theirs)
        if stdout == subprocess.PIPE:
            ours, theirs = os.pipe()
            self.stdout = os.fdopen(ours, "rb")
        else:
            theirs = _open_null(os.O_WRONLY) if stdout == subprocess.DEVNULL else os.dup(stdout)
        ends.append(theirs)
        ours, theirs = os.pipe()
        self.stderr: IO[bytes] | None = os.fdopen(ours, "rb")
        ends.append(theirs)
        self._ended = threading.Event()
        self._status = 0
        try:
            self.pid = nursery.bear(self, arguments, ends)
        finally:
            for end in ends:
                os.close(end)

    def note_end(self, status: int) -> None:
        self._status = status
        self._ended.set()

    def poll(self) -> int | None:
        return self._status if self._ended.is_set() else None

    def wait(self, timeout: float) -> int:
        if not self._ended.wait(timeout):
            raise subprocess.TimeoutExpired(str(self.pid), timeout)
        return self._status

    def send_signal(self, number: int) -> None:
        if not self._ended.is_set():
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class Nursery:
    """The mother, as seen by the tests."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._ours, theirs = socket.socketpair()
        with theirs:
            self._mother = subprocess.Popen(
                [sys.executable, "-W", "error", __file__, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                env=environment,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        self._lock = threading.Lock()
        self._born: SimpleQueue[int] = SimpleQueue()
        self._children: dict[int, Child] = {}
        self._waiting: Child | None = None
        threading.Thread(target=self._listen, daemon=True).start()
        atexit.register(self.close)

    def bear(self, child: Child, arguments: tuple[str, ...], ends: list[int]) -> int:
        """Start a process with these descriptors as its first three; give its id."""
        with self._lock:
            self._waiting = child
            socket.send_fds(self._ours, [json.dumps(arguments).encode() + b"\n"], ends)
            return self._born.get(timeout=PATIENCE)

    def close(self) -> None:
        """End the mother, and with her all that she has born."""
        self._ours.shutdown(socket.SHUT_RDWR)
        self._mother.wait(PATIENCE)
        self._ours.close()

    def _listen(self) -> None:
        with self._ours.makefile("rb") as lines:
            for line in lines:
                what, pid, status = line.split()
                if what == b"born":
                    assert self._waiting is not None
                    self._children[int(pid)] = self._waiting
                    self._born.put(int(pid))
                else:
                    self._children.pop(int(pid)).note_end(int(status))


def _open_null(mode: int) -> int:
    return os.open(os.devnull, mode)


# The mother


def live(control: socket.socket) -> list[str] | None:
    """Bear children until nobody wants more; give the arguments in a child, and None at the end."""
    bell, hammer = socket.socketpair()
    for one in (bell, hammer):
        one.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(hammer.fileno())
    children: set[int] = set()
    while True:
        ready, _, _ = select.select([control, bell], [], [])
        if bell in ready:
            bell.recv(4096)
            bury(control, children)
        if control not in ready:
            continue
        request, ends, _, _ = socket.recv_fds(control, 1 << 20, 3)
        if not request:
            for pid in children:
                os.kill(pid, signal.SIGKILL)
            bell.close()
            hammer.close()
            return None
        pid = os.fork()
        if not pid:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for place, end in enumerate(ends):
                os.dup2(end, place)
            for one in (control, bell, hammer):
                one.close()
            for end in ends:
                os.close(end)
            open_streams()
            arguments: list[str] = json.loads(request)
            return arguments
        for end in ends:
            os.close(end)
        children.add(pid)
        control.sendall(b"born %d 0\n" % pid)


def bury(control: socket.socket, children: set[int]) -> None:
    """Tell of all children that have ended."""
    while children:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            return
        children.discard(pid)
        control.sendall(b"died %d %d\n" % (pid, os.waitstatus_to_exitcode(status)))


def open_streams() -> None:
    """Open what Python opens when it starts, for it has found out what kind of files they are."""
    coding = "utf-8"
    sys.stdin = sys.__stdin__ = open(0, encoding=coding, closefd=False)  # type: ignore[misc]  # noqa: SIM115
    sys.stdout = sys.__stdout__ = open(1, "w", encoding=coding, closefd=False)  # type: ignore[misc]  # noqa: SIM115
    sys.stderr = sys.__stderr__ = open(  # type: ignore[misc]  # noqa: SIM115
        2, "w", 1, encoding=coding, errors="backslashreplace", closefd=False
    )


if __name__ == "__main__":
    from palaver_io.cli import main

    with socket.socket(fileno=int(sys.argv[1])) as ours:
        found = live(ours)
    if found is not None:
        sys.argv = ["palaver", *found]
        sys.exit(main())
