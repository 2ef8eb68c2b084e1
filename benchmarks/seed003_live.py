"""The timing of `--timing seed003` on a real wire: three processes, and every packet of a call.

    python benchmarks/seed003_live.py        # 50 s; Linux; needs the right to capture (root)

Ann calls Bob, who answers after 25 s; then Bob's process is stopped as Ann says something, and goes
on after 15 s. What crosses the loopback between the two is printed with the time since the call was
wished for, and at the end whether the requests came 10 s apart, and the text again after 10 s. (The
same in virtual time, without waiting, is in tests/roles/test_peer_calls.py.)
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

from palaver.wire.frames import Ack, Segment, decode_frames
from palaver.wire.messages import FIRST_ROLE_KIND
from palaver.wire.packets import DATA, DATA_HEADER_SIZE, Hello, decode_unsealed
from palaver.wire.peer import Chat, Ring, decode_peer
from palaver.wire.sealing import CLEAR

ROOT = Path(__file__).resolve().parents[1]
ANSWER_AFTER = 25.0  # seconds
STOP_FOR = 15.0
CLOSE = 0.5
"""How exactly a time must be met, in seconds: the machine may be busy."""


class Program:
    """A `palaver` process, and the lines that it has printed."""

    def __init__(self, *arguments: str) -> None:
        path = os.pathsep.join(str(ROOT / part) for part in ("src", "adapters"))
        self.popen = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-m", "palaver_io", *arguments, "--timing", "seed003"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            bufsize=1,
            env={**os.environ, "PYTHONPATH": path},
        )
        self.lines: list[str] = []
        assert self.popen.stdout is not None
        threading.Thread(target=self._read, args=(self.popen.stdout,), daemon=True).start()

    def _read(self, stream: IO[str]) -> None:
        for line in stream:
            self.lines.append(line.rstrip())

    def wait_for(self, part: str, patience: float = 30.0) -> str:
        """Wait until a line with this part was printed, and give it."""
        until = time.monotonic() + patience
        while time.monotonic() < until:
            for line in list(self.lines):
                if part in line:
                    return line
            time.sleep(0.02)
        raise SystemExit(f"no {part!r} within {patience} s:\n" + "\n".join(self.lines))

    def type(self, line: str) -> None:
        """Give it a line of input."""
        assert self.popen.stdin is not None
        self.popen.stdin.write(line + "\n")
        self.popen.stdin.flush()


class Capture:
    """Notes when requests and texts cross the loopback between two ports."""

    def __init__(self, ports: dict[int, str]) -> None:
        self.rings: list[float] = []
        self.chats: list[float] = []
        self.began = time.monotonic()
        self._ports = ports
        self._sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        self._sock.bind(("lo", 0))
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            data, where = self._sock.recvfrom(65536)
            # Each packet is seen as it goes out and as it comes in. IPv4 without options, UDP.
            if (
                where[2] == socket.PACKET_OUTGOING
                or data[12:15] != b"\x08\x00\x45"
                or data[23] != 17
            ):
                continue
            source = int.from_bytes(data[34:36], "big")
            target = int.from_bytes(data[36:38], "big")
            if source in self._ports and target in self._ports:
                self._note(self._ports[source], self._ports[target], data[42:])

    def _note(self, source: str, target: str, datagram: bytes) -> None:
        at = time.monotonic() - self.began
        packet = CLEAR.open(datagram)
        assert packet is not None
        parts = []
        if datagram[0] != DATA:
            decoded = decode_unsealed(packet)
            name = type(decoded).__name__.upper()
            parts.append(f"{name} {decoded.role}" if isinstance(decoded, Hello) else name)
        else:
            for frame in decode_frames(packet, DATA_HEADER_SIZE):
                if isinstance(frame, Segment) and frame.data[0] >= FIRST_ROLE_KIND:
                    message = decode_peer(frame.data)
                    parts.append(f"{type(message).__name__} (segment {frame.number})")
                    if isinstance(message, Ring):
                        self.rings.append(at)
                    elif isinstance(message, Chat):
                        self.chats.append(at)
                elif isinstance(frame, Ack):
                    parts.append("ack")
                else:
                    parts.append(type(frame).__name__)
        print(f"{at:7.3f} s  {source} -> {target}  {', '.join(parts)}", flush=True)


def port_of(registry: Program, name: str) -> int:
    """Give the port that the registry shows for somebody."""
    registry.wait_for(f"{name} is here")
    registry.wait_for(f" {name} ")
    line = next(one for one in reversed(registry.lines) if one.split()[1:2] == [name])
    return int(line.split()[2].rpartition(":")[2])


def play(programs: list[Program]) -> Capture:
    """Have the call made, answered and said something in; give what was captured."""
    registry = Program("registry", "127.0.0.1:0")
    programs.append(registry)
    address = registry.wait_for("Registry at ").split()[-1].removesuffix(".")
    people = []
    for name in ("Ann", "Bob"):
        people.append(Program("peer", "--name", name, "--registry", address, "--wait"))
        programs.append(people[-1])
        people[-1].wait_for(f"You are {name}")
    ann, bob = people
    capture = Capture({port_of(registry, name): name for name in ("Ann", "Bob")})
    ann.type("connect Bob")
    bob.wait_for("calls")
    time.sleep(max(0.0, capture.began + ANSWER_AFTER - time.monotonic()))
    bob.type("accept")
    ann.wait_for("Connected to Bob")
    time.sleep(1.0)
    bob.popen.send_signal(signal.SIGSTOP)
    ann.type("send are you still there?")
    time.sleep(STOP_FOR)
    bob.popen.send_signal(signal.SIGCONT)
    bob.wait_for("Ann: are you still there?")
    time.sleep(1.0)
    shown = sum("are you still there?" in line for line in bob.lines)
    print(f"shown to Bob {shown} time(s); rang {sum('calls' in one for one in bob.lines)} time(s)")
    print("told to Ann: " + " | ".join(line for line in ann.lines if line))
    return capture


def main() -> int:
    """Print what was captured; give 0 if all came when it should."""
    programs: list[Program] = []
    try:
        capture = play(programs)
    finally:
        for program in programs:
            program.popen.kill()
            program.popen.wait()
    rings, chats = capture.rings, capture.chats
    print("requests at " + ", ".join(f"{at:.3f}" for at in rings))
    print("the text at " + ", ".join(f"{at:.3f}" for at in chats))
    good = len(rings) == 3 and all(abs(at - 10 * n) < CLOSE for n, at in enumerate(rings))
    again = chats[1] - chats[0] if len(chats) > 1 else 0.0
    good = good and abs(again - 10) < CLOSE
    print(f"as asked for: {'yes' if good else 'NO'} (the text again after {again:.3f} s)")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
