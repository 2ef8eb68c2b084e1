"""Calls that cross on two links become one conversation (PROTOCOL.md, section 6.3)."""

from __future__ import annotations

from collections import Counter
from hashlib import blake2s

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pairs import DELAY, C, Flight, examples, unlucky
from twin_support import ANN, BOB, People, outside

from palaver import (
    Abort,
    Address,
    Call,
    Closed,
    ConversationOpened,
    Delivered,
    Finish,
    Finished,
    Leave,
    Limits,
    Overdue,
    Pause,
    Reason,
    Resume,
    Said,
    Say,
    Side,
    StreamEnded,
    Tick,
    Timing,
    Undelivered,
    UsageError,
    WouldBlock,
    Writable,
)
from palaver.wire.duo import LinkIds, Same, Twin, prove_twins

D: Address = ("d.example", 4)
HOLD = Timing().twin_hold

OFFSETS = [step * DELAY / 2 for step in range(6)]
"""When Bob calls after Ann: before he can have been told of her call."""

both_wires = pytest.mark.parametrize("streams", [False, True], ids=["datagrams", "streams"])


def crossing(
    *, seed: int = 0, streams: bool = False, texts: int = 0, limits: Limits | None = None
) -> tuple[People, int, int]:
    """Let both call at once and say something; give the numbers of their conversations."""
    people = People(seed=seed, streams=streams, limits=limits)
    ann, bob = people.call(ANN, BOB, 10), people.call(BOB, ANN, 20)
    people.say(ANN, ann, texts)
    people.say(BOB, bob, texts)
    return people, ann, bob


def merged(*, seed: int = 0, streams: bool = False, texts: int = 0) -> tuple[People, int, int]:
    """Let the calls of both cross, and the spare be closed."""
    people, ann, bob = crossing(seed=seed, streams=streams, texts=texts)
    people.wire.run(4)
    people.check_one(ann, bob, (10, 20))
    return people, ann, bob


def keeper(people: People) -> Address:
    """Give who has dialled the link with the lower caller id."""
    ids = {}
    for who in (ANN, BOB):
        talk = people.duo(who)._talks[1]
        assert talk.ids is not None
        ids[who] = talk.ids.caller
    return min(ids, key=lambda who: ids[who])


# One conversation


@pytest.mark.smoke
@pytest.mark.spec("M-7", "M-8", "M-9", "M-10")
@both_wires
@pytest.mark.parametrize("offset", OFFSETS)
def test_calls_that_cross_become_one_conversation(offset: float, streams: bool) -> None:
    for seed in range(8):
        people = People(seed=seed, streams=streams)
        ann = people.call(ANN, BOB, 10)
        people.say(ANN, ann, 3)
        people.wire.run(offset)
        bob = people.call(BOB, ANN, 20)
        people.say(BOB, bob, 3)
        for _ in range(40):
            people.wire.run(DELAY / 2)
            people.say(ANN, ann)
            people.say(BOB, bob)
        people.wire.run(3)
        people.check_one(ann, bob, (10, 20))
        people.tell(ANN, Leave(ann))
        people.wire.run(30)
        for who, number, ref in ((ANN, ann, 10), (BOB, bob, 20)):
            ends = [(one.link, one.ref, one.reason) for one in people.told(who, Closed)]
            assert ends == [(number, ref, Reason.LEFT)]
            assert people.duo(who).is_idle
            assert people.duo(who).deadline is None


@pytest.mark.spec("M-10")
@both_wires
@pytest.mark.parametrize("seed", range(8))
def test_the_link_with_the_lower_caller_id_is_kept_and_nothing_waits_for_that(
    seed: int, streams: bool
) -> None:
    people, ann, bob = crossing(seed=seed, streams=streams)
    calls = {who: people.duo(who)._endpoint.links[1].local for who in (ANN, BOB)}
    people.wire.run(5 * DELAY)
    people.say(ANN, ann)
    people.say(BOB, bob)
    sent = people.wire.now
    people.wire.run(4)
    people.check_one(ann, bob, (10, 20))
    for who in (ANN, BOB):
        (link,) = people.duo(who)._endpoint.links.values()
        assert min(calls.values()) in (link.local, link.channel.remote)
        times = [at - sent for at, one in people.wire.told[who] if isinstance(one, Said)]
        assert times == [DELAY]


