"""How a link comes to be, between two real endpoints (PROTOCOL.md, sections 4 and 8.5)."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pairs import DELAY, ROLE, STRANGER, A, B, C, Pair, Wire, entropy, message

from palaver import (
    Abort,
    Address,
    Closed,
    Datagram,
    Delivered,
    Dial,
    Dialing,
    Endpoint,
    Event,
    Finish,
    Finished,
    Leave,
    Limits,
    Opened,
    Pause,
    Reason,
    Received,
    Resume,
    Send,
    Side,
    StillDialing,
    Tick,
    Timing,
    Undelivered,
    Unreachable,
    UsageError,
)
from palaver.link.states import State
from palaver.wire.frames import Close, Ping, Segment
from palaver.wire.packets import (
    DATA_HEADER,
    Cookie,
    Hello,
    Kind,
    Option,
    Refuse,
    Welcome,
    pad,
)
from palaver.wire.sealing import CLEAR

HELLO_TIMES = [0.25 * i for i in range(8)] + [2.25, 3.25, 5.25, 9.25, 17.25, 27.25, 37.25, 47.25]


def hello(
    link: int = 1,
    *,
    versions: tuple[int, ...] = (1,),
    profiles: tuple[int, ...] = (0,),
    role: str = ROLE,
    mtu: int = 1200,
    options: tuple[Option, ...] = (),
    size: int = 64,
) -> bytes:
    """Give the HELLO of a caller who receives under id `link`."""
    packet = Hello(link, versions, profiles, role, mtu, 262144, options=options)
    return CLEAR.seal(pad(packet, size).encode())


def first_data(welcome: Welcome, *frames: bytes) -> bytes:
    """Give the caller's DATA packet 0."""
    header = DATA_HEADER.pack(Kind.DATA, welcome.link, 0)
    return CLEAR.seal(header + (b"".join(frames) or Ping().encode()))


def listener(**options: int) -> tuple[Wire, Endpoint]:
    """Give B alone, who answers calls; whoever calls it is made up by the test."""
    wire = Wire()
    timing = Timing()
    limits = Limits(**{key: value for key, value in options.items() if key != "max_inbound"})
    machine = Endpoint(
        entropy("b"),
        roles=(ROLE, "other"),
        max_inbound=options.get("max_inbound", 65535),
        timing=timing,
        limits=limits,
    )
    wire.add(B, machine)
    return wire, machine


def reply_to(wire: Wire, data: bytes, source: Address) -> bytes | None:
    """Give what B answers at once to a datagram."""
    seen = len(wire.flights)
    wire.inject(data, source, B)
    replies = wire.flights[seen:]
    assert len(replies) <= 1
    assert all(reply.destination == source for reply in replies)
    return replies[0].data if replies else None


def welcome_to(wire: Wire, data: bytes, source: Address) -> Welcome:
    """Give B's WELCOME to a HELLO."""
    reply_to(wire, data, source)
    packet = wire.flights[-1].packet
    assert isinstance(packet, Welcome)
    return packet


def refusal_of(wire: Wire, data: bytes, source: Address = STRANGER) -> Refuse:
    """Give B's REFUSE to a HELLO."""
    reply_to(wire, data, source)
    packet = wire.flights[-1].packet
    assert isinstance(packet, Refuse)
    return packet


# The usual way


@pytest.mark.smoke
def test_a_first_message_arrives_after_one_and_a_half_round_trips() -> None:
    pair = Pair().call()
    pair.a.send(b"hello", ref=1)
    pair.wire.run(1)
    assert pair.b.times(Received) == [3 * DELAY]
    assert pair.a.times(Delivered) == [pytest.approx(4 * DELAY + 0.025)]
    assert [flight.kind for flight in pair.wire.flights[:3]] == [
        Kind.HELLO,
        Kind.WELCOME,
        Kind.DATA,
    ]


@pytest.mark.spec("H-5")
def test_an_open_link_is_the_same_thing_to_both_sides() -> None:
    pair = Pair(limits_a=Limits(mtu=500, window=5000), limits_b=Limits(mtu=700, window=7000)).open()
    caller, callee = pair.a.link, pair.b.link
    assert caller.channel.remote == callee.local
    assert callee.channel.remote == caller.local
    assert caller.local != callee.local
    assert caller.channel.mtu == callee.channel.mtu == 500
    assert caller.channel.outbox.credit == 7000
    assert callee.channel.outbox.credit == 5000
    assert caller.role == callee.role == ROLE
    (opened_a,), (opened_b,) = pair.a.notices(Opened), pair.b.notices(Opened)
    assert opened_a == Opened(1, 0, B, ROLE)
    assert opened_b == Opened(1, None, A, ROLE)
    assert not opened_a.inbound
    assert opened_b.inbound


def test_a_welcomed_caller_with_nothing_to_say_sends_a_ping_at_once() -> None:
    pair = Pair().call()
    pair.wire.run(1)
    first = pair.wire.sent_by(A, Kind.DATA)[0]
    assert first.time == pair.wire.start + 2 * DELAY
    assert first.has(Ping)
    assert pair.b.times(Opened) == [3 * DELAY]


def test_many_links_of_one_endpoint_do_not_mix() -> None:
    pair = Pair()
    pair.wire.add(C, Endpoint(entropy("c"), roles=(ROLE,)))
    for ref, address in enumerate([B, C, B, C]):
        pair.wire.tell(A, Dial(address, ROLE, ref))
    for link in (1, 2, 3, 4):
        pair.wire.tell(A, Send(link, message(b"%d" % link), link))
    pair.wire.run(1)
    heard = {
        address: sorted(
            notice.message[1:]
            for _, notice in pair.wire.told[address]
            if isinstance(notice, Received)
        )
        for address in (B, C)
    }
    assert heard == {B: [b"1", b"3"], C: [b"2", b"4"]}
    delivered = [notice for _, notice in pair.wire.told[A] if isinstance(notice, Delivered)]
    assert sorted(notice.ref for notice in delivered) == [1, 2, 3, 4]
    assert all(notice.ref == notice.link for notice in delivered)


