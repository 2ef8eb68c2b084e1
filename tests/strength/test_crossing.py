"""Two who call each other at about the same moment (PROTOCOL.md, section 4.9)."""

from __future__ import annotations

import pytest
from strength_support import ANN, BOB, ONE_WAY, ROLE, RTT, Party, Stage, forged_hello

from palaver import (
    Address,
    Call,
    Closed,
    ConversationOpened,
    Delivered,
    Dial,
    Dialing,
    Duo,
    Leave,
    Opened,
    Overdue,
    Pause,
    Reason,
    Received,
    Resume,
    Said,
    Say,
    Send,
    Undelivered,
)
from palaver.sim import Faults
from palaver.wire.packets import Hello, Kind, decode_unsealed
from palaver.wire.sealing import CLEAR

OFFSETS = [step * RTT / 8 for step in range(12)]
"""When the second calls after the first: before the first's call can be open at its end."""
QUEUED = 3


def caller_id(hello: bytes) -> int:
    packet = CLEAR.open(hello)
    assert packet is not None
    decoded = decode_unsealed(packet)
    assert isinstance(decoded, Hello)
    return decoded.link


class Crossing:
    """Ann calls Bob, and Bob calls Ann; each says something before the call is answered."""

    def __init__(self, seed: int, faults: Faults, kind: str = "links") -> None:
        duo = kind == "people"
        self.stage = stage = Stage(seed, faults)
        self.parties: list[Party] = []
        for address in (ANN, BOB):
            if duo:
                machine = Duo(stage.sim.entropy(str(address)), name=address[0])
                self.parties.append(stage.add(address, machine))
            else:
                self.parties.append(stage.endpoint(address, always_cookie=kind == "cookies"))
        self.ann, self.bob = self.parties
        self.duo = duo

    def call(self, caller: Party, callee: Party, ref: int) -> None:
        """Let one call the other, and say what it has to say."""
        wish = Call(callee.address, ref) if self.duo else Dial(callee.address, ROLE, ref)
        self.stage.command(caller, wish)
        dialing = caller.notices(Dialing)[-1]
        assert (dialing.ref, dialing.address) == (ref, callee.address)
        caller.number = dialing.link
        for n in range(QUEUED):
            self.say(caller, n)

    def say(self, party: Party, n: int) -> None:
        text = f"{n} from {party.label}"
        if self.duo:
            self.stage.command(party, Say(party.number, text, n))
        else:
            self.stage.command(party, Send(party.number, b"\x11" + text.encode(), n))

    def opened(self, party: Party) -> list[tuple[int, int | None, Address]]:
        if self.duo:
            people = party.notices(ConversationOpened)
            return [(one.link, one.ref, one.address) for one in people]
        return [(one.link, one.ref, one.address) for one in party.notices(Opened)]

    def heard(self, party: Party, link: int) -> list[str]:
        if self.duo:
            return [one.text for one in party.notices(Said) if one.link == link]
        return [one.message[1:].decode() for one in party.notices(Received) if one.link == link]

    def check(self, case: str) -> None:
        """One conversation, which is what either side has called for; nothing lost or doubled."""
        for party, peer, ref in ((self.ann, self.bob, 10), (self.bob, self.ann, 20)):
            assert not party.notices(Closed), case
            assert not party.notices(Undelivered), case
            assert self.opened(party) == [(party.number, ref, peer.address)], case
            first = [f"{n} from {peer.label}" for n in range(QUEUED)]
            assert self.heard(party, party.number)[:QUEUED] == first, case
            delivered = [one.ref for one in party.notices(Delivered) if one.link == party.number]
            assert delivered[:QUEUED] == list(range(QUEUED)), case

    def converse(self, case: str) -> None:
        """Say more, on the link that came of it; then part."""
        for party in self.parties:
            for n in range(QUEUED, 2 * QUEUED):
                self.say(party, n)
        self.stage.sim.run_for(5)
        self.check(case)
        for party, peer in (self.parties, self.parties[::-1]):
            everything = [f"{n} from {peer.label}" for n in range(2 * QUEUED)]
            assert self.heard(party, party.number) == everything, case
        self.stage.command(self.ann, Leave(self.ann.number))
        self.stage.sim.run_for(10)
        for party in self.parties:
            ends = [(one.link, one.reason) for one in party.notices(Closed)]
            assert ends == [(party.number, Reason.LEFT)], case


def cross(seed: int, offset: float, faults: Faults, kind: str = "links") -> Crossing:
    crossing = Crossing(seed, faults, kind)
    crossing.call(crossing.ann, crossing.bob, 10)
    crossing.stage.sim.run_for(offset)
    crossing.call(crossing.bob, crossing.ann, 20)
    return crossing


@pytest.mark.smoke
@pytest.mark.spec("H-19", "H-20", "H-21")
@pytest.mark.parametrize("offset", OFFSETS)
@pytest.mark.parametrize("kind", ["links", "people", "cookies"])
def test_calls_that_cross_become_one_conversation(offset: float, kind: str) -> None:
    for seed in range(4):
        case = f"seed {seed}, offset {offset}"
        crossing = cross(seed, offset, Faults(delay=ONE_WAY), kind)
        crossing.stage.sim.run_for(1)
        crossing.check(case)
        crossing.converse(case)
        if kind != "people":
            assert [len(party.endpoint.links) for party in crossing.parties] == [0, 0], case


