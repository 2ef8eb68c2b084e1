"""Two people talk: a listener, a caller, or both at once (PROTOCOL.md, section 6.3).

One machine holds many conversations; `max_conversations` is how many callers it takes at a time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from palaver.entropy import Entropy
from palaver.link.events import Closed, Dial, Dialing, Finished, Opened, Send
from palaver.machine import Action, Address, Event, Notice, UsageError
from palaver.values import value
from palaver.wire.duo import (
    ROLE,
    DuoMessage,
    Introduce,
    Text,
    check_name,
    decode_duo,
    encode_text,
)
from palaver.wire.errors import Reason

from .role import Options, Role

if TYPE_CHECKING:
    from typing_extensions import Unpack


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


class Duo(Role[DuoMessage]):
    """One-to-one conversations at one address.

    Takes `Call` and `Say`, and the link's own `Finish`, `Leave`, `Abort`, `Pause` and `Resume`.
    Tells `Dialing`, `StillDialing`, `ConversationOpened`, `Said`, `Delivered`, `Overdue`,
    `Undelivered`, `Writable`, `Finished` and `Closed`.
    """

    __slots__ = ("_introduced", "name")

    def __init__(
        self,
        entropy: Entropy,
        *,
        name: str = "",
        accept: bool = True,
        max_conversations: int = 1,
        **options: Unpack[Options],
    ) -> None:
        """Make a machine that answers calls, if `accept`, and can make them.

        `name` is told to each peer: at most 64 bytes of UTF-8. Raises UsageError.
        """
        check_name(name)
        if max_conversations < 1:
            raise UsageError(f"max_conversations must be at least 1, not {max_conversations}")
        answers = (ROLE,) if accept else ()
        super().__init__(entropy, answers=answers, max_inbound=max_conversations, **options)
        self.name = name
        # The links whose peer has introduced itself.
        self._introduced: set[int] = set()

    # Commands

    def _do(self, event: Event, now: float, out: list[Action], /) -> None:
        if type(event) is Say:
            message = Send(event.link, encode_text(event.text), event.ref)
            self._pass_on(message, now, out)
        elif isinstance(event, Call):
            self._dial(Dial(event.address, ROLE, event.ref, event.timeout), now, out)
        elif isinstance(event, Send | Dial):
            raise UsageError(f"use Say and Call, not {type(event).__name__}")
        else:
            super()._do(event, now, out)

    # What the links tell

    def _dialing(self, dialing: Dialing, _: str, now: float, out: list[Action], /) -> None:
        out.append(dialing)
        self._introduce(dialing.link, now, out)

    def _opened(self, opened: Opened, now: float, out: list[Action], /) -> None:
        if opened.inbound:
            self._introduce(opened.link, now, out)

    def _introduce(self, link: int, now: float, out: list[Action]) -> None:
        self._tell(link, Introduce(self.name).encode(), now, out)

    def _decode(self, _: str, message: bytes, /) -> DuoMessage | None:
        return decode_duo(message)

    def _heard(self, opened: Opened, message: DuoMessage, now: float, out: list[Action], /) -> None:
        link = opened.link
        introduced = link in self._introduced
        if type(message) is Text and introduced:
            out.append(Said(link, message.text))
        elif isinstance(message, Introduce) and not introduced:
            self._introduced.add(link)
            out.append(ConversationOpened(link, opened.ref, opened.address, message.name))
        else:
            self._give_up(link, Reason.PROTOCOL_ERROR, now, out)

    def _finished(self, opened: Opened, now: float, out: list[Action], /) -> None:
        if opened.link in self._introduced:
            out.append(Finished(opened.link))
        else:
            super()._finished(opened, now, out)

    def _closed(
        self, closed: Closed, opened: Opened | None, _: float, out: list[Action], /
    ) -> None:
        known = closed.link in self._introduced
        self._introduced.discard(closed.link)
        # A caller that never introduced itself was never announced.
        if known or opened is None or not opened.inbound:
            out.append(closed)

    # Exploration

    def clone(self) -> Duo:
        """Give an independent twin that will draw the same random values."""
        twin = self._twin()
        twin._introduced = self._introduced.copy()
        return twin

    def state_key(self, now: float) -> tuple[object, ...]:
        """Give all that decides the future as one comparable value, times relative to `now`."""
        return (*super().state_key(now), tuple(sorted(self._introduced)))