@pytest.mark.spec("M-9", "M-10")
def test_both_agree_after_five_one_way_times() -> None:
    people, _, _ = crossing()
    people.wire.run(5 * DELAY)
    assert [people.duo(who)._talks[1].twin for who in (ANN, BOB)] == [2, 2]


@examples(150)
@given(
    seed=st.integers(0, 1000),
    offset=st.sampled_from(OFFSETS),
    fates=st.lists(st.lists(st.sampled_from([1.0, 1.0, 1.0, 2.5, 4.0]), max_size=2), max_size=60),
    gaps=st.lists(st.tuples(st.booleans(), st.sampled_from([0, 0.5, 1, 3])), max_size=30),
)
@pytest.mark.spec("M-9", "M-10")
def test_nothing_is_lost_or_doubled_and_both_see_the_same_on_a_bad_wire(
    seed: int,
    offset: float,
    fates: list[list[float]],
    gaps: list[tuple[bool, float]],
) -> None:
    people = People(seed=seed, max_conversations=2)
    script = iter(fates)
    people.wire.fate = lambda _: [DELAY * hop for hop in next(script, [1.0])]
    ann = people.call(ANN, BOB, 10)
    people.say(ANN, ann, 2)
    people.wire.run(offset)
    bob = people.call(BOB, ANN, 20)
    people.say(BOB, bob, 2)
    for by_ann, hops in gaps:
        people.say(*((ANN, ann) if by_ann else (BOB, bob)))
        people.wire.run(hops * DELAY)
    people.wire.run(20)
    opened = [len(people.told(who, ConversationOpened)) for who in (ANN, BOB)]
    assert opened in ([1, 1], [2, 2])
    if opened == [1, 1]:
        people.check_one(ann, bob, (10, 20))
    for who, number, peer, theirs in ((ANN, ann, BOB, bob), (BOB, bob, ANN, ann)):
        assert [one.text for one in people.told(who, Said)] == people.said[peer, theirs]
        assert len(people.told(who, Delivered)) == len(people.said[who, number])
        assert not people.told(who, Closed)


@pytest.mark.spec("M-9", "M-12")
def test_at_a_fifth_lost_nearly_all_crossings_are_found() -> None:
    found = 0
    for seed in range(60):
        people = People(seed=seed, max_conversations=2)
        people.wire.lose = unlucky(0.2, seed)
        ann, bob = people.call(ANN, BOB, 10), people.call(BOB, ANN, 20)
        people.say(ANN, ann, 2)
        people.say(BOB, bob, 2)
        people.wire.run(15)
        opened = [len(people.told(who, ConversationOpened)) for who in (ANN, BOB)]
        assert opened in ([1, 1], [2, 2]), f"seed {seed}"
        found += opened == [1, 1]
    assert found >= 58


@pytest.mark.spec("M-12")
@pytest.mark.parametrize("delay", [0.2, 0.4])
def test_on_a_slow_path_a_caller_is_held_for_longer(delay: float) -> None:
    people = People(delay=delay)
    ann, bob = people.call(ANN, BOB, 10), people.call(BOB, ANN, 20)
    people.say(ANN, ann, 2)
    people.wire.run(20)
    people.check_one(ann, bob, (10, 20))


# Who it is not


