"""Calls between peers: the role "peer" (PROTOCOL.md, section 6.5)."""

from __future__ import annotations

import pytest
from halls import DELAY, REGISTRY, Hall, Plain

from palaver import (
    Accept,
    CallEnded,
    Calling,
    CallOpened,
    Connect,
    Datagram,
    Delivered,
    Depart,
    Departed,
    Enlist,
    Finish,
    Heard,
    Leave,
    Limits,
    Opened,
    Outcome,
    Overdue,
    Pause,
    Reason,
    Received,
    Reject,
    Rejection,
    Resume,
    Ringing,
    Say,
    Send,
    Side,
    StillCalling,
    Terminate,
    Tick,
    Timing,
    Transmit,
    Undelivered,
    UsageError,
    WouldBlock,
    Writable,
)
from palaver.machine import Event
from palaver.roles.peer_states import CallState
from palaver.sim import Faults, Sent
from palaver.wire.packets import Kind
from palaver.wire.peer import (
    Accepted,
    Cancelled,
    Chat,
    PeerMessage,
    Rejected,
    Ring,
    Terminated,
)
from palaver.wire.peer import Terminate as TerminateMessage

CALL = b"a call!!"


class Rogue(Plain):
    """Somebody who is entered as `name`, and rings, answers and talks as a test wants."""

    def __init__(self, hall: Hall, name: str = "rogue") -> None:
        super().__init__(hall, name, roles=("peer",))
        self.register(name)
        self.id = next(one.id for one in hall.registry.entries(hall.sim.now) if one.name == name)

    def ring(self, name: str, call: bytes = CALL, times: int = 1, caller: int = 0) -> int:
        """Ring somebody on a link of its own; give the link."""
        link = self.dial(self.hall.at(name), "peer")
        ring = Ring(call, caller or self.id, self.hall.id(name), "who knows")
        self.say(link, *[ring] * times)
        return link

    @property
    def incoming(self) -> int:
        """The link by which somebody has called."""
        return [one.link for one in self.told(Opened) if one.inbound][-1]


# Calling


@pytest.mark.smoke
@pytest.mark.spec("C-4", "C-7", "C-8")
def test_a_call_by_name_rings_with_the_callers_verified_id_and_opens_when_it_is_accepted() -> None:
    hall = Hall().enlist("ann", "bob")
    assert hall.tell("ann", Connect("BOB", 7)) == [Calling(1, 7, "BOB")]
    hall.run(1)
    assert hall.told("bob", Ringing) == [Ringing(1, 1, "ann", ("ann", 1), verified=True)]
    assert hall.told("ann", CallOpened) == []
    assert hall.tell("bob", Accept(1)) == [CallOpened(1, None, 1, "ann", ("ann", 1), verified=True)]
    hall.run(1)
    assert hall.told("ann", CallOpened) == [CallOpened(1, 7, 2, "bob", ("bob", 1), verified=True)]


@pytest.mark.smoke
def test_a_call_by_id_opens_as_well() -> None:
    hall = Hall().enlist("ann", "bob")
    hall.tell("ann", Connect(2, 7))
    hall.run(1)
    hall.tell("bob", Accept(1))
    hall.run(1)
    assert hall.told("ann", CallOpened)[0].peer == 2


@pytest.mark.spec("C-9", "G-12")
@pytest.mark.parametrize("to", [9, "eve"])
def test_a_call_to_one_who_is_not_there_is_inactive(to: int | str) -> None:
    hall = Hall().enlist("ann")
    hall.tell("ann", Connect(to, 7))
    hall.run(1)
    assert hall.told("ann", CallEnded) == [
        CallEnded(1, 7, Outcome.INACTIVE, Side.PEER, Reason.LEFT)
    ]


@pytest.mark.parametrize("to", [1, "ann"])
def test_nobody_can_call_oneself(to: int | str) -> None:
    hall = Hall().enlist("ann")
    hall.tell("ann", Connect(to, 7))
    hall.run(1)
    assert hall.end("ann", 1).outcome is Outcome.ALREADY


def test_a_second_call_to_the_same_peer_is_needless() -> None:
    hall = Hall().enlist("ann", "bob")
    hall.talk("ann", "bob")
    hall.tell("ann", Connect(2, 8))
    hall.run(1)
    assert hall.end("ann", 2) == CallEnded(2, 8, Outcome.ALREADY, Side.LOCAL, Reason.LEFT)
    assert len(hall.told("bob", Ringing)) == 1


@pytest.mark.smoke
@pytest.mark.spec("C-8", "C-9")
def test_a_rejection_comes_with_its_reason_and_both_are_told() -> None:
    hall = Hall().enlist("ann", "bob")
    call = hall.call("ann", "bob")
    hall.tell("bob", Reject(1, "not now"))
    hall.run(1)
    no = Rejection.DECLINED
    assert hall.end("ann", call) == CallEnded(1, 1, Outcome.REJECTED, Side.PEER, no, "not now")
    assert hall.end("bob", 1) == CallEnded(1, None, Outcome.REJECTED, Side.LOCAL, no, "not now")
    hall.run(30)
    assert len(hall.told("bob", Ringing)) == 1


@pytest.mark.spec("C-8", "C-9")
def test_a_call_that_is_cancelled_stops_ringing_and_both_are_told() -> None:
    hall = Hall().enlist("ann", "bob")
    call = hall.call("ann", "bob")
    hall.tell("ann", Terminate(call))
    hall.run(1)
    assert hall.end("ann", call) == CallEnded(1, 1, Outcome.CANCELLED, Side.LOCAL, Reason.LEFT)
    assert hall.end("bob", 1) == CallEnded(1, None, Outcome.CANCELLED, Side.PEER, Reason.LEFT)
    with pytest.raises(UsageError):
        hall.tell("bob", Accept(9))
    assert hall.tell("bob", Accept(1)) == []


def test_a_call_that_is_cancelled_before_it_could_ring_never_rings() -> None:
    hall = Hall().enlist("ann", "bob")
    hall.tell("ann", Connect("bob", 1))
    hall.run(3 * DELAY)
    hall.tell("ann", Terminate(1))
    hall.run(30)
    assert hall.end("ann", 1).outcome is Outcome.CANCELLED
    assert hall.told("bob", Ringing) == []
    hall.tell("ann", Connect("bob", 1))
    assert hall.tell("ann", Terminate(2)) == [
        CallEnded(2, 1, Outcome.CANCELLED, Side.LOCAL, Reason.LEFT)
    ]


