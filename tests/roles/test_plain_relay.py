"""A group in plain text: who is a member, what each is sent, and how much of it."""

from __future__ import annotations

from typing import Any

import pytest
from test_plain_pair import only, sent

from palaver import (
    Action,
    Call,
    Datagram,
    Disband,
    Disconnect,
    Event,
    Going,
    MemberCame,
    MemberWent,
    PostRelayed,
    Reason,
    StreamEnded,
    Tick,
    Transmit,
    Unreachable,
    UsageError,
)
from palaver.machine import Chunk, StreamBlocked, StreamOpened
from palaver.roles.plain.events import Expel, Spread
from palaver.roles.plain.relay import HUSHED, PlainRelay
from palaver.roles.plain.rules import PlainRules
from palaver.wire.sealing import CLEAR

ANN, BOB, CY = ("10.0.0.1", 1), ("10.0.0.2", 2), ("10.0.0.3", 3)
RULES = PlainRules()


class Run:
    """A relay, its time, and what it did."""

    def __init__(self, **options: Any) -> None:  # noqa: ANN401 - of the machine
        self.relay = PlainRelay(**options)
        self.now = 0.0

    def do(self, event: Event) -> list[Action]:
        actions = self.relay.handle(event, self.now)
        while self.relay.deadline is not None and self.relay.deadline <= self.now:
            actions += self.relay.handle(Tick(), self.now)
        return actions

    def hear(self, data: bytes, source: tuple[str, int]) -> list[Action]:
        return self.do(Datagram(data, source))

    def meet(self, *addresses: tuple[str, int]) -> None:
        for address in addresses:
            self.hear(b"hi", address)


def to(actions: list[Action], address: tuple[str, int]) -> list[bytes]:
    return sent(
        [one for one in actions if isinstance(one, Transmit) and one.destination == address]
    )


def crowd(count: int) -> list[tuple[str, int]]:
    return [(f"10.1.{number}.1", 9) for number in range(count)]


@pytest.mark.smoke
@pytest.mark.spec("T-7")
def test_whoever_says_something_is_a_member_and_all_others_are_sent_it_once() -> None:
    run = Run()
    assert run.hear(b"Ryo : Hii", ANN) == [
        MemberCame(-1, "lobby", 0, "Ryo (plain)", 0, ANN, plain=True),  # type: ignore[arg-type]
        PostRelayed(-1, "lobby", 0, "Ryo (plain)", "Hii", plain=True),
    ]
    told = run.hear(b"Hilmi : Hii", BOB)
    assert to(told, ANN) == [b"Hilmi : Hii"]
    assert to(told, BOB) == []
    told = run.hear(b"Cy : hello", CY)
    assert [one.destination for one in only(told, Transmit)] == [ANN, BOB]
    assert sent(told) == [b"Cy : hello"] * 2
    assert run.relay.members() == ["Ryo (plain)", "Hilmi (plain)", "Cy (plain)"]


@pytest.mark.spec("T-2", "T-7")
def test_each_is_sent_line_ends_if_it_uses_them() -> None:
    run = Run()
    run.hear(b"Ann : hi", ANN)
    run.hear(b"from nc\n", BOB)
    told = run.hear(b"so?\n", CY)
    assert (to(told, ANN), to(told, BOB)) == ([b"so?"], [b"so?\n"])


@pytest.mark.spec("T-7")
def test_nobody_gives_orders_to_the_terminal_of_another() -> None:
    run = Run()
    run.meet(ANN, BOB)
    told = run.hear(b"\x1b[2J\x07a\nb\xff", ANN)
    assert to(told, BOB) == ["\ufffd[2J\ufffda b\ufffd".encode()]
    told = run.do(Spread("Eve", "\u202etxt\r\nBob : no"))
    assert to(told, BOB) == ["Eve : \ufffdtxt Bob : no".encode()]


@pytest.mark.spec("T-3")
def test_a_long_text_is_cut_and_says_so() -> None:
    run = Run()
    run.meet(ANN, BOB)
    (data,) = to(run.hear("ä".encode() * 3000, ANN), BOB)
    assert len(data) <= RULES.text
    assert data.decode().endswith("ä…")


