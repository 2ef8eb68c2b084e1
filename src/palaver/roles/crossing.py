"""Finding out whether a caller is the very peer that we call (PROTOCOL.md, section 6.3).

While a call of ours is young, a caller is *held*: it is not announced yet. Each side asks on the
links that it has dialled (TWIN) and answers on the others (SAME). When both have said yes, the two
links are one talk; when either has said no, or nothing in time, they are two conversations.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from palaver.entropy import Entropy
from palaver.link.events import (
    Dialing,
    Finish,
    Finished,
    Opened,
    Pause,
    Resume,
    Send,
)
from palaver.link.states import State
from palaver.machine import Action, UsageError, WouldBlock
from palaver.timing import DEFAULT_LIMITS, DEFAULT_TIMING, SEGMENT_CHARGE
from palaver.wire.duo import MAX_TWINS, Introduce, LinkIds, Same, Twin, prove_twins
from palaver.wire.errors import Reason

from .duo_events import Said
from .role import Options
from .talks import Talks
from .twins import MAX_HELD, Doubt, Held, Talk

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

_FOREVER = float("inf")
# A caller is held for so many round trips, if they are long; but not much longer than usual.
_ROUND_TRIPS = 4
_LONGEST_HOLD = 2
# And so much longer, when it has proved that it is the one.
_PROVED_HOLD = 2


class Crossing(Talks):
    """Holds callers, and makes a talk of two links that are twins."""

    __slots__ = ("_held", "_introduced", "_timing", "_twins_heard", "_window", "name")

    def __init__(
        self,
        entropy: Entropy,
        *,
        name: str,
        answers: Iterable[str],
        places: int,
        **options: Unpack[Options],
    ) -> None:
        """Make a role without links; `name` is told to each peer. Raises UsageError."""
        super().__init__(entropy, answers=answers, places=places, **options)
        self.name = name
        self._timing = options.get("timing", DEFAULT_TIMING)
        self._window = options.get("limits", DEFAULT_LIMITS).window
        # The links whose peer has introduced itself.
        self._introduced: set[int] = set()
        self._held: dict[int, Held] = {}
        # How many TWINs have come on a link.
        self._twins_heard: dict[int, int] = {}

    # Links begin

    def _dialing(self, dialing: Dialing, _: str, now: float, out: list[Action], /) -> None:
        out.append(dialing)
        self._introduce(dialing.link, now, out)
        self._prune(now)
        young_until = now + self._timing.twin_young
        self._talks[dialing.link] = Talk(dialing.link, dialing.ref, young_until)

    def _opened(self, opened: Opened, now: float, out: list[Action], /) -> None:
        if opened.inbound:
            self._introduce(opened.link, now, out)
            self._meet(opened.link, now, out)
            return
        talk = self._talks[opened.link]
        talk.young_until = now + self._timing.twin_young
        talk.ids = self._ids_of(opened.link)
        for held in list(self._held.values()):
            if talk.number in held.candidates and not self._ask(held, talk, now, out):
                self._rule_out(held, talk.number, now, out)

    def _introduce(self, link: int, now: float, out: list[Action]) -> None:
        self._tell(link, Introduce(self.name).encode(), now, out)

    def _meet(self, link: int, now: float, out: list[Action]) -> None:
        """Hold a new caller if it may be the peer of a talk."""
        self._prune(now)
        ids = self._ids_of(link)
        if ids is None or len(self._held) >= MAX_HELD:
            return
        held = Held(link, ids, now + self._hold_time(link))
        for talk in self._talks.values():
            if not talk.may_have_twin(now):
                continue
            if talk.ids is None:
                held.candidates[talk.number] = Doubt.CALLING
            else:
                self._ask(held, talk, now, out)
        if held.candidates:
            self._held[link] = held

    def _hold_time(self, link: int) -> float:
        """Give how long a caller is held at most: longer on a slow path."""
        hold, rtt = self._timing.twin_hold, self._endpoint.rtt(link)
        return hold if rtt is None else max(hold, min(_ROUND_TRIPS * rtt, _LONGEST_HOLD * hold))

    def _prune(self, now: float) -> None:
        """Forget the talks that can't have a twin any more."""
        wanted = {number for held in self._held.values() for number in held.candidates}
        for talk in list(self._talks.values()):
            is_old = talk.twin is None and now >= talk.young_until
            if is_old and talk.number not in wanted and talk.number not in self._calling:
                del self._talks[talk.number]

    # Asking and answering

    def _ids_of(self, link: int) -> LinkIds | None:
        """Give the ids of a link; None if it has ended."""
        found = self._endpoint.links.get(link)
        if found is None:
            return None
        local, remote = found.local, found.channel.remote
        return LinkIds(local, remote) if found.callee is None else LinkIds(remote, local)

    def _try_tell(self, link: int, message: Twin | Same, now: float, out: list[Action]) -> bool:
        """Send a message, if that is possible at once; tell whether it was."""
        found = self._endpoint.links.get(link)
        if found is None or found.state is not State.OPEN or link in self._given_up:
            return False
        try:
            self._pass_on(Send(link, message.encode(), None), now, out)
        except (WouldBlock, UsageError):
            return False
        return True

    def _ask(self, held: Held, talk: Talk, now: float, out: list[Action]) -> bool:
        """Ask the peer of a talk whether it is the caller; tell whether that was possible."""
        if talk.ids is None or talk.asked >= MAX_TWINS:
            return False
        twin = Twin(prove_twins(talk.ids, held.ids))
        if not self._try_tell(talk.number, twin, now, out):
            return False
        talk.asked += 1
        held.candidates[talk.number] = Doubt.ASKED
        return True

    def _hear_twin(self, link: int, twin: Twin, now: float, out: list[Action]) -> None:
        """Answer whether a caller's link and the one that it names are one talk, as we see it."""
        count = self._twins_heard.get(link, 0) + 1
        self._twins_heard[link] = count
        if count > MAX_TWINS:
            self._give_up(link, Reason.PROTOCOL_ERROR, now, out)
            return
        held = self._held.get(link)
        talk = None if held is None else self._find_talk(held, twin.proof)
        said_yes = talk is not None and self._try_tell(link, Same(twin.proof, yes=True), now, out)
        if held is not None and talk is not None and said_yes:
            self._bind(held, talk, now, out)
        else:
            self._try_tell(link, Same(twin.proof, yes=False), now, out)

    def _find_talk(self, held: Held, proof: bytes) -> Talk | None:
        """Give the talk whose link a proof names, if the caller may be bound to it."""
        if held.bound is None:
            for number, doubt in held.candidates.items():
                talk = self._talks[number]
                if doubt is Doubt.CALLING or talk.ids is None:
                    continue
                if prove_twins(held.ids, talk.ids) == proof:
                    return talk
        return None

    def _bind(self, held: Held, talk: Talk, now: float, out: list[Action]) -> None:
        """Take note that we have said yes to a caller."""
        doubt = held.candidates[talk.number]
        held.bound = talk.number
        held.candidates = {talk.number: doubt}
        if doubt is Doubt.AFFIRMED:
            self._merge(held, talk, now, out)
        else:
            self._wait_for(held, talk, now, out)

    def _wait_for(self, held: Held, talk: Talk, now: float, out: list[Action]) -> None:
        """Let a caller who is bound wait for the last word: while we hear none, for ever."""
        held.until = _FOREVER if talk.paused else now + _PROVED_HOLD * self._hold_time(held.link)
        if talk.paused:
            self._hold_back(held, now, out)

    def _hold_back(self, held: Held, now: float, out: list[Action]) -> None:
        if not held.paused and not held.ended:
            held.paused = True
            self._pass_on(Pause(held.link), now, out)

    def _hear_same(self, link: int, same: Same, now: float, out: list[Action]) -> None:
        """Act on the answer to a TWIN of ours; one to nothing that was asked has no effect."""
        talk = self._talks.get(link)
        if talk is None or talk.ids is None:
            return
        asked = [one for one in self._held.values() if one.candidates.get(link) is Doubt.ASKED]
        for held in asked:
            if prove_twins(talk.ids, held.ids) == same.proof:
                self._hear_answer(held, talk, now, out, yes=same.yes)
                return

    def _hear_answer(
        self, held: Held, talk: Talk, now: float, out: list[Action], *, yes: bool
    ) -> None:
        if not yes:
            self._rule_out(held, talk.number, now, out)
        elif held.bound == talk.number:
            self._merge(held, talk, now, out)
        else:
            held.candidates[talk.number] = Doubt.AFFIRMED

    def _rule_out(self, held: Held, number: int, now: float, out: list[Action]) -> None:
        """Take note that a caller is not the peer of a talk; announce it, if it is nobody's."""
        held.candidates.pop(number, None)
        if not held.candidates:
            self._announce(held, now, out)

    def _rule_out_all(self, number: int, now: float, out: list[Action], *, bound: bool) -> None:
        """Take note that nobody is the peer of a talk; not even, if `bound`, one bound to it."""
        for held in list(self._held.values()):
            if number in held.candidates and (bound or held.bound != number):
                self._rule_out(held, number, now, out)

    def _announce(self, held: Held, now: float, out: list[Action]) -> None:
        """Tell of a caller what was held back: it is in a conversation of its own."""
        del self._held[held.link]
        out.extend(held.untold)
        if held.paused and not held.ended:
            self._pass_on(Resume(held.link), now, out)

    @property
    def _due(self) -> float:
        return min([held.until for held in self._held.values()], default=_FOREVER)

    def _on_time(self, now: float, out: list[Action], /) -> None:
        for held in list(self._held.values()):
            if held.until <= now:
                self._announce(held, now, out)

    # One talk of two links

    def _merge(self, held: Held, talk: Talk, now: float, out: list[Action]) -> None:
        """Make the link of a caller part of the talk that it is bound to."""
        assert talk.ids is not None
        link = held.link
        del self._held[link]
        talk.twin = link
        talk.is_spare = held.ids.caller < talk.ids.caller
        if not held.ended:
            talk.links.append(link)
            self._twins[link] = talk.number
            self._count_places()
        # Who is bound to this talk too has said so on another link, and is told no by the peer.
        self._rule_out_all(talk.number, now, out, bound=False)
        for notice in held.untold:
            if isinstance(notice, Said):
                out.append(Said(talk.number, notice.text))
            elif isinstance(notice, Finished):
                talk.heard_fin |= {link}
        if not held.ended:
            self._carry_over(held, talk, now, out)
        if talk.is_spare:
            talk.drain_at = now + self._timing.twin_drain
        self._drain(talk, now, out)

    def _carry_over(self, held: Held, talk: Talk, now: float, out: list[Action]) -> None:
        """Tell the link of a caller what the program has asked of the talk."""
        link = held.link
        if talk.finished:
            self._pass_on(Finish(link), now, out)
        if talk.leaving is not None:
            self._pass_on(replace(talk.leaving, link=link), now, out)
        elif talk.paused:
            self._hold_back(held, now, out)
        elif held.paused:
            self._pass_on(Resume(link), now, out)

    def _keep(self, held: Held, said: Said, now: float, out: list[Action]) -> None:
        """Keep what a caller says until it is announced: a window of it, and no more."""
        held.untold.append(said)
        held.size += len(said.text.encode()) + SEGMENT_CHARGE
        if held.size > self._window:
            if held.bound is None:
                self._announce(held, now, out)
            else:
                self._hold_back(held, now, out)

    # Exploration

    def _twin(self) -> Self:
        twin = super()._twin()
        twin._introduced = self._introduced.copy()
        twin._held = {link: held.clone() for link, held in self._held.items()}
        twin._twins_heard = self._twins_heard.copy()
        return twin

    def state_key(self, now: float) -> tuple[object, ...]:
        """Give all that decides the future as one comparable value, times relative to `now`."""
        return (
            *super().state_key(now),
            tuple(sorted(self._introduced)),
            tuple(held.key(now) for held in self._held.values()),
            tuple(sorted(self._twins_heard.items())),
        )
