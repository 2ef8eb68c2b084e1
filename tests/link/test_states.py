"""The table of states: every state with every input, and every row shown to matter (section 8.1).

The states are reached by real events, between two real endpoints. The link under test is the
callee's, but for CALLING. What the table should say is written down here a second time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from pairs import DELAY, ROLE, A, B, C, End, Pair, entropy, message

from palaver import (
    DEFAULT_LIMITS,
    DEFAULT_TIMING,
    Abort,
    Action,
    Dial,
    Endpoint,
    Event,
    Finish,
    Leave,
    Limits,
    Pause,
    Reason,
    Resume,
    Send,
    StreamEnded,
    Timing,
)
from palaver.link.heard import Heard
from palaver.link.link import _ACTIONS, Link
from palaver.link.states import CONVERSING, STATE_TIMER, TABLE, Input, State
from palaver.wire.frames import Close
from palaver.wire.messages import Bye
from palaver.wire.packets import Cookie, Hello, Kind, Refuse, Reset, Welcome
from palaver.wire.sealing import CLEAR

S, On = State, Input
Row = tuple[State, Input]

EXPECTED: dict[State, dict[str, State]] = {
    S.CALLING: {
        "SEND FINISH PAUSE RESUME COOKIE HELLO_DUE": S.CALLING,
        "WELCOME": S.OPEN,
        "LEAVE ABORT REFUSE NO_ANSWER": S.CLOSED,
    },
    S.WELCOMED: {"HELLO": S.WELCOMED, "DATA": S.OPEN, "CROWDED EXPIRED CUT": S.CLOSED},
    S.OPEN: {
        "SEND FINISH PAUSE RESUME HELLO DATA FIN": S.OPEN,
        "LEAVE EXHAUSTED": S.CLOSING,
        "BYE": S.ANSWERING,
        "ABORT RESET CLOSE VIOLATION DEAD CUT": S.CLOSED,
    },
    S.CLOSING: {
        "SEND HELLO DATA FIN BYE": S.CLOSING,
        "FLUSHED": S.LINGERING,
        "ABORT RESET CLOSE VIOLATION DEAD FLUSH_TIMEOUT CUT": S.CLOSED,
    },
    S.ANSWERING: {
        "SEND HELLO DATA": S.ANSWERING,
        "FLUSHED": S.LAST_ACK,
        "ABORT RESET CLOSE VIOLATION DEAD FLUSH_TIMEOUT CUT": S.CLOSED,
    },
    S.LAST_ACK: {
        "SEND HELLO DATA": S.LAST_ACK,
        "RESET CLOSE VIOLATION DEAD LINGERED FLUSHED CUT": S.CLOSED,
    },
    S.LINGERING: {
        "SEND HELLO DATA": S.LINGERING,
        "RESET CLOSE VIOLATION DEAD LINGERED CUT": S.CLOSED,
    },
    S.CLOSED: {"SEND": S.CLOSED},
}

FOLLOWING: dict[Row, State] = {
    (state, Input[name]): following
    for state, inputs in EXPECTED.items()
    for names, following in inputs.items()
    for name in names.split()
}

PAIRS: list[Row] = [(state, what) for state in State for what in Input]


def name_of(row: Row) -> str:
    state, what = row
    return f"{state.name}-{what.name}"


# Reaching a state


@dataclass
class Stage:
    """A link in the state under test, its peer, and all that both have said."""

    pair: Pair
    x: End
    p: End
    link: Link
    answers: list[Action]

    @property
    def awaited(self) -> int:
        """A packet of the link under test that is in flight."""
        return max(self.link.channel.recovery.packets)

    def inject(self, packet: Hello | Cookie | Welcome | Refuse | Reset) -> None:
        """Let a packet of the peer arrive."""
        data = CLEAR.seal(packet.encode())
        self.pair.wire.inject(data, self.p.address, self.x.address)


def enter(
    state: State,
    *,
    timing: Timing = DEFAULT_TIMING,
    limits: Limits = DEFAULT_LIMITS,
    timeout: float | None = None,
    max_inbound: int = 65535,
    streams: bool = False,
) -> Stage:
    """Bring a link into a state by real events; what it says is lost from then on."""
    pair = Pair(timing=timing, limits=limits, max_inbound=max_inbound, streams=streams)
    wire = pair.wire
    if state is S.CALLING:
        wire.lose_from(A)
        pair.call(timeout=timeout)
        return Stage(pair, pair.a, pair.b, pair.a.link, [])
    pair.call()
    if state is S.WELCOMED:
        wire.lose = lambda flight: flight.kind is Kind.DATA
        wire.run(DELAY)
        return Stage(pair, pair.b, pair.a, pair.b.link, [])
    wire.run(0.2)
    stage = Stage(pair, pair.b, pair.a, pair.b.link, [])
    # So that both know the round-trip time.
    pair.b.send(b"x", ref=100)
    pair.a.send(b"x", ref=100)
    wire.run(0.1)
    if state in {S.CLOSING, S.ANSWERING, S.LAST_ACK}:
        wire.lose_from(B)
    if state in {S.CLOSING, S.ANSWERING}:
        pair.b.send(b"unacked", ref=1)
    if state is S.CLOSING:
        pair.b.tell(Leave(1))
    elif state in {S.ANSWERING, S.LAST_ACK}:
        pair.a.tell(Leave(1))
        wire.run(DELAY)
    elif state is S.LINGERING:
        pair.b.tell(Leave(1))
        goodbyes = len(wire.sent_by(B))
        wire.lose = lambda flight: flight.source == B and len(wire.sent_by(B)) > goodbyes
        wire.run(2 * DELAY)
    elif state is S.CLOSED:
        pair.b.tell(Abort(1))
    assert stage.link.state is state
    return stage


# Every state with every input


def subject_of(what: Input, link: Link) -> object:
    """Give what comes with an input."""
    subjects: dict[Input, object] = {
        On.SEND: Send(1, message(b"x"), 9),
        On.FINISH: Finish(1),
        On.LEAVE: Leave(1),
        On.ABORT: Abort(1),
        On.PAUSE: Pause(1),
        On.RESUME: Resume(1),
        On.HELLO: None,
        On.COOKIE: Cookie(link.local, b"cookie"),
        On.WELCOME: Welcome(link.local, 99, 1, 0, 1200, 262144),
        On.REFUSE: Refuse(link.local, Reason.BUSY, (1,)),
        On.DATA: Heard(),
        On.RESET: Reset(link.channel.remote, 0),
        On.BYE: Bye(),
        On.CLOSE: Close(7, 0),
        On.VIOLATION: Reason.PROTOCOL_ERROR,
        On.DEAD: Reason.DEAD,
        On.FLUSH_TIMEOUT: Reason.FLUSH_TIMEOUT,
        On.EXHAUSTED: Leave(1, Reason.EXHAUSTED),
        On.CROWDED: Heard(),
    }
    return subjects.get(what)


@pytest.mark.smoke
@pytest.mark.parametrize("row", PAIRS, ids=name_of)
def test_every_state_takes_every_input_as_the_table_says(row: Row) -> None:
    state, what = row
    stage = enter(state)
    link, now = stage.link, stage.pair.wire.now
    before, ignored = link.key(now), link.channel.counters.ignored
    out: list[Action] = []
    link.step(what, subject_of(what, link), now, out)
    if row in FOLLOWING:
        assert link.state is FOLLOWING[row]
        assert link.channel.counters.ignored == ignored
    else:
        assert link.key(now) == before
        assert link.state is state
        assert out == []
        assert link.channel.counters.ignored == ignored + 1


@pytest.mark.parametrize("row", [row for row in PAIRS if row not in FOLLOWING], ids=name_of)
def test_what_the_table_does_not_have_is_ignored_from_outside_too(row: Row) -> None:
    state, what = row
    stage = enter(state)
    link, now = stage.link, stage.pair.wire.now
    before, ignored = link.key(now), link.channel.counters.ignored
    subject = subject_of(what, link)
    out: list[Action] = []
    if what <= On.RESUME:
        assert isinstance(subject, Event)
        link.check(subject)
        link.command(subject, now, out)
    elif isinstance(subject, (Hello, Cookie, Welcome, Refuse, Reset)):
        link.packet(subject, now, out)
    elif what is On.DATA:
        link.datagram(b"whatever", 7, stage.p.address, now, out)
    else:
        return  # these come from within only
    assert link.key(now) == before
    assert out == []
    assert link.channel.counters.ignored == ignored + 1


# Every row matters


def act_send(stage: Stage) -> None:
    if stage.link.state is S.CLOSED:  # the endpoint has let go of it
        stage.answers += stage.link.handle(Send(1, message(b"x"), 9), stage.pair.wire.now)
        return
    stage.x.tell(Send(1, message(b"x"), 9))


def act_hello(stage: Stage) -> None:
    asked = stage.pair.wire.flights[0]
    assert asked.kind is Kind.HELLO
    stage.pair.wire.inject(asked.data, stage.p.address, stage.x.address)


def act_data(stage: Stage) -> None:
    stage.pair.wire.lose_from()
    if stage.p.state is S.OPEN:
        stage.p.send(b"data", ref=50)
    stage.pair.wire.run(2)


def act_heal(stage: Stage) -> None:
    stage.pair.wire.lose_from()
    stage.pair.wire.run(2)


def act_exhaust(stage: Stage) -> None:
    stage.pair.wire.lose_from()
    for ref in range(200, 240):
        if stage.x.state is S.OPEN:
            stage.x.send(b"x", ref=ref)
            stage.pair.wire.run(0.1)


def alone(stage: Stage) -> None:
    """The peer is not there any more."""
    stage.pair.wire.remove(stage.p.address)
    if stage.link.state is S.OPEN:
        stage.x.send(b"x", ref=50)
    stage.pair.wire.run(40)


ACTS: dict[Input, Callable[[Stage], object]] = {
    On.SEND: act_send,
    On.FINISH: lambda stage: stage.x.tell(Finish(1)),
    On.LEAVE: lambda stage: stage.x.tell(Leave(1)),
    On.ABORT: lambda stage: stage.x.tell(Abort(1)),
    On.PAUSE: lambda stage: stage.x.tell(Pause(1)),
    On.RESUME: lambda stage: stage.x.tell(Resume(1)),
    On.HELLO: act_hello,
    On.COOKIE: lambda stage: stage.inject(Cookie(stage.link.local, b"cookie")),
    On.WELCOME: act_heal,
    On.REFUSE: lambda stage: stage.inject(Refuse(stage.link.local, Reason.BUSY, (1,))),
    On.DATA: act_data,
    On.RESET: lambda stage: stage.inject(Reset(stage.link.channel.remote, stage.awaited)),
    On.FIN: lambda stage: stage.p.tell(Finish(1)),
    On.BYE: lambda stage: stage.p.tell(Leave(1)),
    On.CLOSE: lambda stage: stage.pair.wire.inject(
        stage.p.forge(Close(7, 0)), stage.p.address, stage.x.address
    ),
    On.VIOLATION: lambda stage: stage.pair.wire.inject(
        stage.p.forge(b"\x7f\x00\x00"), stage.p.address, stage.x.address
    ),
    On.HELLO_DUE: lambda stage: stage.pair.wire.run(1),
    On.NO_ANSWER: lambda stage: stage.pair.wire.run(2),
    On.EXPIRED: alone,
    On.DEAD: alone,
    On.FLUSH_TIMEOUT: alone,
    On.LINGERED: alone,
    On.FLUSHED: act_heal,
    On.EXHAUSTED: act_exhaust,
    On.CROWDED: act_heal,
    On.CUT: lambda stage: stage.x.tell(StreamEnded(stage.p.address)),
}


def set_up(row: Row) -> Stage:
    """Reach the state of a row, so that its input can come."""
    state, what = row
    if what is On.NO_ANSWER:
        return enter(state, timeout=1.0)
    if what is On.EXHAUSTED:
        return enter(state, limits=Limits(last_number=60))
    if what is On.CUT:
        # On a stream, LINGERING lasts as long as an acknowledgement may wait.
        slow = 1.0 if state is S.LINGERING else DEFAULT_TIMING.ack_delay
        return enter(state, timing=Timing(ack_delay=slow), streams=True)
    if what is On.CROWDED:
        stage = enter(state, max_inbound=1)
        other = Endpoint(entropy("c"), roles=(ROLE,))
        stage.pair.wire.add(C, other)
        stage.pair.wire.lose = lambda flight: flight.kind is Kind.DATA and flight.source == A
        stage.pair.wire.tell(C, Dial(B, ROLE))
        stage.pair.wire.run(4 * DELAY)
        return stage
    if what is On.DEAD and state is not S.OPEN:
        # Faster than the timers that end these states in any case, which is rare.
        patience = 0.25 if state is S.LINGERING else 2.0
        return enter(
            state, timing=Timing(keepalive=0.125, keepalive_jitter=0.0, dead_peer=patience)
        )
    if what is On.RESET and state is S.LINGERING:
        # Something is in flight that late: a PING.
        stage = enter(state, timing=Timing(keepalive=0.125, keepalive_jitter=0.0))
        stage.pair.wire.run_until(lambda: bool(stage.link.channel.recovery.packets))
        return stage
    stage = enter(state)
    if what is On.RESET and state is S.OPEN:
        stage.pair.wire.lose_from(stage.x.address)
        stage.x.send(b"x", ref=50)
    if what is On.RESUME:
        stage.x.tell(Pause(1))
        if state is S.OPEN:
            stage.p.send(b"held back", ref=50)
            stage.pair.wire.run(0.5)
    return stage


def observe(stage: Stage, act: Callable[[Stage], object]) -> list[object]:
    """Act, and give all that can be seen of what follows."""
    wire = stage.pair.wire
    seen: list[object] = []
    skip = len(wire.flights)
    known = {address: len(told) for address, told in wire.told.items()}

    def look() -> None:
        for address, machine in wire.machines.items():
            assert isinstance(machine, Endpoint)
            stats = {key: value for key, value in machine.stats().items() if key != "ignored"}
            seen.append((wire.now, address, stats, machine.is_idle))

    try:
        act(stage)
        look()
        for _ in range(10):
            wire.run(0.25)
            look()
        wire.lose_from()
        wire.run(2)
        for end in (stage.pair.a, stage.pair.b):
            is_there = end.address in wire.machines and end.state is S.OPEN
            if is_there and not end.link.farewell.fin_said:
                end.send(b"epilogue", ref=77)
        for _ in range(12):
            wire.run(5)
            look()
    except AssertionError as broken:
        seen.append(str(broken))  # of the rules that the wire checks
    told = {address: told[known[address] :] for address, told in wire.told.items()}
    return [seen, wire.flights[skip:], told, stage.answers]


@pytest.mark.parametrize("row", sorted(TABLE), ids=name_of)
def test_a_row_that_is_taken_away_is_missed(row: Row, monkeypatch: pytest.MonkeyPatch) -> None:
    act = ACTS[row[1]]
    stage = set_up(row)
    assert stage.link.state is row[0]
    with_it = observe(stage, act)
    assert not [one for one in with_it[0] if isinstance(one, str)]  # type: ignore[attr-defined]
    assert observe(set_up(row), act) == with_it
    stage = set_up(row)
    monkeypatch.delitem(TABLE, row)
    assert observe(stage, act) != with_it


# The table in itself


@pytest.mark.smoke
def test_the_table_has_just_the_rows_that_are_expected() -> None:
    assert {row: following for row, (_, following) in TABLE.items()} == FOLLOWING


def test_every_action_exists_and_is_used() -> None:
    assert {action for action, _ in TABLE.values()} == set(_ACTIONS)
    assert all(callable(action) for action in _ACTIONS.values())


def test_every_input_has_a_row() -> None:
    assert {what for _, what in TABLE} == set(Input)


def reachable_from(*starts: State) -> set[State]:
    found = set(starts)
    while True:
        more = {following for (state, _), (_, following) in TABLE.items() if state in found}
        if more <= found:
            return found
        found |= more


def test_every_state_can_be_reached_and_every_one_can_end() -> None:
    assert reachable_from(S.CALLING, S.WELCOMED) == set(State)
    assert reachable_from(S.CALLING) == set(State) - {S.WELCOMED}
    assert all(S.CLOSED in reachable_from(state) for state in State)


def test_nothing_leads_back() -> None:
    for state in State:
        for other in reachable_from(state) - {state}:
            assert state not in reachable_from(other), f"{state.name} and {other.name}"


def test_every_timer_of_a_state_has_a_row_and_the_other_way_round() -> None:
    assert all(timer in TABLE for timer in STATE_TIMER.items())
    timers = {On.NO_ANSWER, On.EXPIRED, On.FLUSH_TIMEOUT, On.LINGERED}
    assert {row for row in TABLE if row[1] in timers} == set(STATE_TIMER.items())
    assert frozenset({S.OPEN, S.CLOSING, S.ANSWERING}) == CONVERSING


def test_a_command_to_a_link_that_is_over_for_its_program_is_answered_or_ignored() -> None:
    for state in (S.LAST_ACK, S.LINGERING, S.CLOSED):
        rows = {what for where, what in TABLE if where is state}
        assert rows & {On.FINISH, On.LEAVE, On.ABORT, On.PAUSE, On.RESUME} == set()
        assert On.SEND in rows
