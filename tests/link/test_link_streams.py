"""Links over streams: nothing gets lost there, and a stream that ends ends its links (8.9)."""

from __future__ import annotations

import pytest
from pairs import DELAY, ROLE, A, B, C, Pair, entropy, message

from palaver import (
    Abort,
    Closed,
    Datagram,
    Dial,
    Disconnect,
    Endpoint,
    Leave,
    Limits,
    Opened,
    Pause,
    Reason,
    Send,
    Side,
    StreamEnded,
    StreamEndpoint,
    Tick,
    Transmit,
    UsageError,
)
from palaver.link.states import State
from palaver.timing import MAX_RECORD
from palaver.wire.frames import PathChallenge, Ping, Segment
from palaver.wire.packets import Kind, Reset
from palaver.wire.sealing import CLEAR


def opened(*, delay: float = DELAY, limits: Limits | None = None) -> Pair:
    pair = Pair(streams=True, delay=delay, limits=limits or Limits())
    pair.call()
    pair.wire.run(4 * delay)
    assert pair.b.is_in(State.OPEN)
    return pair


def ended(pair: Pair) -> list[tuple[object, object]]:
    """Give the streams that were ended: who did, and to whom."""
    return [(source, address) for _, source, address in pair.wire.disconnected]


@pytest.mark.spec("S-2")
@pytest.mark.parametrize("delay", [0.001, 0.2, 7.0])
def test_each_segment_is_sent_once_however_long_the_stream_takes(delay: float) -> None:
    pair = opened(delay=delay)
    bodies = [bytes([number]) * 2000 for number in range(60)]
    pair.a.send(*bodies, ref=0)
    pair.b.send(*bodies[:9], ref=0)
    pair.wire.run(3 * delay + 1)
    assert pair.b.received == bodies
    assert pair.a.received == bodies[:9]
    assert pair.a.delivered == list(range(60))
    for source in (A, B):
        sent = pair.wire.sent_by(source, Kind.DATA)
        numbers = [
            frame.number for one in sent for frame in one.frames if isinstance(frame, Segment)
        ]
        assert numbers == sorted(set(numbers)), "in order, and none twice"


@pytest.mark.spec("S-2")
def test_no_window_but_the_credit_bounds_what_is_under_way() -> None:
    pair = opened(delay=1.0, limits=Limits(window=100_000))
    before = len(pair.wire.flights)
    pair.a.send(*[bytes(1000)] * 200, ref=0)
    at_once = sum(len(one.data) for one in pair.wire.flights[before:])
    assert 93_000 < at_once < 103_000, "the credit, less what segments are charged"
    pair.wire.run(10)
    assert pair.a.delivered == list(range(200))


@pytest.mark.spec("S-1")
def test_packets_are_no_larger_than_a_record() -> None:
    pair = opened(limits=Limits(mtu=60_000))
    pair.a.send(bytes(50_000), ref=0)
    pair.wire.run(1)
    assert pair.a.delivered == [0]
    assert max(len(one.data) for one in pair.wire.flights) == MAX_RECORD


@pytest.mark.spec("S-3")
def test_nobody_is_asked_for_a_cookie() -> None:
    callee = StreamEndpoint(entropy("callee"), roles=(ROLE,), limits=Limits(half_open=1))
    caller = StreamEndpoint(entropy("caller"))
    pair = Pair(streams=True)
    pair.wire.add(A, caller)
    pair.wire.add(B, callee)
    pair.wire.tell(A, Dial(B, ROLE))
    pair.wire.run(1)
    assert any(isinstance(notice, Opened) for _, notice in pair.wire.told[B])
    assert callee.stats()["cookies_sent"] == 0


@pytest.mark.spec("S-4")
def test_the_end_of_a_stream_is_the_end_of_its_links() -> None:
    pair = opened()
    pair.b.send(b"on its way", ref=5)
    pair.b.tell(StreamEnded(A))
    closed = pair.b.closed
    assert closed is not None
    assert (closed.reason, closed.by) == (Reason.DISCONNECTED, Side.PEER)
    assert pair.b.undelivered == [5]
    assert pair.b.machine.is_idle
    assert ended(pair) == [], "it has ended already"


@pytest.mark.spec("S-4")
def test_a_call_goes_on_over_another_stream() -> None:
    pair = Pair(streams=True)
    pair.wire.lose_from(A)
    pair.call()
    pair.wire.run(0.1)
    pair.a.tell(StreamEnded(B))
    assert pair.a.closed is None
    pair.wire.lose_from()
    pair.wire.run(1)
    assert pair.b.is_in(State.OPEN)
    pair.a.tell(StreamEnded(B))
    assert pair.a.closed is not None, "it is known which stream it was"


