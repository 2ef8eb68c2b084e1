"""Whether the peer has moved: challenges, responses, and no more bytes than came."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palaver.link.path import CHALLENGE_SIZE, PathWatch
from palaver.machine import Address
from palaver.wire.frames import Frame, PathChallenge, PathResponse, decode_frames

HOME: Address = ("home", 1)
NEW: Address = ("new", 1)
NEWER: Address = ("newer", 1)
WAIT = 0.5
CHALLENGE = 17 + 11  # bytes: the packet around the frame, and the frame


def watch() -> PathWatch:
    return PathWatch(bytes(range(32)))


def sent(made: PathWatch, now: float) -> list[tuple[Frame, Address]]:
    packets = []
    for frame, address in made.packets(WAIT, now):
        (decoded,) = decode_frames(frame, 0)
        packets.append((decoded, address))
    return packets


def token(made: PathWatch, now: float, address: Address) -> bytes:
    """Give the token of the one challenge that is sent now."""
    ((frame, destination),) = sent(made, now)
    assert destination == address
    assert isinstance(frame, PathChallenge)
    return frame.token


def test_while_nothing_moves_there_is_nothing_to_do() -> None:
    made = watch()
    made.see(HOME, 100, 0.0, here=True)
    assert made.is_idle
    assert made.due == float("inf")
    assert sent(made, 100.0) == []


@pytest.mark.spec("L-16")
def test_a_new_address_is_challenged_at_once_and_after_each_wait_three_times_in_all() -> None:
    made = watch()
    made.see(NEW, 1000, 1.0, here=False)
    assert made.due == 1.0
    tokens = []
    for now in (1.0, 1.5, 2.0):
        tokens.append(token(made, now, NEW))
        assert sent(made, now) == []
        assert made.due == now + WAIT
    assert len(set(tokens)) == 1
    assert sent(made, 2.5) == []
    assert made.is_idle
    assert made.settle(tokens[0], NEW) is None


@pytest.mark.spec("L-16")
def test_a_response_that_comes_after_an_address_was_given_up_proves_it_when_it_is_named_anew() -> (
    None
):
    made = watch()
    made.see(NEW, 1000, 1.0, here=False)
    proof = token(made, 1.0, NEW)
    for now in (2.0, 3.0, 4.0):
        sent(made, now)
    assert made.settle(proof, NEW) is None
    made.see(NEW, 28, 5.0, here=False)
    assert made.settle(proof, NEW) is not None


@pytest.mark.spec("L-19")
def test_the_right_response_from_there_proves_an_address_once() -> None:
    made = watch()
    made.see(NEW, 1000, 1.0, here=False)
    proof = token(made, 1.0, NEW)
    moved = made.settle(proof, NEW)
    assert moved is not None
    assert moved.address == NEW
    assert (moved.attempts, moved.sent_at) == (1, 1.0)
    assert made.is_idle
    assert made.settle(proof, NEW) is None


@pytest.mark.spec("F-5")
def test_another_token_or_another_address_proves_nothing() -> None:
    made = watch()
    made.see(NEW, 1000, 1.0, here=False)
    proof = token(made, 1.0, NEW)
    assert made.settle(proof, HOME) is None
    assert made.settle(bytes(8), NEW) is None
    assert made.settle(proof[:7] + bytes((proof[7] ^ 1,)), NEW) is None
    assert made.settle(proof, NEW) is not None


@pytest.mark.spec("L-16")
def test_the_latest_address_takes_the_place_of_an_earlier_one() -> None:
    made = watch()
    made.see(NEW, 1000, 1.0, here=False)
    old = token(made, 1.0, NEW)
    made.see(NEWER, 1000, 1.25, here=False)
    proof = token(made, 1.25, NEWER)
    assert proof != old
    assert made.settle(old, NEW) is None
    assert made.settle(old, NEWER) is None
    assert made.settle(proof, NEWER) is not None


def test_more_packets_from_a_candidate_begin_nothing_anew() -> None:
    made = watch()
    made.see(NEW, 1000, 1.0, here=False)
    proof = token(made, 1.0, NEW)
    made.see(NEW, 1000, 1.25, here=False)
    assert sent(made, 1.25) == []
    assert token(made, 1.5, NEW) == proof


@pytest.mark.spec("L-18")
def test_a_newer_packet_from_home_ends_the_candidacy() -> None:
    made = watch()
    made.see(NEW, 1000, 1.0, here=False)
    proof = token(made, 1.0, NEW)
    made.see(HOME, 1000, 1.25, here=True)
    assert made.is_idle
    assert made.settle(proof, NEW) is None


@pytest.mark.spec("L-16")
def test_an_address_that_failed_may_try_again() -> None:
    made = watch()
    made.see(NEW, 1000, 1.0, here=False)
    for now in (1.0, 2.0, 3.0, 7.0):
        sent(made, now)
    assert made.is_idle
    made.see(NEW, 1000, 8.0, here=False)
    assert made.settle(token(made, 8.0, NEW), NEW) is not None


def test_tokens_differ_between_links() -> None:
    tokens = set()
    for secret in (bytes(32), bytes(range(32))):
        made = PathWatch(secret)
        made.see(NEW, 1000, 1.0, here=False)
        tokens.add(token(made, 1.0, NEW))
    assert len(tokens) == 2


@pytest.mark.spec("L-17")
@pytest.mark.parametrize(("received", "allowed"), [(27, 0), (28, 1), (55, 1), (56, 2), (200, 3)])
def test_no_more_bytes_go_to_an_address_than_came_from_it(received: int, allowed: int) -> None:
    made = watch()
    made.see(NEW, received, 0.0, here=False)
    challenges = [packet for now in range(20) for packet in sent(made, now)]
    assert len(challenges) == allowed


@pytest.mark.spec("L-17")
@given(
    st.lists(
        st.tuples(
            st.sampled_from([HOME, NEW, NEWER]),
            st.integers(CHALLENGE, 60),
            st.booleans(),
            st.booleans(),
        ),
        max_size=40,
    )
)
def test_whoever_sends_what_an_address_that_is_not_proved_gets_no_more_than_it_sent(
    script: list[tuple[Address, int, bool, bool]],
) -> None:
    made = watch()
    received = {NEW: 0, NEWER: 0}
    answered = {NEW: 0, NEWER: 0}
    for now, (source, size, newest, asks) in enumerate(script):
        if newest:
            made.see(source, size, now, here=source == HOME)
        else:
            made.credit(source, size)
        if source != HOME:
            received[source] += size
        if asks:
            made.ask(bytes(8), source)
        for _, address in sent(made, now):
            if address != HOME:
                answered[address] += CHALLENGE
                assert answered[address] <= received[address]
        assert made.is_idle or made.due > now


@pytest.mark.spec("F-5")
def test_a_challenge_is_answered_once_at_once_and_where_it_came_from() -> None:
    made = watch()
    made.ask(b"12345678", NEW)
    assert not made.is_idle
    assert made.due < 0.0
    assert sent(made, 0.0) == [(PathResponse(b"12345678"), NEW)]
    assert sent(made, 0.0) == []
    assert made.is_idle


@pytest.mark.spec("F-5")
def test_four_challenges_are_answered_and_of_more_the_latest() -> None:
    made = watch()
    for number in range(6):
        made.ask(bytes((number,)) * 8, HOME)
    assert sent(made, 0.0) == [(PathResponse(bytes((number,)) * 8), HOME) for number in range(2, 6)]


@pytest.mark.spec("F-5", "L-17")
def test_responses_to_a_candidate_count_among_the_bytes_that_go_there() -> None:
    made = watch()
    made.see(NEW, 2 * CHALLENGE - 1, 1.0, here=False)
    made.ask(b"12345678", NEW)
    made.ask(b"87654321", NEW)
    assert sent(made, 1.0) == [(PathResponse(b"12345678"), NEW)]


def test_both_sides_can_challenge_at_once() -> None:
    made = watch()
    made.ask(b"12345678", HOME)
    made.see(NEW, 1000, 1.0, here=False)
    response, challenge = sent(made, 1.0)
    assert response == (PathResponse(b"12345678"), HOME)
    assert isinstance(challenge[0], PathChallenge)


@pytest.mark.spec("L-16", "L-17")
def test_a_challenge_that_was_withheld_goes_out_when_enough_has_come() -> None:
    watch, elsewhere = PathWatch(b"secret" * 4), ("elsewhere", 9)
    watch.see(elsewhere, CHALLENGE_SIZE, 0.0, here=False)
    sent = [(0.0, len(watch.packets(0.1, 0.0)))]
    # Nothing more comes from there: the second is due, but forbidden.
    sent.append((0.1, len(watch.packets(0.1, 0.1))))
    assert sent == [(0.0, 1), (0.1, 0)]
    watch.credit(elsewhere, 2 * CHALLENGE_SIZE)
    assert watch.due <= 0.15
    assert [len(watch.packets(0.1, now)) for now in (0.15, 0.25, 0.35, 0.45)] == [1, 1, 0, 0]
    assert watch.is_idle