@pytest.mark.spec("C-9")
def test_a_call_that_nobody_answers_ends_when_the_caller_said() -> None:
    hall = Hall().enlist("ann", "bob")
    hall.tell("ann", Connect("bob", 1, timeout=15))
    hall.run(14.9)
    assert hall.told("ann", CallEnded) == []
    hall.run(1)
    assert hall.end("ann", 1).outcome is Outcome.NO_ANSWER
    assert hall.end("bob", 1).outcome is Outcome.CANCELLED


@pytest.mark.spec("C-8")
def test_a_cancellation_that_crosses_the_acceptance_ends_the_call_for_both() -> None:
    hall = Hall().enlist("ann", "bob")
    call = hall.call("ann", "bob")
    hall.tell("ann", Terminate(call))
    hall.tell("bob", Accept(1))
    assert hall.is_open("bob", 1)
    hall.run(1)
    assert hall.end("ann", call).outcome is Outcome.CANCELLED
    assert hall.end("bob", 1).outcome is Outcome.CANCELLED
    assert not hall.is_open("ann", call)


# Trying on


@pytest.mark.smoke
@pytest.mark.spec("C-4")
def test_the_request_is_repeated_every_10_s_until_it_is_answered_and_rings_once() -> None:
    hall = Hall().enlist("ann", "bob")
    since = hall.sim.now
    call = hall.call("ann", "bob")
    hall.run(45 - (hall.sim.now - since))
    still = hall.told("ann", StillCalling)
    assert [one.attempt for one in still] == [2, 3, 4, 5]
    times = [round(at - since, 2) for at in hall.times("ann", StillCalling)]
    # The wish came two hops before the answer to the lookup, from which the call begins.
    assert times == pytest.approx([10.03, 20.03, 30.03, 40.03], abs=0.01)
    hall.tell("bob", Accept(1))
    hall.run(60)
    assert len(hall.told("ann", StillCalling)) == 4
    assert len(hall.told("bob", Ringing)) == 1
    assert hall.is_open("ann", call)


@pytest.mark.spec("C-4")
def test_no_request_is_added_while_the_last_is_not_acknowledged() -> None:
    hall = Hall().enlist("ann")
    bob = Rogue(hall, "bob")
    hall.tell("ann", Connect("bob", 1))
    hall.run(0.5)
    assert len(bob.heard(Ring)) == 1
    hall.sim.path(bob.address, hall.at("ann")).cut = True
    hall.run(11)
    assert len(bob.heard(Ring)) == 2
    hall.sim.path(bob.address, hall.at("ann")).cut = False
    hall.run(30)
    rings = bob.heard(Ring)
    assert len(set(map(Ring.encode, rings))) == 1
    assert len(rings) <= 5
    # Silence for 21 s would have added two.
    hall.sim.path(bob.address, hall.at("ann")).cut = True
    before = len(bob.heard(Ring))
    hall.run(21)
    assert len(bob.heard(Ring)) <= before + 1
    assert len(hall.told("ann", StillCalling)) >= 5


@pytest.mark.spec("C-4")
def test_with_the_seeds_timing_everything_is_asked_for_exactly_every_10_s() -> None:
    hall = Hall(timing=Timing.seed003())
    hall.enlist("ann", "bob")
    hall.run(60)
    hall.sim.crash(hall.at("bob"))
    start = hall.sim.now
    hall.tell("ann", Connect("bob", 1))
    hall.run(45)
    hello = [
        entry.time - start
        for entry in hall.sim.trace
        if isinstance(entry, Sent)
        and entry.time >= start
        and entry.destination == hall.at("bob")
        and entry.data[0] == Kind.HELLO
    ]
    # Found after one round trip to the registry; from then on, every 10 s.
    first = hello[0]
    assert first == 2 * DELAY
    assert [at - first for at in hello] == [0, 10, 20, 30, 40]
    assert [one.attempt for one in hall.told("ann", StillCalling)] == [2, 3, 4, 5]


@pytest.mark.spec("C-4")
def test_with_the_seeds_timing_a_request_is_made_every_10_s_and_a_text_goes_again() -> None:
    hall = Hall(timing=Timing.seed003())
    hall.enlist("ann")
    bob = Rogue(hall, "bob")
    hall.tell("ann", Connect("bob", 1))
    hall.run(35)
    rings = [
        at
        for at, one in hall.sim.notices(bob.address)
        if isinstance(one, Received) and one.link == bob.incoming
    ]
    assert len(rings) == 4
    # The first goes out when the link is open, two hops after the call began.
    assert [round(at - rings[0] + 2 * DELAY, 3) for at in rings[1:]] == [10, 20, 30]
    ring = bob.heard(Ring)[0]
    bob.say(bob.incoming, Accepted(ring.call, bob.id))
    hall.sim.path(hall.at("ann"), bob.address).cut = True
    since = hall.sim.now
    hall.tell("ann", Say(1, "lost", 5))
    hall.run(5)
    hall.sim.path(hall.at("ann"), bob.address).cut = False
    hall.run(10)
    assert [one.text for one in bob.heard(Chat)] == ["lost"]
    at = hall.sim.notices(bob.address)[-1][0]
    assert at - since == 10 + DELAY
    assert hall.told("ann", Overdue) == [Overdue(1, 5)]
    assert hall.told("ann", Delivered) == [Delivered(1, 5)]


# One ring