@pytest.mark.spec("H-19", "H-20", "H-21")
@pytest.mark.parametrize("offset", OFFSETS)
@pytest.mark.parametrize("kind", ["links", "cookies"])
def test_calls_that_cross_through_loss_become_one_conversation(offset: float, kind: str) -> None:
    for seed in range(25):
        case = f"seed {seed}, offset {offset}"
        crossing = cross(seed, offset, Faults(loss=0.2, delay=ONE_WAY, jitter=0.02), kind)
        crossing.stage.sim.run_for(8)
        crossing.check(case)
        if seed < 3:
            crossing.converse(case)


@pytest.mark.spec("H-19")
@pytest.mark.parametrize("seed", range(10))
def test_the_lower_caller_id_becomes_the_link(seed: int) -> None:
    crossing = cross(seed, 0.0, Faults(delay=ONE_WAY))
    hellos = [caller_id(party.sent[0].data) for party in crossing.parties]
    crossing.stage.sim.run_for(1)
    lower = hellos.index(min(hellos))
    answered = [[one.kind for one in party.sent].count(Kind.WELCOME) for party in crossing.parties]
    assert answered == [lower, 1 - lower]
    assert crossing.parties[lower].endpoint.links[1].local == min(hellos)
    assert crossing.parties[1 - lower].channel.remote == min(hellos)


@pytest.mark.spec("H-21")
@pytest.mark.parametrize("seed", range(50))
def test_who_calls_back_before_the_link_is_open_takes_the_higher_id(seed: int) -> None:
    crossing = cross(seed, ONE_WAY * 1.5, Faults(delay=ONE_WAY))
    first, second = (
        next(caller_id(one.data) for one in party.sent if one.kind is Kind.HELLO)
        for party in crossing.parties
    )
    assert second > first
    crossing.stage.sim.run_for(1)
    crossing.check(f"seed {seed}")


@pytest.mark.spec("H-19", "H-20")
def test_what_was_commanded_to_the_call_holds_for_the_link() -> None:
    for seed in range(6):
        for offset in (0.0, ONE_WAY / 2):
            case = f"seed {seed}, offset {offset}"
            crossing = Crossing(seed, Faults(delay=ONE_WAY))
            ann, bob = crossing.parties
            crossing.call(ann, bob, 10)
            crossing.stage.command(ann, Pause(ann.number))
            crossing.stage.sim.run_for(offset)
            crossing.call(bob, ann, 20)
            crossing.stage.command(bob, Pause(bob.number))
            crossing.stage.sim.run_for(2)
            for party in (ann, bob):
                assert not party.notices(Received), case
                crossing.stage.command(party, Resume(party.number))
                crossing.stage.sim.run_for(1)
            crossing.check(case)


@pytest.mark.spec("H-19", "H-20")
@pytest.mark.parametrize("first", ["ann", "bob"])
def test_a_call_that_was_given_up_no_longer_crosses(first: str) -> None:
    for seed in range(6):
        crossing = cross(seed, 0.0, Faults(delay=ONE_WAY))
        party, other = crossing.parties if first == "ann" else crossing.parties[::-1]
        crossing.stage.command(party, Leave(party.number))
        crossing.stage.sim.run_for(3)
        # The other's call stands, and is answered as any call is.
        assert [one.reason for one in party.notices(Closed)] == [Reason.CANCELLED], f"seed {seed}"
        opened = party.notices(Opened)
        assert [one.ref for one in opened] == [None], f"seed {seed}"
        assert [one.ref for one in other.notices(Opened)] in ([10], [20]), f"seed {seed}"
        heard = crossing.heard(party, opened[0].link)
        assert heard == [f"{n} from {other.label}" for n in range(QUEUED)], f"seed {seed}"


@pytest.mark.spec("H-19", "H-20", "H-21", "H-7")
@pytest.mark.parametrize("loss", [0.0, 0.2])
@pytest.mark.parametrize("crossed", [False, True], ids=["one call", "two calls"])
def test_forged_hellos_never_end_a_call(crossed: bool, loss: float) -> None:
    """Somebody says HELLO in the name of the called one, with ids high and low, all the time."""
    for seed in range(8):
        case = f"seed {seed}"
        crossing = Crossing(seed, Faults(loss=loss, delay=ONE_WAY))
        stage, (ann, bob) = crossing.stage, crossing.parties

        def forge(times: int, stage: Stage = stage, ann: Party = ann, bob: Party = bob) -> None:
            for _ in range(times):
                for victim, name in ((ann, BOB), (bob, ANN)):
                    ids = (1, 2**64 - 1, 1 + stage.random.below(2**64 - 1))
                    hello = forged_hello(ids[stage.random.below(3)])
                    stage.inject(victim, hello, name)
                stage.sim.run_for(stage.random.fraction() * 0.02)

        forge(2)
        crossing.call(ann, bob, 10)
        if crossed:
            forge(1)
            crossing.call(bob, ann, 20)
        forge(60)
        stage.sim.run_for(8)
        if crossed:
            crossing.check(case)
        for party in crossing.parties:
            assert not party.notices(Closed), case
            assert len(party.notices(Opened)) == 1, case
        assert [one.ref for one in ann.notices(Opened)] == [10], case
        stage.sim.run_for(31)
        assert [party.tables["half_open"] for party in crossing.parties] == [0, 0], case
        assert [party.tables["links"] for party in crossing.parties] == [1, 1], case