def test_a_member_is_called_by_its_first_text_and_by_nothing_later() -> None:
    run = Run()
    run.hear(b"hello", ANN)
    (post,) = only(run.hear(b"Bob : hi", ANN), PostRelayed)
    assert (post.name, post.text) == ("10.0.0.1:1 (plain)", "Bob : hi")
    run.hear(b"Bob : hi", BOB)
    (post,) = only(run.hear(b"Eve : hi", BOB), PostRelayed)
    assert (post.name, post.text) == ("Bob (plain)", "Eve : hi")
    (came,) = only(run.hear(b"bob : hi", CY), MemberCame)
    assert came.name == "bob (plain)-2"
    (came,) = only(run.hear(b"x", ("fe80::1%eth0", 5)), MemberCame)
    assert came.name == "[fe80::1%eth0]:5 (plain)"


@pytest.mark.spec("T-8")
def test_exit_is_not_passed_on_and_ends_a_membership() -> None:
    run = Run()
    run.meet(ANN, BOB)
    told = run.hear(b"EXIT\n", ANN)
    assert sent(told) == []
    assert only(told, MemberWent) == [
        MemberWent(-1, "lobby", 0, "10.0.0.1:1 (plain)", Going.LEFT, Reason.LEFT, plain=True)
    ]
    assert sent(run.hear(b"alone?", BOB)) == []
    assert run.hear(b"exit", CY) == []


@pytest.mark.spec("T-8")
@pytest.mark.parametrize("address", [ANN, BOB])
def test_who_is_unreachable_or_silent_is_forgotten(address: tuple[str, int]) -> None:
    run = Run()
    run.meet(ANN, BOB)
    (went,) = only(run.do(Unreachable(address)), MemberWent)
    assert went.how is Going.LOST
    assert run.do(Unreachable(address)) == []
    run.now = RULES.silence / 2
    run.hear(b"here", CY)
    run.now = RULES.silence - 1
    assert run.do(Tick()) == []
    run.now = RULES.silence
    assert len(only(run.do(Tick()), MemberWent)) == 1
    assert run.relay.members() == ["10.0.0.3:3 (plain)"]


@pytest.mark.spec("T-8")
def test_a_relay_that_ends_says_exit_to_all_and_takes_no_more() -> None:
    run = Run()
    run.meet(ANN, BOB)
    told = run.do(Disband())
    assert sent(told) == [b"exit"] * 2
    assert len(only(told, MemberWent)) == 2
    assert run.hear(b"hi", ANN) == []
    assert run.relay.is_idle


@pytest.mark.spec("T-9")
def test_members_are_bounded_in_number_and_for_each_host() -> None:
    run = Run()
    for port in range(100):
        run.hear(b"hi", ("10.0.0.1", port))
    assert run.relay.stats()["members"] == RULES.members_per_host
    for address in crowd(200):
        run.hear(b"hi", address)
    assert run.relay.stats()["members"] == RULES.members
    run = Run()
    for port in range(100):
        run.hear(b"hi", (f"2001:db8::{port:x}", 9))
    assert run.relay.stats()["members"] == RULES.members_per_host


@pytest.mark.spec("T-9")
def test_one_who_is_silent_makes_place_but_newcomers_come_slowly() -> None:
    run = Run()
    run.meet(*crowd(RULES.members))
    assert run.hear(b"hi", ANN) == []
    run.now = RULES.yields_after
    told = run.hear(b"hi", ANN)
    assert [one.name for one in only(told, MemberWent)] == ["10.1.0.1:9 (plain)"]
    # The bucket has filled up again meanwhile; now it is used up, and then 2 come per second.
    came = 0
    for number in range(1000):
        run.now += 0.05
        came += len(only(run.hear(b"hi", (f"10.2.{number}.1", 9)), MemberCame))
    assert came <= RULES.newcomers_burst + 50 * RULES.newcomers + 1
    assert run.relay.stats()["members"] == RULES.members


@pytest.mark.spec("T-9")
def test_so_many_newcomers_come_at_once_and_then_so_many_per_second() -> None:
    run = Run(rules=PlainRules(newcomers=2, newcomers_burst=3))
    came = [bool(only(run.hear(b"hi", address), MemberCame)) for address in crowd(6)]
    assert came == [True] * 3 + [False] * 3
    run.now += 0.51
    came = [bool(only(run.hear(b"hi", address), MemberCame)) for address in crowd(6)]
    assert came == [False] * 3 + [True] + [False] * 2
    assert run.relay.stats()["turned_down"] == 5