@pytest.mark.smoke
@pytest.mark.spec("C-5")
def test_a_thousand_repeated_and_late_requests_ring_once() -> None:
    hall = Hall(limits=Limits(half_open_per_host=64)).enlist("bob")
    rogue = Rogue(hall)
    link = rogue.ring("bob")
    for _ in range(50):
        rogue.say(link, *[Ring(CALL, rogue.id, 1, "who knows")] * 10)
    assert len(hall.told("bob", Ringing)) == 1
    # On other links, while it rings.
    others = [rogue.ring("bob", times=5) for _ in range(20)]
    hall.run(1)
    assert len(hall.told("bob", Ringing)) == 1
    assert all(rogue.end(one) is not None for one in others)
    hall.tell("bob", Reject(1, "no"))
    hall.run(1)
    # After the reject, for nearly ten minutes.
    for _ in range(50):
        rogue.ring("bob", times=8)
        hall.run(11)
    assert len(hall.told("bob", Ringing)) == 1
    assert {one.code for one in rogue.heard(Rejected)} == {Rejection.DECLINED, Rejection.OVER}
    # And a genuine new call does ring.
    rogue.ring("bob", call=b"new call")
    hall.run(1)
    assert len(hall.told("bob", Ringing)) == 2
    assert hall.peer("bob").stats()["calls"] == 1


@pytest.mark.spec("C-1", "C-5")
def test_a_call_that_is_over_is_turned_down_with_the_id_that_it_had() -> None:
    hall = Hall().enlist("ann")
    rogue = Rogue(hall)
    rogue.ring("ann")
    hall.run(1)
    hall.tell("ann", Reject(1))
    hall.run(1)
    hall.restart_registry()
    Rogue(hall, "eve")  # who gets the first id of the new registry
    hall.run(60)
    assert hall.id("ann") == 2
    link = rogue.dial(hall.at("ann"), "peer")
    rogue.say(link, Ring(CALL, rogue.id, 1, "rogue"))
    assert rogue.heard(Rejected)[-1] == Rejected(CALL, 1, Rejection.OVER)


@pytest.mark.spec("C-5")
def test_every_datagram_of_a_rejected_call_may_come_again_later_and_nothing_rings() -> None:
    hall = Hall().enlist("ann", "bob")
    call = hall.call("ann", "bob")
    hall.tell("bob", Reject(1))
    hall.run(1)
    assert hall.end("ann", call).outcome is Outcome.REJECTED
    replayed = [
        entry.data
        for entry in hall.sim.trace
        if isinstance(entry, Sent) and entry.destination == hall.at("bob")
    ]
    for _ in range(20):
        for data in replayed:
            hall.sim.inject(hall.at("bob"), data, hall.at("ann"))
        hall.run(17)
    assert len(hall.told("bob", Ringing)) == 1
    hall.call("ann", "bob")
    assert len(hall.told("bob", Ringing)) == 2


@pytest.mark.spec("C-5")
def test_the_memory_of_what_is_over_is_bounded_in_time_and_number() -> None:
    hall = Hall(limits=Limits(answered=3)).enlist("bob")
    rogue = Rogue(hall)
    bob = hall.peer("bob")
    for number in range(6):
        rogue.ring("bob", call=b"call %3d" % number)
        hall.run(1)
        hall.tell("bob", Reject(number + 1))
        hall.run(1)
    assert bob.stats()["remembered"] == 3
    rogue.ring("bob", call=b"call   4")
    hall.run(1)
    assert len(hall.told("bob", Ringing)) == 6
    hall.run(600)
    rogue.ring("bob", call=b"call   4")
    hall.run(1)
    assert len(hall.told("bob", Ringing)) == 7


@pytest.mark.spec("C-2")
def test_no_two_calls_have_the_same_id() -> None:
    hall = Hall().enlist("ann", "cid")
    bob = Rogue(hall, "bob")
    for name in ["ann", "cid"]:
        for number in range(1, 31):
            hall.tell(name, Connect("bob", 1))
            hall.run(0.3)
            hall.tell(name, Terminate(number))
            hall.run(0.3)
    assert len({one.call for one in bob.heard(Ring)}) == 60


# Who calls


@pytest.mark.spec("C-7")
def test_a_caller_who_claims_anothers_id_is_not_verified() -> None:
    hall = Hall().enlist("ann", "bob")
    rogue = Rogue(hall)
    rogue.ring("bob", caller=hall.id("ann"))
    hall.run(1)
    assert hall.told("bob", Ringing) == [Ringing(1, 1, "who knows", rogue.address, verified=False)]


@pytest.mark.spec("C-7")
def test_a_caller_who_is_not_at_the_registry_is_not_verified() -> None:
    hall = Hall().enlist("bob")
    rogue = Rogue(hall)
    rogue.ring("bob", caller=99)
    hall.run(1)
    assert not hall.told("bob", Ringing)[0].verified


@pytest.mark.spec("C-7")
def test_without_an_answer_of_the_registry_it_rings_after_2_s_and_unverified() -> None:
    hall = Hall().enlist("ann", "bob")
    hall.sim.path(hall.at("bob"), REGISTRY).cut = True
    hall.tell("ann", Connect("bob", 1))
    since = hall.sim.now
    hall.sim.run_until(lambda: bool(hall.told("bob", Ringing)))
    assert 2 <= hall.sim.now - since <= 2 + 8 * DELAY
    (ringing,) = hall.told("bob", Ringing)
    assert (ringing.peer, ringing.name, ringing.verified) == (1, "ann", False)
    hall.sim.heal()
    hall.run(5)
    assert len(hall.told("bob", Ringing)) == 1


@pytest.mark.spec("C-1")
@pytest.mark.parametrize("message", ["accept", "chat", "terminate", "terminated", "reject"])
def test_a_message_with_anothers_id_ends_the_link(message: str) -> None:
    hall = Hall().enlist("ann")
    bob = Rogue(hall, "bob")
    hall.tell("ann", Connect("bob", 1))
    hall.run(0.5)
    call = bob.heard(Ring)[0].call
    messages: dict[str, PeerMessage] = {
        "accept": Accepted(call, 7),
        "chat": Chat(call, 7, 1, "x"),
        "terminate": TerminateMessage(call, 7),
        "terminated": Terminated(call, 7),
        "reject": Rejected(call, 7, Rejection.DECLINED),
    }
    bob.say(bob.incoming, messages[message])
    hall.run(1)
    assert hall.end("ann", 1) == CallEnded(1, 1, Outcome.GONE, Side.LOCAL, Reason.PROTOCOL_ERROR)


