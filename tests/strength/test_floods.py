"""Thousands of callers that don't exist, and one that does (PROTOCOL.md, sections 4.5 and 8.5)."""

from __future__ import annotations

from collections import Counter

import pytest
from strength_support import (
    ANN,
    BOB,
    CARL,
    ONE_WAY,
    ROLE,
    RTT,
    Chat,
    Party,
    Stage,
    forged_hello,
    weight,
)

from palaver import (
    Address,
    Closed,
    Datagram,
    Dial,
    Endpoint,
    Limits,
    Opened,
    Reason,
    Send,
    Tick,
    Transmit,
)
from palaver.sim import SeededRandom
from palaver.wire.packets import (
    DATA_HEADER,
    Cookie,
    Hello,
    Kind,
    Refuse,
    Welcome,
    decode_unsealed,
    pad,
)
from palaver.wire.sealing import CLEAR

Reply = Hello | Cookie | Welcome | Refuse


def spoofed(count: int) -> list[Address]:
    """Give that many addresses, each of a host of its own."""
    return [(f"10.9.{n >> 8}.{n & 255}", 1024 + n) for n in range(count)]


class Flood:
    """Datagrams that arrive from addresses which send none, some each time."""

    def __init__(self, stage: Stage, victim: Party, hosts: int = 1000) -> None:
        self.stage = stage
        self.victim = victim
        self.random = SeededRandom(stage.seed).fork("flood")
        self.hosts = spoofed(hosts)
        self.sent = 0
        self.peaks: Counter[str] = Counter()

    def hello(self) -> bytes:
        return forged_hello(1 + self.random.below(2**64 - 1))

    def pour(self, datagrams: int) -> None:
        """Let HELLOs with ever new ids arrive, and DATA for links that are not there."""
        random = self.random
        for n in range(datagrams):
            data = self.hello()
            if (self.sent + n) % 8 == 0:
                stray = DATA_HEADER.pack(Kind.DATA, 1 + random.below(2**64 - 1), n)
                data = CLEAR.seal(stray + b"\x04\0\0")
            source = self.hosts[random.below(len(self.hosts))]
            self.stage.sim.inject(self.victim.address, data, source)
        self.sent += datagrams
        self.stage.sim.run_for(0)
        for name, size in self.victim.tables.items():
            self.peaks[name] = max(self.peaks[name], size)


@pytest.mark.smoke
@pytest.mark.spec("H-3", "H-17", "L-10", "L-11", "L-14")
@pytest.mark.parametrize("seed", range(2))
def test_a_flood_from_a_thousand_hosts_stops_neither_a_chat_nor_an_honest_caller(
    seed: int,
) -> None:
    chat = Chat(seed)
    stage, bob = chat.stage, chat.bob
    carl, limits = stage.endpoint(CARL), Limits()
    stage.sim.run_for(30)
    before, held = bob.tables, weight(bob.machine)
    flood = Flood(stage, bob)
    called_at = 0.0
    for turn, _ in enumerate(chat.steps(5.0)):
        for party in chat.parties:
            chat.say(party)
        flood.pour(100)
        if turn == 100:
            called_at = stage.now
            stage.command(carl, Dial(BOB, ROLE, 7), Send(1, b"\x10hello", 1))
        due = bob.deadline
        assert due is None or due >= stage.now
    assert flood.sent >= 20_000
    assert flood.peaks["half_open"] == limits.half_open
    assert flood.peaks["links"] <= limits.half_open + 2
    assert flood.peaks["hosts"] <= 1024
    assert flood.peaks["waiting"] == flood.peaks["tombstones"] == 0
    # Nobody who talked has noticed, and Carl paid one round trip for a cookie.
    opened = [(time, one) for time, one in carl.told if isinstance(one, Opened)]
    assert [one.ref for _, one in opened] == [7]
    assert opened[0][0] - called_at == pytest.approx(2 * RTT)
    assert len(bob.notices(Opened)) == 2
    assert not bob.notices(Closed)
    # And when it is over, it is as if nothing had been.
    stage.sim.run_for(40)
    chat.finish()
    assert chat.slowest < ONE_WAY + 0.001
    assert bob.tables == before | {"links": before["links"] + 1}
    assert weight(bob.machine) <= held + weight(bob.link) + 10  # its entries in the tables
    due = bob.deadline
    assert due is not None
    assert due > stage.now