def test_the_commands_before_the_answer_take_effect_after_it() -> None:
    pair = Pair().call()
    pair.a.tell(Pause(1), Send(1, message(b"1"), 1), Finish(1))
    pair.wire.run_until(lambda: pair.b.state is State.OPEN)
    pair.b.send(b"back", ref=1)
    pair.wire.run(1)
    assert pair.b.received == [b"1"]
    assert pair.a.received == []
    assert pair.a.tell(Resume(1)) == [Received(1, message(b"back"))]


# HELLO, and what is lost


@pytest.mark.spec("H-10", "H-4")
def test_hellos_are_alike_and_follow_the_schedule() -> None:
    pair = Pair()
    pair.wire.lose_from(A)
    pair.call()
    pair.wire.run(50)
    hellos = pair.wire.sent_by(A)
    assert [flight.time - pair.wire.start for flight in hellos] == HELLO_TIMES
    assert {flight.kind for flight in hellos} == {Kind.HELLO}
    assert len({flight.data for flight in hellos}) == 1
    attempts = pair.a.notices(StillDialing)
    assert attempts == [StillDialing(1, 0, n, unreachable=False) for n in range(2, 17)]
    assert pair.a.times(StillDialing) == HELLO_TIMES[1:]


def test_the_schedule_is_that_of_the_timing() -> None:
    timing = Timing(hello_interval=10.0, hello_fast_tries=1, hello_interval_max=10.0)
    pair = Pair(timing=timing)
    pair.wire.lose_from(A)
    pair.call()
    pair.wire.run(45)
    times = [flight.time - pair.wire.start for flight in pair.wire.sent_by(A)]
    assert times == [0, 10, 20, 30, 40]


@pytest.mark.parametrize("lost", [1, 2, 5])
def test_a_lost_welcome_is_said_again_and_the_link_opens_once(lost: int) -> None:
    pair = Pair()
    pair.wire.lose = lambda flight: (
        flight.kind is Kind.WELCOME and len(pair.wire.sent_by(B, Kind.WELCOME)) <= lost
    )
    pair.call()
    pair.a.send(b"hello", ref=1)
    pair.wire.run(3)
    welcomes = pair.wire.sent_by(B, Kind.WELCOME)
    assert len(welcomes) == lost + 1
    assert len({welcome.data for welcome in welcomes}) == 1
    assert pair.b.received == [b"hello"]
    assert pair.b.times(Opened) == [0.25 * lost + 3 * DELAY]


def test_a_lost_first_packet_is_repaired() -> None:
    pair = Pair()
    pair.wire.lose = lambda flight: (
        flight.kind is Kind.DATA and len(pair.wire.sent_by(A, Kind.DATA)) == 1
    )
    pair.call()
    pair.a.send(b"hello", ref=1)
    pair.wire.run(1)
    assert pair.b.received == [b"hello"]
    assert pair.a.delivered == [1]


@pytest.mark.parametrize("state", [State.WELCOMED, State.OPEN, State.CLOSING, State.LINGERING])
def test_a_repeated_hello_gets_the_same_welcome_whatever_the_state(state: State) -> None:
    pair = Pair().call()
    pair.wire.run_until(lambda: pair.b.machine.links != {})
    if state is not State.WELCOMED:
        pair.wire.run(1)
    if state is State.CLOSING:
        pair.wire.lose_from(B)
    if state in {State.CLOSING, State.LINGERING}:
        pair.b.tell(Leave(1))
        pair.wire.run(DELAY * 4)
    assert pair.b.state is state
    (first,) = pair.wire.sent_by(B, Kind.WELCOME)
    (asked,) = pair.wire.sent_by(A, Kind.HELLO)
    links = dict(pair.b.machine.links)
    for _ in range(3):
        told = pair.wire.inject(asked.data, A, B)
        assert told == []
        assert pair.wire.flights[-1].data == first.data
        assert pair.wire.flights[-1].destination == A
    assert pair.b.machine.links == links
    assert pair.b.state is state


def test_the_same_hello_from_another_address_is_another_caller() -> None:
    wire, machine = listener()
    first, second = welcome_to(wire, hello(7), A), welcome_to(wire, hello(7), C)
    assert first.link != second.link
    assert machine.stats()["half_open"] == 2


@pytest.mark.spec("H-8")
def test_a_second_welcome_and_one_from_elsewhere_change_nothing() -> None:
    pair = Pair().call()
    (asked,) = pair.wire.sent_by(A, Kind.HELLO)
    assert isinstance(asked.packet, Hello)
    forged = CLEAR.seal(Welcome(asked.packet.link, 99, 1, 0, 1200, 262144).encode())
    pair.wire.inject(forged, STRANGER, A)
    assert pair.a.is_in(State.CALLING)
    assert pair.a.stats["unknown"] == 1
    pair.wire.run(1)
    assert pair.a.state is State.OPEN
    remote = pair.a.link.channel.remote
    key = pair.a.machine.state_key(pair.wire.now)
    pair.wire.inject(forged, B, A)
    assert pair.a.link.channel.remote == remote
    assert pair.a.machine.state_key(pair.wire.now) == key
    assert pair.a.stats["ignored"] == 1


@pytest.mark.parametrize(("version", "profile"), [(2, 0), (1, 1), (0, 0)])
@pytest.mark.spec("H-8")
def test_a_welcome_that_chose_what_was_not_offered_is_ignored(version: int, profile: int) -> None:
    pair = Pair()
    pair.wire.lose_from(A)
    pair.call()
    packet = pair.wire.sent_by(A, Kind.HELLO)[0].packet
    assert isinstance(packet, Hello)
    forged = Welcome(packet.link, 99, version, profile, 1200, 262144)
    assert pair.wire.inject(CLEAR.seal(forged.encode()), B, A) == []
    assert pair.a.state is State.CALLING
    assert pair.a.stats["malformed"] == 1