@pytest.mark.spec("C-6", "C-1")
def test_a_call_to_one_whose_address_has_another_now_is_rejected_without_ringing() -> None:
    hall = Hall().enlist("ann")
    bob = Rogue(hall, "bob")
    hall.tell("ann", Connect("bob", 1))
    hall.run(0.5)
    bob.say(bob.incoming, Rejected(bob.heard(Ring)[0].call, 77, Rejection.NOT_ME))
    hall.run(1)
    end = hall.end("ann", 1)
    assert (end.outcome, end.reason) == (Outcome.REJECTED, Rejection.NOT_ME)
    hall.enlist("cid")
    link = bob.dial(hall.at("cid"), "peer")
    bob.say(link, Ring(CALL, bob.id, 999, "bob"))
    assert bob.heard(Rejected) == [Rejected(CALL, hall.id("cid"), Rejection.NOT_ME)]
    assert hall.told("cid", Ringing) == []


@pytest.mark.spec("C-6")
def test_more_calls_than_may_ring_are_told_that_it_is_busy() -> None:
    hall = Hall(limits=Limits(ringing=2)).enlist("bob")
    rogues = [Rogue(hall, f"r{n}") for n in range(4)]
    for rogue in rogues:
        rogue.ring("bob", call=rogue.address[0].encode() * 4)
    hall.run(1)
    assert len(hall.told("bob", Ringing)) == 2
    assert [[no.code for no in one.heard(Rejected)] for one in rogues] == [
        [],
        [],
        [Rejection.BUSY],
        [Rejection.BUSY],
    ]


@pytest.mark.spec("C-6")
def test_a_second_call_on_a_link_that_has_one_is_rejected_and_the_first_goes_on() -> None:
    hall = Hall().enlist("bob")
    rogue = Rogue(hall)
    link = rogue.ring("bob")
    rogue.say(link, Ring(b"another!", rogue.id, 1, "x"))
    assert rogue.heard(Rejected) == [Rejected(b"another!", 1, Rejection.BUSY)]
    assert rogue.end(link) is None
    hall.tell("bob", Accept(1))
    hall.run(1)
    assert rogue.heard(Accepted) == [Accepted(CALL, 1)]


@pytest.mark.spec("C-1")
def test_a_caller_that_finishes_is_given_up() -> None:
    hall = Hall().enlist("bob")
    rogue = Rogue(hall)
    link = rogue.ring("bob")
    hall.sim.command(rogue.address, Finish(link))
    hall.run(1)
    end = rogue.end(link)
    assert end is not None
    assert end.reason == Reason.PROTOCOL_ERROR


@pytest.mark.spec("C-3")
def test_what_comes_before_the_first_ring_is_ignored() -> None:
    hall = Hall().enlist("bob")
    rogue = Rogue(hall)
    link = rogue.dial(hall.at("bob"), "peer")
    rogue.say(link, Chat(CALL, rogue.id, 1, "too soon"), Cancelled(CALL, rogue.id))
    rogue.say(link, Ring(CALL, rogue.id, 1, "rogue"))
    hall.run(1)
    assert rogue.end(link) is None
    assert len(hall.told("bob", Ringing)) == 1


@pytest.mark.spec("C-6")
def test_who_has_no_id_turns_a_call_down_with_the_one_that_was_called() -> None:
    hall = Hall().add("bob")
    rogue = Rogue(hall)
    link = rogue.dial(hall.at("bob"), "peer")
    rogue.say(link, Ring(CALL, rogue.id, 7, "rogue"))
    assert rogue.heard(Rejected) == [Rejected(CALL, 7, Rejection.NOT_ME)]


@pytest.mark.spec("C-3")
def test_a_link_without_a_call_is_ended_in_time() -> None:
    hall = Hall().enlist("bob")
    rogue = Rogue(hall)
    link = rogue.dial(hall.at("bob"), "peer")
    hall.run(9.9)
    assert rogue.end(link) is None
    hall.run(0.5)
    end = rogue.end(link)
    assert end is not None
    assert end.reason == Reason.PROTOCOL_ERROR


@pytest.mark.spec("C-1")
def test_messages_about_calls_that_are_over_or_go_elsewhere_are_ignored() -> None:
    hall = Hall().enlist("bob")
    rogue = Rogue(hall)
    link = rogue.ring("bob")
    hall.run(1)
    other = rogue.ring("bob", call=b"other!!!")
    hall.tell("bob", Accept(1))
    hall.run(1)
    rogue.say(other, Chat(CALL, rogue.id, 1, "on the wrong link"))
    rogue.say(link, Chat(b"no such!", rogue.id, 1, "of no call"), Accepted(CALL, rogue.id))
    rogue.say(link, Chat(CALL, rogue.id, 1, "right"))
    assert hall.texts("bob") == ["right"]
    assert rogue.end(link) is None
    assert hall.peer("bob").stats()["out_of_place"] == 3


# Talking


@pytest.mark.smoke
@pytest.mark.spec("C-11")
def test_texts_carry_the_senders_id_and_rising_numbers_and_are_reported_as_delivered() -> None:
    hall = Hall().enlist("ann", "bob")
    ann, bob = hall.talk("ann", "bob")
    hall.tell("ann", Say(ann, "one", 1), Say(ann, "zwei 👋", -5))
    hall.tell("bob", Say(bob, "", 0))
    hall.run(1)
    assert hall.told("bob", Heard) == [Heard(bob, 1, 1, "one"), Heard(bob, 1, 2, "zwei 👋")]
    assert hall.told("ann", Heard) == [Heard(ann, 2, 1, "")]
    assert hall.told("ann", Delivered) == [Delivered(ann, 1), Delivered(ann, -5)]
    assert hall.told("bob", Delivered) == [Delivered(bob, 0)]


@pytest.mark.spec("C-11")
def test_a_number_that_came_before_is_discarded_and_not_shown_again() -> None:
    hall = Hall().enlist("ann")
    bob = Rogue(hall, "bob")
    hall.tell("ann", Connect("bob", 1))
    hall.run(0.5)
    call, link = bob.heard(Ring)[0].call, bob.incoming
    bob.say(link, Accepted(call, bob.id))
    for number, text in [(1, "a"), (1, "again"), (3, "c"), (2, "late"), (3, "c"), (4, "d")]:
        bob.say(link, Chat(call, bob.id, number, text))
    assert hall.texts("ann") == ["a", "c", "d"]