@pytest.mark.spec("S-5")
@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: data[:-1] + bytes([data[-1] ^ 1]),
        lambda _: b"GET / HTTP/1.1\r\n\r\n",
        lambda _: b"",
        lambda _: bytes(MAX_RECORD + 1),
        lambda data: data[:9],
        lambda _: CLEAR.seal(b"\xf9" + bytes(8) + b"\x09"),
    ],
    ids=["tag", "other protocol", "empty", "too large", "cut off", "malformed"],
)
def test_a_record_that_is_not_a_packet_ends_the_stream(spoil: object) -> None:
    assert callable(spoil)
    pair = opened()
    data = spoil(pair.a.forge(Ping()))
    pair.wire.inject(data, A, B)
    assert ended(pair) == [(B, A)]
    assert pair.b.closed is not None
    assert pair.b.closed.reason == Reason.DISCONNECTED


@pytest.mark.spec("S-5")
def test_a_packet_that_came_before_ends_the_stream_for_none_comes_twice() -> None:
    pair = opened()
    data = pair.a.forge(Ping())
    pair.wire.inject(data, A, B)
    assert ended(pair) == []
    pair.wire.inject(data, A, B)
    assert ended(pair) == [(B, A)]


@pytest.mark.spec("S-5")
@pytest.mark.parametrize("kind", ["data", "reset"])
def test_packets_for_nobody_end_a_stream_that_has_no_links(kind: str) -> None:
    pair = opened()
    packet = pair.a.forge(Ping()) if kind == "data" else CLEAR.seal(Reset(9, 9).encode())
    machine = StreamEndpoint(entropy("other"), roles=(ROLE,))
    actions = machine.handle(Datagram(packet, C), 1.0)
    assert actions[-1] == Disconnect(C)
    assert machine.is_idle


@pytest.mark.spec("S-5")
def test_a_link_is_not_moved_nor_ended_from_another_stream() -> None:
    pair = opened()
    pair.wire.inject(pair.a.forge(PathChallenge(bytes(8))), C, B)
    assert ended(pair) == [(B, C)]
    assert pair.b.is_in(State.OPEN)
    assert pair.b.link.channel.address == A
    pair.a.send(b"still here", ref=1)
    pair.wire.run(1)
    assert pair.a.delivered == [1]


@pytest.mark.spec("S-6")
def test_when_the_last_link_of_a_stream_is_gone_the_stream_is_ended() -> None:
    pair = opened()
    pair.a.tell(Dial(B, ROLE))
    pair.wire.run(1)
    pair.a.tell(Leave(pair.a.number))
    pair.wire.run(1)
    assert pair.a.closed is not None
    assert pair.b.closed is not None
    assert ended(pair) == [], "the other link is on it"
    pair.a.tell(Leave(2))
    pair.wire.run(1)
    assert sorted(ended(pair)) == [(A, B), (B, A)]
    assert pair.a.machine.is_idle
    assert pair.b.machine.is_idle


@pytest.mark.spec("S-6")
def test_a_close_lasts_no_longer_than_its_acknowledgements() -> None:
    pair = opened()
    pair.a.send(b"last", ref=3)
    pair.a.tell(Leave(1))
    began = pair.wire.now
    pair.wire.run_until(lambda: pair.a.machine.is_idle and pair.b.machine.is_idle)
    assert pair.wire.now - began < 4 * DELAY + 0.1
    assert pair.a.delivered == [3]
    for end in (pair.a, pair.b):
        assert end.closed is not None
        assert end.closed.clean


@pytest.mark.spec("L-20")
def test_who_waits_for_a_goodbye_on_a_stream_need_not_show_where_it_is() -> None:
    pair = opened()
    pair.wire.run(1)
    before = len(pair.wire.sent_by(A))
    pair.b.tell(Pause(1))
    pair.a.send(b"not read", ref=1)
    pair.a.tell(Leave(1))
    pair.wire.run(4)
    assert pair.a.state is State.CLOSING
    sent = pair.wire.sent_by(A)[before:]
    assert not [one for one in sent if one.has(Ping)]