@both_wires
@pytest.mark.spec("M-8", "M-12")
def test_a_stranger_who_calls_meanwhile_is_announced_two_hops_later(streams: bool) -> None:
    people = People(streams=streams, max_conversations=3)
    people.add(C)
    ann, bob = people.call(ANN, BOB, 10), people.call(BOB, ANN, 20)
    cem = people.call(C, ANN, 30)
    people.say(C, cem, 3)
    people.say(ANN, ann, 3)
    people.say(BOB, bob, 3)
    people.wire.run(5)
    opened = {one.name: one for one in people.told(ANN, ConversationOpened)}
    assert {name: one.ref for name, one in opened.items()} == {BOB[0]: 10, C[0]: None}
    assert opened[C[0]].address == outside(C)
    strange = opened[C[0]].link
    assert people.texts(ANN, strange) == people.said[C, cem]
    assert people.texts(ANN, ann) == people.said[BOB, bob]
    assert [len(people.told(who, ConversationOpened)) for who in (BOB, C)] == [1, 1]
    times = [at for at, one in people.wire.told[ANN] if one == opened[C[0]]]
    assert times[0] - people.wire.start <= 5 * DELAY
    assert not people.told(ANN, Closed)


@pytest.mark.spec("M-12")
def test_a_stranger_is_announced_in_time_though_the_one_we_call_does_not_answer() -> None:
    people = People(max_conversations=3)
    people.add(C)
    people.wire.remove(BOB)
    people.call(ANN, BOB)
    cem = people.call(C, ANN)
    people.say(C, cem, 2)
    people.wire.run(HOLD + 2.5 * DELAY)
    assert people.told(ANN, Said) == []
    people.wire.run(DELAY)
    order = [type(one) for _, one in people.wire.told[ANN] if type(one).__name__ != "StillDialing"]
    assert order[1:] == [ConversationOpened, Said, Said]
    late = [at - people.wire.start for at, one in people.wire.told[ANN] if isinstance(one, Said)]
    assert late == [HOLD + 3 * DELAY] * 2


@pytest.mark.spec("M-12")
def test_a_stranger_who_leaves_at_once_is_shown_with_all_that_it_said() -> None:
    people = People(max_conversations=3)
    people.add(C)
    people.wire.remove(BOB)
    people.call(ANN, BOB)
    cem = people.call(C, ANN)
    people.say(C, cem, 2)
    people.wire.run(2 * DELAY)
    people.tell(C, Finish(cem), Leave(cem, 130))
    people.wire.run(0.5)
    told = [one for _, one in people.wire.told[ANN] if getattr(one, "link", 0) == 2]
    kinds = [type(one) for one in told]
    assert kinds == [ConversationOpened, Said, Said, Finished, Closed]
    assert people.told(C, Closed) == [Closed(cem, 0, 130, Side.LOCAL)]


@pytest.mark.spec("M-12")
def test_of_what_a_held_caller_says_a_window_is_kept_and_then_it_is_announced() -> None:
    people = People(max_conversations=3, limits=Limits(window=4096))
    people.add(C)
    people.wire.remove(BOB)
    people.call(ANN, BOB)
    cem = people.call(C, ANN)
    people.say(C, cem, 10, size=900)
    people.wire.run(0.9)
    assert people.texts(ANN, 2) == people.said[C, cem]


@pytest.mark.spec("M-7", "M-12")
def test_no_more_than_eight_callers_are_held() -> None:
    people = People(max_conversations=20)
    people.wire.remove(BOB)
    people.call(ANN, BOB)
    for n in range(12):
        caller = (f"caller {n}", n)
        people.add(caller)
        people.call(caller, ANN)
    people.wire.run(0.5)
    assert len(people.told(ANN, ConversationOpened)) == 4
    people.wire.run(HOLD)
    assert len(people.told(ANN, ConversationOpened)) == 12


def test_who_is_called_back_after_it_was_announced_has_two_conversations() -> None:
    people = People(max_conversations=2)
    people.call(ANN, BOB, 10)
    people.wire.run(4 * DELAY)
    people.call(BOB, ANN, 20)
    people.wire.run(1)
    for who in (ANN, BOB):
        assert len(people.told(who, ConversationOpened)) == 2
        assert people.duo(who).stats()["links"] == 2


# More than two


