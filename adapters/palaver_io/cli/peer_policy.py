"""How `palaver peer` is to behave."""

from __future__ import annotations

from dataclasses import dataclass

from palaver import Address


@dataclass(frozen=True)
class PeerPolicy:
    """How a peer behaves."""

    registry: Address
    name: str
    accept: str
    """One of "ask", "all", "none"."""
    timeout: float | None
    wait: bool
    is_interactive: bool
