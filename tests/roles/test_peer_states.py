"""The table of a call, row by row and pair by pair: `palaver.roles.peer_states`."""

from __future__ import annotations

import pytest
from halls import Hall

from palaver import Action, Outcome, Reject, Say, Side, Terminate
from palaver.link.events import Closed, Undelivered
from palaver.machine import Notice
from palaver.roles.call_actions import ACTIONS
from palaver.roles.calls import Call, Crossing
from palaver.roles.peer import Peer
from palaver.roles.peer_events import (
    Accept,
    CallEnded,
    CallOpened,
    Connect,
    Heard,
    Ringing,
    StillCalling,
)
from palaver.roles.peer_states import CALLS, CallInput, CallState
from palaver.wire.errors import Reason
from palaver.wire.peer import Accepted, Cancelled, Chat, Rejected, Ring, Terminated
from palaver.wire.peer import Terminate as TerminateMessage
from palaver.wire.registry import Entry

S, On = CallState, CallInput
PAIRS = [(state, what) for state in S if state is not S.OVER for what in On]

TELLS: dict[str, type[Notice] | None] = {
    "cancel": CallEnded,
    "call_up": None,
    "be_inactive": CallEnded,
    "stop_looking": CallEnded,
    "cross": CallOpened,
    "be_needless": CallEnded,
    "withdraw": None,
    "be_accepted": CallOpened,
    "be_accepted_late": None,
    "be_rejected": None,
    "ring_again": StillCalling,
    "end": CallEnded,
    "ring": Ringing,
    "be_cancelled": None,
    "fold": None,
    "vanish": None,
    "accept": CallOpened,
    "reject": None,
    "say": None,
    "refuse_to_say": Undelivered,
    "hear": Heard,
    "hear_late": Heard,
    "terminate": None,
    "be_terminated": None,
    "hang_up": None,
}


class Scene:
    """Ann's side of a call with Bob, brought into a state by what really leads there."""

    def __init__(self, state: CallState) -> None:
        self.hall = Hall().enlist("ann", "bob", "cid")
        getattr(self, f"to_{state.name.lower()}")()
        (self.call,) = list(self.peer.calls)
        assert self.call.state is state

    @property
    def peer(self) -> Peer:
        return self.hall.peer("ann")

    def to_looking(self) -> None:
        self.hall.tell("ann", Connect("bob", 5))

    def to_calling(self) -> None:
        self.hall.call("ann", "bob")

    def to_checking(self) -> None:
        self.hall.sim.path(("registry", 7070), self.hall.at("ann")).cut = True
        self.hall.tell("bob", Connect("ann", 5))
        self.hall.run(1)

    def to_ringing(self) -> None:
        self.hall.call("bob", "ann")

    def to_open(self) -> None:
        self.hall.talk("ann", "bob")

    def to_leaving(self) -> None:
        self.to_open()
        self.hall.tell("ann", Terminate(1))

    def to_ending(self) -> None:
        self.to_open()
        self.hall.sim.path(self.hall.at("bob"), self.hall.at("ann")).cut = False
        self.hall.tell("bob", Terminate(1))
        self.hall.sim.run_until(lambda: next(iter(self.peer.calls)).state is S.ENDING)

    def subject(self, what: CallInput) -> object:
        call = self.call
        cid = Entry(3, "cid", ("cid", 1), 0)
        crossing = Crossing(Ring(bytes(8), call.peer or 2, 1, "bob"), call.link or 1, call.address)
        return {
            On.ACCEPT: Accept(call.number),
            On.REJECT: Reject(call.number, "no"),
            On.SAY: Say(call.number, "hi", 3),
            On.TERMINATE: Terminate(call.number),
            On.FOUND: cid,
            On.CHECKED: cid,
            On.ABSENT: Outcome.GONE,
            On.ACCEPTED: Accepted(call.id, 2),
            On.REJECTED: Rejected(call.id, 2, 0, "no"),
            On.CANCELLED: Cancelled(call.id, 2),
            On.CHAT: Chat(call.id, 2, 9, "hi"),
            On.TERMINATION: TerminateMessage(call.id, 2),
            On.TERMINATED: Terminated(call.id, 2),
            On.TIMEOUT: Outcome.NO_ANSWER,
            On.CROSSED: crossing,
            On.LINK_LOST: Closed(call.link, None, Reason.DEAD, Side.LOCAL),
        }.get(what)

    def step(self, what: CallInput) -> list[Action]:
        out: list[Action] = []
        now = self.hall.sim.now
        subject = self.subject(what)
        self.peer._now = max(self.peer._now, now)
        self.peer.step(self.call, what, subject, now, out)
        return out


@pytest.mark.parametrize(("state", "what"), PAIRS, ids=lambda one: one.name)
def test_every_input_in_every_state_does_what_the_table_says_and_nothing_else(
    state: CallState, what: CallInput
) -> None:
    scene = Scene(state)
    call, peer = scene.call, scene.peer
    row = CALLS.get((state, what))
    before, ignored = call.key(0.0), peer.ignored
    out = scene.step(what)
    if row is None:
        assert out == []
        assert call.key(0.0) == before
        assert peer.ignored == ignored + 1
        return
    action, after = row
    assert peer.ignored == ignored
    assert call.state is after
    assert (call.number in peer.calls.by_number) is (after is not S.OVER)
    told = [type(one) for one in out if isinstance(one, Notice)]
    wanted = TELLS[action]
    assert told == ([] if wanted is None or (action == "end" and not call.was_told) else [wanted])


def test_after_over_there_is_nothing() -> None:
    assert not [pair for pair in CALLS if pair[0] is S.OVER]


def test_every_action_is_in_the_table_and_every_row_has_its_action() -> None:
    assert set(ACTIONS) == {action for action, _ in CALLS.values()} == set(TELLS)


@pytest.mark.spec("C-9")
def test_from_every_state_an_end_can_be_reached_and_the_loss_of_the_link_is_one() -> None:
    reach = {S.OVER}
    for _ in S:
        reach |= {state for (state, _), (_, after) in CALLS.items() if after in reach}
    assert reach == set(S)
    for state in set(S) - {S.LOOKING, S.OVER}:
        assert CALLS[state, On.LINK_LOST][1] is S.OVER


@pytest.mark.spec("C-9")
@pytest.mark.parametrize("state", [one for one in S if one is not S.OVER], ids=lambda one: one.name)
def test_whatever_the_state_when_the_peer_vanishes_the_program_is_told_one_outcome(
    state: CallState,
) -> None:
    scene = Scene(state)
    hall = scene.hall
    hall.sim.crash(hall.at("bob"))
    hall.run(200)
    ends = hall.told("ann", CallEnded)
    assert len(ends) == (0 if state is S.CHECKING and not hall.told("ann", Ringing) else 1)
    assert hall.peer("ann").stats()["calls"] == 0


def test_outcomes_are_settled_once() -> None:
    call = Call(1, bytes(8), S.OPEN)
    call.settle(Outcome.TERMINATED, Side.LOCAL)
    call.settle(Outcome.GONE, Side.PEER, Reason.DEAD, "late")
    assert (call.outcome, call.by, call.reason, call.text) == (
        Outcome.TERMINATED,
        Side.LOCAL,
        Reason.LEFT,
        "",
    )