@pytest.mark.spec("M-8", "M-9")
def test_one_who_crosses_two_others_at_once_has_one_conversation_with_each() -> None:
    for seed in range(8):
        people = People(seed=seed, max_conversations=4)
        people.add(C)
        numbers = {peer: people.call(ANN, peer, 10) for peer in (BOB, C)}
        theirs = {peer: people.call(peer, ANN, 20) for peer in (BOB, C)}
        for peer in (BOB, C):
            people.say(ANN, numbers[peer], 2)
            people.say(peer, theirs[peer], 2)
        people.wire.run(5)
        opened = {(one.link, one.ref, one.name) for one in people.told(ANN, ConversationOpened)}
        assert opened == {(numbers[peer], 10, peer[0]) for peer in (BOB, C)}
        for peer in (BOB, C):
            assert people.texts(ANN, numbers[peer]) == people.said[peer, theirs[peer]]
            assert people.texts(peer, theirs[peer]) == people.said[ANN, numbers[peer]]
        assert people.duo(ANN).stats()["links"] == 2


@pytest.mark.spec("M-8", "M-9")
@pytest.mark.parametrize(("by_ann", "by_bob"), [(2, 1), (1, 2), (2, 2), (3, 2)])
def test_however_often_the_same_two_call_no_conversation_is_mixed_up(
    by_ann: int, by_bob: int
) -> None:
    for seed in range(10):
        people = People(seed=seed, max_conversations=8)
        anns = [people.call(ANN, BOB, 10) for _ in range(by_ann)]
        bobs = [people.call(BOB, ANN, 20) for _ in range(by_bob)]
        for who, numbers in ((ANN, anns), (BOB, bobs)):
            for number in numbers:
                people.say(who, number, 3)
        people.wire.run(6)
        count = {len(people.told(who, ConversationOpened)) for who in (ANN, BOB)}
        assert len(count) == 1, f"seed {seed}"
        assert by_ann + by_bob - min(by_ann, by_bob) <= count.pop() < by_ann + by_bob
        for who, peer, theirs in ((ANN, BOB, bobs), (BOB, ANN, anns)):
            for number in theirs:
                where = {
                    one.link
                    for one in people.told(who, Said)
                    if one.text.startswith(f"{peer[0]} {number} ")
                }
                assert len(where) == 1, f"seed {seed}"
                assert people.texts(who, where.pop()).count(people.said[peer, number][0]) == 1


# What the program asks for meanwhile


WHEN = [hops * DELAY for hops in (0, 1, 2, 2.5, 3, 3.5, 4, 4.5, 5, 6, 8)]


@pytest.mark.spec("M-11")
@pytest.mark.parametrize("after", WHEN)
@pytest.mark.parametrize("who", [ANN, BOB])
def test_a_pause_holds_back_all_until_it_is_over(who: Address, after: float) -> None:
    for seed in range(4):
        people, ann, bob = crossing(seed=seed, texts=2)
        people.wire.run(after)
        people.tell(who, Pause(1))
        seen = len(people.told(who, Said))
        people.say(ANN, ann, 2)
        people.say(BOB, bob, 2)
        people.wire.run(3)
        assert len(people.told(who, Said)) == seen, f"seed {seed}"
        people.tell(who, Resume(1))
        people.wire.run(4)
        people.check_one(ann, bob, (10, 20))


@pytest.mark.spec("M-11")
@pytest.mark.parametrize("after", WHEN[4:])
def test_who_has_finished_is_still_heard_out_and_hears(after: float) -> None:
    for seed in range(6):
        people, ann, bob = crossing(seed=seed, texts=2)
        people.wire.run(after)
        people.tell(ANN, Finish(ann))
        with pytest.raises(UsageError):
            people.tell(ANN, Say(ann, "more"))
        people.wire.run(1)
        people.say(BOB, bob, 2)
        people.wire.run(3)
        people.check_one(ann, bob, (10, 20))
        assert people.told(BOB, Finished) == [Finished(bob)]
        assert not people.told(ANN, Finished)


