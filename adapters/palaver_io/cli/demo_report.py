"""What the demo shows at its end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from palaver.sim import FaultCounters, Faults


@dataclass(frozen=True)
class Outcome:
    """What became of one end's messages."""

    name: str
    sent: list[str]
    delivered: int
    heard: list[str]
    expected: list[str]
    """What it should have heard."""
    is_whole: bool
    """It sent all that it had, and each was acknowledged once, in order."""
    machine: dict[str, int]
    faults: FaultCounters
    rtt: float | None

    @property
    def is_good(self) -> bool:
        """Whether everything arrived exactly once and in order, and its sender knows."""
        return self.is_whole and self.heard == self.expected


def describe_faults(faults: Faults, messages: int, largest: int) -> str:
    """Say what will happen."""
    return (
        f"Two machines, two UDP sockets: {messages} messages each way, one of {largest:,} bytes.\n"
        f"On purpose, each way: {faults.loss:.0%} lost, {faults.duplicate:.0%} duplicated, "
        f"{faults.reorder:.0%} reordered, {faults.corrupt:.0%} corrupted."
    )


def make_report(outcomes: list[Outcome], took: float, seed: int) -> tuple[list[str], bool]:
    """Give the lines of the table and the verdict, and whether all is well."""
    first, second = outcomes
    rows = [("", first.name, second.name), *_make_rows(first, second)]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    table = [f"{row[0]:<{widths[0]}}  {row[1]:>{widths[1]}}  {row[2]:>{widths[2]}}" for row in rows]
    rule = "-" * len(table[0])
    is_good = first.is_good and second.is_good
    lines = [*table[:1], rule, *table[1:], rule]
    if is_good:
        total = len(first.heard) + len(second.heard)
        lines.append(
            f"OK: all {total} messages arrived exactly once and in order, in {took:.1f} s."
        )
    else:
        lines.append(f"FAILED after {took:.1f} s:")
        lines += [f"  {problem}" for one in outcomes for problem in _find_problems(one)]
    lines.append(f"To spoil the same datagrams again: palaver demo --seed {seed}")
    return lines, is_good


def _make_rows(first: Outcome, second: Outcome) -> list[tuple[str, str, str]]:
    """Make the table; what a receiver found wrong stands with the one who sent it."""
    pairs: list[tuple[str, Callable[[Outcome, Outcome], object]]] = [
        ("datagrams sent", lambda one, _: one.faults.sent),
        ("  dropped", lambda one, _: one.faults.dropped),
        ("  duplicated", lambda one, _: one.faults.duplicated),
        ("  reordered", lambda one, _: one.faults.reordered),
        ("  corrupted", lambda one, _: one.faults.corrupted),
        ("  rejected by the receiver", lambda _, other: _count_rejected(other)),
        ("  duplicates discarded there", lambda _, other: other.machine["duplicates"]),
        ("segments sent again", lambda one, _: one.machine["segments_resent"]),
        ("  duplicates discarded there", lambda _, other: other.machine["segments_repeated"]),
        ("messages sent", lambda one, _: len(one.sent)),
        ("  delivered", lambda one, _: one.delivered),
        ("messages received", lambda one, _: len(one.heard)),
        ("round trip", lambda one, _: "-" if one.rtt is None else f"{one.rtt * 1000:.1f} ms"),
    ]
    return [(title, str(value(first, second)), str(value(second, first))) for title, value in pairs]


def _count_rejected(one: Outcome) -> int:
    """Count the datagrams that were not what somebody had sent."""
    return one.machine["damaged"] + one.machine["malformed"]


def _find_problems(one: Outcome) -> list[str]:
    """Say what went wrong with what one end should have heard, and with what it sent."""
    problems = []
    missing = [text for text in one.expected if text not in one.heard]
    if missing:
        problems.append(f"{one.name} did not hear {len(missing)} of {len(one.expected)} messages.")
    if len(set(one.heard)) < len(one.heard):
        problems.append(f"{one.name} heard some messages more than once.")
    if not problems and one.heard != one.expected:
        problems.append(f"{one.name} heard the messages in another order.")
    if not one.is_whole:
        problems.append(f"{one.name} did not get every message acknowledged, once and in order.")
    return problems
