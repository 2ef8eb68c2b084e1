"""One conversation in plain text, as `PlainPair` keeps it (PROTOCOL.md, appendix A)."""

from __future__ import annotations

from collections import deque

from palaver.link.events import Side
from palaver.machine import Address, copy_slots
from palaver.wire.errors import Reason
from palaver.wire.plain import EXIT

from .allowance import Allowance
from .bucket import Bucket
from .rules import PlainRules
from .splitter import LineSplitter
from .states import TalkInput, TalkState


class Talk:
    """A conversation; `number` is its link. With `ref` None the peer began it."""

    __slots__ = (
        "address",
        "allowance",
        "attempt",
        "by",
        "ends_lines",
        "heard_at",
        "is_blocked",
        "is_hinted",
        "is_paused",
        "is_stalled",
        "kept",
        "missed",
        "number",
        "pace",
        "queue",
        "rate",
        "reason",
        "ref",
        "splitter",
        "state",
        "wants_room",
    )

    def __init__(
        self,
        number: int,
        address: Address,
        ref: int | None,
        rules: PlainRules,
        now: float,
        *,
        on_stream: bool,
    ) -> None:
        self.number = number
        self.address = address
        self.ref = ref
        self.state = TalkState.UNHEARD
        self.attempt = 1
        self.heard_at = now
        # Whether the peer ends its texts like lines; None as long as it has said nothing.
        self.ends_lines: bool | None = None
        # The network says that nobody is there, and nothing has come since.
        self.is_hinted = False
        # What is to be sent, with the refs of the commands; the word `exit` has None.
        self.queue: deque[tuple[str, int | None]] = deque()
        self.wants_room = False
        self.is_blocked = False
        self.is_stalled = False
        # What came while the program had paused, and how much of it was dropped.
        self.kept: deque[tuple[TalkInput, str]] = deque()
        self.is_paused = False
        self.missed = 0
        self.splitter = LineSplitter(rules.piece) if on_stream else None
        self.pace = Bucket(rules.pace, rules.pace_burst, now)
        self.rate = Bucket(rules.rate, rules.rate_burst, now)
        is_proven = on_stream or ref is not None
        self.allowance = None if is_proven else Allowance(rules)
        # Why it ends, and who wants that.
        self.reason: int = Reason.LEFT
        self.by = Side.LOCAL

    def encode(self, text: str) -> bytes:
        """Give a text as the peer seems to want it: with a line end if it uses them itself.

        As long as that is not known, a line end is what parts two texts on a stream; and programs
        that look for the word `exit` want it bare.
        """
        ends = self.ends_lines
        if ends is None:
            ends = self.splitter is not None and text != EXIT
        return text.encode() + b"\n" * ends

    def may_send(self, size: int, now: float, *, is_last: bool) -> bool:
        """Tell whether a text of `size` bytes can go out now, and count it if so.

        The last is the `exit` that whoever has spoken at all may be sent; it is not one that the
        program says as any other text.
        """
        if self.splitter is not None:
            return not self.is_blocked
        if self.allowance is None:
            return self.pace.take(now)
        if self.pace.ready_at(now) > now:
            return False
        # The last word is for whoever has spoken at all.
        self.is_stalled = not self.allowance.spend(size) and not is_last
        return not self.is_stalled and self.pace.take(now)

    def clone(self) -> Talk:
        """Give an independent twin."""
        twin = copy_slots(self)
        twin.queue, twin.kept = self.queue.copy(), self.kept.copy()
        twin.pace, twin.rate = self.pace.clone(), self.rate.clone()
        twin.splitter = None if self.splitter is None else self.splitter.clone()
        twin.allowance = None if self.allowance is None else self.allowance.clone()
        return twin

    def key(self, now: float) -> tuple[object, ...]:
        """Give the state as a comparable value, times relative to `now`."""
        return (
            *(self.number, self.address, self.ref, self.state, self.attempt, self.ends_lines),
            *(self.heard_at - now, self.is_hinted, tuple(self.queue), self.wants_room),
            *(self.is_blocked, self.is_stalled, tuple(self.kept), self.is_paused, self.missed),
            *(self.pace.key(now), self.rate.key(now), self.reason, self.by),
            None if self.splitter is None else self.splitter.key(),
            None if self.allowance is None else self.allowance.key(),
        )
