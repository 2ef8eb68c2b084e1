"""`palaver sim`: many seeds in virtual time, and what they show."""

from __future__ import annotations

import textwrap
import time
from collections import Counter
from collections.abc import Iterable

from palaver.sim import describe
from palaver.sim.swarm import ALL, Run, Summary, run_seed
from palaver.sim.swarm.forgeries import TARGETS, Siege, besiege
from palaver.sim.swarm.hard_calls import HardCalls, try_hard

from .escape import escape
from .screen import Screen
from .sim_arguments import SimOptions
from .status import EXIT_FAILURE, EXIT_OK

_SHOWN = 10  # failing seeds of a role that are shown
_WIDTH = 80  # columns
_EFFECTS = (
    ("damaged", "refused by the checksum"),
    ("duplicates", "packets that had come before"),
    ("segments_repeated", "segments that had come before"),
    ("segments_resent", "segments sent again"),
    ("unknown", "packets of links that are not there"),
    ("foreign", "packets from another address"),
    ("moves", "links that moved on"),
)


def run_sim(options: SimOptions) -> int:
    """Play what was asked for; give the exit status."""
    screen = Screen()
    if options.calls:
        is_good = _try_calls(screen, options)
    elif options.forged:
        sieges = [_besiege(screen, target, options) for target in TARGETS]
        is_good = all(sieges)
    else:
        swarms = [_swarm(screen, role, options) for role in options.roles]
        is_good = all(swarms)
    return screen.tell_failure() or (EXIT_OK if is_good else EXIT_FAILURE)


def _swarm(screen: Screen, role: str, options: SimOptions) -> bool:
    summary, started = Summary(), time.monotonic()
    for seed in range(options.first, options.first + options.seeds):
        if screen.has_failed:  # nobody will see what comes of it
            break
        run = run_seed(role, seed, options.faults)
        summary.add(run)
        if options.trace:
            for entry in run.trace:
                screen.out(describe(entry))
        if run.violations and len(summary.failed) <= _SHOWN:
            _show_failure(screen, run, options)
    took = time.monotonic() - started
    figures = (
        f"{summary.runs} seeds from {options.first} on",
        f"{len(summary.failed)} failed; {summary.runs / max(took, 1e-9) * 60:,.0f} seeds a minute",
        f"{summary.seconds / 3600:,.1f} simulated hours in {took:,.1f} s",
        f"{summary.datagrams:,} datagrams",
    )
    _tell(screen, f"{role}: ", figures)
    _tell(screen, "  faults:  ", _list(summary.faults))
    effects = [f"{summary.machines[name]:,} {what}" for name, what in _EFFECTS]
    _tell(screen, "  effects: ", effects)
    _tell(screen, "  seen:    ", _list(summary.witnesses))
    return not summary.failed


def _show_failure(screen: Screen, run: Run, options: SimOptions) -> None:
    """Say what was wrong, and how to see it again."""
    for violation in run.violations[:_SHOWN]:
        screen.out(f"{run.role}, seed {run.seed}: {escape(violation)}")
    faults = "" if options.faults == ALL else f" --faults {','.join(options.faults)}"
    screen.out(f"  again: palaver sim --role {run.role} --seed {run.seed}{faults} --trace")


def _try_calls(screen: Screen, options: SimOptions) -> bool:
    found, started = HardCalls(), time.monotonic()
    for seed in range(options.first, options.first + options.calls):
        try_hard(seed, found)
    took = time.monotonic() - started
    for what in ("handshakes", "calls"):
        figures = (
            f"{found.opened[what]:,} opened",
            f"the slowest after {found.slowest[what]:.1f} s",
            f"{found.failed[what]:,} failed and were told so within their bound",
        )
        _tell(screen, f"{what}: ", figures)
    together = (
        f"{found.rung:,} rang",
        f"{len(found.rung_twice)} of them twice",
        f"{len(found.stuck)} were stuck",
        f"{found.seconds / 3600:,.1f} simulated hours in {took:,.1f} s",
        f"{found.datagrams:,} datagrams",
    )
    _tell(screen, "all: ", together)
    for problem in (found.stuck + found.rung_twice)[:_SHOWN]:
        screen.out(f"  {problem}")
        screen.out(f"    again: palaver sim --calls 1 --seed {problem.split()[1][:-1]}")
    return not found.stuck and not found.rung_twice


def _besiege(screen: Screen, target: str, options: SimOptions) -> bool:
    siege: Siege = besiege(target, options.forged, options.first)
    screen.out(f"{target}: {sum(siege.sent.values()):,} datagrams in {siege.seconds:.1f} s")
    _tell(screen, "  sent:   ", _list(siege.sent))
    _tell(screen, "  state:  at most ", _list(siege.peaks))
    screen.out(f"  timers: {siege.ticks:,} ticks")
    most = f"at most {siege.most_per_byte:.2f} bytes to a host for each that came from it"
    _tell(screen, "  output: ", (f"{siege.answers:,} answers", most))
    if siege.texts:
        most = (
            f"at most {siege.most_texts:.0f} with {siege.most_text_bytes:,.0f} bytes to an address"
        )
        texts = (f"{siege.texts:,} datagrams", f"{most} for each that came from it")
        _tell(screen, "  text:   ", texts)
    screen.out(f"  honest: who came in the middle of it was in after {siege.waited:.2f} s")
    for problem in siege.problems:
        again = f"palaver sim --forged {options.forged} --seed {options.first}"
        screen.out(f"  failed: {problem}")
        screen.out(f"    again: {again}")
    return not siege.problems


def _list(counts: Counter[str]) -> list[str]:
    """List counts, the most frequent first."""
    return [f"{count:,} {name}" for name, count in counts.most_common()]


def _tell(screen: Screen, head: str, parts: Iterable[str]) -> None:
    """Print a row, in as many lines as it takes, none of which ends within a part."""
    row = ", ".join(part.replace(" ", "\xa0") for part in parts)
    lines = textwrap.wrap(
        row,
        _WIDTH - len(head),
        break_long_words=False,
        break_on_hyphens=False,
    )
    for line in lines or [""]:
        screen.out(head + line.replace("\xa0", " "))
        head = " " * len(head)
