"""What is done in a conversation in plain text (PROTOCOL.md, appendix A)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from palaver.link.events import Abort, Closed, Leave, Side, StillDialing, Undelivered, Writable
from palaver.machine import Action, Disconnect, Hold, OpenStream, Transmit
from palaver.roles.duo_events import Said, Say
from palaver.wire.errors import Reason
from palaver.wire.plain import EXIT

from .events import Missed, PlainOpened, Sent, Stalled, Unheard
from .states import TalkInput, TalkState
from .talk import Talk

if TYPE_CHECKING:
    from .pair import PlainPair

LATE, RETRY, SILENT, PARTED, REST, PACE = range(6)

# Opening


def open_(pair: PlainPair, talk: Talk, _: object, __: float, out: list[Action]) -> None:
    """Tell that a stream of ours stands."""
    pair.timers.clear((LATE, talk.number))
    talk.is_hinted = False
    out.append(PlainOpened(talk.number, talk.ref, talk.address))


def plan_retry(pair: PlainPair, talk: Talk, _: object, now: float, __: list[Action]) -> None:
    """Try again later: whoever is called may not be there yet."""
    rules = pair.rules
    # Past 20 doublings any wait is the longest.
    wait = min(rules.retry * 2.0 ** min(talk.attempt - 1, 20), rules.retry_max)
    pair.timers.set((RETRY, talk.number), now + wait)


def retry(_: PlainPair, talk: Talk, __: object, ___: float, out: list[Action]) -> None:
    """Try again to open a stream."""
    talk.attempt += 1
    assert talk.ref is not None
    out.append(StillDialing(talk.number, talk.ref, talk.attempt, talk.is_hinted))
    out.append(OpenStream(talk.address))


# Talking


def hear(pair: PlainPair, talk: Talk, text: str, _: float, out: list[Action]) -> None:
    """Tell what the peer has said."""
    pair.timers.clear((LATE, talk.number))
    tell_missed(talk, out)
    out.append(Said(talk.number, text))


def say(pair: PlainPair, talk: Talk, said: Say, _: float, __: list[Action]) -> None:
    """Send a text with the next tick."""
    talk.queue.append((said.text, said.ref))
    pair.wake(talk)


def refuse(_: PlainPair, talk: Talk, said: Say, __: float, out: list[Action]) -> None:
    """Tell that a text came too late."""
    out.append(Undelivered(talk.number, said.ref, Reason.LEFT))


def pump(pair: PlainPair, talk: Talk, now: float, out: list[Action]) -> None:
    """Send what can be sent now, and plan to send the rest."""
    was_stalled = talk.is_stalled
    while talk.queue:
        text, ref = talk.queue[0]
        data = talk.encode(text)
        if not talk.may_send(len(data), now, is_last=ref is None):
            break
        talk.queue.popleft()
        pair.counts["sent"] += 1
        out.append(Transmit(data, talk.address))
        if ref is not None:
            out.append(Sent(talk.number, ref))
    if talk.is_stalled and not was_stalled:
        out.append(Stalled(talk.number))
    if talk.queue and not (talk.is_stalled or talk.is_blocked):
        pair.timers.set((PACE, talk.number), talk.pace.ready_at(now))
    if talk.wants_room and 2 * len(talk.queue) <= pair.rules.queue:
        talk.wants_room = False
        out.append(Writable(talk.number))
    if talk.state is TalkState.PARTING and not talk.queue:
        wait_or_part(pair, talk, now, out)


def pause(pair: PlainPair, talk: Talk, now: float, out: list[Action]) -> None:
    """Keep what comes; a stream is not even read."""
    if pair.streams and not talk.is_paused:
        out.append(Hold(talk.address, is_held=True))
    talk.is_paused = True
    pair.plan_rest(talk, now)


def resume(pair: PlainPair, talk: Talk, now: float, out: list[Action]) -> None:
    """Tell what was kept."""
    if not talk.is_paused:
        return
    talk.is_paused = False
    if pair.streams:
        out.append(Hold(talk.address, is_held=False))
    while talk.kept and talk.state is not TalkState.OVER:
        what, text = talk.kept.popleft()
        pair.step(talk, what, text, now, out)
    tell_missed(talk, out)
    pair.plan_rest(talk, now)


def tell_missed(talk: Talk, out: list[Action]) -> None:
    """Tell how much was dropped."""
    if talk.missed:
        out.append(Missed(talk.number, talk.missed))
        talk.missed = 0


def note_hint(_: PlainPair, talk: Talk, __: object, ___: float, ____: list[Action]) -> None:
    """Remember that nobody seems to be there."""
    talk.is_hinted = True


def tell_hint(_: PlainPair, talk: Talk, __: object, ___: float, out: list[Action]) -> None:
    """Tell, once, that nobody seems to be there."""
    if not talk.is_hinted:
        talk.is_hinted = True
        out.append(Unheard(talk.number))


# Ending


def leave(pair: PlainPair, talk: Talk, event: Leave, now: float, _: list[Action]) -> None:
    """Say `exit`, after what was said before."""
    talk.reason = event.reason
    talk.queue.append((EXIT, None))
    pair.timers.set((PARTED, talk.number), now + pair.rules.flush)
    for timer in (LATE, SILENT):
        pair.timers.clear((timer, talk.number))
    pair.wake(talk)


def wait_or_part(pair: PlainPair, talk: Talk, now: float, out: list[Action]) -> None:
    """Part; but who was never answered waits for word that nobody was there."""
    if pair.streams or talk.ref is None or talk.ends_lines is not None or talk.is_hinted:
        pair.step(talk, TalkInput.PARTED, "", now, out)
    else:
        pair.timers.set((PARTED, talk.number), now + pair.rules.farewell)


def part(pair: PlainPair, talk: Talk, _: object, __: float, out: list[Action]) -> None:
    """End what we have left."""
    if talk.is_hinted and talk.ends_lines is None:
        talk.reason = Reason.NO_ANSWER
    end(pair, talk, out, graceful=not talk.queue)


def be_left(pair: PlainPair, talk: Talk, _: object, __: float, out: list[Action]) -> None:
    """End what the peer has left."""
    talk.by = Side.PEER
    end(pair, talk, out, graceful=True)


def be_cut(pair: PlainPair, talk: Talk, _: object, __: float, out: list[Action]) -> None:
    """End with the stream: the peer has closed it, or it broke, and one can't know which."""
    talk.by = Side.PEER
    end(pair, talk, out, graceful=True)


