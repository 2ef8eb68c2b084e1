"""Links that move to another address, and calls that cross (PROTOCOL.md, 8.8 and 4.9)."""

from __future__ import annotations

import pytest
from pairs import DELAY, ROLE, STRANGER, A, B, Flight, Pair, Wire, entropy, message, unlucky

from palaver import (
    Address,
    Call,
    Closed,
    ConversationOpened,
    Delivered,
    Dial,
    Dialing,
    Duo,
    Endpoint,
    Leave,
    Limits,
    Notice,
    Opened,
    Overdue,
    Pause,
    Reason,
    Received,
    Resume,
    Said,
    Say,
    Send,
    Side,
    WouldBlock,
    Writable,
)
from palaver.link.states import State
from palaver.wire.frames import PathChallenge, PathResponse, Ping, Segment
from palaver.wire.packets import Hello, Kind, Welcome, pad
from palaver.wire.sealing import CLEAR

ELSEWHERE: Address = ("a.example", 4444)
THIRD: Address = ("cafe.example", 5)


def to(pair: Pair, destination: Address) -> list[Flight]:
    return [flight for flight in pair.wire.flights if flight.destination == destination]


def size_of(flights: list[Flight]) -> int:
    return sum(len(flight.data) for flight in flights)


def ready_pair(limits: Limits | None = None) -> Pair:
    """Give a pair of whom both know the round-trip time."""
    pair = Pair(limits=limits or Limits()).open()
    pair.a.send(b"x", ref=100)
    pair.b.send(b"x", ref=100)
    pair.wire.run(1)
    return pair


# Moving


@pytest.mark.smoke
@pytest.mark.parametrize("limits", [Limits(), Limits(mtu=64)], ids=["mtu1200", "mtu64"])
def test_a_link_follows_its_peer_to_another_address(limits: Limits) -> None:
    pair = ready_pair(limits)
    pair.wire.seen_at[A] = ELSEWHERE
    pair.a.send(b"from elsewhere, and long enough to be allowed an answer", ref=1)
    pair.wire.run(DELAY)
    assert len(pair.b.received) == 2  # at once, whoever it came from
    assert pair.b.link.channel.address == A
    pair.wire.run(2 * DELAY)
    assert pair.b.link.channel.address == ELSEWHERE
    assert pair.b.stats["moves"] == 1
    pair.b.send(b"y", ref=1)
    pair.a.send(b"z", ref=2)
    pair.wire.run(2)
    assert pair.a.received == [b"x", b"y"]
    assert pair.a.delivered == [100, 1, 2]
    assert pair.b.delivered == [100, 1]
    pair.b.tell(Leave(1))
    pair.wire.run(3)
    assert pair.a.closed == Closed(1, 0, Reason.LEFT, Side.PEER)
    assert pair.a.machine.is_idle
    assert pair.b.machine.is_idle


def test_a_link_moves_as_often_as_its_peer_does_and_back() -> None:
    pair = ready_pair()
    ref = 1
    for place in (ELSEWHERE, THIRD, A, ELSEWHERE, A):
        pair.wire.seen_at[A] = place
        for _ in range(3):
            pair.a.send(bytes(50), ref=ref)
            pair.b.send(bytes(50), ref=ref)
            ref += 1
            pair.wire.run(0.3)
        assert pair.b.link.channel.address == place
    pair.wire.run(5)
    assert pair.a.delivered == pair.b.delivered == [100, *range(1, ref)]
    assert pair.b.stats["moves"] == 5


def test_an_idle_link_moves_with_the_next_keepalive() -> None:
    pair = ready_pair()
    pair.wire.seen_at[A] = ELSEWHERE
    pair.wire.run(60)
    assert pair.b.link.channel.address == ELSEWHERE
    pair.b.send(b"found you", ref=1)
    pair.wire.run(1)
    assert pair.a.received == [b"x", b"found you"]


