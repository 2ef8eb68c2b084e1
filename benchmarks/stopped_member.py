"""One member of a group is stopped while another posts 10,000 lines: what the others notice.

    python benchmarks/stopped_member.py [--lines N] [--rate N]    # 30 s; Linux

Four real processes on the loopback: a hub, and the members Ann, Bob and Cy. Ann posts at a steady
rate, first while Cy listens, then, in a group of its own, while Cy is stopped (SIGSTOP). Printed
are the times from Ann's line to Bob's, side by side, and by how much the hub has grown; and what
became of Cy.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).resolve().parents[1]
LINES, RATE = 10_000, 1000
PATIENCE = 60.0  # seconds
BATCH = 10  # lines that are written at once


class Program:
    """A `palaver` process with `--json`, and its events, each with the time when it was read."""

    def __init__(self, *arguments: str) -> None:
        path = os.pathsep.join(str(ROOT / part) for part in ("src", "adapters"))
        self.popen = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-m", "palaver_io", *arguments, "--json"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "PYTHONPATH": path},
        )
        self.events: list[tuple[float, dict[str, Any]]] = []
        assert self.popen.stdout is not None
        threading.Thread(target=self._read, args=(self.popen.stdout,), daemon=True).start()

    def _read(self, stream: IO[str]) -> None:
        for line in stream:
            self.events.append((time.monotonic(), json.loads(line)))

    def wait_for(self, kind: str, count: int = 1) -> dict[str, Any]:
        """Wait until there have been that many events of a kind, and give the last of them."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            found = [event for _, event in list(self.events) if event["event"] == kind]
            if len(found) >= count:
                return found[count - 1]
            time.sleep(0.02)
        raise SystemExit(f"no {count} events {kind!r} within {PATIENCE} s: {self.events[-3:]}")

    def type(self, text: str) -> None:
        """Give it input."""
        assert self.popen.stdin is not None
        self.popen.stdin.write(text)
        self.popen.stdin.flush()

    @property
    def kilobytes(self) -> int:
        """The memory that it has."""
        status = Path(f"/proc/{self.popen.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0])


@dataclass(frozen=True)
class Round:
    """What was seen: seconds from a line to its arrival at Bob, and kilobytes that the hub grew."""

    times: list[float]
    growth: int
    story: str

    def at(self, part: float) -> float:
        """Give the milliseconds within which that part of the lines came."""
        return sorted(self.times)[round(part * (len(self.times) - 1))] * 1000


def play(programs: list[Program], lines: int, rate: int, *, stopped: bool) -> Round:
    """Have Ann post, and look how long each line takes to Bob."""
    hub = Program("hub", "127.0.0.1:0")
    programs.append(hub)
    address = hub.wait_for("listening")["address"]
    ann, bob, cy = people = [Program("join", address, "--name", n) for n in ("Ann", "Bob", "Cy")]
    programs += people
    for one in people:
        one.wait_for("entered")
    ann.type("warm up\n")
    for one in (bob, cy):
        one.wait_for("message")
    before = most = hub.kilobytes
    if stopped:
        cy.popen.send_signal(signal.SIGSTOP)
    said: list[float] = []
    since = time.monotonic()
    for first in range(0, lines, BATCH):
        time.sleep(max(0.0, since + first / rate - time.monotonic()))
        said += [time.monotonic()] * BATCH
        ann.type("".join(f"line {number}\n" for number in range(first, first + BATCH)))
        most = max(most, hub.kilobytes)
    bob.wait_for("message", lines + 1)
    heard = [(at, event["text"]) for at, event in bob.events if event["event"] == "message"][1:]
    if [text for _, text in heard] != [f"line {number}" for number in range(lines)]:
        raise SystemExit("Bob did not get every line once and in order")
    story = "" if not stopped else tell(hub, ann, cy)
    times = [at - then for (at, _), then in zip(heard, said, strict=True)]
    return Round(times, most - before, story)


def tell(hub: Program, ann: Program, cy: Program) -> str:
    """Let Cy go on, and tell what became of it."""
    left = hub.wait_for("left")
    since = time.monotonic()
    cy.popen.send_signal(signal.SIGCONT)
    back = cy.wait_for("entered", 2)
    took = time.monotonic() - since
    ann.type("welcome back\n")
    until = time.monotonic() + PATIENCE
    while cy.events[-1][1].get("text") != "welcome back" and time.monotonic() < until:
        time.sleep(0.02)
    if cy.events[-1][1].get("text") != "welcome back":
        raise SystemExit("Cy came back, but does not hear the others")
    return (
        f"Cy was {left['how']} ({left.get('reason')}); back {took:.1f} s after it went on,"
        f" told of {back['how']!r}"
    )


def main() -> int:
    """Print the two rounds side by side."""
    parser = argparse.ArgumentParser(description="What the others notice of a stopped member.")
    parser.add_argument("--lines", type=int, default=LINES)
    parser.add_argument("--rate", type=int, default=RATE, help="lines a second")
    options = parser.parse_args()
    rounds = []
    for stopped in (False, True):
        programs: list[Program] = []
        try:
            rounds.append(play(programs, options.lines, options.rate, stopped=stopped))
        finally:
            for program in programs:
                program.popen.kill()
                program.popen.wait()
    free, held = rounds
    print(
        f"{options.lines:,} lines at {options.rate} a second, from Ann to Bob, each once, in order"
    )
    print(f"{'':24}{'Cy listens':>12}{'Cy stopped':>12}{'ratio':>8}")
    for name, part in (("half came within", 0.5), ("99 % within", 0.99), ("all within", 1.0)):
        a, b = free.at(part), held.at(part)
        print(f"{name:24}{a:9.1f} ms{b:9.1f} ms{b / a:8.2f}")
    print(f"{'the hub grew by':24}{free.growth:9,} KB{held.growth:9,} KB")
    print(held.story)
    return 0


if __name__ == "__main__":
    sys.exit(main())