def cancel(pair: PlainPair, talk: Talk, _: object, __: float, out: list[Action]) -> None:
    """Give up a call."""
    talk.reason = Reason.CANCELLED
    end(pair, talk, out)


def give_up(pair: PlainPair, talk: Talk, _: object, __: float, out: list[Action]) -> None:
    """Give up a call that was not answered in time."""
    talk.reason = Reason.NO_ANSWER
    end(pair, talk, out)


def break_off(pair: PlainPair, talk: Talk, event: Abort, _: float, out: list[Action]) -> None:
    """End without a word."""
    talk.reason = event.reason
    end(pair, talk, out)


def fade(pair: PlainPair, talk: Talk, _: object, __: float, out: list[Action]) -> None:
    """Forget a peer that has said nothing for long."""
    talk.reason = Reason.DEAD
    end(pair, talk, out)


def end(pair: PlainPair, talk: Talk, out: list[Action], *, graceful: bool = False) -> None:
    """Tell the end, and before it what was not sent."""
    tell_missed(talk, out)
    for _, ref in talk.queue:
        if ref is not None:
            out.append(Undelivered(talk.number, ref, talk.reason))
    talk.queue.clear()
    if pair.streams:
        out.append(Disconnect(talk.address))
    out.append(Closed(talk.number, talk.ref, talk.reason, talk.by, graceful=graceful))


def forget(pair: PlainPair, talk: Talk) -> None:
    """Forget a conversation that is over."""
    talk.kept.clear()
    pair.remove(talk)


ACTIONS: dict[str, Callable[[PlainPair, Talk, Any, float, list[Action]], None]] = {
    "open": open_,
    "plan_retry": plan_retry,
    "retry": retry,
    "hear": hear,
    "say": say,
    "refuse": refuse,
    "note_hint": note_hint,
    "tell_hint": tell_hint,
    "leave": leave,
    "part": part,
    "be_left": be_left,
    "be_cut": be_cut,
    "cancel": cancel,
    "give_up": give_up,
    "break_off": break_off,
    "fade": fade,
}