def test_a_cookie_is_presented_at_once_and_kept() -> None:
    pair = Pair()
    pair.wire.lose_from(A)
    pair.call()
    pair.wire.run(0.125)
    (bare,) = [flight.packet for flight in pair.wire.sent_by(A, Kind.HELLO)]
    assert isinstance(bare, Hello)
    cookie = CLEAR.seal(Cookie(bare.link, b"0123456789abcdef").encode())
    pair.wire.inject(cookie, B, A)
    pair.wire.inject(cookie, B, A)  # a repeated one starts no storm
    pair.wire.run(0.625)
    hellos = pair.wire.sent_by(A, Kind.HELLO)
    assert [flight.time - pair.wire.start for flight in hellos] == [0, 0.125, 0.375, 0.625]
    for flight in hellos[1:]:
        packet = flight.packet
        assert isinstance(packet, Hello)
        assert packet.cookie == b"0123456789abcdef"
        assert len(flight.data) >= 64
        same = (packet.link, packet.role, packet.versions, packet.mtu, packet.credit)
        assert same == (bare.link, bare.role, bare.versions, bare.mtu, bare.credit)
    pair.wire.inject(CLEAR.seal(Cookie(bare.link, b"new").encode()), B, A)
    packet = pair.wire.flights[-1].packet
    assert isinstance(packet, Hello)
    assert packet.cookie == b"new"


@pytest.mark.spec("P-8")
def test_a_cookie_from_elsewhere_or_for_an_open_link_is_ignored() -> None:
    pair = Pair().open()
    cookie = CLEAR.seal(Cookie(pair.a.link.local, b"0123").encode())
    seen = len(pair.wire.flights)
    pair.wire.inject(cookie, B, A)
    pair.wire.inject(cookie, STRANGER, A)
    assert len(pair.wire.flights) == seen
    assert pair.a.stats["ignored"] == 1
    assert pair.a.stats["unknown"] == 1


@pytest.mark.parametrize("role", ["a", "eleven-long"])
def test_a_hello_is_at_least_64_bytes_and_fits_the_smallest_mtu(role: str) -> None:
    wire = Wire()
    wire.mtu = 64
    wire.add(A, Endpoint(entropy("a"), limits=Limits(mtu=64)))
    wire.tell(A, Dial(B, role))
    assert len(wire.flights[0].data) == 64


# No answer, cancelling, hints


@pytest.mark.parametrize("timeout", [0.125, 0.25, 2.0, 30.0])
@pytest.mark.spec("H-11")
def test_a_call_is_given_up_at_exactly_its_timeout(timeout: float) -> None:
    pair = Pair()
    pair.wire.lose_from(A)
    pair.call(ref=5, timeout=timeout)
    pair.a.send(b"never", ref=1)
    pair.wire.run(100)
    assert pair.a.times(Closed) == [timeout]
    assert pair.a.closed == Closed(1, 5, Reason.NO_ANSWER, Side.LOCAL)
    assert pair.a.notices(Undelivered) == [Undelivered(1, 1, Reason.NO_ANSWER)]
    assert all(flight.time < pair.wire.start + timeout for flight in pair.wire.flights)
    assert pair.a.machine.is_idle


def test_without_a_timeout_a_caller_never_gives_up() -> None:
    pair = Pair()
    pair.wire.lose_from(A)
    pair.call()
    pair.wire.run(86400)
    assert pair.a.is_in(State.CALLING)
    pair.wire.lose_from()
    pair.wire.run(11)
    assert pair.a.is_in(State.OPEN)


def test_an_answered_call_has_no_timeout_any_more() -> None:
    pair = Pair().call(timeout=1.0)
    pair.wire.run(60)
    assert pair.a.state is State.OPEN


@pytest.mark.smoke
@pytest.mark.parametrize("command", [Leave(1), Abort(1), Leave(1, 130, "no"), Abort(1, 0)])
def test_a_call_can_be_cancelled(command: Event) -> None:
    pair = Pair().call(ref=9)
    pair.a.send(b"never", ref=4)
    pair.wire.run(DELAY)  # HELLO has arrived, WELCOME is under way
    told = pair.a.tell(command)
    assert told == [
        Undelivered(1, 4, Reason.CANCELLED),
        Closed(1, 9, Reason.CANCELLED, Side.LOCAL),
    ]
    pair.wire.run(60)
    assert len(pair.wire.sent_by(A)) == 1
    assert pair.wire.told[B] == []
    assert pair.b.machine.is_idle
    assert pair.a.tell(command) == []


@pytest.mark.parametrize("command", [Leave(1), Abort(1), Finish(1), Pause(1), Resume(1)])
def test_commands_to_a_link_that_has_ended_do_nothing(command: Event) -> None:
    pair = Pair().call()
    pair.a.tell(Abort(1))
    assert pair.a.tell(command) == []
    assert pair.a.tell(Send(1, message(b"late"), 3)) == [Undelivered(1, 3, Reason.CANCELLED)]
    assert pair.a.tell(Send(1, message(b"late"), None)) == []


@pytest.mark.spec("H-11")
def test_a_hint_that_nothing_listens_ends_nothing_and_is_told() -> None:
    pair = Pair()
    pair.wire.lose_from(A)
    pair.call()
    assert pair.a.tell(Unreachable(B)) == []
    assert pair.a.tell(Unreachable(C)) == []
    pair.wire.run(0.5)
    assert [notice.unreachable for notice in pair.a.notices(StillDialing)] == [True, False]
    pair.wire.lose_from()
    pair.wire.run(1)
    assert pair.a.is_in(State.OPEN)
    pair.a.tell(Unreachable(B))
    pair.wire.run(60)
    assert pair.a.state is State.OPEN
    assert pair.a.stats["unreachable"] == 3