def test_a_text_before_the_call_is_open_raises_and_one_after_it_is_undelivered() -> None:
    hall = Hall().enlist("ann", "bob")
    call = hall.call("ann", "bob")
    for name in ["ann", "bob"]:
        with pytest.raises(UsageError, match=r"calling|ringing"):
            hall.tell(name, Say(1, "too early", 1))
    hall.tell("bob", Accept(1))
    hall.run(1)
    hall.tell("bob", Terminate(1))
    assert hall.tell("bob", Say(1, "too late", 4)) == [Undelivered(1, 4, Reason.LEFT)]
    hall.run(1)
    assert hall.tell("bob", Say(1, "much too late", 5)) == [Undelivered(1, 5, Reason.LEFT)]
    assert hall.tell("ann", Say(call, "too late", 6)) == [Undelivered(call, 6, Reason.LEFT)]


def can_say(hall: Hall, call: int, text: str, ref: int) -> bool:
    try:
        hall.tell("ann", Say(call, text, ref))
    except WouldBlock:
        return False
    return True


def test_a_reader_who_pauses_blocks_the_sender_and_is_told_all_in_the_end() -> None:
    hall = Hall(limits=Limits(queue_messages=4, window=4096)).enlist("ann", "bob")
    ann, bob = hall.talk("ann", "bob")
    hall.tell("bob", Pause(bob))
    sent = 0
    while can_say(hall, ann, f"{sent} {'x' * 500}", sent):
        hall.run(0.1)
        sent += 1
    assert 4 < sent < 20
    assert hall.texts("bob") == []
    hall.tell("bob", Resume(bob))
    hall.run(10)
    assert hall.told("ann", Writable) == [Writable(ann)]
    hall.tell("ann", Say(ann, f"{sent} last", sent))
    hall.run(5)
    assert [one.number for one in hall.told("bob", Heard)] == list(range(1, sent + 2))
    assert [int(text.split()[0]) for text in hall.texts("bob")] == list(range(sent + 1))


def test_several_conversations_go_on_side_by_side() -> None:
    hall = Hall().enlist("ann", "bob", "cid", "dan")
    calls = {name: hall.talk("ann", name) for name in ["bob", "cid"]}
    dan = hall.talk("dan", "ann")
    for name, (here, there) in calls.items():
        hall.tell("ann", Say(here, f"to {name}", 1))
        hall.tell(name, Say(there, f"from {name}", 1))
    hall.tell("ann", Say(dan[1], "to dan", 1))
    hall.run(1)
    assert [hall.texts(name) for name in ["bob", "cid", "dan"]] == [
        ["to bob"],
        ["to cid"],
        ["to dan"],
    ]
    assert {(one.peer, one.text) for one in hall.told("ann", Heard)} == {
        (2, "from bob"),
        (3, "from cid"),
    }
    hall.tell("ann", Terminate(calls["bob"][0]))
    hall.run(1)
    hall.tell("ann", Say(calls["cid"][0], "still here", 2))
    hall.run(1)
    assert hall.texts("cid") == ["to cid", "still here"]


# Ending


@pytest.mark.smoke
@pytest.mark.spec("C-12", "C-9")
@pytest.mark.parametrize("who", ["ann", "bob"])
def test_either_side_ends_the_conversation_and_both_are_told(who: str) -> None:
    hall = Hall().enlist("ann", "bob")
    ann, bob = hall.talk("ann", "bob")
    calls = {"ann": ann, "bob": bob}
    hall.tell(who, Terminate(calls[who]))
    hall.run(1)
    for name in ["ann", "bob"]:
        end = hall.end(name, calls[name])
        assert end.outcome is Outcome.TERMINATED
        assert end.by is (Side.LOCAL if name == who else Side.PEER)
        assert hall.peer(name).stats()["calls"] == 0
    hall.run(10)
    assert hall.peer("ann").stats()["links"] == 1


@pytest.mark.spec("C-12", "C-13")
def test_all_that_was_said_before_the_end_arrives_and_its_fate_is_told_before_the_end() -> None:
    for seed in range(10):
        hall = Hall(Faults(delay=DELAY, loss=0.3, duplicate=0.2), seed=seed)
        hall.enlist("ann", "bob")
        ann, bob = hall.talk("ann", "bob")
        hall.tell("ann", *(Say(ann, f"a{n}", n) for n in range(20)))
        hall.tell("bob", *(Say(bob, f"b{n}", n) for n in range(20)))
        hall.tell("ann", Terminate(ann))
        hall.run(15)
        told = [
            one
            for _, one in hall.sim.notices(hall.at("ann"))
            if isinstance(one, Delivered | Undelivered | CallEnded)
        ]
        assert isinstance(told[-1], CallEnded)
        assert sorted(one.ref for one in told[:-1] if one.ref is not None) == list(range(20))
        assert hall.texts("bob") == [f"a{n}" for n in range(20)]
        heard = hall.texts("ann")
        assert heard == [f"b{n}" for n in range(len(heard))]


@pytest.mark.spec("C-12")
def test_two_who_end_it_at_once_are_both_told_once() -> None:
    hall = Hall().enlist("ann", "bob")
    ann, bob = hall.talk("ann", "bob")
    hall.tell("ann", Terminate(ann))
    hall.tell("bob", Terminate(bob))
    hall.tell("bob", Terminate(bob))
    hall.run(10)
    for name, call in [("ann", ann), ("bob", bob)]:
        assert hall.end(name, call).outcome is Outcome.TERMINATED
        assert hall.end(name, call).by is Side.LOCAL


@pytest.mark.spec("C-12")
def test_who_ends_it_waits_5_s_for_a_peer_that_does_not_answer() -> None:
    hall = Hall().enlist("ann")
    bob = Rogue(hall, "bob")
    hall.tell("ann", Connect("bob", 1))
    hall.run(0.5)
    call, link = bob.heard(Ring)[0].call, bob.incoming
    bob.say(link, Accepted(call, bob.id))
    hall.tell("ann", Terminate(1))
    hall.run(1)
    assert bob.heard(TerminateMessage) == [TerminateMessage(call, 1)]
    bob.say(link, Chat(call, bob.id, 1, "one more thing"))
    assert hall.texts("ann") == ["one more thing"]
    hall.run(3)
    assert hall.told("ann", CallEnded) == []
    hall.run(2)
    assert hall.end("ann", 1).outcome is Outcome.TERMINATED