def test_both_can_move_at_once_if_one_of_them_can_still_be_reached() -> None:
    pair = ready_pair()
    pair.wire.seen_at[B] = ("b.example", 99)
    pair.b.send(bytes(60), ref=1)
    pair.wire.run(0.01)
    pair.wire.seen_at[A] = ELSEWHERE
    pair.a.send(bytes(60), ref=1)
    pair.b.send(bytes(60), ref=2)
    pair.wire.run(10)
    # A is reached by nothing at its old address, but B learns its new one when A repeats itself
    # to B's new one, which A had challenged from its old.
    assert pair.a.state is State.OPEN or pair.a.closed is not None


def test_until_the_new_address_is_proved_all_else_goes_to_the_old_one() -> None:
    pair = ready_pair()
    seen = len(pair.wire.flights)
    packet = pair.a.forge(Segment(1, message(bytes(500)), last=True))
    pair.wire.inject(packet, STRANGER, B)
    pair.b.send(*[bytes(300)] * 10, ref=1)
    pair.wire.lose_from(A, B)
    pair.wire.run(10)
    stray = [flight for flight in to(pair, STRANGER) if flight.source == B]
    assert 1 <= len(stray) <= 3
    assert [[type(frame) for frame in flight.frames] for flight in stray] == [
        [PathChallenge]
    ] * len(stray)
    others = [f for f in pair.wire.flights[seen:] if f.source == B and f not in stray]
    assert {flight.destination for flight in others} == {A}
    assert pair.b.link.channel.address == A