# REFUSE


@pytest.mark.parametrize(
    ("versions", "profiles", "role", "reason"),
    [
        ((2,), (0,), ROLE, Reason.NO_COMMON_VERSION),
        ((2, 3, 255), (7,), "nothing", Reason.NO_COMMON_VERSION),
        ((1,), (1,), ROLE, Reason.NO_COMMON_PROFILE),
        ((2, 1), (1, 2), "nothing", Reason.NO_COMMON_PROFILE),
        ((1,), (0,), "nothing", Reason.WRONG_ROLE),
        ((9, 1), (9, 0), "nothing", Reason.WRONG_ROLE),
    ],
)
@pytest.mark.spec("V-1")
def test_a_hello_is_refused_for_the_first_reason_that_applies(
    versions: tuple[int, ...], profiles: tuple[int, ...], role: str, reason: Reason
) -> None:
    wire, machine = listener(max_inbound=0)
    idle = machine.stats()
    refusal = refusal_of(wire, hello(5, versions=versions, profiles=profiles, role=role))
    assert refusal == Refuse(5, reason, (1,))
    now = machine.stats()
    assert (now["links"], now["half_open"], now["tombstones"]) == (0, 0, 0)
    assert now["refused"] == idle["refused"] + 1
    wire.run(1)
    assert machine.deadline is None


@pytest.mark.spec("V-1")
def test_an_offer_that_includes_what_is_known_is_accepted() -> None:
    wire, _ = listener()
    welcome = welcome_to(wire, hello(5, versions=(9, 1), profiles=(3, 0), role="other"), A)
    assert (welcome.version, welcome.profile) == (1, 0)


def test_a_refused_caller_is_told_the_reason() -> None:
    pair = Pair()
    pair.wire.tell(A, Dial(B, "elsewhere", 3))
    pair.a.send(b"never", ref=1)
    pair.wire.run(1)
    assert pair.a.notices(Undelivered) == [Undelivered(1, 1, Reason.WRONG_ROLE)]
    assert pair.a.closed == Closed(1, 3, Reason.WRONG_ROLE, Side.PEER)
    assert pair.a.times(Closed) == [2 * DELAY]
    assert pair.a.machine.is_idle
    assert pair.wire.told[B] == []


def test_an_endpoint_without_roles_refuses_everybody() -> None:
    wire = Wire()
    wire.add(B, Endpoint(entropy("b")))
    assert refusal_of(wire, hello()).reason == Reason.WRONG_ROLE


def test_a_refusal_from_elsewhere_or_of_an_open_link_changes_nothing() -> None:
    pair = Pair().call()
    packet = pair.wire.flights[0].packet
    assert isinstance(packet, Hello)
    refusal = CLEAR.seal(Refuse(packet.link, Reason.BUSY, (1,)).encode())
    pair.wire.inject(refusal, STRANGER, A)
    assert pair.a.is_in(State.CALLING)
    pair.wire.run(1)
    pair.wire.inject(refusal, B, A)
    assert pair.a.state is State.OPEN
    assert pair.a.closed is None


@pytest.mark.smoke
def test_a_full_listener_says_busy_until_a_place_is_free() -> None:
    pair = Pair(max_inbound=1).open()
    wire = pair.wire
    wire.add(C, Endpoint(entropy("c")))
    wire.tell(C, Dial(B, ROLE, 1))
    wire.run(1)
    assert wire.told[C][-1][1] == Closed(1, 1, Reason.BUSY, Side.PEER)
    assert pair.a.state is State.OPEN
    pair.a.tell(Leave(1))
    wire.run(3 * DELAY)
    assert pair.b.closed is not None
    wire.tell(C, Dial(B, ROLE, 2))
    wire.run(1)
    assert wire.told[C][-1][1] == Opened(2, 2, B, ROLE)


def test_calls_that_an_endpoint_makes_itself_take_no_place() -> None:
    pair = Pair(max_inbound=1)
    pair.wire.tell(B, Dial(A, ROLE))
    pair.wire.run(1)
    pair.call()
    pair.wire.run(1)
    assert pair.a.state is State.OPEN


def test_who_comes_second_to_the_last_place_is_closed_as_busy_and_never_shown() -> None:
    wire, machine = listener(max_inbound=1)
    first, second = welcome_to(wire, hello(1), A), welcome_to(wire, hello(2), C)
    wire.inject(first_data(first), A, B)
    assert [type(notice) for _, notice in wire.told[B]] == [Opened]
    wire.inject(first_data(second), C, B)
    close = wire.flights[-1]
    assert close.destination == C
    assert close.frames == [Close(Reason.BUSY, 0)]
    assert [type(notice) for _, notice in wire.told[B]] == [Opened]
    assert machine.stats()["links"] == 1
    # It is repeated, at most eight times, to one who did not get it.
    for _ in range(12):
        wire.inject(first_data(second), C, B)
    assert [flight.data for flight in wire.flights].count(close.data) == 9


def test_a_caller_that_is_turned_away_after_welcome_is_told_busy() -> None:
    pair = Pair(max_inbound=1)
    pair.wire.add(C, Endpoint(entropy("c")))
    pair.call()
    pair.wire.tell(C, Dial(B, ROLE, 7))
    pair.wire.run(1)
    assert pair.a.state is State.OPEN
    last = pair.wire.told[C][-1][1]
    assert last == Closed(1, 7, Reason.BUSY, Side.PEER)


