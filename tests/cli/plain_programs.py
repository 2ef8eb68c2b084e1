"""What people have already, for tests: short programs with a socket, and netcat.

The programs are written after the descriptions of those that this project began with: two who take
turns, over UDP and TCP, and a group that is relayed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

PATIENCE = 30.0  # seconds; what should happen soon fails the test after this

# Two take turns: who has asked waits for the answer. `exit` from either side ends both.
UDP_SERVER = """
import socket, sys
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
    sock.bind(("127.0.0.1", int(sys.argv[1])))
    print("listening at", sock.getsockname()[1])
    while True:
        data, sender = sock.recvfrom(1024)
        print("heard:", data.decode())
        if data.decode().lower() == "exit":
            break
        answer = input()
        sock.sendto(answer.encode(), sender)
        if answer.lower() == "exit":
            break
print("over")
"""
UDP_CLIENT = """
import socket, sys
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
    print("ready")
    while True:
        line = input()
        sock.sendto(line.encode(), ("127.0.0.1", int(sys.argv[1])))
        if line.lower() == "exit":
            break
        data, _ = sock.recvfrom(1024)
        print("heard:", data.decode())
        if data.decode().lower() == "exit":
            break
print("over")
"""
TCP_SERVER = """
import socket, sys
with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listening:
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind(("127.0.0.1", int(sys.argv[1])))
    listening.listen()
    print("listening at", listening.getsockname()[1])
    sock, _ = listening.accept()
    with sock:
        while True:
            text = sock.recv(1024).decode()
            if not text:
                break
            print("heard:", text)
            if text.lower() == "exit":
                break
            answer = input()
            sock.sendall(answer.encode())
            if answer.lower() == "exit":
                break
print("over")
"""
TCP_CLIENT = """
import socket, sys
with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
    sock.connect(("127.0.0.1", int(sys.argv[1])))
    print("ready")
    while True:
        line = input()
        sock.sendall(line.encode())
        if line.lower() == "exit":
            break
        text = sock.recv(1024).decode()
        print("heard:", text)
        if text.lower() == "exit":
            break
print("over")
"""
# Everybody hears everybody else; a thread prints what comes.
GROUP_CLIENT = """
import socket, sys, threading
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.bind(("127.0.0.1", 0))
def hear():
    while True:
        print("heard:", sock.recvfrom(1024)[0].decode("utf-8"))
threading.Thread(target=hear, daemon=True).start()
name = sys.argv[2]
print("ready")
try:
    while True:
        sock.sendto(f"{name} : {input()}".encode("utf-8"), ("127.0.0.1", int(sys.argv[1])))
except EOFError:
    pass
"""


def find_netcat() -> str | None:
    """Find netcat of the OpenBSD kind: the others have other options."""
    path = shutil.which("nc.openbsd") or shutil.which("nc")
    if path is None:
        return None
    shown = subprocess.run([path, "-h"], capture_output=True, text=True, timeout=10, check=False)
    return path if "OpenBSD" in shown.stdout + shown.stderr else None


class Program:
    """A program that is no Palaver's, and the bytes that it has printed so far."""

    def __init__(self, *command: str) -> None:
        self.command = command
        self._popen = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8"},
        )
        self.out = b""
        self._changed = threading.Condition()
        assert self._popen.stdout is not None
        self._reader = threading.Thread(target=self._read, args=(self._popen.stdout,), daemon=True)
        self._reader.start()

    def __repr__(self) -> str:
        return f"{self.command[-3:]}\n-- out\n{self.out.decode(errors='replace')}\n"

    @property
    def pid(self) -> int:
        return self._popen.pid

    def type(self, *lines: str) -> None:
        assert self._popen.stdin is not None
        self._popen.stdin.write("".join(f"{line}\n" for line in lines).encode())
        self._popen.stdin.flush()

    def wait_for(self, part: str, patience: float = PATIENCE) -> None:
        """Wait until it has printed this."""
        with self._changed:
            assert self._changed.wait_for(lambda: part.encode() in self.out, patience), self

    def finish(self, patience: float = PATIENCE) -> int:
        """Wait for its end, and for the last of what it prints."""
        try:
            status = self._popen.wait(patience)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running: {self!r}") from None
        self._reader.join(patience)
        return status

    def clean_up(self) -> None:
        self._popen.kill()
        self._popen.wait(PATIENCE)
        self._reader.join(PATIENCE)
        for stream in (self._popen.stdin, self._popen.stdout):
            if stream is not None:
                try:
                    stream.close()
                except BrokenPipeError:
                    continue

    def _read(self, stream: IO[bytes]) -> None:
        while data := os.read(stream.fileno(), 65536):
            with self._changed:
                self.out += data
                self._changed.notify_all()


class Programs:
    """Starts programs, and has them all ended in the end."""

    def __init__(self) -> None:
        self._all: list[Program] = []
        self._netcat: str | None = None

    def python(self, source: str, *arguments: str) -> Program:
        return self._start(sys.executable, "-c", source, *arguments)

    def netcat(self, *arguments: str) -> Program:
        if self._netcat is None:
            self._netcat = find_netcat()
        if self._netcat is None:
            pytest.skip("there is no netcat of the OpenBSD kind: apt-get install netcat-openbsd")
        return self._start(self._netcat, *arguments)

    def clean_up(self) -> None:
        for program in self._all:
            program.clean_up()

    def _start(self, *command: str) -> Program:
        program = Program(*command)
        self._all.append(program)
        return program


@contextmanager
def programs() -> Iterator[Programs]:
    found = Programs()
    try:
        yield found
    finally:
        found.clean_up()


def wait_until(condition: Callable[[], object], what: str, patience: float = PATIENCE) -> None:
    """Wait for something that nobody announces, such as a socket of netcat."""
    until = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < until, f"waited for {what}"
        time.sleep(0.02)


def is_bound(port: int, *, tcp: bool) -> bool:
    """Whether a program of this host has the port (Linux only)."""
    table = Path(f"/proc/net/{'tcp' if tcp else 'udp'}").read_text(encoding="ascii")
    return any(line.split()[1].endswith(f":{port:04X}") for line in table.splitlines()[1:])
