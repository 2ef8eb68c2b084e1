"""A script for the network: what happens to the datagram with a certain number.

    sim = Sim(7, script={3: Verdict(drop=True), 5: Verdict(late=2.0, again=9.0)})

The numbers are those of the trace: the first datagram that is sent is 1. Those that the script
does not mention meet the faults of their path, by default none: they are delivered.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from palaver.machine import UsageError
from palaver.values import value

_MAX_SECONDS = 1e9


@value
class Verdict:
    """What happens to one datagram. As it stands, it is delivered as usual.

    Raises UsageError for a time that is not from 0 to 1e9 seconds.
    """

    drop: bool = False
    """It vanishes, and nothing below happens."""
    late: float = 0.0
    """It is held back for so many seconds, and overtaken."""
    flip: tuple[int, ...] = ()
    """The places of the bits that are flipped, from the end; a place outside wraps around."""
    keep: int | None = None
    """Only so many of its first bytes arrive."""
    append: bytes = b""
    """These bytes are appended."""
    again: float | None = None
    """A good copy arrives so many seconds after it was due: a duplicate, or a replay."""
    forge: bytes | None = None
    """These bytes arrive with it, from the same source."""

    def __post_init__(self) -> None:
        """Check the bounds."""
        for seconds in (self.late, self.again):
            if seconds is not None and not 0 <= seconds <= _MAX_SECONDS:
                raise UsageError(f"a verdict takes from 0 to 1e9 seconds, not {seconds}")
        if self.keep is not None and self.keep < 0:
            raise UsageError(f"a verdict can't keep {self.keep} bytes")


DROP = Verdict(drop=True)
"""The shortest script there is: `{number: DROP}`."""

Script: TypeAlias = Mapping[int, Verdict]