def test_who_is_turned_away_is_told_that_nothing_was_delivered() -> None:
    pair = Pair(max_inbound=1)
    pair.wire.tell(A, Dial(B, ROLE, 1), Send(1, message(b"first"), 1))
    pair.wire.tell(A, Dial(B, ROLE, 2), Send(2, message(b"second"), 2))
    pair.wire.run(3)
    told = [one for _, one in pair.wire.told[A] if isinstance(one, (Delivered, Undelivered))]
    assert set(told) == {Delivered(1, 1), Undelivered(2, 2, Reason.BUSY)}
    received = [one.message for _, one in pair.wire.told[B] if isinstance(one, Received)]
    assert received == [message(b"first")]


# Sizes and bounds


@pytest.mark.parametrize("size", [64, 65, 100, 1200])
def test_no_reply_to_a_hello_is_longer_than_the_hello(size: int) -> None:
    wire, _ = listener()
    for data in (hello(1, size=size), hello(2, role="nothing", size=size)):
        reply = reply_to(wire, data, STRANGER)
        assert reply is not None
        assert len(reply) <= len(data)
        assert len(reply) <= 64


def test_a_hello_that_is_too_short_is_dropped() -> None:
    wire, machine = listener()
    bare = CLEAR.seal(Hello(1, (1,), (0,), ROLE, 1200, 262144).encode())
    wrong = CLEAR.seal(Hello(1, (1,), (0,), "nothing", 1200, 262144).encode())
    assert len(bare) < 64
    assert reply_to(wire, bare, STRANGER) is None
    assert reply_to(wire, wrong, STRANGER) is None
    assert machine.is_idle


def test_an_option_that_must_be_understood_makes_a_hello_void_and_others_do_not() -> None:
    wire, machine = listener()
    assert reply_to(wire, hello(1, options=(Option(127, b"x"),)), STRANGER) is None
    assert machine.stats()["malformed"] == 1
    welcome_to(wire, hello(1, options=(Option(128, b"x"),)), STRANGER)


def test_a_half_open_link_goes_ten_seconds_after_its_last_hello() -> None:
    wire, machine = listener()
    welcome_to(wire, hello(1), A)
    wire.run(4)
    welcome_to(wire, hello(1), A)
    wire.run_to(wire.start + 13.99)
    assert machine.stats()["half_open"] == 1
    wire.run_to(wire.start + 14)
    assert machine.stats()["half_open"] == 0
    assert machine.is_idle
    assert machine.deadline is None
    assert wire.told[B] == []


def test_a_half_open_link_goes_after_thirty_seconds_whatever_keeps_coming() -> None:
    wire, machine = listener()
    first = welcome_to(wire, hello(1), A)
    while wire.now < wire.start + 29.5:
        wire.run(0.5)
        assert welcome_to(wire, hello(1), A) == first
    wire.run_to(wire.start + 29.99)
    assert machine.stats()["half_open"] == 1
    wire.run_to(wire.start + 30)
    assert machine.stats()["half_open"] == 0
    # What comes then is a new call: it is met with a new link.
    assert welcome_to(wire, hello(1), A).link != first.link


def test_data_for_an_expired_half_open_link_gets_a_reset() -> None:
    wire, _ = listener()
    welcome = welcome_to(wire, hello(1), A)
    wire.run(10)
    reply_to(wire, first_data(welcome), A)
    assert wire.flights[-1].kind is Kind.RESET
    assert wire.told[B] == []


def test_half_open_links_are_bounded_per_host_and_in_all() -> None:
    wire, machine = listener()
    for host in range(9):
        for port in range(10):
            reply_to(wire, hello(1 + port), (f"host-{host}", port))
            assert machine.stats()["half_open"] <= 64
    replies = [
        [flight.kind for flight in wire.flights if flight.destination[0] == f"host-{host}"]
        for host in range(9)
    ]
    assert replies[:8] == [[Kind.WELCOME] * 8 + [Kind.COOKIE] * 2] * 8
    assert replies[8] == [Kind.COOKIE] * 10
    assert machine.stats()["cookies_sent"] == 8 * 2 + 10
    # An open link is none of them, and a place that gets free can be taken.
    first = wire.flights[0].packet
    assert isinstance(first, Welcome)
    wire.inject(first_data(first), wire.flights[0].destination, B)
    assert machine.stats()["half_open"] == 63
    welcome_to(wire, hello(1), ("host-8", 0))
    wire.run(10)
    assert machine.stats()["half_open"] == 0
    assert machine.stats()["links"] == 1


def test_hellos_of_one_host_with_ever_new_ids_do_not_keep_others_out() -> None:
    wire, machine = listener()
    for link in range(1, 500):
        reply_to(wire, hello(link), ("attacker", link % 7))
    assert machine.stats()["half_open"] == 8
    welcome_to(wire, hello(1), A)


# Cookies, as in H-17


@pytest.mark.smoke
def test_a_callee_that_always_asks_for_cookies_costs_one_round_trip_more() -> None:
    wire = Wire()
    wire.add(A, Endpoint(entropy("a")))
    wire.add(B, Endpoint(entropy("b"), roles=(ROLE,), always_cookie=True))
    wire.tell(A, Dial(B, ROLE), Send(1, message(b"hello"), 1))
    wire.run(1)
    kinds = [flight.kind for flight in wire.flights[:5]]
    assert kinds == [Kind.HELLO, Kind.COOKIE, Kind.HELLO, Kind.WELCOME, Kind.DATA]
    received = [time for time, notice in wire.told[B] if isinstance(notice, Received)]
    assert received == [wire.start + 5 * DELAY]


def test_a_cookie_is_asked_for_without_remembering_anything() -> None:
    wire = Wire()
    machine = Endpoint(entropy("b"), roles=(ROLE,), always_cookie=True)
    wire.add(B, machine)
    for link in range(1, 10):
        reply = reply_to(wire, hello(link), STRANGER)
        assert reply is not None
        assert len(reply) <= 64
        assert isinstance(wire.flights[-1].packet, Cookie)
    assert machine.is_idle
    assert machine.stats()["half_open"] == 0