@pytest.mark.parametrize("size", [20, 27, 28, 30, 55, 56, 83, 84, 500])
def test_to_an_unproved_address_never_go_more_bytes_than_came(size: int) -> None:
    pair = ready_pair()
    pair.wire.lose_from(A, B)
    packet = pair.a.forge(b"\x80" + (size - 20).to_bytes(2, "big") + bytes(size - 20))
    assert len(packet) == size
    for _ in range(5):
        pair.wire.inject(packet, STRANGER, B)  # but for the first these are duplicates
    pair.wire.run(20)
    stray = to(pair, STRANGER)
    assert len(stray) == min(size // 28, 3)
    assert size_of(stray) <= size


def test_a_moved_link_is_known_by_its_new_address_to_a_reset() -> None:
    pair = ready_pair()
    pair.wire.seen_at[A] = ELSEWHERE
    pair.a.send(bytes(100), ref=1)
    pair.wire.run(1)
    assert pair.b.stats["moves"] == 1
    pair.wire.add(A, Endpoint(entropy("a again")))
    pair.b.send(b"still there?", ref=1)
    pair.wire.run(1)
    assert pair.b.closed == Closed(1, None, Reason.RESET, Side.PEER)


def test_an_old_packet_from_elsewhere_moves_nothing() -> None:
    pair = ready_pair()
    stuffing = b"\x80\x00\x64" + bytes(100)  # enough to be allowed a challenge
    old = pair.a.forge(stuffing)
    newer = pair.a.forge(stuffing)
    pair.wire.inject(newer, A, B)
    seen = len(pair.wire.flights)
    pair.wire.inject(old, STRANGER, B)
    pair.wire.inject(newer, STRANGER, B)  # a copy, too
    pair.wire.run(10)
    assert to(pair, STRANGER) == []
    assert len(pair.wire.flights) > seen
    assert pair.b.link.channel.address == A


def test_a_packet_that_somebody_passes_on_does_not_divert_the_link() -> None:
    pair = ready_pair()
    for ref in range(1, 20):
        pair.a.send(bytes(100), ref=ref)
        newest = pair.wire.sent_by(A)[-1]
        # The stranger is faster than the wire.
        pair.wire.inject(newest.data, STRANGER, B)
        pair.b.send(b"for your eyes only", ref=ref)
        pair.wire.run(0.05)
    pair.wire.run(5)
    stray = to(pair, STRANGER)
    assert {type(frame) for flight in stray for frame in flight.frames} <= {PathChallenge}
    assert pair.b.link.channel.address == A
    assert pair.a.delivered == [100, *range(1, 20)]
    assert len(pair.a.received) == 20


@pytest.mark.spec("L-18")
def test_there_is_no_candidate_any_more_when_the_peer_is_heard_where_it_was() -> None:
    for heard in (False, True):
        pair = ready_pair()
        stuffing = b"\x80\x00\x64" + bytes(100)
        pair.wire.inject(pair.a.forge(stuffing), STRANGER, B)
        assert len(to(pair, STRANGER)) == 1
        if heard:
            pair.wire.inject(pair.a.forge(Ping()), A, B)
        pair.wire.run(10)
        assert len(to(pair, STRANGER)) == (1 if heard else 3)


@pytest.mark.parametrize("lie", ["token", "address", "unasked"])
def test_a_wrong_response_moves_nothing(lie: str) -> None:
    pair = ready_pair()
    pair.wire.lose_from(A, B)
    old = pair.a.link.channel.number
    pair.a.link.channel.number += 1
    if lie != "unasked":
        pair.wire.inject(pair.a.forge(Segment(1, message(bytes(50)), last=True)), STRANGER, B)
    token = b"12345678"
    if lie == "address":
        (challenge,) = to(pair, STRANGER)[0].frames
        assert isinstance(challenge, PathChallenge)
        token = challenge.token
        # Not the newest, so that it does not make THIRD the candidate.
        pair.wire.inject(pair.a.forge(PathResponse(token), number=old), THIRD, B)
    else:
        pair.wire.inject(pair.a.forge(PathResponse(token)), STRANGER, B)
    assert pair.b.link.channel.address == A
    assert pair.b.stats["moves"] == 0


def test_a_challenge_is_answered_at_once_where_it_came_from_and_only_there() -> None:
    pair = ready_pair()
    seen = len(pair.wire.flights)
    pair.wire.inject(pair.a.forge(PathChallenge(b"12345678")), A, B)
    answer = pair.wire.flights[seen]
    assert answer.destination == A
    assert answer.frames == [PathResponse(b"12345678")]
    assert len(answer.data) <= len(pair.a.forge(PathChallenge(b"12345678")))


def test_a_half_open_link_takes_no_data_from_elsewhere() -> None:
    pair = Pair().call()
    pair.wire.lose = lambda flight: flight.kind is Kind.DATA
    pair.wire.run(DELAY * 2)
    state = State.WELCOMED
    assert pair.b.state is state
    packet = pair.a.forge(Ping())
    key = pair.b.link.key(pair.wire.now)
    seen = len(pair.wire.flights)
    pair.wire.inject(packet, STRANGER, B)
    assert pair.b.stats["foreign"] == 1
    assert len(pair.wire.flights) == seen
    assert pair.b.state is state
    assert pair.b.link.key(pair.wire.now)[0] == key[0]


@pytest.mark.parametrize("seed", range(5))
def test_moving_through_loss_loses_no_message(seed: int) -> None:
    pair = ready_pair()
    lossy = unlucky(0.2, seed)
    pair.wire.lose = lossy
    bodies = [b"%d" % n for n in range(120)]
    for n, one in enumerate(bodies):
        if n % 30 == 15:
            pair.wire.seen_at[A] = ("a.example", 1000 + n)
        pair.a.send(one, ref=n)
        pair.b.send(one, ref=n)
        pair.wire.run(0.05)
    pair.wire.run(30)
    assert pair.a.received[1:] == pair.b.received[1:] == bodies
    assert pair.a.delivered[1:] == pair.b.delivered[1:] == list(range(120))
    assert pair.b.stats["moves"] >= 3


# Crossed calls


def told(wire: Wire, address: Address) -> list[Notice]:
    return [notice for _, notice in wire.told[address]]


def crossing(seed: int = 0, loss: float = 0.0, lag: float = 0.0) -> Wire:
    """Let A and B call each other at nearly the same moment."""
    wire = Wire()
    wire.lose = unlucky(loss, seed)
    for address in (A, B):
        wire.add(address, Endpoint(entropy(f"{address} {seed}"), roles=(ROLE,)))
    wire.tell(A, Dial(B, ROLE, 10), Send(1, message(b"from a"), 1))
    wire.run(lag)
    wire.tell(B, Dial(A, ROLE, 20))
    (number,) = [one.link for one in told(wire, B) if isinstance(one, Dialing)]
    wire.tell(B, Send(number, message(b"from b"), 1))
    return wire


@pytest.mark.smoke
@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("lag", [0.0, DELAY / 2, DELAY])
def test_two_who_call_each_other_get_one_link_and_both_calls_are_answered(
    seed: int, lag: float
) -> None:
    wire = crossing(seed, lag=lag)
    wire.run(3)
    for address, peer, ref, body in ((A, B, 10, b"from b"), (B, A, 20, b"from a")):
        (opened,) = [one for one in told(wire, address) if isinstance(one, Opened)]
        assert opened == Opened(opened.link, ref, peer, ROLE)
        assert [one for one in told(wire, address) if isinstance(one, Received)] == [
            Received(opened.link, message(body))
        ]
        assert [one for one in told(wire, address) if isinstance(one, Delivered)] == [
            Delivered(opened.link, 1)
        ]
        machine = wire.machines[address]
        assert isinstance(machine, Endpoint)
        assert list(machine.links) == [opened.link]
        assert machine.stats()["half_open"] == 0
    wire.run(60)
    wire.tell(A, Leave(1))
    wire.run(5)
    for address in (A, B):
        machine = wire.machines[address]
        assert isinstance(machine, Endpoint)
        assert machine.is_idle


@pytest.mark.parametrize("seed", range(20))
def test_crossed_calls_through_loss_lead_to_one_link_or_two_and_lose_nothing(seed: int) -> None:
    wire = crossing(seed, loss=0.4, lag=(seed % 4) * DELAY / 2)
    wire.run(60)
    for address, ref, body in ((A, 10, b"from b"), (B, 20, b"from a")):
        opened = [one for one in told(wire, address) if isinstance(one, Opened)]
        assert [one.ref for one in opened].count(ref) == 1
        received = [one.message for one in told(wire, address) if isinstance(one, Received)]
        assert received == [message(body)]
        assert len([one for one in told(wire, address) if isinstance(one, Delivered)]) == 1


def test_crossed_calls_for_different_roles_are_two_links() -> None:
    wire = Wire()
    for address in (A, B):
        wire.add(address, Endpoint(entropy(f"{address}"), roles=("one", "two")))
    wire.tell(A, Dial(B, "one", 1))
    wire.tell(B, Dial(A, "two", 2))
    wire.run(2)
    for address in (A, B):
        roles = [one.role for one in told(wire, address) if isinstance(one, Opened)]
        assert sorted(roles) == ["one", "two"]


@pytest.mark.parametrize("forged_id", [1, (1 << 64) - 1])
def test_a_forged_hello_from_the_called_address_stops_no_call(forged_id: int) -> None:
    wire = Wire()
    wire.add(A, Endpoint(entropy("a"), roles=(ROLE,)))
    wire.add(B, Endpoint(entropy("b"), roles=(ROLE,)))
    forged = CLEAR.seal(pad(Hello(forged_id, (1,), (0,), ROLE, 1200, 262144), 64).encode())
    wire.lose_from(A)
    wire.tell(A, Dial(B, ROLE, 10, timeout=60.0))
    for _ in range(20):
        wire.inject(forged, B, A)
        wire.run(0.1)
    wire.lose_from()
    wire.run(3)
    opened = [one for one in told(wire, A) if isinstance(one, Opened)]
    assert opened == [Opened(1, 10, B, ROLE)]
    wire.run(60)
    machine = wire.machines[A]
    assert isinstance(machine, Endpoint)
    assert list(machine.links) == [1]


def test_what_was_commanded_before_calls_crossed_holds_for_the_link_that_results() -> None:
    for seed in range(4):
        wire = Wire()
        for address in (A, B):
            wire.add(address, Endpoint(entropy(f"{address} {seed}"), roles=(ROLE,)))
        wire.tell(A, Dial(B, ROLE, 10), Pause(1))
        wire.tell(B, Dial(A, ROLE, 20), Send(1, message(b"x"), 1), Pause(1))
        wire.run(2)
        assert not [one for one in told(wire, A) if isinstance(one, Received)]
        assert wire.tell(A, Resume(1)) == [Received(1, message(b"x"))]


def test_a_queue_that_was_full_before_calls_crossed_becomes_writable() -> None:
    for seed in range(4):
        wire = Wire()
        for address in (A, B):
            machine = Endpoint(
                entropy(f"{address} {seed}"), roles=(ROLE,), limits=Limits(queue_messages=4)
            )
            wire.add(address, machine)
        for address, peer in ((A, B), (B, A)):
            wire.tell(address, Dial(peer, ROLE))
            with pytest.raises(WouldBlock):
                wire.tell(address, *[Send(1, message(b"x"), ref) for ref in range(5)])
        wire.run(2)
        for address in (A, B):
            assert Writable(1) in told(wire, address)
            assert len([one for one in told(wire, address) if isinstance(one, Received)]) == 4


@pytest.mark.parametrize("seed", range(4))
def test_a_message_that_waits_for_crossed_calls_is_overdue_once(seed: int) -> None:
    wire = Wire()
    for address in (A, B):
        wire.add(address, Endpoint(entropy(f"{address} {seed}"), roles=(ROLE,)))
    wire.lose_from(A, B)
    for address, peer in ((A, B), (B, A)):
        wire.tell(address, Dial(peer, ROLE), Send(1, message(b"x"), 1))
    wire.run(12)
    wire.tell(A, Send(1, message(b"y"), 2))
    wire.lose_from()
    wire.run(30)
    for address, refs in ((A, [1, 2]), (B, [1])):
        overdue = [one.ref for one in told(wire, address) if isinstance(one, Overdue)]
        delivered = [one.ref for one in told(wire, address) if isinstance(one, Delivered)]
        assert overdue == [1]
        assert delivered == refs


def test_two_people_who_call_each_other_have_one_conversation() -> None:
    for seed in range(4):
        wire = Wire()
        wire.add(A, Duo(entropy(f"a {seed}"), name="Ann"))
        wire.add(B, Duo(entropy(f"b {seed}"), name="Bob"))
        wire.tell(A, Call(B, 10), Say(1, "hi Bob", 1))
        wire.tell(B, Call(A, 20), Say(1, "hi Ann", 1))
        wire.run(2)
        (ann,) = [one for one in told(wire, A) if isinstance(one, ConversationOpened)]
        (bob,) = [one for one in told(wire, B) if isinstance(one, ConversationOpened)]
        assert (ann.ref, ann.name, bob.ref, bob.name) == (10, "Bob", 20, "Ann")
        assert [one.text for one in told(wire, A) if isinstance(one, Said)] == ["hi Ann"]
        assert [one.text for one in told(wire, B) if isinstance(one, Said)] == ["hi Bob"]


def test_a_call_back_to_a_caller_that_was_just_answered_becomes_its_link() -> None:
    for seed in range(8):
        wire = Wire()
        for address in (A, B):
            wire.add(address, Endpoint(entropy(f"{address} {seed}"), roles=(ROLE,)))
        wire.tell(A, Dial(B, ROLE, 10))
        wire.run(DELAY)  # B has answered; its WELCOME is under way
        assert isinstance(wire.flights[-1].packet, Welcome)
        wire.tell(B, Dial(A, ROLE, 20))
        wire.run(2)
        for address in (A, B):
            machine = wire.machines[address]
            assert isinstance(machine, Endpoint)
            assert len(machine.links) == 1