@pytest.mark.spec("M-11")
@pytest.mark.parametrize("after", WHEN)
@pytest.mark.parametrize("command", [Leave(1, 130, "so long"), Abort(1, 131)])
def test_who_ends_it_has_ended_it_whenever_that_is(command: Leave | Abort, after: float) -> None:
    """Before the links are known for twins, the other's call stands; afterwards both are over."""
    for seed in range(6):
        people, ann, bob = crossing(seed=seed, texts=2)
        people.wire.run(after)
        people.tell(ANN, command)
        people.wire.run(15)
        mine = [one for one in people.told(ANN, Closed) if one.link == ann]
        assert [one.by for one in mine] == [Side.LOCAL], f"seed {seed}"
        opened = {one.link for one in people.told(ANN, ConversationOpened)} - {ann}
        theirs = [one.link for one in people.told(BOB, Closed)]
        if after >= 5 * DELAY:
            assert mine[0].reason == command.reason
            assert opened == set()
            assert theirs == [bob], f"seed {seed}"
            assert people.duo(BOB).is_idle
        for who in (ANN, BOB):
            open_links = {one.link for one in people.told(who, ConversationOpened)}
            closed = {one.link for one in people.told(who, Closed)}
            assert len(open_links - closed) == people.duo(who).stats()["links"], f"seed {seed}"
        if isinstance(command, Leave):
            # What was delivered was shown, whichever conversation it was in.
            shown = [one.text for one in people.told(ANN, Said)]
            assert shown == people.said[BOB, bob], f"seed {seed}"


@pytest.mark.spec("M-11")
@pytest.mark.parametrize("seed", range(4))
def test_both_may_leave_while_the_spare_is_closed(seed: int) -> None:
    people, ann, bob = crossing(seed=seed, texts=2)
    people.wire.run(5 * DELAY)
    people.tell(ANN, Leave(ann))
    people.tell(BOB, Leave(bob))
    people.wire.run(10)
    for who in (ANN, BOB):
        (end,) = people.told(who, Closed)
        assert end.clean
        assert people.duo(who).is_idle
        assert not people.told(who, Undelivered)


# The way to one link


def spare_party(people: People) -> Address:
    return BOB if keeper(people) == ANN else ANN


@pytest.mark.spec("M-10")
def test_who_says_something_all_the_time_is_made_to_wait_for_what_is_on_the_way() -> None:
    people, ann, bob = crossing(seed=1)
    said, waited_at = Counter[Address](), dict[Address, float]()
    people.wire.delay = 0.25  # so that something is always on the way
    since = people.wire.now
    while people.wire.now < since + 8:
        for who, number in ((ANN, ann), (BOB, bob)):
            try:
                people.tell(who, Say(number, f"{said[who]}", said[who]))
                said[who] += 1
            except WouldBlock:
                waited_at.setdefault(who, people.wire.now - since)
        people.wire.run(DELAY)
    assert list(waited_at) == [spare_party(people)]
    assert 3 < waited_at[spare_party(people)] < 4.5
    people.wire.run(5)
    for who, peer in ((ANN, BOB), (BOB, ANN)):
        assert [one.text for one in people.told(peer, Said)] == [f"{n}" for n in range(said[who])]
    assert people.duo(ANN).stats()["links"] == 1


@pytest.mark.spec("M-10")
@pytest.mark.parametrize("seed", range(6))
def test_who_never_pauses_for_breath_is_made_to_when_the_spare_is_in_use_too_long(
    seed: int,
) -> None:
    limits = Limits(queue_messages=8, mtu=200)
    people, ann, bob = crossing(seed=seed, limits=limits)
    people.wire.run(5 * DELAY)
    who = spare_party(people)
    talk = people.duo(who)._talks[1]
    number = ann if who == ANN else bob
    texts: list[str] = []
    people.wire.delay = 0.25
    blocked_at, moved_at = 0.0, 0.0
    for _ in range(800):
        try:
            for _ in range(10):
                people.tell(who, Say(number, f"{len(texts)}", len(texts)))
                texts.append(f"{len(texts)}")
        except WouldBlock:
            blocked_at = people.wire.now
        people.wire.run(DELAY)
        if talk.sender != number and not moved_at:
            moved_at = people.wire.now
    assert blocked_at > 0
    assert moved_at - people.wire.start < 3 + 1
    people.wire.run(10)
    peer = BOB if who == ANN else ANN
    assert [one.text for one in people.told(peer, Said)] == texts
    assert [one.ref for one in people.told(who, Delivered)] == list(range(len(texts)))
    assert people.told(who, Writable)
    assert people.duo(who).stats()["links"] == 1