@pytest.mark.spec("T-9")
def test_what_one_says_and_what_all_say_is_bounded() -> None:
    run = Run()
    run.meet(ANN, BOB)
    told: list[Action] = []
    for _ in range(1000):
        told += run.hear(b"flood", ANN)
    assert len(only(told, PostRelayed)) == RULES.posts_burst - 1
    run = Run()
    run.meet(*crowd(RULES.members))
    told = []
    for _ in range(RULES.posts_burst):
        for address in crowd(RULES.members):
            told += run.hear(b"flood", address)
    assert len(only(told, PostRelayed)) == RULES.posts_of_all_burst - RULES.members


@pytest.mark.spec("T-9")
def test_relays_that_a_forger_has_made_members_of_each_other_come_to_rest_or_stay_bounded() -> None:
    addresses = [("10.0.0.1", 9), ("10.0.0.2", 9), ("10.0.0.3", 9), ("10.0.0.4", 9)]
    relays = {address: PlainRelay() for address in addresses}
    for relay in relays.values():
        for other in addresses:
            if relays[other] is not relay:
                relay.handle(Datagram(b"forged", other), 0.0)
                relay.handle(Tick(), 0.0)
    carried = 0
    wire = [(addresses[0], addresses[1])]
    for step in range(2000):
        now = step / 100
        batch, wire = wire, []
        for source, destination in batch:
            carried += 1
            relays[destination].handle(Datagram(b"forged", source), now)
        for address, relay in relays.items():
            while relay.deadline is not None and relay.deadline <= now:
                for action in relay.handle(Tick(), now):
                    if isinstance(action, Transmit):
                        wire.append((address, action.destination))
    # 20 s: each of the 12 directions at the rate of one member, and its burst.
    assert carried <= 12 * 2 * (RULES.posts_burst + 20 * RULES.posts)


@pytest.mark.spec("T-10")
def test_one_forged_datagram_leads_to_so_much_and_no_more() -> None:
    run = Run()
    victim = ("192.0.2.1", 9)
    run.meet(*crowd(RULES.members - 1))
    told = run.hear(b"x", victim)
    assert len(sent(told)) == RULES.members - 1
    got: list[bytes] = []
    for number in range(5000):
        run.now += 0.1
        for address in (crowd(40)[number % 40], ANN):
            got += to(run.hear(b"y" * 200, address), victim)
    assert len(got) <= RULES.answers
    assert sum(map(len, got)) <= RULES.answer_bytes
    assert got[-1] == HUSHED.encode()


@pytest.mark.spec("T-10")
def test_who_was_told_to_say_something_hears_more_when_it_does() -> None:
    run = Run()
    run.meet(ANN, BOB)

    def chat(times: int) -> list[bytes]:
        got: list[bytes] = []
        for _ in range(times):
            run.now += 1.0
            got += to(run.hear(b"news", BOB), ANN)
        return got

    first = chat(100)
    # One went when Bob came.
    assert first == [b"news"] * (RULES.answers - 2) + [HUSHED.encode()]
    assert chat(10) == []
    run.hear(b"go on", ANN)
    assert chat(10) == [b"news"] * 10
    for _ in range(30):
        run.hear(b"and on", ANN)
        run.now += 1.0
    run.now -= 30.0
    got = chat(500)
    assert len(got) == RULES.answers_kept * RULES.answers
    # The bytes are bounded, too.
    run = Run()
    run.meet(ANN, BOB)
    long: list[bytes] = []
    for _ in range(60):
        run.now += 1.0
        long += to(run.hear(b"z" * 1000, BOB), ANN)
    assert long[-1] == HUSHED.encode()
    assert sum(map(len, long[:-1])) <= RULES.answer_bytes


@pytest.mark.spec("T-12")
def test_palaver_is_no_text_here() -> None:
    run = Run()
    assert run.hear(CLEAR.seal(b"\xf8" + bytes(80)), ANN) == []
    assert run.relay.stats()["foreign"] == 1
    assert only(run.hear(b"\xf8\xf9 in Latin-1", ANN), PostRelayed)


# Streams


def test_members_may_come_on_streams() -> None:
    run = Run(streams=True)
    for address in (ANN, BOB):
        assert run.do(StreamOpened(address)) == []
    assert only(run.do(Chunk(b"Ann : a\nAnn : b\nres", ANN)), PostRelayed)
    told = run.do(Chunk(b"Bob : x\n", BOB))
    assert to(told, ANN) == [b"Bob : x\n"]
    run.now += RULES.pause
    assert to(run.do(Tick()), BOB) == [b"res\n"]
    told = run.do(Chunk(b"bye", BOB))
    told += run.do(StreamEnded(BOB))
    # Her last text had no line end.
    assert to(told, ANN) == [b"bye"]
    assert [one.how for one in only(told, MemberWent)] == [Going.LEFT]
    assert run.do(Disband())[-1] == Disconnect(ANN)
    assert run.relay.stats()["streams"] == 0