@pytest.mark.spec("C-12")
def test_who_is_told_of_the_end_says_that_it_knows_and_then_closes() -> None:
    hall = Hall().enlist("ann")
    bob = Rogue(hall, "bob")
    hall.tell("ann", Connect("bob", 1))
    hall.run(0.5)
    call, link = bob.heard(Ring)[0].call, bob.incoming
    bob.say(link, Accepted(call, bob.id))
    bob.say(link, TerminateMessage(call, bob.id))
    hall.run(1)
    assert bob.heard(Terminated) == [Terminated(call, 1)]
    assert hall.end("ann", 1).by is Side.PEER
    end = bob.end(link)
    assert end is not None
    assert end.graceful


def test_a_reader_who_has_paused_can_end_the_conversation() -> None:
    hall = Hall().enlist("ann", "bob")
    ann, bob = hall.talk("ann", "bob")
    hall.tell("bob", Pause(bob))
    hall.tell("ann", Say(ann, "held back", 1))
    hall.run(1)
    hall.tell("bob", Terminate(bob))
    hall.run(1)
    assert hall.texts("bob") == ["held back"]
    assert hall.end("bob", bob).outcome is Outcome.TERMINATED


@pytest.mark.spec("C-9")
def test_a_peer_that_vanishes_is_gone_when_its_link_is_dead() -> None:
    hall = Hall().enlist("ann", "bob", "cid")
    ann, _ = hall.talk("ann", "bob")
    ringing = hall.call("ann", "cid")
    hall.sim.crash(hall.at("bob"))
    hall.sim.crash(hall.at("cid"))
    hall.tell("ann", Say(ann, "anyone?", 1))
    hall.run(60)
    for call in [ann, ringing]:
        end = hall.end("ann", call)
        assert (end.outcome, end.reason) == (Outcome.GONE, Reason.DEAD)
    assert hall.told("ann", Undelivered) == [Undelivered(ann, 1, Reason.DEAD)]


@pytest.mark.spec("C-9")
def test_a_caller_that_vanishes_stops_ringing() -> None:
    hall = Hall().enlist("ann", "bob")
    hall.call("ann", "bob")
    hall.sim.crash(hall.at("ann"))
    hall.run(60)
    end = hall.end("bob", 1)
    assert (end.outcome, end.reason) == (Outcome.GONE, Reason.DEAD)


def test_a_call_to_one_who_has_vanished_ends_when_the_registry_knows() -> None:
    hall = Hall().enlist("ann", "bob")
    hall.sim.crash(hall.at("bob"))
    hall.tell("ann", Connect("bob", 1))
    hall.run(60)
    end = hall.end("ann", 1)
    assert (end.outcome, end.by) == (Outcome.GONE, Side.PEER)
    assert len(hall.told("ann", StillCalling)) > 10


def test_a_peer_that_was_restarted_has_a_new_id_and_can_be_called_again() -> None:
    hall = Hall().enlist("ann", "bob")
    ann, _ = hall.talk("ann", "bob")
    hall.restart_peer("bob")
    hall.tell("bob", Enlist())
    hall.tell("ann", Say(ann, "hello?", 1))
    hall.run(3)
    end = hall.end("ann", ann)
    assert (end.outcome, end.reason) == (Outcome.GONE, Reason.RESET)
    assert hall.id("bob") == 3
    again = hall.call("ann", "bob")
    hall.tell("bob", Accept(1))
    hall.run(1)
    assert hall.told("ann", CallOpened)[-1].peer == 3
    assert hall.is_open("ann", again)


# Crossed calls


@pytest.mark.smoke
@pytest.mark.spec("C-10")
@pytest.mark.parametrize("offset", [n * DELAY / 2 for n in range(16)])
def test_crossed_calls_open_at_once_and_nobody_rings(offset: float) -> None:
    hall = Hall().enlist("ann", "bob")
    hall.tell("ann", Connect("bob", 5))
    hall.run(offset)
    hall.tell("bob", Connect("ann", 6))
    hall.run(2)
    for name, ref in [("ann", 5), ("bob", 6)]:
        if hall.told(name, Ringing):
            # It rang before the other wanted to call: no crossing, but consent all the same.
            assert offset >= 7 * DELAY
            assert hall.told(name, CallOpened)[0].ref is None
        else:
            assert [one.ref for one in hall.told(name, CallOpened)] == [ref]
        assert hall.peer(name).stats()["calls"] == 1
    hall.run(30)
    assert [hall.peer(name).stats()["links"] for name in ["ann", "bob"]] == [2, 2]
    for name in ["ann", "bob"]:
        opened = hall.told(name, CallOpened)[0]
        hall.tell(name, Say(opened.link, f"from {name}", 1))
    hall.run(1)
    assert hall.texts("ann") == ["from bob"]
    assert hall.texts("bob") == ["from ann"]


@pytest.mark.spec("C-10")
def test_calls_cross_under_loss_and_with_a_link_in_each_direction_and_one_of_each_survives() -> (
    None
):
    open_links = set()
    for seed in range(60):
        hall = Hall(Faults(delay=DELAY, jitter=2 * DELAY, loss=0.3, duplicate=0.2), seed=seed)
        hall.enlist("ann", "bob")
        hall.tell("ann", Connect("bob", 5))
        hall.run((seed % 6) * DELAY)
        hall.tell("bob", Connect("ann", 6))
        hall.sim.run_until(
            lambda hall=hall: all(hall.told(name, CallOpened) for name in ["ann", "bob"])  # type: ignore[misc]
        )
        hall.run(12)
        for name in ["ann", "bob"]:
            states = [call.state for call in hall.peer(name).calls]
            assert states == [CallState.OPEN], f"seed {seed}: {name} has {states}"
            assert len(hall.told(name, CallOpened)) == 1, f"seed {seed}"
            open_links.add(hall.peer(name).stats()["links"])
            hall.tell(name, Say(hall.told(name, CallOpened)[0].link, f"from {name}", 1))
        hall.run(10)
        assert hall.texts("ann") == ["from bob"], f"seed {seed}"
        assert hall.texts("bob") == ["from ann"], f"seed {seed}"
    assert open_links == {2}