@pytest.mark.spec("M-10")
@pytest.mark.parametrize("seed", range(4))
def test_a_spare_that_dies_takes_with_it_what_is_reported_and_nothing_else(seed: int) -> None:
    people, ann, bob = crossing(seed=seed)
    people.wire.run(5 * DELAY - 0.001)
    who = spare_party(people)
    peer = BOB if who == ANN else ANN
    number = ann if who == ANN else bob

    # From now on nothing gets through on the link that this one has dialled.
    def on_spare(flight: Flight) -> bool:
        return {flight.source, flight.destination} == {outside(who), peer}

    people.wire.lose = on_spare
    people.say(who, number, 2)
    people.wire.run(40)
    lost = [one.ref for one in people.told(who, Undelivered)]
    assert lost == [0, 1]
    assert [one.ref for one in people.told(who, Overdue)] == [0, 1]
    assert not people.told(who, Closed)
    people.wire.lose = lambda _: False
    people.tell(who, Say(number, "on the other link", 9))
    people.wire.run(2)
    assert people.told(who, Delivered) == [Delivered(number, 9)]
    assert people.told(peer, Said)[-1].text == "on the other link"
    assert not people.told(peer, Closed)


@pytest.mark.spec("M-11")
@both_wires
@pytest.mark.parametrize("restarted", [ANN, BOB])
@pytest.mark.parametrize("after", WHEN)
def test_one_who_restarts_is_found_out_and_can_be_called_again(
    after: float, restarted: Address, streams: bool
) -> None:
    for seed in range(3):
        people, _, _ = crossing(seed=seed, texts=1, streams=streams)
        people.wire.run(after)
        other = BOB if restarted == ANN else ANN
        people.add(restarted, "again", max_conversations=4)
        if streams:
            # Its system ends the streams of a program that is gone.
            for address in (restarted, outside(restarted)):
                people.tell(other, StreamEnded(address))
        people.call(restarted, other, 30)
        people.wire.run(45)
        call = people.call(other, restarted, 40)
        people.wire.run(40)
        assert any(one.ref == 40 for one in people.told(other, ConversationOpened))
        opened = {one.link for one in people.told(other, ConversationOpened)}
        closed = {one.link for one in people.told(other, Closed)}
        assert call in opened - closed
        assert len(opened - closed) == people.duo(other).stats()["links"] <= 3


# Places


@pytest.mark.spec("M-13")
@pytest.mark.parametrize("seed", range(6))
def test_a_twin_takes_nobodys_place(seed: int) -> None:
    people, ann, bob = crossing(seed=seed)
    people.wire.run(5 * DELAY)
    for n, address in enumerate((C, D)):
        people.add(address)
        people.call(address, (ANN, BOB)[n], 30)
    people.wire.run(4)
    for who in (ANN, BOB):
        inbound = [one for one in people.told(who, ConversationOpened) if one.inbound]
        assert len(inbound) == 1
    people.tell(ANN, Leave(ann))
    people.wire.run(10)
    assert [one.link for one in people.told(BOB, Closed)] == [bob]
    for who in (ANN, BOB):
        assert people.duo(who)._endpoint.max_inbound == 1


@pytest.mark.spec("M-13")
def test_who_has_no_place_left_refuses_and_its_own_call_is_the_conversation() -> None:
    for seed in range(4):
        people = People(seed=seed)
        people.add(C)
        people.call(C, ANN)
        people.wire.run(1)
        ann, bob = people.call(ANN, BOB, 10), people.call(BOB, ANN, 20)
        people.wire.run(5)
        assert people.told(BOB, Closed) == [Closed(bob, 20, Reason.BUSY, Side.PEER)]
        opened = [(one.link, one.ref) for one in people.told(ANN, ConversationOpened)]
        assert opened[1:] == [(ann, 10)]
        assert [one.ref for one in people.told(BOB, ConversationOpened)] == [None]


