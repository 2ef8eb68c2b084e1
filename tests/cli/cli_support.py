"""Real `palaver` processes for tests: started, spoken to, waited for, and never left behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

from nursery import IS_POSSIBLE, Child, Nursery

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 30.0  # seconds; what should happen soon fails the test after this

COMMAND = [sys.executable, "-W", "error", "-m", "palaver_io"]


def make_environment() -> dict[str, str]:
    path = os.pathsep.join(str(ROOT / one) for one in ("src", "adapters"))
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONIOENCODING": "utf-8"}
    environment.pop("PYTHONUNBUFFERED", None)  # processes must get along without it
    return environment


@lru_cache(maxsize=1)
def nursery() -> Nursery:
    return Nursery(make_environment())


class Process:
    """A process, and the lines that it has printed so far."""

    def __init__(
        self,
        *arguments: str,
        stdin: int = subprocess.PIPE,
        stdout: int = subprocess.PIPE,
        fresh: bool = False,
    ) -> None:
        """Start it; `fresh`: with an interpreter of its own, as users do."""
        self.arguments = arguments
        self._popen: Child | subprocess.Popen[bytes] = (
            subprocess.Popen(
                [*COMMAND, *arguments],
                stdin=stdin,
                stdout=stdout,
                stderr=subprocess.PIPE,
                cwd=ROOT,
                env=make_environment(),
            )
            if fresh or not IS_POSSIBLE
            else Child(nursery(), arguments, stdin, stdout)
        )
        self.out: list[str] = []
        self.err: list[str] = []
        self._changed = threading.Condition()
        self._readers = [
            threading.Thread(target=self._read, args=(stream, lines), daemon=True)
            for stream, lines in ((self._popen.stdout, self.out), (self._popen.stderr, self.err))
            if stream is not None
        ]
        for reader in self._readers:
            reader.start()

    def __repr__(self) -> str:
        out, err = "\n".join(self.out[-20:]), "\n".join(self.err[-20:])
        return f"palaver {' '.join(self.arguments)}\n-- out\n{out}\n-- err\n{err}\n"

    # Speaking

    def type(self, *lines: str) -> None:
        """Send lines to its input."""
        self.write("".join(f"{line}\n" for line in lines).encode())

    def write(self, data: bytes) -> None:
        assert self._popen.stdin is not None
        self._popen.stdin.write(data)
        self._popen.stdin.flush()

    def end_input(self) -> None:
        assert self._popen.stdin is not None
        self._popen.stdin.close()

    def signal(self, number: int) -> None:
        self._popen.send_signal(number)

    def cpu_seconds(self) -> float:
        """Give the processor time that it has used so far (Linux only)."""
        fields = Path(f"/proc/{self._popen.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    # Listening

    def wait_for(self, condition: Callable[[], object], patience: float = PATIENCE) -> None:
        with self._changed:
            assert self._changed.wait_for(condition, patience), self

    def wait_for_out(self, line: str) -> None:
        self.wait_for(lambda: line in self.out)

    def wait_for_err(self, part: str) -> None:
        self.wait_for(lambda: part in "\n".join(self.err))

    def finish(self, patience: float = PATIENCE) -> int:
        """Wait for its end and for the last of what it prints; give the exit status."""
        until = time.monotonic() + patience
        try:
            status = self._popen.wait(patience)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running: {self!r}") from None
        for reader in self._readers:
            reader.join(max(0.0, until - time.monotonic()))
        assert "Traceback" not in "\n".join(self.err), self
        return status

    def kill(self) -> None:
        self._popen.kill()
        self._popen.wait(PATIENCE)

    def clean_up(self) -> None:
        """Kill it if it still runs, and close all pipes."""
        self.kill()
        for reader in self._readers:
            reader.join(PATIENCE)
        for stream in (self._popen.stdin, self._popen.stdout, self._popen.stderr):
            if stream is not None:
                try:
                    stream.close()
                except BrokenPipeError:
                    continue

    # JSON

    def events(self, kind: str = "") -> list[dict[str, Any]]:
        """Give what was printed as JSON: all, or the events of one kind."""
        found: list[dict[str, Any]] = [json.loads(line) for line in list(self.out)]
        return [one for one in found if not kind or one["event"] == kind]

    def wait_for_event(self, kind: str, count: int = 1) -> dict[str, Any]:
        """Wait for the event of this kind, or the `count`-th of them."""
        self.wait_for(lambda: len(self.events(kind)) >= count)
        return self.events(kind)[count - 1]

    def _read(self, stream: IO[bytes], lines: list[str]) -> None:
        for line in stream:
            with self._changed:
                lines.append(line.decode().removesuffix("\n"))
                self._changed.notify_all()


def assert_same(found: Sequence[object], expected: Sequence[object]) -> None:
    """Assert that two long sequences are equal; if not, tell their lengths and where they part."""
    if list(found) == list(expected):
        return
    pairs = enumerate(zip(found, expected, strict=False))
    place = next((n for n, (one, other) in pairs if one != other), min(len(found), len(expected)))
    raise AssertionError(
        f"{len(found)} and not {len(expected)}; from {place} on "
        f"{found[place : place + 3]!r:.300} and not {expected[place : place + 3]!r:.300}"
    )


class Processes:
    """Starts processes, and has them all ended in the end."""

    def __init__(self) -> None:
        self._all: list[Process] = []

    def start(
        self,
        *arguments: str,
        stdin: int = subprocess.PIPE,
        stdout: int = subprocess.PIPE,
        fresh: bool = False,
    ) -> Process:
        process = Process(*arguments, stdin=stdin, stdout=stdout, fresh=fresh)
        self._all.append(process)
        return process

    def listen(
        self,
        *arguments: str,
        at: str = "127.0.0.1:0",
        stdin: int = subprocess.PIPE,
        stdout: int = subprocess.PIPE,
    ) -> tuple[Process, str]:
        """Start a listener; give it, and the address to call."""
        process = self.start("listen", at, *arguments, stdin=stdin, stdout=stdout)
        if "--json" in arguments:
            return process, process.wait_for_event("listening")["address"]
        process.wait_for_err("Listening on ")
        line = next(line for line in process.err if line.startswith("Listening on "))
        return process, line.removeprefix("Listening on ").removesuffix(".")

    def call(self, address: str, *arguments: str, stdin: int = subprocess.PIPE) -> Process:
        return self.start("call", address, *arguments, stdin=stdin)

    def talk(self, *arguments: str) -> tuple[Process, Process]:
        """Start Ann, who listens, and Bob, who has called her; both may get `arguments`."""
        ann, address = self.listen("--name", "Ann", *arguments)
        bob = self.call(address, "--name", "Bob", *arguments)
        if "--json" in arguments:
            ann.wait_for_event("opened")
            bob.wait_for_event("opened")
        else:
            ann.wait_for_err("Bob (")
            bob.wait_for_err("Connected to Ann")
        return ann, bob

    def clean_up(self) -> None:
        for process in self._all:
            process.clean_up()


@contextmanager
def running() -> Iterator[Processes]:
    processes = Processes()
    try:
        yield processes
    finally:
        processes.clean_up()