@pytest.mark.parametrize(
    ("age", "is_good"), [(0.0, True), (9.0, True), (21.0, False), (1000.0, False)]
)
def test_a_cookie_is_good_for_a_while(age: float, is_good: bool) -> None:
    wire = Wire()
    wire.add(B, Endpoint(entropy("b"), roles=(ROLE,), always_cookie=True))
    reply_to(wire, hello(5), A)
    packet = wire.flights[-1].packet
    assert isinstance(packet, Cookie)
    wire.run(age)
    again = pad(Hello(5, (1,), (0,), ROLE, 1200, 262144, cookie=packet.cookie), 64)
    reply_to(wire, CLEAR.seal(again.encode()), A)
    assert isinstance(wire.flights[-1].packet, Welcome if is_good else Cookie)


def test_a_cookie_is_good_only_for_the_hello_and_the_address_it_was_made_for() -> None:
    wire = Wire()
    wire.add(B, Endpoint(entropy("b"), roles=(ROLE, "other"), always_cookie=True))
    reply_to(wire, hello(5), A)
    packet = wire.flights[-1].packet
    assert isinstance(packet, Cookie)
    good = Hello(5, (1,), (0,), ROLE, 1200, 262144, cookie=packet.cookie)
    tries: list[tuple[Hello, Address]] = [
        (good, C),
        (good, (A[0], 99)),
        (Hello(6, (1,), (0,), ROLE, 1200, 262144, cookie=packet.cookie), A),
        (Hello(5, (1,), (0,), "other", 1200, 262144, cookie=packet.cookie), A),
        (Hello(5, (1,), (0,), ROLE, 1201, 262144, cookie=packet.cookie), A),
        (Hello(5, (1,), (0,), ROLE, 1200, 262145, cookie=packet.cookie), A),
        (Hello(5, (1, 2), (0,), ROLE, 1200, 262144, cookie=packet.cookie), A),
        (Hello(5, (1,), (0,), ROLE, 1200, 262144, cookie=packet.cookie[:15]), A),
        (Hello(5, (1,), (0,), ROLE, 1200, 262144, cookie=bytes(16)), A),
    ]
    for bad, source in tries:
        reply_to(wire, CLEAR.seal(pad(bad, 64).encode()), source)
        assert isinstance(wire.flights[-1].packet, Cookie), (bad, source)
    reply_to(wire, CLEAR.seal(pad(good, 64).encode()), A)
    assert isinstance(wire.flights[-1].packet, Welcome)


def test_cookies_of_another_endpoint_are_worth_nothing() -> None:
    cookies = set()
    for label in ("b", "c"):
        wire = Wire()
        wire.add(B, Endpoint(entropy(label), roles=(ROLE,), always_cookie=True))
        reply_to(wire, hello(5), A)
        packet = wire.flights[-1].packet
        assert isinstance(packet, Cookie)
        cookies.add(packet.cookie)
    assert len(cookies) == 2


@pytest.mark.parametrize("same_host", [True, False])
def test_an_honest_caller_gets_in_while_the_half_open_links_are_full(same_host: bool) -> None:
    wire, machine = listener()
    for link in range(1, 600):
        host = "a.example" if same_host else f"forged-{link % 100}"
        reply_to(wire, hello(link), (host, 7))
        if link % 10 == 0:
            wire.run(0.05)
    assert machine.stats()["half_open"] == (8 if same_host else 64)
    wire.run(1)
    wire.add(A, Endpoint(entropy("a")))
    wire.tell(A, Dial(B, ROLE))
    wire.run(1)
    opened_at, opened = wire.told[A][-1]
    assert opened == Opened(1, 0, B, ROLE)
    assert opened_at - (wire.now - 1) == 4 * DELAY
    assert machine.stats()["half_open"] < 64


def test_who_has_proved_its_address_is_not_put_out_by_others() -> None:
    wire, machine = listener(half_open=4, half_open_per_host=4)
    cookies: dict[Address, bytes] = {}

    def with_cookie(link: int, source: Address) -> bytes:
        packet = Hello(link, (1,), (0,), ROLE, 1200, 262144, cookie=cookies[source])
        return CLEAR.seal(pad(packet, 64).encode())

    for link in range(1, 5):
        welcome_to(wire, hello(link), ("forged", link))
    for port in range(6):
        source = (f"honest-{port}", port)
        reply_to(wire, hello(100 + port), source)
        packet = wire.flights[-1].packet
        assert isinstance(packet, Cookie)
        cookies[source] = packet.cookie
    welcomes = [
        reply_to(wire, with_cookie(100 + port, source), source)
        for port, source in enumerate(cookies)
    ]
    assert [welcome is not None for welcome in welcomes] == [True] * 4 + [False] * 2
    assert machine.stats()["half_open"] == 4
    assert machine.stats()["unwanted"] == 2
    # The links of those who were put out are gone, and nobody was told anything.
    assert machine.stats()["links"] == 4
    assert wire.told[B] == []


@pytest.mark.parametrize("length", range(1, 17))
def test_a_hello_with_a_cookie_fits_the_smallest_mtu(length: int) -> None:
    role = "x" * length
    wire = Wire()
    wire.mtu = 64
    limits = Limits(mtu=64)
    wire.add(A, Endpoint(entropy("a"), limits=limits))
    wire.add(B, Endpoint(entropy("b"), roles=(role,), always_cookie=True, limits=limits))
    try:
        wire.tell(A, Dial(B, role))
    except UsageError:
        assert length > 10
        return
    wire.run(1)
    assert wire.told[A][-1][1] == Opened(1, 0, B, role)


