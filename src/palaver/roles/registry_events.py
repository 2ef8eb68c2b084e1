"""What a registry is asked by its program, and what it tells it (PROTOCOL.md, section 6.4)."""

from __future__ import annotations

from enum import Enum

from palaver.machine import Event, Notice
from palaver.values import value
from palaver.wire.registry import Entry


class Why(Enum):
    """Why somebody is not there any more."""

    LEFT = "left"
    """It said so."""
    VANISHED = "vanished"
    """Its link has ended without a word."""


@value
class TakeSnapshot(Event):
    """Ask for a `Snapshot`."""


@value
class Retire(Event):
    """End all links because this registry is going away, and enter nobody from now on.

    The table as it is now is what a successor is to have: with `snapshot_every` the last `Snapshot`
    has it, and none follows; else ask for one before.
    """


@value
class Snapshot(Notice):
    """What `Registry(snapshot=...)` needs to know who was there."""

    data: bytes


@value
class Joined(Notice):
    """Somebody is there; `resumed` if it has had its id before."""

    entry: Entry
    resumed: bool


@value
class Gone(Notice):
    """Somebody is not there any more."""

    entry: Entry
    why: Why
