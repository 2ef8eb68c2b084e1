"""Two people talk: a listener, a caller, or both at once (PROTOCOL.md, section 6.3).

One machine holds many conversations; `max_conversations` is how many callers it takes at a time.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from palaver.entropy import Entropy
from palaver.link.events import (
    Abort,
    Closed,
    Dial,
    Finish,
    Finished,
    Leave,
    Opened,
    Pause,
    Resume,
    Send,
    Undelivered,
)
from palaver.machine import Action, Event, UsageError, WouldBlock
from palaver.wire.duo import (
    ROLE,
    DuoMessage,
    Introduce,
    Same,
    Text,
    Twin,
    check_name,
    decode_duo,
    encode_text,
)
from palaver.wire.errors import Reason

from .crossing import Crossing
from .duo_events import Call, ConversationOpened, Said, Say
from .role import Options
from .twins import Talk

if TYPE_CHECKING:
    from typing_extensions import Unpack


class Duo(Crossing):
    """One-to-one conversations at one address.

    Takes `Call` and `Say`, and the link's own `Finish`, `Leave`, `Abort`, `Pause` and `Resume`.
    Tells `Dialing`, `StillDialing`, `ConversationOpened`, `Said`, `Delivered`, `Overdue`,
    `Undelivered`, `Writable`, `Finished` and `Closed`.

    If two call each other, both find themselves in one conversation, the one that they called
    for. So while a call is young, another caller may be announced up to two seconds late.
    """

    __slots__ = ()

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
        super().__init__(entropy, name=name, answers=answers, places=max_conversations, **options)

    # Commands

    def _do(self, event: Event, now: float, out: list[Action], /) -> None:
        if type(event) is Say:
            self._say(event, now, out)
        elif isinstance(event, Call):
            self._dial(Dial(event.address, ROLE, event.ref, event.timeout), now, out)
        elif isinstance(event, Send | Dial):
            raise UsageError(f"use Say and Call, not {type(event).__name__}")
        elif isinstance(event, Finish | Leave | Abort | Pause | Resume):
            self._command(event, now, out)
        else:
            super()._do(event, now, out)

    def _check_shown(self, link: int) -> None:
        """Raise UsageError for a link that the program was not told of."""
        if link in self._twins or link in self._held:
            raise UsageError(f"there is no conversation {link}")

    def _say(self, say: Say, now: float, out: list[Action]) -> None:
        message = encode_text(say.text)
        self._check_shown(say.link)
        talk = self._talks.get(say.link)
        if talk is None:
            reason = self._past.get(say.link)
            if reason is not None:
                out.append(Undelivered(say.link, say.ref, reason))
            else:
                self._pass_on(Send(say.link, message, say.ref), now, out)
            return
        if talk.must_drain(now):
            talk.blocked = True
            raise WouldBlock("the conversation moves to another link; wait for Writable")
        try:
            self._pass_on(Send(talk.sender, message, say.ref), now, out)
        except WouldBlock:
            talk.blocked = True
            raise
        if talk.sender == talk.number:
            talk.texts += 1

    def _command(
        self, event: Finish | Leave | Abort | Pause | Resume, now: float, out: list[Action]
    ) -> None:
        """Carry out a command, on both links if there are two."""
        self._check_shown(event.link)
        talk = self._talks.get(event.link)
        if talk is None:
            self._pass_on(event, now, out)
            return
        for link in talk.links:
            self._pass_on(replace(event, link=link), now, out)
        if isinstance(event, Leave | Abort):
            self._end(talk, event, now, out)
        elif isinstance(event, Finish):
            talk.finished = True
        else:
            talk.paused = isinstance(event, Pause)
            for held in self._held.values():
                if held.bound == talk.number:
                    self._wait_for(held, talk, now, out)

    def _end(self, talk: Talk, event: Leave | Abort, now: float, out: list[Action]) -> None:
        """Take note that the program ends a talk: it no longer crosses any call."""
        talk.leaving, talk.paused = event, False
        self._rule_out_all(talk.number, now, out, bound=False)
        for held in list(self._held.values()):
            # An abort does not wait for the peer's word: if it is in a conversation with us
            # already, that is over, and else we let its call be one of its own.
            if held.bound != talk.number or isinstance(event, Leave):
                continue
            if talk.number in self._introduced:
                self._merge(held, talk, now, out)
            else:
                self._rule_out(held, talk.number, now, out)

    # What links tell

    def _decode(self, _: str, message: bytes, /) -> DuoMessage | None:
        return decode_duo(message)

    def _heard(self, opened: Opened, message: DuoMessage, now: float, out: list[Action], /) -> None:
        link = opened.link
        introduced = link in self._introduced
        if type(message) is Text and introduced:
            if link in self._held:
                self._keep(self._held[link], Said(link, message.text), now, out)
            else:
                out.append(Said(self._twins.get(link, link), message.text))
        elif isinstance(message, Introduce) and not introduced:
            self._introduced.add(link)
            notice = ConversationOpened(link, opened.ref, opened.address, message.name)
            if link in self._held:
                self._held[link].untold.append(notice)
            else:
                out.append(notice)
        elif isinstance(message, Twin) and introduced:
            self._hear_twin(link, message, now, out)
        elif isinstance(message, Same) and introduced:
            self._hear_same(link, message, now, out)
        else:
            self._give_up(link, Reason.PROTOCOL_ERROR, now, out)

    def _finished(self, opened: Opened, now: float, out: list[Action], /) -> None:
        link = opened.link
        if link not in self._introduced:
            super()._finished(opened, now, out)
            return
        talk = self._talks.get(self._twins.get(link, link))
        if link in self._held:
            self._held[link].untold.append(Finished(link))
        elif talk is None:
            out.append(Finished(link))
        else:
            talk.heard_fin |= {link}
            if talk.twin is None:
                self._rule_out_all(link, now, out, bound=True)
            self._tell_finished(talk, out)

    def _closed(
        self, closed: Closed, opened: Opened | None, now: float, out: list[Action], /
    ) -> None:
        link = closed.link
        known = link in self._introduced
        self._introduced.discard(link)
        self._twins_heard.pop(link, None)
        held = self._held.get(link)
        talk = self._talks.get(self._twins.get(link, link))
        if held is not None:
            held.ended = True
            if known:
                held.untold.append(closed)
            if held.bound is None:
                self._announce(held, now, out)
        elif talk is not None and talk.twin is not None:
            self._part(talk, closed, out)
        else:
            # A caller that never introduced itself was never announced.
            if known or opened is None or not opened.inbound:
                out.append(closed)
            if self._talks.pop(link, None) is not None:
                self._rule_out_all(link, now, out, bound=True)

    # Exploration

    def clone(self) -> Duo:
        """Give an independent twin that will draw the same random values."""
        return self._twin()
