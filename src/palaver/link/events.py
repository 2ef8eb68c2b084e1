"""What a link and an endpoint are told, and what they tell (PROTOCOL.md, section 9).

Commands name their link by the number that `Dialing` or `Opened` gave; a `ref` is the caller's
own number for what the command asks, echoed by each notice that it leads to.
"""

from __future__ import annotations

from dataclasses import field
from enum import Enum

from palaver.machine import Address, Event, Notice
from palaver.values import value
from palaver.wire.errors import Reason, reason_name


class Side(Enum):
    """Which side ended a link."""

    LOCAL = "local"
    PEER = "peer"


@value
class Dial(Event):
    """Ask whoever is at `address` for a link of `role`; give up after `timeout` seconds, if any."""

    address: Address
    role: str
    ref: int = 0
    timeout: float | None = None


@value
class Send(Event):
    """Send a message: kind (16 to 255) and body, 65,536 bytes at most.

    With `ref` None nothing is told of what becomes of it.
    """

    link: int
    message: bytes
    ref: int | None = 0


@value
class Finish(Event):
    """Say that no more messages will come; go on receiving."""

    link: int


@value
class Leave(Event):
    """End the link when all that was sent is delivered: `reason` 0 to 63, or 128 to 255."""

    link: int
    reason: int = 0
    text: str = ""


@value
class Abort(Event):
    """End the link now: `reason` 0 to 63, or 128 to 255."""

    link: int
    reason: int = 1
    text: str = ""


@value
class Pause(Event):
    """Hold messages back, here and, when the window is full, at the peer."""

    link: int


@value
class Resume(Event):
    """Hand over what was held back, and all that comes."""

    link: int


@value
class Probe(Event):
    """Ask the peer of an open link for a sign of life; `Alive` tells of one that comes."""

    link: int


Command = Send | Finish | Leave | Abort | Pause | Resume


@value
class Dialing(Notice):
    """The command `ref` to dial has become `link`."""

    link: int
    ref: int
    address: Address


@value
class StillDialing(Notice):
    """HELLO number `attempt` (from 2) went out; the address was said to be `unreachable`."""

    link: int
    ref: int
    attempt: int
    unreachable: bool


@value
class Opened(Notice):
    """The link is up. `ref` is that of the Dial, or None if the peer called."""

    link: int
    ref: int | None
    address: Address
    role: str

    @property
    def inbound(self) -> bool:
        """Whether the peer called."""
        return self.ref is None


@value
class Received(Notice):
    """A message of a role's kind has arrived, complete and in order."""

    link: int
    message: bytes


@value
class Delivered(Notice):
    """The message of command `ref` was handed to the peer's program (not: read)."""

    link: int
    ref: int


@value
class Overdue(Notice):
    """The message of command `ref` is not acknowledged yet; it goes on being tried."""

    link: int
    ref: int


@value
class Undelivered(Notice):
    """No acknowledgement of command `ref` came or will come: it may or may not have arrived."""

    link: int
    ref: int
    reason: int


@value
class Alive(Notice):
    """A fresh and sound packet has come on the link: the first since it was probed."""

    link: int


@value
class Writable(Notice):
    """The send queue that had raised WouldBlock has drained to half."""

    link: int


@value
class Finished(Notice):
    """The peer will send no more messages."""

    link: int


@value
class Closed(Notice):
    """The link has ended. No notice follows but the answers to later commands.

    `graceful` if it was closed in agreement, and all that was sent before was delivered.
    """

    link: int
    ref: int | None
    reason: int
    by: Side
    text: str = ""
    graceful: bool = field(default=False, compare=False)

    @property
    def clean(self) -> bool:
        """Whether both sides were done and all was delivered: no error, and nothing lost."""
        return self.graceful and self.reason == Reason.LEFT

    def describe(self) -> str:
        """Say the reason for people."""
        name = reason_name(self.reason)
        return f"{name}: {self.text}" if self.text else name