@pytest.mark.spec("H-17", "L-10", "L-11", "L-14")
@pytest.mark.parametrize("seed", range(2))
def test_after_a_flood_an_endpoint_without_links_wants_no_tick_and_holds_nothing(
    seed: int,
) -> None:
    stage = Stage(seed)
    bob = stage.endpoint(BOB)
    assert bob.deadline is None
    empty = weight(bob.machine)
    flood = Flood(stage, bob)
    for _ in range(100):
        flood.pour(30)
        stage.sim.run_for(0.05)
    # HELLOs of one caller that never stops are forgotten too.
    endless = flood.hello()
    for _ in range(8):
        stage.inject(bob, endless, ANN)
        stage.sim.run_for(4)
    assert bob.tables["half_open"] <= 1
    stage.sim.run_for(40)
    assert set(bob.tables.values()) == {0}
    assert bob.deadline is None
    assert bob.endpoint.is_idle
    assert weight(bob.machine) <= empty + 4
    assert not bob.told


@pytest.mark.spec("L-10")
@pytest.mark.parametrize(("every", "lives"), [(100.0, 10.0), (9.0, 30.0), (0.5, 30.0)])
def test_a_half_open_link_lives_for_its_time_and_no_longer(every: float, lives: float) -> None:
    stage = Stage(0)
    bob = stage.endpoint(BOB)
    hello = forged_hello(5)
    stage.inject(bob, hello, ANN)
    asked = 0.0
    welcomes = set()
    while stage.now < lives - 0.001:
        assert bob.tables["half_open"] == 1
        stage.sim.run_until(min(asked + every, lives - 0.001))
        if stage.now == asked + every:
            asked = stage.now
            stage.inject(bob, hello, ANN)
        welcomes.add(bob.sent[-1].data)
    stage.sim.run_until(lives + 0.001)
    assert bob.tables["half_open"] == 0
    assert len(welcomes) == 1


# Honest callers


@pytest.mark.spec("H-15", "H-17", "L-11")
@pytest.mark.parametrize("loss", [0.0, 0.2])
@pytest.mark.parametrize("seed", range(6))
def test_all_honest_callers_get_in_through_a_flood(seed: int, loss: float) -> None:
    chat = Chat(seed)
    stage, bob = chat.stage, chat.bob
    flood = Flood(stage, bob)
    flood.pour(300)
    callers = [stage.endpoint((f"honest{n}.example", 1)) for n in range(20)]
    for caller in callers:
        for ends in ((caller.address, BOB), (BOB, caller.address)):
            path = stage.sim.path(*ends)
            path.faults = type(path.faults)(loss=loss, delay=ONE_WAY)
        stage.call(caller, bob)
    began = stage.now
    for _ in range(100):
        flood.pour(10)
        stage.sim.run_for(0.03)
    took = [time - began for one in callers for time, told in one.told if type(told) is Opened]
    assert len(took) == 20
    assert max(took) < (2.5 * RTT if not loss else 2.5)
    chat.finish()
    assert len(bob.notices(Opened)) == 21


