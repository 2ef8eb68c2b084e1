"""What every role is built on: `palaver.roles.role`."""

from __future__ import annotations

from typing import TypeVar

import pytest
from pairs import DELAY, A, B, C, Wire, entropy, message

from palaver import (
    Abort,
    Action,
    Address,
    Closed,
    Delivered,
    Dial,
    Dialing,
    Endpoint,
    Event,
    Finish,
    Finished,
    Leave,
    Limits,
    Notice,
    Opened,
    Pause,
    Reason,
    Received,
    Send,
    Side,
    Tick,
    Undelivered,
    UsageError,
    Writable,
)
from palaver.machine import Datagram
from palaver.roles.role import Role
from palaver.wire.errors import DecodeError

N = TypeVar("N", bound=Notice)

LOW, HIGH = "low", "high"
BAD, NO, PASS, RELAY, QUIT = 20, 21, 22, 23, 24


class Relay(Role[bytes]):
    """Hands what it hears to the program; RELAY also to all its other links.

    It answers as two roles at once, and tells all others when one is gone.
    """

    __slots__ = ("alarm", "roles_heard")

    def __init__(self, label: str, limits: Limits | None = None) -> None:
        super().__init__(entropy(label), answers=(LOW, HIGH), limits=limits or Limits())
        self.roles_heard: list[str] = []
        self.alarm = float("inf")

    @property
    def links(self) -> list[int]:
        return list(self._open)

    @property
    def _due(self) -> float:
        return self.alarm

    def _on_time(self, now: float, out: list[Action], /) -> None:
        self.alarm = float("inf")
        self.tell_all(b"alarm", now, out)

    def _do(self, event: Event, now: float, out: list[Action], /) -> None:
        if isinstance(event, Dial):
            self._dial(event, now, out)
        elif isinstance(event, Send):
            self._pass_on(event, now, out)
        else:
            super()._do(event, now, out)

    def _decode(self, role: str, data: bytes, /) -> bytes | None:
        self.roles_heard.append(role)
        if data[0] == BAD:
            raise DecodeError("bad")
        return None if data[0] in {NO, 200} else data

    def _dialing(self, dialing: Dialing, role: str, now: float, out: list[Action], /) -> None:
        out.append(dialing)
        self._tell(dialing.link, message(role.encode()), now, out)

    def _opened(self, opened: Opened, _: float, out: list[Action], /) -> None:
        out.append(opened)

    def _heard(self, opened: Opened, data: bytes, now: float, out: list[Action], /) -> None:
        out.append(Received(opened.link, data))
        if data[0] == RELAY:
            self.tell_all(data[1:], now, out, but=opened.link)
        elif data[0] == QUIT:
            self._give_up(opened.link, Reason.SHUTTING_DOWN, now, out)

    def _closed(
        self, closed: Closed, opened: Opened | None, now: float, out: list[Action], /
    ) -> None:
        out.append(closed)
        if opened is not None:
            self.tell_all(b"gone", now, out)

    def tell_all(self, body: bytes, now: float, out: list[Action], but: int = 0) -> None:
        for link in list(self._open):
            if link != but:
                self._tell(link, message(body), now, out)


