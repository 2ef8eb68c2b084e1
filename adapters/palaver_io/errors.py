"""What the drivers and the facades raise beside the core's UsageError and Python's TimeoutError."""

from __future__ import annotations

from palaver.machine import Address, PalaverError

from .addresses import format_address


class DriverFailed(PalaverError):
    """The machine or a callback raised what it must not, and the driver has stopped.

    `__cause__` is what was raised: a bug in the machine or in the program.
    """


class ListenerClosed(PalaverError):
    """The listener takes no more calls."""


class ConversationOver(PalaverError):
    """Nothing more will be received: the peer said so, or the conversation was ended properly."""


class ConversationLost(PalaverError, ConnectionError):
    """The conversation has ended before both sides were done, for `reason` (a code)."""

    def __init__(self, message: str, reason: int) -> None:
        super().__init__(message)
        self.reason = reason


class ConnectFailed(PalaverError, ConnectionError):
    """The call did not become a conversation, for `reason`: busy, no answer, wrong role, ...

    It is an OSError, as all that `connect` raises for reasons outside of the program.
    `unreachable` tells whether the network had said that nothing listens at `address`.
    """

    def __init__(self, address: Address, reason: int, text: str, *, unreachable: bool) -> None:
        hint = "; the network says that nothing listens there" if unreachable else ""
        super().__init__(f"calling {format_address(address)} failed: {text}{hint}")
        self.address = address
        self.reason = reason
        self.unreachable = unreachable


class NotDelivered(PalaverError, ConnectionError):
    """No acknowledgement came for `messages`: pairs of what `send` returned and the text.

    Each of them may have arrived all the same.
    """

    def __init__(self, why: str, messages: list[tuple[int, str]]) -> None:
        first = ", ".join(f"number {ref}" for ref, _ in messages[:10])
        others = ", ..." if len(messages) > 10 else ""
        super().__init__(f"{len(messages)} of the messages sent were {why}: {first}{others}")
        self.messages = messages
