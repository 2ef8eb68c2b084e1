"""A hub and its members as real processes, what they print as JSON, and whether it agrees."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli_support import assert_same

if TYPE_CHECKING:
    from cli_support import Process, Processes

FAULTS = ("--loss", "20%", "--dup", "10%", "--reorder", "10%")
LONG = 120.0  # seconds


class Group:
    """A hub, and members by name; everybody prints JSON."""

    def __init__(self, processes: Processes, *options: str, hub: tuple[str, ...] = ()) -> None:
        self.processes = processes
        self.options = options
        self.hub = processes.start("hub", "127.0.0.1:0", "--json", *options, *hub)
        self.address: str = self.hub.wait_for_event("listening")["address"]
        self.members: dict[str, Process] = {}

    def join(self, name: str, *options: str) -> Process:
        arguments = ("join", self.address, "--name", name, "--json", *self.options, *options)
        member = self.members[name] = self.processes.start(*arguments)
        member.wait_for_event("entered")
        return member

    def log(self) -> dict[int, tuple[str, ...]]:
        """Give all entries as the hub printed them."""
        found = {}
        for event in self.hub.events():
            if event["event"] in {"message", "joined", "left"} and event["number"]:
                found[event["number"]] = entry(event)
        assert sorted(found) == list(range(1, len(found) + 1))
        return found

    def check(self, name: str) -> int:
        """Check what a member printed against the hub's log; give how many entries it saw."""
        log = self.log()
        member = self.members[name]
        events = member.events()
        (entered,) = [event for event in events if event["event"] == "entered"]
        seen = [
            (event["number"], entry(event))
            for event in events
            if event["event"] in {"message", "joined", "left"}
        ]
        own = {event["number"] for event in events if event["event"] == "taken"}
        last = max([number for number, _ in seen] + list(own))
        expected = [
            (number, log[number])
            for number in range(entered["number"] + 1, last + 1)
            if number not in own and log[number] != ("joined", name)
        ]
        assert_same(seen, expected)
        assert all(log[number][:2] == ("message", name) for number in own)
        assert not [one for _, one in seen if one[:2] == ("message", name)], "it heard itself"
        return len(seen)


def has_heard(process: Process, text: str) -> bool:
    """Tell whether this was the last that somebody heard."""
    return any(f'"text": "{text}"' in line for line in process.out[-5:])


def entry(event: dict[str, Any]) -> tuple[str, ...]:
    text = (event["text"],) if event["event"] == "message" else ()
    return (event["event"], event["name"], *text)


def post_at_once(group: Group, names: list[str], lines: int, patience: float = LONG) -> float:
    """Let everybody post as many lines; give the seconds until all have all."""
    began = time.monotonic()
    for name in names:
        group.members[name].type(*(f"{name} {number}" for number in range(lines)))
    for name in names:
        member = group.members[name]
        member.wait_for(
            lambda member=member: (
                len(member.out) >= lines * len(names)  # type: ignore[misc]
                and len(member.events("message")) == lines * (len(names) - 1)
                and len(member.events("taken")) == lines
            ),
            patience,
        )
    return time.monotonic() - began


def resident_kilobytes(process: Process) -> int:
    """Give the memory that a process has now (Linux only)."""
    status = Path(f"/proc/{process._popen.pid}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmRSS")]
    return int(line.split()[1])