@pytest.mark.spec("C-10")
@pytest.mark.parametrize("lower", ["ours", "theirs"])
def test_of_two_crossed_calls_on_two_links_the_lower_id_becomes_the_conversation(
    lower: str,
) -> None:
    hall = Hall().enlist("ann")
    bob = Rogue(hall, "bob")
    hall.tell("ann", Connect("bob", 5))
    hall.run(0.5)
    ring, first = bob.heard(Ring)[0], bob.incoming
    theirs = b"\xff" * 8 if lower == "ours" else bytes(8)
    second = bob.ring("ann", call=theirs)
    hall.run(1)
    if lower == "theirs":
        assert bob.heard(Accepted) == [Accepted(theirs, 1)]
        assert hall.told("ann", CallOpened) == [
            CallOpened(1, 5, bob.id, "bob", bob.address, verified=True)
        ]
        assert bob.end(first) is not None
        assert bob.end(second) is None
    else:
        assert bob.heard(Accepted) == []
        bob.say(first, Accepted(ring.call, bob.id))
        assert hall.is_open("ann", 1)
        hall.run(1)
        assert bob.end(first) is None
        assert bob.end(second) is not None
        bob.ring("ann", call=theirs)
        hall.run(1)
        assert bob.heard(Rejected)[-1].code == Rejection.OVER
    assert hall.told("ann", Ringing) == []
    assert hall.told("ann", Calling) == [Calling(1, 5, "bob")]


@pytest.mark.spec("C-10")
@pytest.mark.parametrize("theirs", [b"\0" * 8, b"\xff" * 8])
def test_a_ring_that_crosses_a_call_whose_link_is_not_open_becomes_the_conversation(
    theirs: bytes,
) -> None:
    hall = Hall().enlist("ann")
    bob = Rogue(hall, "bob")
    link = bob.dial(hall.at("ann"), "peer")
    hall.run(1)
    hall.sim.path(hall.at("ann"), bob.address).cut = True
    hall.tell("ann", Connect("bob", 5))
    hall.run(1)
    bob.say(link, Ring(theirs, bob.id, 1, "bob"))
    assert hall.told("ann", Ringing) == []
    assert [one.ref for one in hall.told("ann", CallOpened)] == [5]
    hall.sim.heal()
    hall.sim.path(hall.at("ann"), bob.address).cut = False
    hall.run(5)
    assert bob.heard(Accepted) == [Accepted(theirs, 1)]
    assert bob.heard(Ring) == []
    assert hall.peer("ann").stats()["links"] == 2


@pytest.mark.spec("C-10")
def test_a_ring_that_only_claims_to_come_from_whom_we_call_is_no_crossing() -> None:
    hall = Hall().enlist("ann", "bob")
    rogue = Rogue(hall)
    hall.call("ann", "bob")
    rogue.ring("ann", call=bytes(8), caller=hall.id("bob"))
    hall.run(1)
    assert hall.told("ann", CallOpened) == []
    assert [one.verified for one in hall.told("ann", Ringing)] == [False]


@pytest.mark.spec("C-7")
@pytest.mark.parametrize("is_rogue", [False, True])
def test_an_answer_that_comes_when_it_rings_already_still_says_who_calls(*, is_rogue: bool) -> None:
    hall = Hall().enlist("ann", "bob")
    hall.sim.path(REGISTRY, hall.at("bob")).cut = True
    if is_rogue:
        Rogue(hall).ring("bob", caller=hall.id("ann"))
    else:
        hall.tell("ann", Connect("bob", 1))
    hall.run(3)
    (ringing,) = hall.told("bob", Ringing)
    assert not ringing.verified
    hall.sim.heal()
    hall.sim.path(REGISTRY, hall.at("bob")).cut = False
    hall.run(8)
    (opened,) = hall.tell("bob", Accept(ringing.link))
    assert isinstance(opened, CallOpened)
    assert opened.verified is not is_rogue
    assert len(hall.told("bob", Ringing)) == 1


@pytest.mark.spec("C-7", "C-10")
@pytest.mark.parametrize("late", [0.5, 3.0], ids=["while it is checked", "when it rings"])
def test_a_call_that_the_registry_could_not_confirm_crosses_when_it_answers_for_ours(
    late: float,
) -> None:
    hall = Hall().enlist("ann", "bob")
    to_ann = hall.sim.path(REGISTRY, hall.at("ann"))
    to_ann.cut = True
    hall.tell("bob", Connect("ann", 6))
    hall.run(0.1)
    hall.tell("ann", Connect("bob", 5))
    hall.run(late)
    rings = hall.told("ann", Ringing)
    assert [one.verified for one in rings] == ([] if late < 2 else [False])
    to_ann.cut = False
    hall.run(8)
    for name in ("ann", "bob"):
        (opened,) = hall.told(name, CallOpened)
        assert opened.verified
        hall.tell(name, Say(opened.link, f"from {name}", 1))
    hall.run(2)
    assert (hall.texts("ann"), hall.texts("bob")) == (["from bob"], ["from ann"])
    assert hall.told("bob", Ringing) == []


@pytest.mark.spec("C-7", "C-10")
def test_a_call_from_elsewhere_is_not_confirmed_by_the_answer_for_ours() -> None:
    hall = Hall().enlist("ann", "bob")
    rogue = Rogue(hall)
    to_ann = hall.sim.path(REGISTRY, hall.at("ann"))
    to_ann.cut = True
    rogue.ring("ann", caller=hall.id("bob"))
    hall.run(3)
    hall.tell("ann", Connect("bob", 5))
    to_ann.cut = False
    hall.run(8)
    assert [one.verified for one in hall.told("ann", Ringing)] == [False]
    assert hall.told("ann", CallOpened) == []
    assert rogue.heard(Accepted) == []


def test_to_call_one_who_is_ringing_is_to_accept() -> None:
    hall = Hall().enlist("ann", "bob")
    call = hall.call("ann", "bob")
    hall.tell("bob", Connect("ann", 9))
    hall.run(1)
    assert hall.is_open("ann", call)
    assert hall.is_open("bob", 1)
    assert hall.end("bob", 2).outcome is Outcome.ALREADY


# Leaving