@pytest.mark.spec("S-6")
def test_what_was_to_be_sent_comes_before_the_end_of_the_stream() -> None:
    machine = opened().a.machine
    actions = machine.handle(Abort(1, Reason.ABORTED), 1000.0)
    kinds = [type(action) for action in actions if isinstance(action, Transmit | Disconnect)]
    assert kinds == [Transmit, Disconnect]


@pytest.mark.spec("S-6")
def test_a_caller_that_is_refused_is_let_go() -> None:
    pair = Pair(streams=True)
    pair.a.tell(Dial(B, "nobody"))
    pair.wire.run(1)
    assert pair.a.closed is not None
    assert pair.a.closed.reason == Reason.WRONG_ROLE
    assert sorted(ended(pair)) == [(A, B), (B, A)]


@pytest.mark.spec("S-6")
def test_a_caller_that_says_no_more_than_hello_is_let_go() -> None:
    pair = Pair(streams=True)
    pair.call()
    pair.wire.remove(A)
    pair.wire.run(60)
    assert ended(pair) == [(B, A)]
    assert pair.b.machine.is_idle


@pytest.mark.spec("S-2")
def test_a_peer_that_has_gone_silent_is_dead_as_anywhere() -> None:
    pair = opened()
    pair.wire.lose_from(B)
    pair.a.send(b"anybody?", ref=0)
    pair.wire.run(29)
    assert not pair.a.notices(Closed)
    pair.wire.run(3)
    assert pair.a.closed is not None
    assert pair.a.closed.reason == Reason.DEAD
    assert (A, B) in ended(pair)


def test_who_waits_for_a_place_gets_it_when_it_is_free() -> None:
    pair = Pair(streams=True, max_inbound=1)
    pair.call()
    pair.wire.run(1)
    other = StreamEndpoint(entropy("c"))
    pair.wire.add(C, other)
    pair.wire.remove(A)
    pair.wire.tell(C, Dial(B, ROLE))
    pair.wire.run(4)
    assert any(isinstance(notice, Opened) for _, notice in pair.wire.told[C])


def test_an_endpoint_without_streams_is_not_to_be_told_of_one() -> None:
    machine = Endpoint(entropy("x"))
    with pytest.raises(UsageError, match="StreamEnded"):
        machine.handle(StreamEnded(A), 1.0)


def test_a_twin_knows_the_streams_too() -> None:
    pair = opened()
    twin = pair.b.machine.clone()
    assert twin.handle(StreamEnded(A), pair.wire.now) == pair.b.machine.handle(
        StreamEnded(A), pair.wire.now
    )
    assert twin.is_idle
    with pytest.raises(UsageError):
        twin.handle(Send(99, message(b"x")), pair.wire.now)


@pytest.mark.spec("S-6")
def test_a_stream_whose_hello_comes_to_nothing_is_ended_some_time_after_the_last() -> None:
    pair = Pair(streams=True, limits=Limits(half_open_per_host=1))
    pair.wire.lose = lambda flight: flight.kind is Kind.DATA
    pair.call()
    pair.wire.run(0.1)
    assert pair.b.machine.stats()["half_open"] == 1
    # One more from there: the same host, on another stream.
    other = StreamEndpoint(entropy("c"))
    elsewhere = (A[0], A[1] + 1)
    pair.wire.add(elsewhere, other)
    pair.wire.tell(elsewhere, Dial(B, ROLE))
    pair.wire.run(1)
    pair.wire.remove(elsewhere)
    last = [one.time for one in pair.wire.flights if one.source == elsewhere][-1]
    pair.wire.remove(A)
    pair.wire.run(60)
    gone = [time for time, source, stream in pair.wire.disconnected if stream == elsewhere]
    assert gone == [last + pair.wire.delay + 10.0]
    assert pair.b.machine.deadline is None


def test_a_twin_knows_the_streams_that_wait_too() -> None:
    machine = StreamEndpoint(entropy("x"), roles=(ROLE,), limits=Limits(half_open_per_host=1))
    for port in (1, 2):
        caller = StreamEndpoint(entropy(f"caller {port}"))
        caller.handle(Dial(B, ROLE), 0.0)
        (hello,) = (one for one in caller.handle(Tick(), 0.0) if isinstance(one, Transmit))
        machine.handle(Datagram(hello.data, ("host", port)), 0.0)
    key = machine.state_key(1.0)
    twin = machine.clone()
    assert twin.state_key(1.0) == key
    assert Disconnect(("host", 2)) in twin.handle(Tick(), 10.0)
    assert machine.state_key(1.0) == key