def test_a_stream_is_sent_as_much_as_it_takes_and_proves_its_address() -> None:
    run = Run(streams=True)
    for address in (ANN, BOB):
        run.do(StreamOpened(address))
        run.do(Chunk(b"hi\n", address))
    got: list[bytes] = []
    for _ in range(1000):
        run.now += 1.0
        got += to(run.do(Chunk(b"news\n", BOB)), ANN)
    assert len(got) == 1000
    run.do(StreamBlocked(ANN, is_blocked=True))
    assert to(run.do(Chunk(b"lost\n", BOB)), ANN) == []
    run.do(StreamBlocked(ANN, is_blocked=False))
    assert to(run.do(Chunk(b"news\n", BOB)), ANN) == [b"news\n"]


def test_a_stream_that_was_ended_is_not_held_to_be_blocked_for_ever() -> None:
    run = Run(streams=True)
    for address in (ANN, BOB):
        run.do(StreamOpened(address))
        run.do(Chunk(b"hi\n", address))
    run.do(Chunk(b"exit\n", ANN))
    # What was under way to her had filled her stream: no driver tells more of it.
    run.do(StreamBlocked(ANN, is_blocked=True))
    run.do(StreamOpened(ANN))
    run.do(Chunk(b"back\n", ANN))
    assert to(run.do(Chunk(b"news\n", BOB)), ANN) == [b"news\n"]


def test_exit_on_a_stream_ends_it() -> None:
    run = Run(streams=True)
    run.do(StreamOpened(ANN))
    run.do(Chunk(b"hi\n", ANN))
    told = run.do(Chunk(b"exit\n", ANN))
    assert Disconnect(ANN) in told
    assert run.relay.stats()["streams"] == 0


def test_commands() -> None:
    run = Run()
    run.meet(ANN)
    (went,) = only(run.do(Expel(-1)), MemberWent)
    assert went.how is Going.DROPPED
    assert run.do(Expel(-1)) == []
    with pytest.raises(UsageError):
        run.do(Call(ANN))


@pytest.mark.spec("T-8")
@pytest.mark.parametrize("first", [b"hi\nexit\nhello\nrest", b"exit\nhello\n"])
def test_what_follows_exit_on_a_stream_makes_nobody_a_member(first: bytes) -> None:
    relay = PlainRelay(streams=True)
    address = ("10.0.0.1", 1)
    relay.handle(StreamOpened(address), 0.0)
    actions = relay.handle(Chunk(first, address), 0.0)
    assert sum(isinstance(one, MemberCame) for one in actions) == first.startswith(b"hi")
    assert relay.members() == []
    assert relay.handle(Tick(), 0.0) == [Disconnect(address)]
    assert relay.deadline is None
    assert relay.stats()["streams"] == 0


@pytest.mark.spec("T-10")
def test_the_word_that_no_more_comes_is_within_what_was_earned() -> None:
    rules = PlainRules()
    relay = PlainRelay(rules=rules)
    quiet, loud = ("10.0.0.1", 1), ("10.0.0.2", 1)
    relay.handle(Datagram(b"hi", quiet), 0.0)
    sent = []
    for number in range(400):
        now = number * 0.06
        relay.handle(Datagram(b"x" * 1024, loud), now)
        sent += [one for one in relay.handle(Tick(), now) if isinstance(one, Transmit)]
    to_quiet = [one.data for one in sent if one.destination == quiet]
    assert to_quiet[-1].startswith(b"* That is all for now")
    assert sum(map(len, to_quiet)) <= rules.answer_bytes
    assert len(to_quiet) <= rules.answers


@pytest.mark.spec("T-10")
def test_each_word_that_no_more_comes_counts_like_any_other() -> None:
    rules = PlainRules(answers=4)
    relay = PlainRelay(rules=rules)
    quiet, loud = ("10.0.0.1", 1), ("10.0.0.2", 1)
    sent: list[bytes] = []
    now = 0.0
    for came in range(1, 9):
        relay.handle(Datagram(b"hi", quiet), now)
        for _ in range(6):
            now += 0.1
            relay.handle(Datagram(b"news", loud), now)
            done = relay.handle(Tick(), now)
            sent += [
                one.data for one in done if isinstance(one, Transmit) and one.destination == quiet
            ]
        assert sent.count(HUSHED.encode()) == came
        assert len(sent) <= came * rules.answers
