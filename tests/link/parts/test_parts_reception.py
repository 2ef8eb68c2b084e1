"""Who gets in: cookies, the waiting room, and what becomes of a first HELLO."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import hellos

from palaver.link.context import Context
from palaver.link.cookies import CookieJar
from palaver.link.handshake import with_cookie
from palaver.link.link import Link
from palaver.link.reception import Decision, Reception
from palaver.link.waiting import Wait, WaitingRoom
from palaver.machine import Address
from palaver.timing import Limits
from palaver.wire.errors import Reason
from palaver.wire.packets import Cookie, Hello, Refuse, decode_unsealed
from palaver.wire.sealing import CLEAR

A: Address = ("192.0.2.1", 1)
B: Address = ("192.0.2.2", 1)
SECRET = bytes(range(32))
LIMITS = Limits(half_open=2, half_open_per_host=2, replies_per_second=3)


def hello(
    *,
    link: int = 7,
    versions: tuple[int, ...] = (1,),
    profiles: tuple[int, ...] = (0,),
    role: str = "duo",
    mtu: int = 1200,
    credit: int = 262144,
    cookie: bytes = b"",
    key_exchange: bytes = b"",
) -> Hello:
    return Hello(link, versions, profiles, role, mtu, credit, cookie, key_exchange)


# Cookies

# Exact, so that ten seconds are ten seconds.
times = st.integers(-(10**8), 10**11).map(lambda ticks: ticks / 64)


@pytest.mark.spec("H-17")
@given(hellos, times, st.integers(0, 640).map(lambda ticks: ticks / 64))
def test_a_cookie_is_good_for_ten_seconds_and_the_hello_that_it_was_made_for(
    original: Hello, now: float, wait: float
) -> None:
    jar = CookieJar(SECRET)
    cookie = jar.bake(A, original, now)
    assert len(cookie) == 16
    answer = with_cookie(original, cookie)
    assert jar.is_good(A, answer, now)
    assert jar.is_good(A, answer, now + wait)
    assert not jar.is_good(A, answer, now + 20)
    assert not jar.is_good(B, answer, now)
    assert not jar.is_good((A[0], 2), answer, now)
    assert not CookieJar(bytes(32)).is_good(A, answer, now)


@pytest.mark.spec("H-17")
@pytest.mark.parametrize(
    "other",
    [
        hello(link=8),
        hello(versions=(1, 2)),
        hello(profiles=(0, 1)),
        hello(role="duo2"),
        hello(mtu=1201),
        hello(credit=262145),
        hello(key_exchange=b"k"),
    ],
    ids=["link", "versions", "profiles", "role", "mtu", "credit", "key exchange"],
)
def test_a_cookie_is_good_for_no_other_hello(other: Hello) -> None:
    jar = CookieJar(SECRET)
    cookie = jar.bake(A, hello(), 0.0)
    assert jar.is_good(A, with_cookie(hello(), cookie), 0.0)
    assert not jar.is_good(A, with_cookie(other, cookie), 0.0)


@given(st.binary(max_size=16))
def test_no_cookie_and_a_made_up_cookie_are_not_good(cookie: bytes) -> None:
    assert not CookieJar(SECRET).is_good(A, hello(cookie=cookie), 0.0)


def test_an_address_can_not_be_shifted_into_its_port() -> None:
    jar = CookieJar(SECRET)
    cookie = jar.bake(("10.0.0.1", 11), hello(), 0.0)
    assert not jar.is_good(("10.0.0.11", 1), hello(cookie=cookie), 0.0)


# The waiting room


def test_a_caller_waits_until_it_leaves_or_ten_seconds_are_over() -> None:
    room = WaitingRoom()
    assert room.deadline == float("inf")
    room.seat((A, 1), 1.0, 10)
    room.seat((B, 1), 2.0, 11)
    room.seat((A, 2), 3.0, 12)
    assert room.find((A, 1)) == Wait(1.0, 10)
    assert room.find((B, 2)) is None
    assert room.deadline == 11.0
    room.leave((B, 1))
    room.leave((B, 1))
    room.expire(10.75)
    assert len(room) == 2
    room.expire(11.0)
    assert room.find((A, 1)) is None
    assert room.find((A, 2)) == Wait(3.0, 12)
    room.expire(13.0)
    assert (len(room), room.deadline) == (0, float("inf"))


def test_so_many_callers_wait_and_the_latest_are_kept() -> None:
    room = WaitingRoom()
    for link in range(1, 1001):
        room.seat((A, link), 0.0, 1)
    assert len(room) == 64
    assert room.find((A, 1000)) is not None
    assert room.find((A, 936)) is None


# What becomes of a first HELLO


def reception(*, always_cookie: bool = False, limits: Limits = LIMITS) -> Reception:
    return Reception(frozenset(["duo", "group"]), limits, SECRET, always_cookie=always_cookie)


def decide(
    made: Reception,
    what: Hello,
    *,
    source: Address = A,
    now: float = 0.0,
    inbound: Sequence[Link] = (),
    places: int = 5,
) -> Decision:
    return made.decide(what, source, now, inbound, places)


def conversation(number: int, last_heard: float) -> Link:
    link = Link(number, number, "duo", ("peer", number), Context(), bytes(32))
    link.channel.vigil.last_heard = last_heard
    return link


def replied(decision: Decision) -> object:
    assert decision.reply is not None
    assert not decision.answer
    packet = CLEAR.open(decision.reply)
    assert packet is not None
    return decode_unsealed(packet)


def test_a_caller_for_whom_there_is_room_is_answered() -> None:
    assert decide(reception(), hello()) == Decision(answer=True)
    assert decide(reception(), hello(role="group")) == Decision(answer=True)


@pytest.mark.spec("H-12")
@pytest.mark.parametrize(
    ("what", "reason"),
    [
        (hello(versions=(0, 2)), Reason.NO_COMMON_VERSION),
        (hello(profiles=(1,)), Reason.NO_COMMON_PROFILE),
        (hello(role="chess"), Reason.WRONG_ROLE),
        (hello(versions=(2,), profiles=(1,), role="chess"), Reason.NO_COMMON_VERSION),
        (hello(profiles=(1,), role="chess"), Reason.NO_COMMON_PROFILE),
    ],
)
def test_a_caller_that_can_not_be_served_is_refused_for_the_first_reason_that_applies(
    what: Hello, reason: Reason
) -> None:
    for places in (0, 5):
        decision = decide(reception(), what, places=places)
        assert replied(decision) == Refuse(7, reason, (1,))


def test_a_version_and_a_profile_among_others_are_enough() -> None:
    what = hello(versions=(9, 2, 1), profiles=(5, 0))
    assert decide(reception(), what).answer


@pytest.mark.spec("H-12", "L-14")
def test_beyond_the_bound_on_replies_a_hello_is_dropped() -> None:
    made = reception()
    decisions = [decide(made, hello(role="chess")) for _ in range(5)]
    assert [decision.reply is not None for decision in decisions] == [True] * 3 + [False] * 2
    assert decisions[4] == Decision()
    assert decide(made, hello(role="chess"), source=B).reply is not None


@pytest.mark.spec("H-17", "L-11")
def test_without_room_a_caller_gets_a_cookie_and_with_it_the_place_of_one_that_has_none() -> None:
    made = reception()
    made.half_open.add(1, ("x", 1), proved=True)
    made.half_open.add(2, ("y", 1), proved=False)
    before = made.half_open.key()
    cookie = replied(decide(made, hello()))
    assert isinstance(cookie, Cookie)
    assert cookie.destination == 7
    assert made.half_open.key() == before
    answer = with_cookie(hello(), cookie.cookie)
    assert decide(made, answer) == Decision(answer=True, proved=True, evict=2)
    # From another address it is worth nothing.
    assert isinstance(replied(decide(made, answer, source=B)), Cookie)
    made.half_open.discard(2)
    made.half_open.add(3, ("z", 1), proved=True)
    assert decide(made, answer) == Decision()


@pytest.mark.spec("H-17")
def test_a_stale_cookie_is_answered_by_a_new_one() -> None:
    made = reception(always_cookie=True)
    first = replied(decide(made, hello(), now=0.0))
    assert isinstance(first, Cookie)
    second = replied(decide(made, with_cookie(hello(), first.cookie), now=100.0))
    assert isinstance(second, Cookie)
    assert second.cookie != first.cookie
    assert decide(made, with_cookie(hello(), second.cookie), now=109.0).answer


@pytest.mark.spec("H-17")
def test_cookies_may_be_asked_for_always() -> None:
    made = reception(always_cookie=True)
    cookie = replied(decide(made, hello()))
    assert isinstance(cookie, Cookie)
    assert decide(made, with_cookie(hello(), cookie.cookie)) == Decision(answer=True, proved=True)


def prove(made: Reception, what: Hello, *, source: Address = A, now: float = 0.0) -> Hello:
    """Give the HELLO as it comes again after the COOKIE that it is answered by."""
    cookie = replied(decide(made, what, source=source, now=now, places=0))
    assert isinstance(cookie, Cookie)
    return with_cookie(what, cookie.cookie)


@pytest.mark.spec("H-17", "H-18")
def test_while_all_places_are_taken_nobody_is_checked_for_a_caller_that_is_not_proved() -> None:
    made = reception()
    for what in (hello(), hello(cookie=bytes(16))):
        decision = decide(made, what, inbound=[conversation(1, 0.0)], places=1)
        assert isinstance(replied(decision), Cookie)
    assert len(made.waiting) == 0


@pytest.mark.spec("H-12")
def test_where_there_are_no_places_at_all_a_proved_caller_is_told_so_at_once() -> None:
    made = reception()
    assert replied(decide(made, prove(made, hello()), places=0)) == Refuse(7, Reason.BUSY, (1,))


@pytest.mark.spec("H-18")
def test_while_all_places_are_taken_the_one_heard_least_lately_is_checked() -> None:
    made = reception()
    links = [conversation(1, 5.0), conversation(2, 3.0), conversation(3, 9.0)]
    what = prove(made, hello(), now=10.0)
    for now in (10.0, 10.25):
        decision = decide(made, what, now=now, inbound=links, places=3)
        assert decision == Decision(check=2)
    links[1].channel.vigil.last_heard = 10.375
    decision = decide(made, what, now=10.5, inbound=links, places=3)
    assert replied(decision) == Refuse(7, Reason.BUSY, (1,))
    # The next call begins anew.
    again = prove(made, hello(link=8), now=12.0)
    assert decide(made, again, now=12.0, inbound=links, places=3) == Decision(check=1)


@pytest.mark.spec("H-18")
def test_a_caller_that_waited_gets_the_place_of_a_peer_that_has_vanished() -> None:
    made = reception()
    what = prove(made, hello(), now=10.0)
    decision = decide(made, what, now=10.0, inbound=[conversation(1, 5.0)], places=1)
    assert decision == Decision(check=1)
    assert len(made.waiting) == 1
    assert decide(made, what, now=12.5, places=1).answer
    assert len(made.waiting) == 0


@pytest.mark.spec("H-18")
def test_a_caller_that_waited_in_vain_because_another_was_faster_waits_again() -> None:
    made = reception()
    what = prove(made, hello(), now=1.0)
    assert decide(made, what, now=1.0, inbound=[conversation(1, 0.0)], places=1).check == 1
    decision = decide(made, what, now=3.0, inbound=[conversation(2, 2.5)], places=1)
    assert decision == Decision(check=2)


def test_what_is_remembered_of_callers_is_forgotten_in_time() -> None:
    made = reception()
    assert made.deadline == float("inf")
    what = prove(made, hello(), now=1.0)
    decide(made, what, now=1.0, inbound=[conversation(1, 0.0)], places=1)
    assert made.deadline == 2.0
    made.expire(2.0)
    assert made.deadline == 11.0
    decide(made, hello(role="chess"), source=B, now=1.5)
    assert made.deadline == 2.5
    made.expire(11.0)
    assert made.deadline == float("inf")