@pytest.mark.spec("H-19")
def test_a_forged_hello_in_the_name_of_the_called_one_neither_stops_nor_slows_the_call() -> None:
    for caller in (1, 2**64 - 1):
        stage = Stage(0)
        ann, bob = stage.endpoint(ANN), stage.endpoint(BOB)
        stage.call(ann, bob, ref=10)
        for _ in range(20):
            stage.inject(ann, forged_hello(caller), BOB)
        stage.sim.run_for(RTT)
        assert ann.notices(Opened) == [Opened(1, 10, BOB, ROLE)], f"caller id {caller}"


@pytest.mark.spec("H-19")
def test_a_call_for_another_role_or_from_another_port_does_not_cross() -> None:
    for seed in range(6):
        stage = Stage(seed)
        ann = stage.endpoint(ANN, roles=("one", "two"))
        bob = stage.endpoint(BOB, roles=("one", "two"))
        port: Address = (BOB[0], BOB[1] + 1)
        other = stage.endpoint(port, roles=("one", "two"))
        stage.command(ann, Dial(BOB, "one", 1))
        stage.command(bob, Dial(ANN, "two", 2))
        stage.command(other, Dial(ANN, "one", 3))
        stage.sim.run_for(2)
        links = {(one.address, one.role, one.ref) for one in ann.notices(Opened)}
        expected = {(BOB, "one", 1), (BOB, "two", None), (port, "one", None)}
        assert links == expected, f"seed {seed}"
        links = {(one.address, one.role, one.ref) for one in bob.notices(Opened)}
        assert links == {(ANN, "one", None), (ANN, "two", 2)}, f"seed {seed}"
        assert [one.ref for one in other.notices(Opened)] == [3], f"seed {seed}"


@pytest.mark.spec("H-20", "L-4")
def test_what_was_overdue_before_the_calls_crossed_is_not_told_again() -> None:
    for seed in range(6):
        crossing = Crossing(seed, Faults(loss=1.0))
        crossing.call(crossing.ann, crossing.bob, 10)
        crossing.call(crossing.bob, crossing.ann, 20)
        crossing.stage.sim.run_for(11)
        crossing.stage.sim.set_faults(Faults(delay=ONE_WAY))
        crossing.stage.sim.run_for(12)
        crossing.check(f"seed {seed}")
        for party in crossing.parties:
            overdue = [one.ref for one in party.notices(Overdue)]
            assert overdue == list(range(QUEUED)), f"seed {seed}"


@pytest.mark.spec("H-19", "H-20")
@pytest.mark.parametrize("who", ["both", "one"])
def test_calls_cross_although_all_places_are_taken(who: str) -> None:
    """A link that takes the place of one's own call needs no place for callers."""
    for seed in range(6):
        crossing = Crossing(seed, Faults(delay=ONE_WAY))
        stage, (ann, bob) = crossing.stage, crossing.parties
        full = [bob] if who == "one" else [ann, bob]
        for party in full:
            party.endpoint.max_inbound = 1
            guest = stage.endpoint((f"guest of {party.label}", 1), roles=())
            stage.call(guest, party)
            stage.sim.run_for(1)
        guests = {party.label: len(party.notices(Opened)) for party in crossing.parties}
        crossing.call(ann, bob, 10)
        crossing.call(bob, ann, 20)
        stage.sim.run_for(10)
        for party, ref in ((ann, 10), (bob, 20)):
            opened = party.notices(Opened)[guests[party.label] :]
            assert [one.ref for one in opened] == [ref], f"seed {seed}"
            assert not party.notices(Closed), f"seed {seed}"


@pytest.mark.spec("H-19")
def test_one_who_accepts_no_calls_can_still_be_called_by_whom_it_calls() -> None:
    """The callee's call is refused, for it is one of a role that is not answered; ours stands."""
    for seed in range(6):
        stage = Stage(seed)
        ann = stage.add(ANN, Duo(stage.sim.entropy("ann"), name="Ann", accept=False))
        bob = stage.add(BOB, Duo(stage.sim.entropy("bob"), name="Bob"))
        stage.command(ann, Call(BOB, 10))
        stage.command(bob, Call(ANN, 20))
        stage.sim.run_for(3)
        assert [one.ref for one in ann.notices(ConversationOpened)] == [10], f"seed {seed}"
        assert len(bob.notices(ConversationOpened)) == 1, f"seed {seed}"