@pytest.mark.spec("H-17", "L-11", "L-14")
@pytest.mark.parametrize("rate", [50, 300, 1000])
@pytest.mark.parametrize("seed", range(3))
def test_who_forges_in_the_name_of_a_host_does_not_keep_its_callers_out(
    seed: int, rate: int
) -> None:
    """They take the half-open links of that host, but not the cookies that its callers need."""
    stage = Stage(seed)
    bob, carl = stage.endpoint(BOB), stage.endpoint(CARL)
    flood = Flood(stage, bob)
    flood.hosts = [(CARL[0], 1024 + n) for n in range(5000) if 1024 + n != CARL[1]]
    for turn in range(150):
        if turn == 50:
            stage.call(carl, bob)
        flood.pour(rate // 50)
        stage.sim.run_for(0.02)
    ((opened_at, _),) = [(time, one) for time, one in carl.told if isinstance(one, Opened)]
    assert opened_at - 1.0 < 1.0
    assert flood.peaks["half_open"] == Limits().half_open_per_host


@pytest.mark.spec("H-17", "L-11")
def test_a_proved_caller_takes_the_place_of_the_oldest_unproved_one() -> None:
    clock, bob = Clock(), Bob()
    # 64 of them, each of another host; then one with a cookie.
    first = [forged_hello(100 + n) for n in range(64)]
    for hello, source in zip(first, spoofed(64), strict=True):
        assert type(bob.answer(hello, source, clock.pass_by(0.01))) is Welcome
    cookie = bob.answer(forged_hello(9), CARL, clock.now)
    assert type(cookie) is Cookie
    assert bob.half_open == 64
    proved = forged_hello(9, cookie=cookie.cookie)
    assert type(bob.answer(proved, CARL, clock.pass_by(0.05))) is Welcome
    assert bob.half_open == 64
    # The oldest has gone: its HELLO needs a cookie now. The others are as they were.
    assert type(bob.answer(first[0], spoofed(1)[0], clock.now)) is Cookie
    for hello, source in list(zip(first, spoofed(64), strict=True))[1:]:
        assert type(bob.answer(hello, source, clock.now)) is Welcome
    # The proved one stays, whoever proves itself after it.
    for n in range(63):
        source = (f"172.16.0.{n}", 1)
        asked = bob.answer(forged_hello(1000 + n), source, clock.now)
        assert type(asked) is Cookie, n
        answered = bob.answer(forged_hello(1000 + n, cookie=asked.cookie), source, clock.now)
        assert type(answered) is Welcome, n
    assert bob.half_open == 64
    assert type(bob.answer(proved, CARL, clock.now)) is Welcome
    # All are proved now: one more is dropped, cookie or not.
    late = ("172.17.0.1", 1)
    asked = bob.answer(forged_hello(5000), late, clock.now)
    assert type(asked) is Cookie
    assert bob.answer(forged_hello(5000, cookie=asked.cookie), late, clock.now) is None
    assert bob.half_open == 64


@pytest.mark.spec("H-17", "L-11")
@pytest.mark.parametrize(
    "hosts",
    [["1.2.3.4"], ["::ffff:1.2.3.4", "1.2.3.4"], ["2001:db8::1", "2001:db8:0:0:ffff::2"]],
    ids=["IPv4", "mapped", "IPv6"],
)
def test_a_proved_caller_takes_a_place_of_its_own_host_when_that_has_enough(
    hosts: list[str],
) -> None:
    clock, bob = Clock(), Bob()
    others = [(f"10.0.0.{n}", 1) for n in range(20)]
    for n, source in enumerate(others):
        assert type(bob.answer(forged_hello(500 + n), source, clock.pass_by(0.01))) is Welcome
    mine = [(hosts[n % len(hosts)], 1 + n) for n in range(9)]
    for n, source in enumerate(mine[:8]):
        assert type(bob.answer(forged_hello(1 + n), source, clock.pass_by(0.01))) is Welcome
    asked = bob.answer(forged_hello(9), mine[8], clock.now)
    assert type(asked) is Cookie
    assert type(bob.answer(forged_hello(9, cookie=asked.cookie), mine[8], clock.now)) is Welcome
    assert bob.half_open == 28
    # The oldest of this host has gone, and nobody else, although others are older.
    assert type(bob.answer(forged_hello(1), mine[0], clock.now)) is Cookie
    for n, source in enumerate(mine[1:8]):
        assert type(bob.answer(forged_hello(2 + n), source, clock.now)) is Welcome
    for n, source in enumerate(others):
        assert type(bob.answer(forged_hello(500 + n), source, clock.now)) is Welcome
    # With eight that are proved, there is no place for one more of this host, but for others.
    for n in range(7):
        caller = forged_hello(50 + n)
        asked = bob.answer(caller, mine[n], clock.pass_by(0.1))
        assert type(asked) is Cookie
        good = forged_hello(50 + n, cookie=asked.cookie)
        assert type(bob.answer(good, mine[n], clock.now)) is Welcome
    asked = bob.answer(forged_hello(99), mine[0], clock.now)
    assert type(asked) is Cookie
    assert bob.answer(forged_hello(99, cookie=asked.cookie), mine[0], clock.now) is None
    assert type(bob.answer(forged_hello(99), ("10.1.1.1", 1), clock.now)) is Welcome


# Cookies


class Clock:
    """Virtual time for a machine that is talked to directly."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def pass_by(self, seconds: float) -> float:
        self.now += seconds
        return self.now


class Bob:
    """An endpoint, and what it replies to each HELLO."""

    def __init__(self, *, always_cookie: bool = False, max_inbound: int = 65535) -> None:
        self.endpoint = Endpoint(
            SeededRandom(1).bytes,
            roles=(ROLE, "other"),
            always_cookie=always_cookie,
            max_inbound=max_inbound,
        )

    @property
    def half_open(self) -> int:
        return self.endpoint.stats()["half_open"]

    def answer(self, hello: bytes, source: Address, now: float) -> Reply | None:
        """Give the one reply to a HELLO, if there is one: it is not larger, and goes back."""
        replies = self.take(hello, source, now)
        if not replies:
            return None
        (reply,) = replies
        opened = CLEAR.open(reply)
        assert opened is not None
        decoded = decode_unsealed(opened)
        assert isinstance(decoded, Cookie | Welcome | Refuse)
        return decoded

    def take(self, data: bytes, source: Address, now: float) -> list[bytes]:
        """Give what a datagram causes, up to the tick after it."""
        actions = self.endpoint.handle(Datagram(data, source), now)
        due = self.endpoint.deadline
        if due is not None and due <= now:
            actions += self.endpoint.handle(Tick(), now)
        replies = []
        for action in actions:
            assert isinstance(action, Transmit)
            assert action.destination == source
            replies.append(action.data)
        assert sum(map(len, replies)) <= len(data)
        return replies


@pytest.mark.spec("H-17")
@pytest.mark.parametrize("phase", [0.0, 0.001, 5.0, 9.999])
def test_a_cookie_is_good_for_ten_seconds_and_never_for_more_than_twenty(phase: float) -> None:
    ages = (0.0, 1.0, 9.99, 20.001, 25.0, 60.0)
    for age in ages:
        clock, bob = Clock(1000.0 + phase), Bob(always_cookie=True)
        first = bob.answer(forged_hello(7), CARL, clock.now)
        assert type(first) is Cookie
        again = bob.answer(forged_hello(7, cookie=first.cookie), CARL, clock.pass_by(age))
        if age < 10:
            assert type(again) is Welcome, age
            continue
        # Out of date, and so asked for again; the new one is good.
        assert type(again) is Cookie, age
        assert again.cookie != first.cookie
        assert bob.half_open == 0
        answer = bob.answer(forged_hello(7, cookie=again.cookie), CARL, clock.now)
        assert type(answer) is Welcome


@pytest.mark.spec("H-17")
def test_a_cookie_is_good_for_one_address_and_one_hello_only() -> None:
    def hello(cookie: bytes, **other: object) -> bytes:
        fields = {"link": 7, "role": ROLE, "mtu": 1200, "credit": 262144} | other
        versions = fields.pop("versions", (1,))
        made = Hello(versions=versions, profiles=(0,), cookie=cookie, **fields)  # type: ignore[arg-type]
        return CLEAR.seal(pad(made, 64).encode())

    clock, bob = Clock(), Bob(always_cookie=True)
    good = bob.answer(hello(b""), CARL, clock.now)
    assert type(good) is Cookie
    for source in (BOB, (CARL[0], CARL[1] + 1), (CARL[0] + "x", CARL[1]), ("", 0)):
        assert type(bob.answer(hello(good.cookie), source, clock.now)) is Cookie, source
    for other in (
        {"link": 8},
        {"role": "other"},
        {"mtu": 1199},
        {"credit": 262143},
        {"versions": (1, 2)},
    ):
        assert type(bob.answer(hello(good.cookie, **other), CARL, clock.now)) is Cookie, other
    for bit in range(0, 128, 7):
        wrong = (int.from_bytes(good.cookie, "big") ^ 1 << bit).to_bytes(16, "big")
        assert type(bob.answer(hello(wrong), CARL, clock.pass_by(0.1))) is Cookie, bit
    for length in (1, 8, 15):
        asked = bob.answer(hello(good.cookie[:length]), CARL, clock.pass_by(0.1))
        assert type(asked) is Cookie, length
    assert bob.half_open == 0
    assert type(bob.answer(hello(good.cookie), CARL, clock.now)) is Welcome


@pytest.mark.spec("H-17")
def test_a_caller_with_a_stale_cookie_is_asked_again_and_gets_in() -> None:
    """The answer to its second HELLO comes half a minute late."""
    stage = Stage(3)
    bob, carl = stage.endpoint(BOB, always_cookie=True), stage.endpoint(CARL)
    stage.call(carl, bob)
    stage.sim.run_until(lambda: bob.stats["cookies_sent"] == 1)
    stage.sim.run_for(ONE_WAY)
    stage.sim.partition(CARL, BOB)
    stage.sim.run_for(30)
    stage.sim.heal()
    stage.sim.run_for(12)
    assert len(carl.notices(Opened)) == 1
    assert bob.stats["cookies_sent"] == 2


# Of no use for flooding others


@pytest.mark.spec("H-3", "L-14")
@pytest.mark.parametrize("kind", ["cookie", "refuse", "reset"])
@pytest.mark.parametrize(
    "sources",
    [[("1.2.3.4", 5)], [("2001:db8::", 5), ("2001:db8::1:2:3:4", 6)]],
    ids=["IPv4", "IPv6"],
)
def test_a_host_gets_twenty_replies_at_once_and_then_twenty_a_second(
    kind: str, sources: list[Address]
) -> None:
    """Or fifty times as many, if they are cookies."""
    clock, bob = Clock(), Bob(always_cookie=kind == "cookie")
    times = []
    share = 50 if kind == "cookie" else 1
    for n in range(6000 if share > 1 else 3000):
        clock.pass_by(0.002 if share == 1 else 0.0005)
        if kind == "reset":
            data = CLEAR.seal(DATA_HEADER.pack(Kind.DATA, 77 + n, n) + b"\x04\0\0")
        else:
            data = forged_hello(1 + n, "nobody" if kind == "refuse" else ROLE)
        if bob.take(data, sources[n % len(sources)], clock.now):
            times.append(clock.now)
    # In any stretch of time, no more than the burst and the rate allow.
    for first in range(0, len(times), 5 * share):
        for last in range(first, len(times)):
            assert last - first + 1 <= (20 + 20 * (times[last] - times[first])) * share + 1e-6
    seconds = 3 if share > 1 else 6
    assert len(times) == pytest.approx((20 + 20 * seconds) * share, abs=2 * share)
    assert bob.half_open == 0
    # Another host has its own.
    assert bob.take(forged_hello(5), ("5.6.7.8", 9), clock.now)


@pytest.mark.spec("H-2", "H-3", "P-1")
def test_no_reply_is_ever_larger_than_its_cause() -> None:
    """Whatever HELLO it is, and in whatever state the callee is: `Bob.take` looks."""
    random, hosts = SeededRandom(5), spoofed(50)
    for full in (False, True):
        clock = Clock()
        bob = Bob(max_inbound=0 if full else 65535)
        kinds: Counter[Kind] = Counter()
        for n in range(5000):
            role = (ROLE, "x", "a-role-of-16-byt")[random.below(3)]
            cookie = random.bytes(random.below(17)) if random.chance(0.3) else b""
            hello = Hello(1 + n, (1 + random.below(2),), (0,), role, 1200, 9999, cookie)
            size = (64, 65, 64 + random.below(400), 40)[random.below(4)]
            data = CLEAR.seal(pad(hello, size).encode())
            if random.chance(0.05):
                data = data[: random.below(len(data))]
            source = hosts[random.below(50)]
            replies = bob.take(data, source, clock.pass_by(random.fraction() * 0.02))
            assert len(data) >= 64 or not replies
            kinds.update(Kind(reply[0]) for reply in replies)
        expected = {Kind.COOKIE, Kind.REFUSE} | (set() if full else {Kind.WELCOME})
        assert set(kinds) == expected


@pytest.mark.spec("L-12", "L-14")
def test_a_flood_for_links_that_are_not_there_is_answered_within_bounds_and_forgotten() -> None:
    stage = Stage(1)
    bob = stage.endpoint(BOB)
    random, hosts = stage.random, spoofed(3000)
    for _ in range(100):
        for n in range(50):
            packet = DATA_HEADER.pack(Kind.DATA, 1 + random.below(2**64 - 1), n)
            data = CLEAR.seal(packet + bytes((0x80, 0, random.below(9))) + bytes(8))
            stage.sim.inject(BOB, data, hosts[random.below(3000)])
        stage.sim.run_for(0.02)
        assert bob.tables["hosts"] <= 1024
    assert {one.kind for one in bob.sent} == {Kind.RESET}
    assert all(len(one.data) == 17 for one in bob.sent)
    assert len(bob.sent) <= 5000
    stage.sim.run_for(2)
    assert set(bob.tables.values()) == {0}
    assert bob.deadline is None


@pytest.mark.spec("H-12", "H-18", "L-14")
def test_a_flood_to_a_full_listener_ends_nothing_and_turns_nobody_away_for_good() -> None:
    chat = Chat(4, max_inbound=1)
    stage, ann, bob = chat.stage, chat.ann, chat.bob
    stage.sim.run_for(5)
    seen = len(bob.to(ANN))
    flood = Flood(stage, bob)
    for _ in range(50):
        flood.pour(100)
        stage.sim.run_for(0.02)
    # None of them has proved an address: Ann was not asked for a sign of life.
    assert len(bob.to(ANN)) == seen
    assert flood.peaks["waiting"] == flood.peaks["half_open"] == 0
    carl = stage.endpoint(CARL)
    stage.call(carl, bob)
    stage.sim.run_for(1)
    assert [one.reason for one in carl.notices(Closed)] == [Reason.BUSY]
    chat.finish()
    assert len(ann.notices(Opened)) == 1