@pytest.mark.smoke
@pytest.mark.spec("G-10", "C-12")
def test_who_departs_ends_all_calls_and_is_erased_before_its_socket_closes() -> None:
    hall = Hall().enlist("ann", "bob", "cid", "dan")
    talking, _ = hall.talk("ann", "bob")
    calling = hall.call("ann", "cid")
    hall.call("dan", "ann")
    hall.tell("ann", Depart())
    with pytest.raises(UsageError):
        hall.tell("ann", Connect("bob", 1))
    with pytest.raises(UsageError):
        hall.tell("ann", Depart())
    hall.run(1)
    assert hall.told("ann", Departed) == [Departed(acknowledged=True)]
    assert hall.names() == ["bob", "cid", "dan"]
    assert hall.end("ann", talking).outcome is Outcome.TERMINATED
    assert hall.end("ann", calling).outcome is Outcome.CANCELLED
    assert hall.end("bob", 1).outcome is Outcome.TERMINATED
    assert hall.end("cid", 1).outcome is Outcome.CANCELLED
    assert hall.end("dan", 1).outcome is Outcome.REJECTED
    hall.run(5)
    assert hall.peer("ann").is_idle


@pytest.mark.spec("C-6")
def test_who_has_departed_takes_no_calls() -> None:
    hall = Hall().enlist("ann")
    rogue = Rogue(hall)
    hall.tell("ann", Depart())
    hall.run(10)
    rogue.ring("ann")
    assert hall.told("ann", Ringing) == []
    assert rogue.heard(Rejected) == [Rejected(CALL, 1, Rejection.BUSY)]


# The machine


@pytest.mark.parametrize(
    "event",
    [
        Connect(0),
        Connect(1 << 32),
        Connect(" "),
        Connect("12"),
        Connect("bob", timeout=0),
        Accept(1),
        Accept(0),
        Reject(1, "x" * 121),
        Terminate(2),
        Say(3, "x"),
        Say(1, "\ud800"),
        Pause(1),
        Resume(7),
        Send(1, b"\x10", None),
        Leave(1),
        Event(),
    ],
)
def test_a_command_that_makes_no_sense_raises_and_changes_nothing(event: Event) -> None:
    hall = Hall().enlist("ann", "bob")
    hall.call("ann", "bob")
    ann = hall.peer("ann")
    key = ann.state_key(hall.sim.now)
    with pytest.raises(UsageError):
        ann.handle(event, hall.sim.now)
    assert ann.state_key(hall.sim.now) == key


def test_a_peer_has_as_many_calls_as_it_may_and_no_more() -> None:
    hall = Hall(limits=Limits(calls=3)).enlist("ann", "bob", "cid", "dan", "eve")
    for name in ["bob", "cid", "dan"]:
        hall.call("ann", name)
    with pytest.raises(UsageError, match="3 calls"):
        hall.tell("ann", Connect("eve", 1))
    hall.tell("eve", Connect("ann", 1))
    hall.run(1)
    end = hall.end("eve", 1)
    assert (end.outcome, end.reason) == (Outcome.REJECTED, Rejection.BUSY)
    hall.tell("ann", Terminate(1))
    hall.run(1)
    hall.call("ann", "eve")


def test_a_twin_of_a_peer_does_the_same_and_is_independent() -> None:
    hall = Hall().enlist("ann", "bob", "cid")
    hall.talk("ann", "bob")
    hall.call("ann", "cid")
    machine = hall.peer("ann")
    twin, now = machine.clone(), hall.sim.now
    assert twin.state_key(now) == machine.state_key(now)
    key = machine.state_key(now)
    twin.handle(Terminate(1), now)
    twin.handle(Terminate(2), now)
    twin.handle(Tick(), now)
    assert machine.state_key(now) == key
    assert twin.state_key(now) != key
    outs = []
    for one in (machine.clone(), machine.clone()):
        out = [*one.handle(Connect("bob", 4), now), *one.handle(Tick(), now)]
        outs.append(out + [a for step in range(30) for a in one.handle(Tick(), now + step)])
    assert outs[0] == outs[1]
    assert any(isinstance(one, Transmit) for one in outs[0])


def test_junk_from_anywhere_changes_nothing() -> None:
    hall = Hall().enlist("ann", "bob")
    ann, _ = hall.talk("ann", "bob")
    machine = hall.peer("ann")
    for data in [b"", b"exit", bytes(100), b"\xfc" + bytes(40), b"\xf8" + bytes(80)]:
        assert machine.handle(Datagram(data, ("stranger", 1)), hall.sim.now) == []
    hall.tell("ann", Say(ann, "still here", 1))
    hall.run(1)
    assert hall.texts("bob") == ["still here"]


@pytest.mark.spec("C-10")
def test_what_is_left_of_a_crossed_call_does_not_ring_after_it_was_accepted() -> None:
    hall = Hall().enlist("ann")
    bob = Rogue(hall, "bob")
    hall.tell("ann", Connect("bob", 7))
    hall.run(1)
    (ring,) = bob.heard(Ring)
    # His own call has crossed; he drops it for hers, but its RING comes last.
    bob.say(bob.incoming, Accepted(ring.call, bob.id))
    hall.run(1)
    assert hall.told("ann", CallOpened)
    link = bob.ring("ann", b"crossed!")
    hall.run(5)
    assert hall.told("ann", Ringing) == []
    hall.sim.command(bob.address, Leave(link))
    hall.run(5)
    assert hall.told("ann", Ringing) == []
    assert hall.told("ann", CallEnded) == []


@pytest.mark.spec("C-10")
def test_a_call_of_whom_one_talks_to_rings_when_that_is_over() -> None:
    hall = Hall().enlist("ann")
    bob = Rogue(hall, "bob")
    hall.tell("ann", Connect("bob", 7))
    hall.run(1)
    (ring,) = bob.heard(Ring)
    bob.say(bob.incoming, Accepted(ring.call, bob.id))
    hall.run(1)
    bob.ring("ann", b"meant it")
    hall.run(1)
    bob.say(bob.incoming, TerminateMessage(ring.call, bob.id))
    hall.run(5)
    assert hall.end("ann", 1).outcome is Outcome.TERMINATED
    assert len(hall.told("ann", Ringing)) == 1
