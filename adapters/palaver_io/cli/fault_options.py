"""What a command is to spoil on purpose."""

from __future__ import annotations

from dataclasses import dataclass

from palaver.sim import Faults


@dataclass(frozen=True)
class FaultOptions:
    """What this process does to the datagrams that it sends."""

    faults: Faults
    seed: int | None
