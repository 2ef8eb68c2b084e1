"""Faults on purpose, as asked for on the command line."""

from __future__ import annotations

import secrets
from collections.abc import Callable

from palaver.sim import NO_FAULTS, FaultInjector

from .arguments import FaultOptions


def make_injector(options: FaultOptions, tell: Callable[[str], object]) -> FaultInjector | None:
    """Make what spoils the datagrams of this process, and tell how to do the same again."""
    if options.faults == NO_FAULTS:
        return None
    seed = draw_seed(options)
    tell(f"Spoiling on purpose what is sent from here (--seed {seed} makes the same decisions).")
    return FaultInjector(options.faults, seed)


def draw_seed(options: FaultOptions) -> int:
    """Give the seed that was asked for, or any."""
    return secrets.randbits(32) if options.seed is None else options.seed