# Looking at it


def test_numbers_that_the_program_was_not_told_are_nobodys() -> None:
    for after in (3.5 * DELAY, 8 * DELAY):
        people, _, _ = crossing()
        people.wire.run(after)
        duo = people.duo(ANN)
        key = duo.state_key(people.wire.now)
        for command in (Say(2, "?"), Leave(2), Abort(2), Pause(2), Resume(2), Finish(2)):
            if after > 4 * DELAY and 2 not in duo._twins:
                continue
            with pytest.raises(UsageError):
                people.tell(ANN, command)
        assert duo.state_key(people.wire.now) == key


@pytest.mark.parametrize("seed", range(4))
def test_what_is_said_after_the_end_is_undelivered_for_the_reason_of_the_end(seed: int) -> None:
    people, ann, bob = merged(seed=seed)
    people.tell(ANN, Leave(ann, 140))
    people.wire.run(5)
    for who, number in ((ANN, ann), (BOB, bob)):
        assert people.tell(who, Say(number, "late", 7)) == [Undelivered(number, 7, 140)]
        assert people.tell(who, Leave(number)) == []


def test_the_round_trip_time_is_that_of_the_link_in_use() -> None:
    for seed in range(4):
        people, ann, bob = merged(seed=seed, texts=4)
        for who, number in ((ANN, ann), (BOB, bob)):
            assert people.duo(who).rtt(number) == pytest.approx(2 * DELAY, rel=0.5)


@pytest.mark.parametrize("after", WHEN)
def test_a_clone_goes_its_own_way_and_the_same_way(after: float) -> None:
    people, ann, _ = crossing(texts=2)
    people.wire.run(after)
    duo, now = people.duo(ANN), people.wire.now
    twin, idle = duo.clone(), duo.clone()
    key = duo.state_key(now)
    assert twin.state_key(now) == idle.state_key(now) == key
    events = [Pause(ann), Say(ann, "x", 8), Tick(), Resume(ann), Call(C, 3), Tick(), Leave(ann)]
    for event in events:
        assert twin.handle(event, now) == duo.handle(event, now)
        assert twin.state_key(now) == duo.state_key(now)
    assert twin.handle(Tick(), now + 5) == duo.handle(Tick(), now + 5)
    assert twin.state_key(now + 5) == duo.state_key(now + 5) != key
    assert idle.state_key(now) == key


def test_nothing_is_left_when_conversations_are_over() -> None:
    people, ann, _ = merged(texts=3)
    people.tell(ANN, Leave(ann))
    people.wire.run(60)
    for who in (ANN, BOB):
        duo = people.duo(who)
        assert not duo._talks
        assert not duo._held
        assert not duo._twins
        assert not duo._twins_heard
        assert not duo._introduced


@pytest.mark.spec("M-7")
def test_the_proof_is_made_as_the_document_says() -> None:
    said_on, other = LinkIds(1, 2), LinkIds(3, 4)
    ids = b"".join(number.to_bytes(8, "big") for number in (1, 2, 3, 4))
    assert prove_twins(said_on, other) == blake2s(ids, digest_size=16).digest()
    people, _, _ = crossing()
    people.wire.run(4)
    proofs = {one.proof for one in people.wire.twins_sent(ANN) if isinstance(one, Twin)}
    answers = {(one.proof, one.yes) for one in people.wire.twins_sent(BOB) if isinstance(one, Same)}
    assert len(proofs) == 1
    assert answers == {(proof, True) for proof in proofs}
    first, second = (people.duo(who)._talks[1].ids for who in (ANN, BOB))
    assert first is not None
    assert second is not None
    assert proofs == {prove_twins(first, second)}
