"""What a channel tells the link of a packet."""

from __future__ import annotations

from collections.abc import Sequence

from palaver.wire.errors import Reason
from palaver.wire.frames import Close

from .outbox import Pending


class Heard:
    """What a packet from the peer brought."""

    __slots__ = ("close", "delivered", "messages", "progress", "violation")

    def __init__(self) -> None:
        self.messages: list[bytes] = []
        self.delivered: Sequence[Pending] = ()
        self.close: Close | None = None
        self.violation: Reason | None = None
        # Whether a segment came that is new, or an ACK of a packet that carried some.
        self.progress = False
