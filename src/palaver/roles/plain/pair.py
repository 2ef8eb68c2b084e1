"""Two people talk in plain text (PROTOCOL.md, appendix A), as a few lines with a socket do.

This file routes: events to conversations, and every change of one through the table. `talking` says
what is done there.
"""

from __future__ import annotations

from palaver.link.events import Abort, Dialing, Finish, Leave, Pause, Resume, Undelivered
from palaver.machine import (
    Action,
    Address,
    Chunk,
    Datagram,
    Disconnect,
    Event,
    OpenStream,
    StateMachine,
    StreamBlocked,
    StreamEnded,
    StreamOpened,
    Tick,
    Unreachable,
    UsageError,
    WouldBlock,
    copy_slots,
)
from palaver.roles.duo_events import Call, Say
from palaver.roles.timers import Timers
from palaver.wire.errors import Reason
from palaver.wire.plain import PAST_TEXT, decode, ends_line, is_exit
from palaver.wire.sealing import CLEAR
from palaver.wire.texts import to_utf8

from . import talking
from .events import PlainOpened
from .rules import DEFAULT_PLAIN_RULES, PlainRules
from .states import TALK_TABLE, TalkInput, TalkState
from .talk import Talk

LATE, RETRY, SILENT, PARTED, REST, PACE = range(6)
"""Timers of a conversation; their key is (timer, link)."""

_INPUTS = {
    LATE: TalkInput.LATE,
    RETRY: TalkInput.RETRY,
    SILENT: TalkInput.SILENT,
    PARTED: TalkInput.PARTED,
}


