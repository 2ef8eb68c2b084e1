"""Promises about two who talk: what is heard, what becomes of it, and how it begins and ends."""

from __future__ import annotations

from palaver.link.events import Abort, Closed, Delivered, Dialing, Leave, Pause, Undelivered
from palaver.machine import Notice
from palaver.roles.duo_events import Call, ConversationOpened, Said, Say
from palaver.roles.peer_events import Heard
from palaver.timing import DEFAULT_TIMING

from .observer import Fact, Observer

Talk = tuple[int, int]
"""A life, and its number for a conversation."""


class Prefixes(Observer):
    """What is heard of one who talks is a prefix of what it said: no gap, no repeat, nobody else.

    Every text must be said once only, in the whole run. Delivered means heard by then, or within
    `custody` seconds, if the hearer lives and its conversation goes on; `custody` is what a machine
    may hold a text back.
    """

    def __init__(self, custody: float = 0.0) -> None:
        super().__init__()
        self._custody = custody
        self._source: dict[str, tuple[Talk, int]] = {}
        self._said: dict[Talk, int] = {}
        self._text: dict[tuple[Talk, int], str] = {}
        self._heard: dict[Talk, int] = {}
        self._hearer: dict[Talk, Talk] = {}
        self._held: dict[str, Fact] = {}
        self._times: dict[str, float] = {}

    def see(self, fact: Fact) -> None:
        """Take a text that is said, heard, or told to be delivered."""
        item = fact.item
        if isinstance(item, Say):
            talk = (fact.life, item.link)
            self._said[talk] = place = self._said.get(talk, 0) + 1
            self._source[item.text] = talk, place
            self._text[talk, item.ref] = item.text
        elif isinstance(item, Said | Heard):
            self._hear(fact, (fact.life, item.link), item.text)
        elif isinstance(item, Delivered):
            text = self._text.get(((fact.life, item.link), item.ref))
            if text is None:
                self.blame(fact, "something was delivered that was not said")
            elif text not in self._times:
                self._held[text] = fact
            else:
                self.witnesses["delivered"] += 1

    def _hear(self, fact: Fact, hearer: Talk, text: str) -> None:
        if text not in self._source:
            self.blame(fact, "this was heard, and nobody has said it")
            return
        talk, place = self._source[text]
        if self._hearer.setdefault(talk, hearer) != hearer:
            self.blame(fact, f"{talk} was heard by {self._hearer[talk]} before")
        expected = self._heard.get(talk, 0) + 1
        if place != expected:
            self.blame(fact, f"text {place} of {talk} was heard, and {expected} was due")
        self._heard[talk] = max(expected, place)
        self._times[text] = fact.time
        self.witnesses["heard"] += 1

    def finish(self, crashed: frozenset[int], /) -> None:
        """What was told to be delivered must have been heard."""
        for text, fact in self._held.items():
            late = self._times.get(text, float("inf")) - fact.time
            if late <= self._custody:
                self.witnesses["held in custody"] += 1
            elif not (self._custody and crashed):
                self.blame(fact, f"{text[:20]!r} is said to be delivered, and was not heard")


class Outcomes(Observer):
    """All that is said has one outcome, delivered or not: also when the other side has crashed."""

    def __init__(self) -> None:
        super().__init__()
        self._pending: dict[tuple[int, int, int], Fact] = {}

    def see(self, fact: Fact) -> None:
        """Take what is said, and its outcome."""
        item = fact.item
        if isinstance(item, Say):
            self._pending[fact.life, item.link, item.ref] = fact
        elif isinstance(item, Delivered | Undelivered):
            if self._pending.pop((fact.life, item.link, item.ref), None) is None:
                self.blame(fact, "no outcome was due")
            self.witnesses[type(item).__name__.lower()] += 1

    def finish(self, crashed: frozenset[int], /) -> None:
        """Everybody who lives must know what became of its words."""
        for (life, link, ref), fact in self._pending.items():
            if life not in crashed:
                said = f"text {ref} of {link} at {life}, said at {fact.time:.3f} s"
                self.miss(f"nobody knows what became of {said}")


