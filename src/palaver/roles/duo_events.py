"""What a Duo is told, and what it tells, beside the events of the link (PROTOCOL.md, 6.3)."""

from __future__ import annotations

from palaver.machine import Address, Event, Notice
from palaver.values import value


@value
class Call(Event):
    """Call whoever is at `address`; give up after `timeout` seconds, if any."""

    address: Address
    ref: int = 0
    timeout: float | None = None


@value
class Say(Event):
    """Say `text`, at most 65,535 bytes in UTF-8, in the conversation `link`."""

    link: int
    text: str
    ref: int = 0


@value
class ConversationOpened(Notice):
    """The peer has introduced itself as `name`, which may be empty and proves nothing."""

    link: int
    ref: int | None
    address: Address
    name: str

    @property
    def inbound(self) -> bool:
        """Whether the peer called."""
        return self.ref is None


@value
class Said(Notice):
    """The peer has said `text`."""

    link: int
    text: str