class Stage:
    """A relay at B, and endpoints at A, C and where a test wants more."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.wire = Wire()
        self.relay = Relay("b", limits)
        self.wire.add(B, self.relay)

    def join(self, address: Address, role: str = LOW, limits: Limits | None = None) -> None:
        self.wire.add(address, Endpoint(entropy(str(address)), limits=limits or Limits()))
        self.wire.tell(address, Dial(B, role))
        self.wire.run(DELAY * 4)

    def told(self, address: Address, kind: type[N]) -> list[N]:
        return [notice for _, notice in self.wire.told[address] if isinstance(notice, kind)]

    def heard(self, address: Address) -> list[bytes]:
        return [one.message[1:] for one in self.told(address, Received)]


def test_one_endpoint_answers_several_roles_and_each_message_is_decoded_by_its_own() -> None:
    stage = Stage()
    stage.join(A, LOW)
    stage.join(C, HIGH)
    stage.wire.tell(C, Send(1, message(b"c")))
    stage.wire.run(1)
    stage.wire.tell(A, Send(1, message(b"a")))
    stage.wire.run(1)
    assert stage.relay.roles_heard == [HIGH, LOW]
    assert [one.role for one in stage.told(B, Opened)] == [LOW, HIGH]


def test_what_is_told_to_all_reaches_the_others() -> None:
    stage = Stage()
    stage.join(A)
    stage.join(C)
    stage.wire.tell(A, Send(1, message(b"hello", RELAY)))
    stage.wire.run(1)
    assert stage.heard(C) == [b"hello"]
    assert stage.heard(A) == []


def test_a_role_may_speak_before_its_own_link_is_open() -> None:
    wire = Wire()
    wire.add(A, Relay("a"))
    wire.add(B, Endpoint(entropy("b"), roles=(HIGH,)))
    wire.tell(A, Dial(B, HIGH, 5))
    wire.run(1)
    assert [n for _, n in wire.told[A]] == [Dialing(1, 5, B), Opened(1, 5, B, HIGH)]
    assert [n.message[1:] for _, n in wire.told[B] if isinstance(n, Received)] == [b"high"]


@pytest.mark.parametrize(
    ("kind", "reason"), [(BAD, Reason.PROTOCOL_ERROR), (NO, Reason.UNSUPPORTED)]
)
def test_a_message_that_is_not_valid_or_not_known_ends_its_link_alone(
    kind: int, reason: Reason
) -> None:
    stage = Stage()
    stage.join(A)
    stage.join(C)
    stage.wire.tell(A, Send(1, message(kind=kind)), Send(1, message(b"after")))
    stage.wire.run(1)
    assert stage.told(B, Closed) == [Closed(1, None, reason, Side.LOCAL)]
    assert stage.told(A, Closed) == [Closed(1, 0, reason, Side.PEER)]
    assert stage.told(B, Received) == []
    assert stage.heard(C) == [b"gone"]


def test_a_message_of_a_skippable_kind_is_skipped() -> None:
    stage = Stage()
    stage.join(A)
    stage.wire.tell(A, Send(1, message(kind=200)), Send(1, message(b"after")))
    stage.wire.run(1)
    assert stage.told(B, Closed) == []
    assert [one.message[1:] for one in stage.told(B, Received)] == [b"after"]


def test_a_peer_that_finishes_though_the_role_has_no_such_thing_is_given_up() -> None:
    stage = Stage()
    stage.join(A)
    stage.wire.tell(A, Finish(1))
    stage.wire.run(1)
    assert stage.told(B, Finished) == []
    assert stage.told(B, Closed) == [Closed(1, None, Reason.PROTOCOL_ERROR, Side.LOCAL)]


def test_after_a_link_was_given_up_only_outcomes_and_the_end_are_told() -> None:
    stage = Stage()
    stage.join(A)
    stage.wire.lose_from(A)
    stage.wire.tell(B, Send(1, message(b"lost?"), 4))
    stage.wire.run(DELAY * 4)
    stage.wire.lose_from()
    stage.wire.tell(A, Send(1, message(kind=QUIT)), Send(1, message(b"more")), Finish(1), Leave(1))
    stage.wire.run(1)
    told = [notice for _, notice in stage.wire.told[B]][1:]
    assert told[0] == Received(1, message(kind=QUIT)) or told[0] == Delivered(1, 4)
    assert {type(one) for one in told} == {Received, Delivered, Closed}
    assert told[-1] == Closed(1, None, Reason.SHUTTING_DOWN, Side.LOCAL)


def test_an_end_that_came_in_the_same_packet_as_its_cause_is_told_once_with_all_outcomes() -> None:
    stage = Stage()
    stage.join(A)
    stage.wire.lose_from(B)
    stage.wire.tell(B, Send(1, message(b"unheard"), 4))
    stage.wire.tell(A, Send(1, message(kind=QUIT)))
    (quit_packet,) = [one for one in stage.wire.flights if one.source == A][-1:]
    stage.wire.tell(A, Abort(1, 1))
    (close_packet,) = [one for one in stage.wire.flights if one.source == A][-1:]
    # Both lie in the socket when the machine is next asked.
    out: list[Action] = []
    for one in (quit_packet, close_packet):
        out += stage.relay.handle(Datagram(one.data, A), stage.wire.now)
    notices = [one for one in out if isinstance(one, Notice)]
    assert notices == [
        Received(1, message(kind=QUIT)),
        Undelivered(1, 4, Reason.SHUTTING_DOWN),
        Closed(1, None, Reason.SHUTTING_DOWN, Side.LOCAL),
    ]


def test_a_peer_that_takes_nothing_is_given_up_and_the_others_hear_all() -> None:
    stage = Stage(Limits(queue_messages=8))
    stage.join(A)
    stage.join(C)
    stage.wire.lose_from(C)
    for number in range(40):
        stage.wire.tell(A, Send(1, message(b"%d," % number + bytes(4000), RELAY)))
        stage.wire.run(0.1)
    stage.wire.run(1)
    stage.wire.lose_from()
    (closed,) = stage.told(B, Closed)
    assert (closed.link, closed.reason, closed.by) == (2, Reason.OVERWHELMED, Side.LOCAL)
    assert stage.told(B, Writable) == []
    assert [int(one.message[1:].split(b",")[0]) for one in stage.told(B, Received)] == list(
        range(40)
    )
    assert stage.heard(A) == [b"gone"]


def test_a_peer_whose_window_is_too_small_for_what_it_must_be_told_is_given_up() -> None:
    stage = Stage()
    stage.join(A)
    stage.join(C, limits=Limits(window=1024))
    stage.wire.tell(A, Send(1, message(bytes(2000), RELAY)))
    stage.wire.run(1)
    assert stage.told(C, Closed) == [Closed(1, 0, Reason.OVERWHELMED, Side.PEER)]
    assert stage.told(A, Closed) == []


def test_hundreds_that_take_nothing_fall_one_after_the_other_and_nothing_raises() -> None:
    stage = Stage(Limits(queue_messages=1, half_open_per_host=64))
    crowd = [(f"{n}.example", 1) for n in range(400)]
    for address in crowd:
        stage.wire.add(address, Endpoint(entropy(str(address))))
        stage.wire.tell(address, Dial(B, LOW))
        stage.wire.run(DELAY * 4)
    assert len(stage.relay.links) == 400
    # With the tick withheld every queue holds one, and each end is one more to be told of.
    out: list[Action] = []
    stage.relay.alarm = stage.wire.now
    stage.relay.handle(Send(1, message(b"x"), 7), stage.wire.now)
    for link in range(2, 401):
        stage.relay.handle(Send(link, message(b"x"), 7), stage.wire.now)
    out = stage.relay.handle(Tick(), stage.wire.now)
    ends = [one for one in out if isinstance(one, Closed)]
    assert [one.reason for one in ends] == [Reason.OVERWHELMED] * 400
    assert sum(isinstance(one, Undelivered) for one in out) == 400
    assert stage.relay.links == []


def test_what_a_role_says_because_of_a_tick_goes_out_with_that_tick() -> None:
    stage = Stage()
    stage.join(A)
    stage.join(C)
    stage.wire.remove(A)
    stage.wire.run(40)
    # The wire checks that no tick leaves the deadline in the past: A was seen dying by one.
    stage.wire.tell(B, Send(1, message(b"anyone?"), 1))
    stage.wire.run(40)
    assert [one.reason for one in stage.told(B, Closed)] == [Reason.DEAD]
    assert stage.heard(C) == [b"gone"]


def test_the_deadline_is_the_earlier_of_the_links_and_the_roles_own() -> None:
    assert Relay("a").deadline is None
    relay = Relay("b")
    relay.alarm = 50.0
    assert relay.deadline == 50.0
    relay.handle(Dial(A, LOW), 10.0)
    assert relay.deadline == 10.0
    relay.handle(Tick(), 10.0)
    assert relay.deadline == 10.25


@pytest.mark.parametrize("event", [Event(), Send(9, message()), Pause(9)])
def test_what_a_role_does_not_take_raises_and_changes_nothing(event: Event) -> None:
    relay = Relay("b")
    relay.handle(Dial(A, LOW), 10.0)
    key = relay.state_key(10.0)
    with pytest.raises(UsageError):
        relay.handle(event, 10.0)
    assert relay.state_key(10.0) == key