class Beginnings(Observer):
    """A conversation opens once and ends once, and what was dialled does either in time.

    That is: the caller's own limit, and the time until a silent peer counts as dead, which begins
    with the next PING, unless the caller has paused it. `slack` is by how many seconds machines
    may be late because they stood still.
    """

    def __init__(self, slack: float = 0.0) -> None:
        super().__init__()
        self._slack = slack
        self._asked: dict[tuple[int, int], float | None] = {}
        self._due: dict[Talk, float] = {}
        self._open: set[Talk] = set()
        self._over: set[Talk] = set()

    def see(self, fact: Fact) -> None:
        """Take a call and what becomes of it."""
        item = fact.item
        if isinstance(item, Call):
            self._asked[fact.life, item.ref] = item.timeout
        elif isinstance(item, Pause):
            self._due.pop((fact.life, item.link), None)
        if not isinstance(item, Notice) or not isinstance(getattr(item, "link", None), int):
            return
        talk = (fact.life, item.link)  # type: ignore[attr-defined]
        if talk in self._over and not isinstance(item, Undelivered):
            self.blame(fact, "it came after the end")
        if isinstance(item, Dialing):
            timeout = self._asked.get((fact.life, item.ref))
            if timeout is not None:
                usual = DEFAULT_TIMING
                dead = usual.keepalive * (1 + usual.keepalive_jitter) + usual.dead_peer
                self._due[talk] = fact.time + timeout + dead + self._slack
        elif isinstance(item, ConversationOpened):
            if talk in self._open:
                self.blame(fact, "opened twice")
            self._open.add(talk)
            self._settle(fact, talk, "opened")
        elif isinstance(item, Closed):
            self._over.add(talk)
            self._settle(fact, talk, "failed to open" if talk not in self._open else "closed")

    def _settle(self, fact: Fact, talk: Talk, witness: str) -> None:
        self.witnesses[witness] += 1
        if fact.time > self._due.pop(talk, float("inf")):
            self.blame(fact, "it came too late")

    def finish(self, crashed: frozenset[int], /) -> None:
        """No call may still be open-ended, and no conversation be without its end."""
        for life, link in self._due:
            if life not in crashed:
                self.miss(f"call {link} of {life} was neither answered nor given up")
        for life, link in self._open - self._over:
            if life not in crashed:
                self.miss(f"conversation {link} of {life} has not ended")


class Endings(Observer):
    """Who leaves is out within the time to flush; a graceful end means that all was delivered.

    All but what was refused as soon as it was said, because the end had been agreed on.
    """

    def __init__(self, slack: float = 0.0) -> None:
        super().__init__()
        self._slack = slack
        self._until: dict[Talk, float] = {}
        self._pending: dict[Talk, dict[int, float]] = {}  # when it was said
        self._lost: set[Talk] = set()
        self._ending: set[Talk] = set()
        self._over: set[Talk] = set()

    def see(self, fact: Fact) -> None:
        """Take what is said, its outcome, and the end."""
        item = fact.item
        if isinstance(item, Say):
            if (fact.life, item.link) not in self._ending | self._over:  # else it is in vain
                self._pending.setdefault((fact.life, item.link), {})[item.ref] = fact.time
        elif isinstance(item, Delivered | Undelivered):
            talk = (fact.life, item.link)
            said = self._pending.get(talk, {}).pop(item.ref, fact.time)
            if isinstance(item, Undelivered) and said < fact.time:
                self._lost.add(talk)
        elif isinstance(item, Leave | Abort) and (fact.life, item.link) not in self._over:
            wait = DEFAULT_TIMING.close_flush_max if isinstance(item, Leave) else 0.0
            until = fact.time + wait + self._slack
            self._ending.add((fact.life, item.link))
            known = self._until.get((fact.life, item.link), float("inf"))
            self._until[fact.life, item.link] = min(until, known)
        elif isinstance(item, Closed):
            self._close(fact, item)

    def _close(self, fact: Fact, item: Closed) -> None:
        talk = (fact.life, item.link)
        self._over.add(talk)
        if fact.time > self._until.pop(talk, float("inf")) + 1e-6:
            self.blame(fact, "it took too long")
        if self._pending.get(talk):
            self.blame(fact, "it ended before the outcome of all that was said")
        if item.graceful:
            self.witnesses["graceful end"] += 1
            if talk in self._lost:
                self.blame(fact, "a graceful end, and something was not delivered")
        else:
            self.witnesses["other end"] += 1

    def finish(self, crashed: frozenset[int], /) -> None:
        """Who wanted to leave must be out."""
        for life, link in self._until:
            if life not in crashed:
                self.miss(f"{life} has not got out of {link}")