# All places taken, as in H-18


def test_a_place_that_a_dead_peer_holds_is_given_to_the_next_caller() -> None:
    pair = Pair(max_inbound=1).open()
    wire = pair.wire
    wire.remove(A)
    wire.add(C, Endpoint(entropy("c")))
    asked = wire.now
    wire.tell(C, Dial(B, ROLE, 7))
    wire.run(10)
    assert pair.b.closed == Closed(1, None, Reason.DEAD, Side.LOCAL)
    # HELLO, COOKIE, HELLO; then one and a half seconds without a sign of life.
    assert pair.b.times(Closed) == [asked + 3 * DELAY + 1.5 - wire.start]
    last = wire.told[C][-1]
    assert last[1] == Opened(1, 7, B, ROLE)
    assert last[0] <= asked + 3


def test_a_caller_is_told_busy_as_soon_as_the_other_has_shown_life() -> None:
    pair = Pair(max_inbound=1).open()
    wire = pair.wire
    wire.add(C, Endpoint(entropy("c")))
    asked = wire.now
    wire.tell(C, Dial(B, ROLE, 7))
    wire.run(5)
    ((time, closed),) = [(time, one) for time, one in wire.told[C] if isinstance(one, Closed)]
    assert closed == Closed(1, 7, Reason.BUSY, Side.PEER)
    # HELLO, COOKIE, HELLO; then the next HELLO is answered.
    assert time == asked + 2 * DELAY + 0.25 + 2 * DELAY
    wire.run(30)
    assert (pair.a.state, pair.b.state) == (State.OPEN, State.OPEN)
    assert pair.b.stats["waiting"] == 0


@pytest.mark.parametrize("delay", [0.1, 0.5, 1.5])
def test_a_live_conversation_over_a_long_way_is_not_ended_for_a_caller(delay: float) -> None:
    pair = Pair(max_inbound=1, delay=delay).call()
    wire = pair.wire
    wire.run(20)
    wire.add(C, Endpoint(entropy("c")))
    wire.tell(C, Dial(B, ROLE))
    wire.run(60)
    assert wire.told[C][-1][1] == Closed(1, 0, Reason.BUSY, Side.PEER)
    assert (pair.a.state, pair.b.state) == (State.OPEN, State.OPEN)


def test_callers_that_wait_are_bounded_and_forgotten() -> None:
    pair = Pair(max_inbound=1).open()
    wire = pair.wire
    most = 0
    for link in range(1, 200):
        source = (f"host-{link}", 1)
        reply_to(wire, hello(link), source)
        packet = wire.flights[-1].packet
        assert isinstance(packet, Cookie)
        again = Hello(link, (1,), (0,), ROLE, 1200, 262144, cookie=packet.cookie)
        wire.inject(CLEAR.seal(pad(again, 64).encode()), source, B)
        most = max(most, pair.b.stats["waiting"])
    assert most == 64
    assert pair.b.stats["links"] == 1
    wire.run(10)
    assert pair.b.stats["waiting"] == 0
    assert pair.b.state is State.OPEN


def test_a_stranger_who_proves_no_address_makes_a_full_listener_do_nothing() -> None:
    pair = Pair(max_inbound=1).open()
    wire = pair.wire
    seen = len(wire.flights)
    for link in range(1, 50):
        wire.inject(hello(link), (f"host-{link}", 1), B)
    assert {flight.kind for flight in wire.flights[seen:]} == {Kind.COOKIE}
    assert pair.b.stats["waiting"] == 0


# Bounds again


def test_the_number_of_links_is_bounded_for_callers_and_callees() -> None:
    wire, machine = listener(links=2)
    wire.tell(B, Dial(A, ROLE))
    welcome_to(wire, hello(1), A)
    assert reply_to(wire, hello(2), A) is None
    assert machine.stats()["unwanted"] == 1
    with pytest.raises(UsageError):
        wire.tell(B, Dial(A, ROLE))


# When the callee's link is up


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: data[:-1] + bytes((data[-1] ^ 1,)),
        lambda data: data[:10] + bytes((data[10] ^ 1,)) + data[11:],
        lambda data: data[:-1],
        lambda data: data + b"\0",
    ],
)
def test_damaged_data_opens_no_link(spoil: Callable[[bytes], bytes]) -> None:
    wire, machine = listener()
    welcome = welcome_to(wire, hello(1), A)
    data = first_data(welcome)
    assert reply_to(wire, spoil(data), A) is None
    assert wire.told[B] == []
    assert machine.stats()["damaged"] == 1
    wire.inject(data, A, B)
    assert wire.told[B] == [(wire.now, Opened(1, None, A, ROLE))]


def test_data_from_elsewhere_opens_no_link() -> None:
    wire, machine = listener()
    welcome = welcome_to(wire, hello(1), A)
    assert reply_to(wire, first_data(welcome), STRANGER) is None
    assert wire.told[B] == []
    assert machine.stats()["foreign"] == 1
    assert machine.stats()["half_open"] == 1


def test_the_first_packet_that_opens_a_link_counts_in_full() -> None:
    wire, _ = listener()
    welcome = welcome_to(wire, hello(1), A)
    segments = [Segment(n, message(b"%d" % n), last=True).encode() for n in range(3)]
    told = wire.inject(first_data(welcome, *segments), A, B)
    assert [type(notice) for notice in told] == [Opened, Received, Received, Received]


def test_a_half_open_link_can_not_be_commanded() -> None:
    wire, machine = listener()
    welcome_to(wire, hello(1), A)
    key = machine.state_key(wire.now)
    commands = [Send(1, message(b"x"), 1), Leave(1), Abort(1), Pause(1), Finish(1)]
    for command in commands:
        with pytest.raises(UsageError):
            machine.handle(command, wire.now)
    assert machine.state_key(wire.now) == key


# Misuse


