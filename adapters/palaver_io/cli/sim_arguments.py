"""What can be typed after `palaver sim`."""

from __future__ import annotations

import argparse
from dataclasses import dataclass

from palaver.sim.swarm import ALL, ROLES

from .argument_types import take_many, take_seed

SIM_TEXT = """\
Play machines against a simulated network, in virtual time: no sockets, no
waiting. Each seed draws what people do, which faults there are and how hard;
then everything heals, but for some faults, and is ended. Every promise is
checked. The exit status is 0 only if all were kept.

examples:
  palaver sim                               100 seeds of each role
  palaver sim --role duo --seeds 10000      many of one
  palaver sim --role duo --seed 7 --trace   one, and all that happened in it
  palaver sim --faults loss,reorder         with no other faults than these
  palaver sim --calls 10000                 handshakes and calls at 50% loss
  palaver sim --forged 100000               attack listener, registry, two hubs
"""


@dataclass(frozen=True)
class SimOptions:
    """What `palaver sim` was asked for."""

    roles: tuple[str, ...]
    first: int
    seeds: int
    faults: tuple[str, ...]
    trace: bool
    calls: int
    forged: int


def take_faults(text: str) -> tuple[str, ...]:
    """Take names of faults. Raises ArgumentTypeError."""
    names = tuple(part.strip() for part in text.split(",") if part.strip())
    for name in names:
        if name not in ALL:
            known = ", ".join(ALL)
            raise argparse.ArgumentTypeError(f"there is no fault {name!r}; there are {known}")
    return names


def add_sim_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `palaver sim`."""
    parser.add_argument(
        "--role",
        choices=(*ROLES, "all"),
        help="duo: two who call each other; people: a registry and three peers; group: a hub and "
        "four members (default: all of them)",
    )
    parser.add_argument(
        "--seed", metavar="N", type=take_seed, help="the first seed (default: 1); alone: only it"
    )
    parser.add_argument(
        "--seeds", metavar="N", type=take_many, help="how many seeds, for each role (default: 100)"
    )
    parser.add_argument(
        "--faults",
        metavar="NAMES",
        type=take_faults,
        help=f"the faults to draw from, with commas between them (default: {', '.join(ALL)})",
    )
    parser.add_argument(
        "--trace", action="store_true", help="show all that happened in each run that is played"
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--calls",
        metavar="N",
        type=take_many,
        default=0,
        help="instead: N handshakes and N calls at 50%% loss, 30%% copies and 10%% damage",
    )
    what.add_argument(
        "--forged",
        metavar="N",
        type=take_many,
        default=0,
        help="instead: N forged, replayed, cut and spoofed datagrams at each of four machines: a "
        "listener, a registry, a hub, and a hub that takes plain text too",
    )


def check_sim_options(parser: argparse.ArgumentParser, found: argparse.Namespace) -> None:
    """End the program if options were given that the asked-for campaign has no use for."""
    for campaign in ("calls", "forged"):
        for option in ("role", "seeds", "faults", "trace"):
            if getattr(found, campaign) and getattr(found, option):
                parser.error(f"--{option} does not go with --{campaign}: leave one out")


def make_sim_options(found: argparse.Namespace) -> SimOptions:
    """Give the options that were found."""
    seeds, role = found.seeds, found.role
    if seeds is None:
        seeds = 100 if found.seed is None else 1
    return SimOptions(
        roles=tuple(ROLES) if role in {None, "all"} else (role,),
        first=1 if found.seed is None else found.seed,
        seeds=seeds,
        faults=found.faults or ALL,
        trace=found.trace,
        calls=found.calls,
        forged=found.forged,
    )