class PlainPair(StateMachine):
    """One-to-one conversations in plain text at one address.

    Takes `Call`, `Say`, `Finish` (which nobody is told), `Leave`, `Abort`, `Pause` and `Resume`;
    and with `streams` `Chunk`, `StreamOpened`, `StreamBlocked` and `StreamEnded`. Tells `Dialing`,
    `StillDialing`, `PlainOpened`, `Said`, `Sent`, `Unheard`, `Stalled`, `Missed`, `Undelivered`,
    `Writable` and `Closed`. Its links are below 0.
    """

    __slots__ = (
        "_accept",
        "_by_address",
        "_last",
        "_max",
        "_pending",
        "_talks",
        "counts",
        "rules",
        "streams",
        "timers",
    )

    def __init__(
        self,
        *,
        accept: bool = True,
        max_conversations: int = 1,
        streams: bool = False,
        rules: PlainRules = DEFAULT_PLAIN_RULES,
    ) -> None:
        """Make a machine that takes up what strangers say, if `accept`, and can call.

        At most `max_conversations` of the strangers at a time. Raises UsageError.
        """
        super().__init__()
        if max_conversations < 1:
            raise UsageError(f"max_conversations must be at least 1, not {max_conversations}")
        self.rules = rules
        self.streams = streams
        self.timers: Timers[tuple[int, int]] = Timers()
        self.counts = dict.fromkeys(("texts", "sent", "busy", "too_fast", "foreign", "odd"), 0)
        self._accept = accept
        self._max = max_conversations
        self._talks: dict[int, Talk] = {}
        self._by_address: dict[Address, Talk] = {}
        # Conversations with something to send, by link.
        self._pending: dict[int, Talk] = {}
        self._last = 0

    # Getters

    @property
    def deadline(self) -> float | None:
        """When a tick is next due."""
        if self._pending:
            return self._now
        due = self.timers.deadline
        return None if due == float("inf") else due

    @property
    def is_idle(self) -> bool:
        """Whether no conversation is left."""
        return not self._talks

    def stats(self) -> dict[str, int]:
        """Give what was counted, and how much is remembered now."""
        waiting = sum(len(talk.queue) for talk in self._talks.values())
        kept = sum(len(talk.kept) for talk in self._talks.values())
        return {**self.counts, "talks": len(self._talks), "waiting": waiting, "kept": kept}

    # Events

    def _take(self, event: Event, now: float, out: list[Action], /) -> None:
        if isinstance(event, Tick):
            self._tick(now, out)
        elif isinstance(event, Datagram):
            self._take_datagram(event, now, out)
        elif isinstance(event, Unreachable):
            talk = self._by_address.get(event.address)
            if talk is not None:
                self.step(talk, TalkInput.HINT, "", now, out)
        elif isinstance(event, Chunk | StreamOpened | StreamBlocked | StreamEnded):
            self._take_stream(event, now, out)
        elif isinstance(event, Call):
            self._call(event, now, out)
        elif isinstance(event, Say):
            self._say(event, now, out)
        elif isinstance(event, Finish | Leave | Abort | Pause | Resume):
            self._command(event, now, out)
        else:
            super()._take(event, now, out)

    def _take_datagram(self, event: Datagram, now: float, out: list[Action]) -> None:
        data = event.data
        if data and data[0] >= PAST_TEXT and CLEAR.open(data) is not None:
            self.counts["foreign"] += 1  # somebody speaks Palaver here
            return
        talk = self._by_address.get(event.source)
        if talk is None:
            talk = self._meet(event.source, now, out)
            if talk is None:
                return
        if not talk.rate.take(now):
            self.counts["too_fast"] += 1
            talk.missed += 1
            return
        if talk.allowance is not None:
            talk.allowance.earn()
            if talk.queue:
                self.wake(talk)
        self._hear(talk, data, now, out)

    def _take_stream(
        self,
        event: Chunk | StreamOpened | StreamBlocked | StreamEnded,
        now: float,
        out: list[Action],
    ) -> None:
        if isinstance(event, Chunk):
            talk = self._by_address.get(event.source)
            if talk is not None and talk.splitter is not None:
                for line in talk.splitter.feed(event.data):
                    self._hear(talk, line, now, out)
                self.plan_rest(talk, now)
            return
        talk = self._by_address.get(event.address)
        if isinstance(event, StreamOpened):
            if talk is not None:
                self.step(talk, TalkInput.OPENED, "", now, out)
            elif self._meet(event.address, now, out) is None:
                out.append(Disconnect(event.address))
        elif talk is None:
            return
        elif isinstance(event, StreamBlocked):
            talk.is_blocked = event.is_blocked
            if talk.queue and not talk.is_blocked:
                self.wake(talk)
        else:
            self._take_rest(talk, now, out)
            self.take_or_keep(talk, TalkInput.CUT, "", now, out)

    def _meet(self, address: Address, now: float, out: list[Action]) -> Talk | None:
        """Take up a conversation with a stranger, if there is a place."""
        strangers = [talk for talk in self._talks.values() if talk.ref is None]
        old = None
        if not self._accept:
            self.counts["busy"] += 1
            return None
        if len(strangers) >= self._max:
            old = min(strangers, key=lambda talk: (not talk.is_hinted, talk.heard_at))
            yields = old.is_hinted or now - old.heard_at >= self.rules.yields_after
            if self.streams or not yields or old.state is not TalkState.HEARD:
                self.counts["busy"] += 1
                return None
        talk = self._add(address, None, now)
        out.append(PlainOpened(talk.number, None, address))
        if old is not None:
            self.step(old, TalkInput.SILENT, "", now, out)
        return talk

    def _hear(self, talk: Talk, data: bytes, now: float, out: list[Action]) -> None:
        """Take a text: of a datagram, or of a line."""
        self.counts["texts"] += 1
        talk.heard_at = now
        talk.is_hinted = False
        talk.ends_lines = ends_line(data)
        if talk.ref is None and not self.streams:
            self.timers.set((SILENT, talk.number), now + self.rules.silence)
        text = decode(data)
        what = TalkInput.EXIT if is_exit(text) else TalkInput.TEXT
        self.take_or_keep(talk, what, text, now, out)

    def take_or_keep(
        self, talk: Talk, what: TalkInput, text: str, now: float, out: list[Action]
    ) -> None:
        """Take what came, or keep it for a program that has paused."""
        if not talk.is_paused:
            self.step(talk, what, text, now, out)
        elif talk.kept and talk.kept[-1][0] is not TalkInput.TEXT:
            self.counts["odd"] += 1  # the end is kept already, and nothing follows it
        elif self.streams or what is not TalkInput.TEXT or len(talk.kept) < self.rules.unread:
            talk.kept.append((what, text))
        else:
            self.counts["too_fast"] += 1
            talk.missed += 1

    def plan_rest(self, talk: Talk, now: float) -> None:
        """Take what has no line end as a text when nothing more comes for a while.

        While the program has paused nobody knows whether more would come.
        """
        key = (REST, talk.number)
        is_there = talk.number in self._talks and not talk.is_paused
        if is_there and talk.splitter is not None and talk.splitter.has_rest:
            self.timers.set(key, now + self.rules.pause)
        else:
            self.timers.clear(key)

    def _take_rest(self, talk: Talk, now: float, out: list[Action]) -> None:
        """Take what has no line end."""
        self.timers.clear((REST, talk.number))
        if talk.splitter is not None and talk.splitter.has_rest:
            self._hear(talk, talk.splitter.finish(), now, out)

    # Commands

    def _call(self, call: Call, now: float, out: list[Action]) -> None:
        if call.address in self._by_address:
            raise UsageError("there is a conversation with that address already")
        if call.timeout is not None and not 0 < call.timeout < 1e9:
            raise UsageError(f"a timeout must be above 0, not {call.timeout}")
        talk = self._add(call.address, call.ref, now)
        out.append(Dialing(talk.number, call.ref, call.address))
        if call.timeout is not None:
            self.timers.set((LATE, talk.number), now + call.timeout)
        if self.streams:
            talk.state = TalkState.CONNECTING
            out.append(OpenStream(call.address))
        else:
            out.append(PlainOpened(talk.number, call.ref, call.address))

    def _say(self, say: Say, now: float, out: list[Action]) -> None:
        if self._last <= say.link < 0 and say.link not in self._talks:
            out.append(Undelivered(say.link, say.ref, Reason.LEFT))
            return
        talk = self._find(say.link)
        if talk.state is TalkState.CONNECTING:
            raise UsageError("the stream does not stand yet: wait for PlainOpened")
        size = len(to_utf8(say.text, "the text"))
        if size > self.rules.text and not self.streams:
            raise UsageError(
                f"the text has {size:,} bytes; a datagram of plain text has {self.rules.text:,}"
            )
        if len(talk.queue) >= self.rules.queue and talk.state is not TalkState.PARTING:
            talk.wants_room = True
            raise WouldBlock("the peer takes no more for now: wait for Writable")
        self.step(talk, TalkInput.SAY, say, now, out)

    def _command(
        self, event: Finish | Leave | Abort | Pause | Resume, now: float, out: list[Action]
    ) -> None:
        if self._last <= event.link < 0 and event.link not in self._talks:
            return
        talk = self._find(event.link)
        if isinstance(event, Leave):
            self.step(talk, TalkInput.LEAVE, event, now, out)
        elif isinstance(event, Abort):
            self.step(talk, TalkInput.ABORT, event, now, out)
        elif isinstance(event, Pause):
            talking.pause(self, talk, now, out)
        elif isinstance(event, Resume):
            talking.resume(self, talk, now, out)

    def _find(self, link: int) -> Talk:
        talk = self._talks.get(link)
        if talk is None:
            raise UsageError(f"there is no conversation {link}")
        return talk

    # Time

    def _tick(self, now: float, out: list[Action]) -> None:
        for timer, number in self.timers.take(now):
            talk = self._talks.get(number)
            if talk is None:
                continue
            if timer == REST:
                self._take_rest(talk, now, out)
            elif timer == PACE:
                self.wake(talk)
            else:
                self.step(talk, _INPUTS[timer], "", now, out)
        while self._pending:
            _, talk = self._pending.popitem()
            talking.pump(self, talk, now, out)

    # Tables

    def step(
        self, talk: Talk, what: TalkInput, subject: object, now: float, out: list[Action]
    ) -> None:
        """Dispatch an input through the table."""
        row = TALK_TABLE.get((talk.state, what))
        if row is None:
            self.counts["odd"] += 1
            return
        action, talk.state = row
        talking.ACTIONS[action](self, talk, subject, now, out)
        if talk.state is TalkState.OVER:
            talking.forget(self, talk)

    def wake(self, talk: Talk) -> None:
        """Have the next tick send what can be sent."""
        self._pending[talk.number] = talk

    def _add(self, address: Address, ref: int | None, now: float) -> Talk:
        self._last -= 1
        talk = Talk(self._last, address, ref, self.rules, now, on_stream=self.streams)
        self._talks[talk.number] = self._by_address[address] = talk
        return talk

    def remove(self, talk: Talk) -> None:
        """Forget a conversation."""
        self._talks.pop(talk.number, None)
        self._by_address.pop(talk.address, None)
        self._pending.pop(talk.number, None)
        for timer in range(PACE + 1):
            self.timers.clear((timer, talk.number))

    # Exploration

    def clone(self) -> PlainPair:
        """Give an independent twin."""
        twin = copy_slots(self)
        twin.timers = self.timers.clone()
        twin.counts = self.counts.copy()
        twin._talks = {number: talk.clone() for number, talk in self._talks.items()}
        twin._by_address = {talk.address: talk for talk in twin._talks.values()}
        twin._pending = {number: twin._talks[number] for number in self._pending}
        return twin

    def state_key(self, now: float) -> tuple[object, ...]:
        """Give all that decides the future as one comparable value, times relative to `now`."""
        return (
            tuple(talk.key(now) for talk in self._talks.values()),
            tuple(self._pending),
            self.timers.key(now),
            self._last,
        )