@pytest.mark.parametrize(
    "event",
    [
        Dial(B, ""),
        Dial(B, "Duo"),
        Dial(B, "x" * 17),
        Dial(B, "a b"),
        Dial(B, ROLE, timeout=0),
        Dial(B, ROLE, timeout=-1),
        Dial(B, ROLE, timeout=float("nan")),
        Send(1, message(b"x")),
        Leave(0),
        Abort(2),
        Pause(-1),
        Event(),
    ],
)
def test_misuse_raises_and_changes_nothing(event: Event) -> None:
    machine = Endpoint(entropy("a"))
    key = machine.state_key(0.0)
    with pytest.raises(UsageError):
        machine.handle(event, 0.0)
    assert machine.state_key(0.0) == key
    assert machine.deadline is None
    assert machine.is_idle


@pytest.mark.parametrize(
    ("command", "what"),
    [
        (Send(1, b""), "empty"),
        (Send(1, b"\x0f"), "a kind of the link"),
        (Send(1, message(b"x" * 65536)), "too long"),
        (Leave(1, 64), "a reason that is a finding"),
        (Leave(1, -1), "no reason"),
        (Leave(1, 256), "no reason"),
        (Abort(1, 127), "a reason that is a finding"),
        (Abort(1, 1, "x" * 121), "a long text"),
        (Leave(1, 0, "é" * 61), "a long text"),
        (Leave(1, 0, "\ud800"), "no text"),
    ],
)
@pytest.mark.parametrize("state", [State.CALLING, State.OPEN])
def test_a_bad_command_raises_and_changes_nothing(state: State, command: Event, what: str) -> None:
    pair = Pair().call() if state is State.CALLING else Pair().open()
    key, deadline = pair.a.machine.state_key(pair.wire.now), pair.a.machine.deadline
    with pytest.raises(UsageError):
        pair.a.tell(command)
    assert pair.a.machine.state_key(pair.wire.now) == key, what
    assert pair.a.machine.deadline == deadline


def test_nothing_can_be_sent_after_finish() -> None:
    pair = Pair().open()
    pair.a.tell(Finish(1))
    key = pair.a.machine.state_key(pair.wire.now)
    with pytest.raises(UsageError):
        pair.a.send(b"late", ref=1)
    assert pair.a.machine.state_key(pair.wire.now) == key
    pair.a.tell(Finish(1))  # twice is once
    pair.wire.run(1)
    assert (pair.a.state, pair.b.state) == (State.OPEN, State.OPEN)
    assert pair.b.notices(Finished) == [Finished(1)]


@pytest.mark.parametrize("now", [float("nan"), float("inf"), float("-inf")])
def test_a_time_that_is_not_finite_raises(now: float) -> None:
    machine = Endpoint(entropy("a"))
    with pytest.raises(UsageError):
        machine.handle(Tick(), now)


def test_time_that_runs_backwards_is_clamped() -> None:
    pair = Pair()
    pair.wire.lose_from(A)
    pair.call()
    deadline = pair.a.machine.deadline
    for now in (pair.wire.now - 1000, -5.0):
        assert pair.a.machine.handle(Tick(), now) == []
        assert pair.a.machine.deadline == deadline
    pair.a.machine.handle(Finish(1), -5.0)
    assert pair.a.machine.deadline == pair.wire.now


def test_handling_within_handling_raises() -> None:
    machine: Endpoint | None = None

    class Sneaky(Datagram):
        @property
        def data(self) -> bytes:
            assert machine is not None
            machine.handle(Tick(), 0.0)
            return b""

        @data.setter
        def data(self, data: bytes) -> None:
            pass

    machine = Endpoint(entropy("a"))
    with pytest.raises(UsageError):
        machine.handle(Sneaky(b"", A), 0.0)
    assert machine.handle(Tick(), 1.0) == []


@pytest.mark.parametrize("size", [0, 31, 33])
def test_entropy_of_another_size_raises(size: int) -> None:
    with pytest.raises(UsageError):
        Endpoint(lambda _: bytes(size))


@pytest.mark.parametrize(("roles", "bound"), [(("UPPER",), 1), ((ROLE, ""), 1), ((ROLE,), -1)])
def test_an_endpoint_with_a_bad_role_or_bound_raises(roles: tuple[str, ...], bound: int) -> None:
    with pytest.raises(UsageError):
        Endpoint(entropy("a"), roles=roles, max_inbound=bound)


def test_each_dial_is_told_its_own_link_number() -> None:
    wire = Wire()
    wire.add(A, Endpoint(entropy("a")))
    told = wire.tell(A, Dial(B, ROLE, 10), Dial(C, ROLE, 20))
    assert told == [Dialing(1, 10, B), Dialing(2, 20, C)]
    packets = [flight.packet for flight in wire.flights]
    ids = {packet.link for packet in packets if isinstance(packet, Hello)}
    assert len(ids) == 2


@pytest.mark.spec("H-1")
def test_link_ids_differ_between_links_endpoints_and_calls() -> None:
    ids = []
    for label in ("a", "b"):
        machine = Endpoint(entropy(label))
        for _ in range(50):
            machine.handle(Dial(B, ROLE), 0.0)
        ids += [link.local for link in machine.links.values()]
    assert len(set(ids)) == 100
    assert all(0 < one < 1 << 64 for one in ids)


@pytest.mark.spec("H-15")
def test_a_caller_that_was_asked_for_a_cookie_is_not_told_that_nobody_answers() -> None:
    pair = Pair()
    callee = Endpoint(entropy("b"), roles=(ROLE,), always_cookie=True)
    pair.wire.add(B, callee)
    pair.call()
    pair.wire.run(1)
    assert callee.stats()["cookies_sent"] == 1
    assert pair.a.notices(Opened)
    assert not pair.a.notices(StillDialing)
