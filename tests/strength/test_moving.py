"""Links whose ends move while others forge, replay and pass on (PROTOCOL.md, section 8.8)."""

from __future__ import annotations

import pytest
from strength_support import (
    ANN,
    BOB,
    CARL,
    CHALLENGE_SIZE,
    EVE,
    LOSSY,
    ONE_WAY,
    QUIET,
    RTT,
    Chat,
    Flight,
    Party,
    Stage,
    message,
    weight,
)

from palaver import Abort, Address, Closed, Leave, Opened, Reason, Received, Send, Side
from palaver.link.states import State
from palaver.sim import Faults, SeededRandom
from palaver.sim.faults import flip_bits
from palaver.wire.frames import PathChallenge, PathResponse, Ping
from palaver.wire.packets import Kind, Reset
from palaver.wire.sealing import CLEAR

ELSEWHERE: Address = ("elsewhere.example", 4444)
MALLORY: Address = ("mallory.example", 667)


def step(stage: Stage, party: Party, number: int) -> None:
    """Give a party the next port."""
    stage.move(party, (party.address[0], party.address[1] + number))


def challenges_to(party: Party, destination: Address) -> list[Flight]:
    return [flight for flight in party.to(destination) if flight.is_challenge]


# The conversation goes on


@pytest.mark.smoke
@pytest.mark.spec("P-7", "L-16")
@pytest.mark.parametrize("mover", ["ann", "bob"])
@pytest.mark.parametrize("seed", range(5))
def test_a_conversation_hardly_pauses_when_a_port_changes(seed: int, mover: str) -> None:
    chat = Chat(seed)
    party, other = chat.parties if mover == "ann" else chat.parties[::-1]
    chat.run(0.5)
    chat.stage.sim.run_for(seed * 0.004)
    step(chat.stage, party, 1)
    chat.run(1.5)
    chat.finish()
    assert chat.slowest < 0.3
    assert other.channel.address == party.address
    assert (other.stats["moves"], party.stats["moves"]) == (1, 0)


@pytest.mark.spec("L-16", "L-19")
@pytest.mark.parametrize("mover", ["ann", "bob"])
@pytest.mark.parametrize("seed", range(8))
def test_a_conversation_that_moves_through_loss_pauses_for_some_round_trips(
    seed: int, mover: str
) -> None:
    chat = Chat(seed, LOSSY)
    party, other = chat.parties if mover == "ann" else chat.parties[::-1]
    chat.run(0.5)
    step(chat.stage, party, 1)
    chat.run(2.0)
    chat.finish()
    assert chat.slowest < 20 * 2 * ONE_WAY
    assert other.channel.address == party.address


@pytest.mark.spec("L-16", "L-19")
@pytest.mark.parametrize("faults", [QUIET, LOSSY], ids=["quiet", "lossy"])
@pytest.mark.parametrize("seed", range(4))
def test_both_sides_move_in_turn_and_back_again(seed: int, faults: Faults) -> None:
    chat = Chat(seed, faults, every=0.04)
    ann, bob = chat.parties
    for place in (1, 2, -1, 3, -5):
        step(chat.stage, ann, place)
        chat.run(0.8 + 0.2 * chat.stage.random.fraction())
        step(chat.stage, bob, place)
        chat.run(0.8 + 0.2 * chat.stage.random.fraction())
    chat.finish()
    assert (ann.address, bob.address) == (ANN, BOB)
    assert (ann.channel.address, bob.channel.address) == (BOB, ANN)
    assert chat.slowest < (0.3 if faults is QUIET else 1.5)
    assert min(ann.stats["moves"], bob.stats["moves"]) >= 5


@pytest.mark.spec("L-2", "L-16")
@pytest.mark.parametrize("faults", [QUIET, LOSSY], ids=["quiet", "lossy"])
@pytest.mark.parametrize("seed", range(3))
def test_who_only_listens_is_found_again_before_it_is_taken_for_dead(
    seed: int, faults: Faults
) -> None:
    chat = Chat(seed, faults, every=0.5)
    chat.run(3, chat.bob)
    # From now on nothing reaches Ann, and nothing tells her so, but she sends her keepalive.
    step(chat.stage, chat.ann, 1)
    chat.run(28, chat.bob)
    chat.finish()
    assert 10 < chat.slowest < 25
    assert chat.bob.channel.address == chat.ann.address


@pytest.mark.spec("L-16", "L-19")
@pytest.mark.parametrize("one_way", [0.04, 0.075, 0.15, 0.3, 0.6, 1.0])
@pytest.mark.parametrize("loss", [0.0, 0.2])
def test_a_conversation_follows_to_a_much_slower_path(loss: float, one_way: float) -> None:
    """As from a cable to a satellite: the round trip becomes many times the probe timeout."""
    faults = Faults(loss=loss, delay=ONE_WAY)
    chat = Chat(1, faults, every=0.1)
    slow = Faults(loss=loss, delay=one_way)
    for ends in ((BOB, ELSEWHERE), (ELSEWHERE, BOB)):
        chat.stage.sim.path(*ends).faults = slow
    chat.stage.move(chat.ann, ELSEWHERE)
    chat.run(10)
    chat.finish(patience=30)
    assert chat.bob.channel.address == ELSEWHERE
    assert chat.slowest < (4 * one_way + 0.3 if not loss else 8 * one_way + 2)


@pytest.mark.spec("L-16")
@pytest.mark.parametrize("seed", range(3))
def test_a_link_can_be_closed_from_elsewhere(seed: int) -> None:
    chat = Chat(seed)
    chat.run(0.3)
    step(chat.stage, chat.ann, 1)
    chat.say(chat.ann)
    chat.stage.command(chat.ann, Leave(chat.ann.number))
    chat.stage.sim.run_for(5)
    said = len(chat.said[chat.ann.label])
    assert [number for _, number in chat.heard(chat.bob)] == list(range(said))
    assert chat.bob.notices(Closed) == [Closed(1, None, Reason.LEFT, Side.PEER)]
    assert chat.ann.notices(Closed) == [Closed(1, 0, Reason.LEFT, Side.LOCAL)]
    # The last words of a link that has moved go to where its peer went, and to nobody else.
    tombstones = chat.bob.tables["tombstones"], chat.ann.tables["tombstones"]
    assert tombstones == (1, 1)
    late = next(one for one in chat.ann.sent if one.kind is Kind.DATA)
    for source, words in ((ANN, 0), (EVE, 0), (chat.ann.address, 1)):
        seen = len(chat.bob.sent)
        chat.stage.inject(chat.bob, late.data, source)
        assert [one.destination for one in chat.bob.sent[seen:]] == [source] * words


# What moves nothing


@pytest.mark.spec("L-1", "L-16")
@pytest.mark.parametrize("seed", range(3))
def test_what_is_not_the_newest_makes_nobody_a_candidate(seed: int) -> None:
    chat = Chat(seed)
    stage, ann, bob = chat.stage, chat.ann, chat.bob
    chat.run(0.5)
    stage.sim.run_for(1)
    before = [flight.data for flight in ann.to(BOB) if flight.kind is Kind.DATA]
    older = [ann.forge(Ping(), size=200) for _ in range(5)]
    stage.inject(bob, ann.forge(Ping()), ANN)
    # Replayed, and overtaken, and each of them twice.
    for data in [*before, *older, *older]:
        stage.inject(bob, data, EVE)
    stage.sim.run_for(5)
    assert bob.to(EVE) == []
    assert bob.channel.address == ANN
    chat.finish()


@pytest.mark.spec("L-16", "L-18")
@pytest.mark.parametrize("seed", range(3))
def test_who_passes_on_the_newest_packet_is_asked_until_the_next_one_comes(seed: int) -> None:
    chat = Chat(seed)
    stage, ann, bob = chat.stage, chat.ann, chat.bob
    stage.sim.run_for(1)
    late = ann.reserve()
    chat.say(ann)
    stage.inject(bob, ann.sent[-1].data, EVE)  # faster than the wire
    assert [flight.is_challenge for flight in bob.to(EVE)] == [True]
    challenge = bob.to(EVE)[0]
    assert len(challenge.data) == CHALLENGE_SIZE
    # The original is a copy now, and makes no difference.
    stage.sim.run_for(ONE_WAY + 0.001)
    wait = bob.channel.recovery.rtt.probe_timeout()
    chat.say(ann)
    stage.sim.run_for(5 * wait)
    assert len(bob.to(EVE)) == 1
    # What would have proved the address comes too late.
    stage.inject(bob, ann.forge(PathResponse(challenge.token), number=late), EVE)
    assert bob.channel.address == ANN
    # If it is passed on again, it is asked again.
    chat.say(ann)
    stage.inject(bob, ann.sent[-1].data, EVE)
    assert len(bob.to(EVE)) == 2
    chat.say(ann)
    chat.finish()
    assert len(bob.to(EVE)) == 2
    assert bob.stats["moves"] == 0


@pytest.mark.spec("L-16", "L-19")
@pytest.mark.parametrize("seed", range(3))
def test_three_challenges_then_it_is_forgotten_and_may_be_named_again(seed: int) -> None:
    chat = Chat(seed)
    stage, ann, bob = chat.stage, chat.ann, chat.bob
    stage.sim.run_for(1)
    tokens = set()
    for attempt in range(3):
        late = ann.reserve()
        stage.inject(bob, ann.forge(Ping(), size=300), EVE)
        wait = bob.channel.recovery.rtt.probe_timeout()
        began = stage.now
        stage.sim.run_for(5)
        asked = challenges_to(bob, EVE)[3 * attempt :]
        assert len(bob.to(EVE)) == 3 * (attempt + 1)
        assert [one.time - began for one in asked] == pytest.approx([0, wait, 2 * wait])
        tokens |= {one.token for one in asked}
        # It is over: what was right before has no effect.
        stage.inject(bob, ann.forge(PathResponse(asked[0].token), number=late), EVE)
        assert bob.channel.address == ANN
        assert len(bob.to(EVE)) == 3 * (attempt + 1)
    assert len(tokens) == 1
    # The next one is answered in time.
    late = ann.reserve()
    stage.inject(bob, ann.forge(Ping(), size=300), EVE)
    stage.inject(bob, ann.forge(PathResponse(*tokens), number=late), EVE)
    assert bob.channel.address == EVE
    assert bob.stats["moves"] == 1


@pytest.mark.spec("L-16", "L-19")
def test_a_response_that_comes_after_all_patience_names_the_candidate_and_proves_it() -> None:
    chat = Chat(4)
    stage, ann, bob = chat.stage, chat.ann, chat.bob
    stage.sim.run_for(1)
    stage.inject(bob, ann.forge(Ping(), size=300), EVE)
    stage.sim.run_for(5)
    assert len(bob.to(EVE)) == 3
    # From elsewhere it proves nothing, though it is the newest packet.
    token = bob.to(EVE)[0].token
    stage.inject(bob, ann.forge(PathResponse(token)), MALLORY)
    assert bob.channel.address == ANN
    stage.inject(bob, ann.forge(PathResponse(token)), EVE)
    assert bob.channel.address == EVE
    # Nobody can tell how long the way is: the response may answer any of the three.
    assert bob.channel.recovery.rtt.minimum is None


@pytest.mark.spec("F-5", "L-19")
@pytest.mark.parametrize("source", [EVE, ANN, MALLORY], ids=["there", "home", "third"])
@pytest.mark.parametrize("right", [True, False], ids=["right", "wrong"])
def test_only_the_right_token_from_the_right_address_moves_a_link(
    source: Address, right: bool
) -> None:
    chat = Chat(1)
    stage, ann, bob = chat.stage, chat.ann, chat.bob
    stage.sim.run_for(1)
    early = ann.reserve()
    stage.inject(bob, ann.forge(Ping(), size=300), EVE)
    token = bob.to(EVE)[-1].token if right else b"12345678"
    # The response is older than what makes the candidate, so that it makes none itself.
    stage.inject(bob, ann.forge(PathResponse(token), number=early), source)
    moved = right and source == EVE
    assert bob.channel.address == (EVE if moved else ANN)
    assert bob.stats["moves"] == moved


def flip(data: bytes, bit: int) -> bytes:
    return (int.from_bytes(data, "big") ^ 1 << bit).to_bytes(len(data), "big")


@pytest.mark.spec("F-5")
def test_no_bit_of_the_token_may_be_wrong_nor_may_it_be_that_of_another_candidate() -> None:
    chat = Chat(2)
    stage, ann, bob = chat.stage, chat.ann, chat.bob
    stage.sim.run_for(1)
    first = ann.reserve(64)
    stage.inject(bob, ann.forge(Ping(), size=300), EVE)
    token = bob.to(EVE)[-1].token
    for bit in range(64):
        lie = PathResponse(flip(token, bit))
        stage.inject(bob, ann.forge(lie, number=first + bit), EVE)
    assert bob.channel.address == ANN
    # Another candidate takes its place; a token is good for one of them only.
    stage.inject(bob, ann.forge(Ping(), size=300), MALLORY)
    stage.inject(bob, ann.forge(PathResponse(token)), MALLORY)
    assert bob.channel.address == ANN
    stage.inject(bob, ann.forge(PathResponse(bob.to(MALLORY)[-1].token)), MALLORY)
    assert bob.channel.address == MALLORY


@pytest.mark.spec("L-16", "L-17")
@pytest.mark.parametrize("seed", range(20))
def test_an_unproved_address_never_gets_more_bytes_than_came_from_it(seed: int) -> None:
    """Two strangers get hold of packets of any size and order, and the peer is silent."""
    chat = Chat(seed)
    stage, ann, bob = chat.stage, chat.ann, chat.bob
    random = stage.random
    stage.sim.run_for(1)
    candidate: Address | None = None
    highest, since = ann.channel.number - 1, 0
    came: dict[Address, int] = {}
    spare: list[bytes] = []
    for _ in range(200):
        source = (EVE, MALLORY)[random.below(2)]
        if spare and random.chance(0.4):
            data = spare.pop(random.below(len(spare)))
        else:
            if random.chance(0.3):
                spare.append(ann.forge(size=20 + random.below(100)))
            data = ann.forge(size=20 + random.below(60) * random.below(2))
        number = int.from_bytes(data[9:13], "big")
        if number > highest:
            highest = number
            if candidate != source:
                candidate, came[source], since = source, 0, len(bob.sent)
        if candidate == source:
            came[source] += len(data)
        stage.inject(bob, data, source)
        if random.chance(0.2):
            stage.sim.run_for(random.fraction() / 2)
        went = [one for one in bob.sent[since:] if one.destination == candidate]
        assert candidate is not None
        assert sum(len(one.data) for one in went) <= came[candidate], f"seed {seed}: {went}"
        strays = [one for one in bob.sent if one.destination in {EVE, MALLORY}]
        assert all(one.is_challenge for one in strays), f"seed {seed}"
    assert bob.channel.address == ANN


@pytest.mark.spec("F-5", "L-17")
def test_an_answer_to_a_stranger_counts_as_sent_to_it() -> None:
    chat = Chat(9)
    stage, ann, bob = chat.stage, chat.ann, chat.bob
    stage.sim.run_for(1)
    challenge = ann.forge(PathChallenge(b"12345678"))
    stage.inject(bob, challenge, EVE)
    stage.sim.run_for(5)
    assert [one.frames for one in bob.to(EVE)] == [[PathResponse(b"12345678")]]
    assert len(bob.to(EVE)[0].data) == len(challenge)


# Challenges, seen from the other side


@pytest.mark.spec("F-5")
@pytest.mark.parametrize("source", [BOB, EVE], ids=["home", "elsewhere"])
@pytest.mark.parametrize("size", [CHALLENGE_SIZE, 200, 1200])
def test_a_challenge_is_answered_by_one_packet_to_where_it_came_from(
    source: Address, size: int
) -> None:
    chat = Chat(3)
    stage, ann, bob = chat.stage, chat.ann, chat.bob
    stage.sim.run_for(1)
    seen = len(ann.sent)
    challenge = bob.forge(PathChallenge(b"a token!"), size=size)
    assert len(challenge) == size
    in_flight = ann.channel.recovery.packets.copy()
    for _ in range(3):
        stage.inject(ann, challenge, source)
    answer = [one for one in ann.sent[seen:] if one.frames == [PathResponse(b"a token!")]]
    assert [one.destination for one in answer] == [source]
    assert answer[0].time == stage.now
    assert len(answer[0].data) == CHALLENGE_SIZE
    assert ann.channel.recovery.packets == in_flight, "a response is not in flight"
    stage.sim.run_for(5)
    # Nothing else of that kind follows, nor does anything but challenges go to a stranger.
    others = [one for one in ann.sent[seen:] if one is not answer[0]]
    assert not [one for one in others if any(type(f) is PathResponse for f in one.frames)]
    assert all(one.is_challenge for one in others if one.destination == EVE)
    assert ann.channel.address == BOB
    chat.finish()


@pytest.mark.spec("F-5")
def test_challenges_that_come_together_are_each_answered() -> None:
    chat = Chat(4)
    stage, ann, bob = chat.stage, chat.ann, chat.bob
    stage.sim.run_for(1)
    seen = len(ann.sent)
    asked = [(b"token %02d" % n, (BOB, BOB, EVE, BOB)[n]) for n in range(4)]
    for token, source in asked:
        stage.sim.inject(ann.address, bob.forge(PathChallenge(token)), source)
    stage.sim.run_for(0)
    answers = [
        (frame.token, one.destination)
        for one in ann.sent[seen:]
        for frame in one.frames
        if isinstance(frame, PathResponse)
    ]
    assert sorted(answers) == sorted(asked)


# Links that are not open


@pytest.mark.spec("P-7", "H-7")
def test_a_half_open_link_does_not_move() -> None:
    stage = Stage(5)
    bob, carl = stage.endpoint(BOB), stage.endpoint(CARL)
    stage.call(carl, bob)
    stage.command(carl, Send(1, message(bytes(200)), 1))
    stage.sim.run_until(lambda: bob.tables["half_open"] == 1)
    stage.sim.run_until(lambda: bool(carl.notices(Opened)))
    first = next(one for one in carl.sent if one.kind is Kind.DATA)
    seen = len(bob.sent)
    for source in (EVE, ("carl.example", 3001)):
        stage.inject(bob, first.data, source)
    assert bob.sent[seen:] == []
    assert not bob.notices(Opened)
    assert bob.tables["half_open"] == 1
    assert bob.stats["foreign"] == 2
    stage.sim.run_for(1)  # the original
    assert [one.address for one in bob.notices(Opened)] == [CARL]
    assert len(bob.notices(Received)) == 1


@pytest.mark.spec("L-16", "L-17")
@pytest.mark.parametrize("state", [State.LAST_ACK, State.LINGERING])
def test_a_link_that_is_nearly_over_goes_to_no_stranger(state: State) -> None:
    chat = Chat(6)
    stage, ann, bob = chat.stage, chat.ann, chat.bob
    stage.sim.run_for(1)
    stage.command(bob if state is State.LINGERING else ann, Leave(1))
    stage.sim.run_until(lambda: bob.link.state is state)
    for _ in range(3):
        stage.inject(bob, ann.forge(Ping(), size=300), EVE)
    assert (bob.link.state, bob.channel.address) == (state, ANN)
    stage.sim.run_for(5)
    # A few challenges, and nothing else: it may have been Ann, with something to say still.
    frames = [frame for one in bob.to(EVE) for frame in one.frames]
    assert {type(frame) for frame in frames} == {PathChallenge}
    assert 1 <= len(bob.to(EVE)) <= 3
    assert bob.notices(Closed)[-1].graceful


@pytest.mark.spec("P-7", "L-16")
def test_a_link_that_ends_asks_its_candidate_nothing_more() -> None:
    chat = Chat(7)
    stage, ann, bob = chat.stage, chat.ann, chat.bob
    stage.sim.run_for(1)
    stage.command(bob, Leave(1))
    stage.sim.run_for(2 * ONE_WAY - 0.005)
    assert bob.link.state is State.CLOSING
    stage.inject(bob, ann.forge(Ping(), size=300), EVE)
    asked = len(bob.to(EVE))
    assert asked == 1
    stage.command(bob, Abort(1))
    stage.sim.run_for(5)
    assert len(bob.to(EVE)) == asked


# What is forgotten with the old path, and what is kept


@pytest.mark.spec("L-19")
@pytest.mark.parametrize("seed", range(3))
def test_a_move_begins_the_measuring_anew(seed: int) -> None:
    chat = Chat(seed, every=0.01, size=1000)
    stage, ann, bob = chat.stage, chat.ann, chat.bob
    for _ in range(60):
        chat.say(bob)
    stage.sim.run_until(lambda: bob.channel.outbox.is_empty)
    assert bob.channel.recovery.congestion.window > 12_000
    for _ in range(30):
        chat.say(bob)
    # Not so long that a second challenge goes out.
    round_trip = bob.channel.recovery.rtt.probe_timeout() - 0.001
    slow = Faults(delay=round_trip / 2)
    stage.sim.path(BOB, ELSEWHERE).faults = stage.sim.path(ELSEWHERE, BOB).faults = slow
    stage.move(ann, ELSEWHERE)
    lost = len(bob.channel.recovery.packets)
    assert lost >= 20
    chat.say(ann)
    said_at = stage.now
    stage.sim.run_until(lambda: bob.channel.address == ELSEWHERE)
    assert stage.now == pytest.approx(said_at + round_trip * 1.5)
    recovery = bob.channel.recovery
    assert recovery.rtt.minimum == pytest.approx(round_trip)
    assert recovery.rtt.smoothed == pytest.approx(round_trip)
    assert recovery.rtt.variation == pytest.approx(round_trip / 2)
    assert recovery.congestion.window == 10 * 1200
    # All that was in flight is lost and goes out again, as far as the window lets it.
    assert all(packet.sent_at == stage.now for packet in recovery.packets.values())
    assert 10 * 1200 <= recovery.congestion.in_flight < 11 * 1200
    again = [one for one in bob.to(ELSEWHERE) if not one.is_challenge]
    assert {one.time for one in again} == {stage.now}
    # The window doubles at first, as on any new path.
    stage.sim.run_for(0.3)
    assert recovery.congestion.window >= 20 * 1200
    chat.finish()


@pytest.mark.spec("L-19")
def test_if_one_challenge_was_not_enough_the_round_trip_is_unknown() -> None:
    chat = Chat(1)
    stage, ann, bob = chat.stage, chat.ann, chat.bob
    stage.sim.run_for(1)
    before = bob.channel.recovery.rtt.smoothed
    stage.sim.path(BOB, ELSEWHERE).cut = True
    stage.move(ann, ELSEWHERE)
    chat.say(ann)
    stage.sim.run_until(lambda: len(challenges_to(bob, ELSEWHERE)) == 1)
    stage.sim.path(BOB, ELSEWHERE).cut = False
    stage.sim.run_until(lambda: bob.channel.address == ELSEWHERE)
    rtt = bob.channel.recovery.rtt
    assert len(challenges_to(bob, ELSEWHERE)) == 2
    assert rtt.minimum is None
    assert rtt.smoothed == before
    assert rtt.variation == before / 2
    chat.say(bob)
    stage.sim.run_for(1)
    assert rtt.minimum == pytest.approx(RTT, abs=0.026)
    chat.finish()


@pytest.mark.spec("P-7", "H-6", "L-13")
@pytest.mark.parametrize("seed", range(3))
def test_resets_and_hellos_count_from_the_new_address_and_no_longer_from_the_old(
    seed: int,
) -> None:
    chat = Chat(seed)
    stage, ann, bob = chat.stage, chat.ann, chat.bob
    stage.move(ann, ELSEWHERE)
    chat.run(0.5)
    chat.stage.sim.run_for(1)
    assert bob.channel.address == ELSEWHERE
    hello, welcome = ann.sent[0], bob.sent[0]
    assert (hello.kind, welcome.kind) == (Kind.HELLO, Kind.WELCOME)
    tables, held = bob.tables, weight(bob.machine)
    stage.inject(bob, hello.data, ELSEWHERE)
    assert (bob.sent[-1].data, bob.sent[-1].destination) == (welcome.data, ELSEWHERE)
    assert (bob.tables, weight(bob.machine)) == (tables, held)
    stage.sim.partition(BOB, ELSEWHERE)
    chat.say(bob)
    number = bob.channel.number - 1
    reset = CLEAR.seal(Reset(bob.channel.remote, number).encode())
    for source in (ANN, EVE):
        stage.inject(bob, reset, source)
        assert not bob.notices(Closed)
    stage.inject(bob, reset, ELSEWHERE)
    assert [one.reason for one in bob.notices(Closed)] == [Reason.RESET]
    assert bob.tables["links"] == 0


# Under fire


class Crossfire:
    """Strangers who see what passes between the two, and send it on: late, early, twice, damaged.

    They see what they are sent themselves too, but make no use of it: who did could read and
    forge as he likes.
    """

    def __init__(self, chat: Chat, strangers: int, early: float = 0.3) -> None:
        self.chat = chat
        self.random = SeededRandom(chat.seed).fork("crossfire")
        self.early = early
        self.strangers: list[Address] = [(f"10.0.0.{n}", 1024 + n) for n in range(strangers)]
        self.shots = 0
        self.tapped: dict[str, list[bytes]] = {party.label: [] for party in chat.parties}
        self.seen = [0, 0]
        # Bytes of undamaged packets that a stranger was first to bring, by victim and stranger.
        self.came: dict[tuple[str, Address], int] = {}

    def shoot(self, shots: int) -> None:
        """Pass some of the packets on that were just sent, and send the victims much besides."""
        ann, bob = self.chat.parties
        for index, (sender, victim) in enumerate(((ann, bob), (bob, ann))):
            fresh = sender.sent[self.seen[index] :]
            self.seen[index] = len(sender.sent)
            for flight in fresh:
                if flight.destination == victim.address:
                    self.tapped[victim.label].append(flight.data)
                    if self.random.chance(self.early):
                        self._send(victim, flight.data)
            for _ in range(shots):
                self._send(victim, self._something(self.tapped[victim.label]))
        self.chat.stage.sim.run_for(0)

    def _something(self, tapped: list[bytes]) -> bytes:
        random = self.random
        data = tapped[-1 - random.below(min(len(tapped), 1500))]
        kind = random.below(5)
        if kind == 0:
            return data[: random.below(len(data))]
        if kind == 1:
            return flip_bits(data, 1 + random.below(3), random)
        if kind == 2:
            return data + random.bytes(1 + random.below(4))
        if kind == 3:
            return random.bytes(1 + random.below(60))
        return data

    def _send(self, victim: Party, data: bytes) -> None:
        source = self.strangers[self.random.below(len(self.strangers))]
        self.shots += 1
        if CLEAR.open(data) is not None and data[0] == Kind.DATA:
            number = int.from_bytes(data[9:13], "big")
            if victim.channel.arrivals.is_fresh(number):
                key = (victim.label, source)
                self.came[key] = self.came.get(key, 0) + len(data)
        self.chat.stage.sim.inject(victim.address, data, source)

    def check(self) -> None:
        """The strangers got no more than they paid for, and nothing that was said."""
        for party in self.chat.parties:
            for stranger in self.strangers:
                went = [one for one in party.to(stranger) if one.kind is Kind.DATA]
                assert all(one.is_challenge for one in went), party.label
                size = sum(len(one.data) for one in went)
                assert size <= self.came.get((party.label, stranger), 0), party.label
        assert any(self.came.values())


@pytest.mark.spec("P-4", "L-1", "L-16", "L-17", "L-18", "R-2")
@pytest.mark.parametrize("faults", [QUIET, LOSSY], ids=["quiet", "lossy"])
@pytest.mark.parametrize("seed", range(2))
def test_under_fire_from_many_sides_a_conversation_stays_where_it_is(
    seed: int, faults: Faults
) -> None:
    chat = Chat(seed, faults)
    stage, ann, bob = chat.stage, chat.ann, chat.bob
    stage.sim.run_for(5)
    weights = [weight(party.machine) for party in chat.parties]
    tables = [party.tables for party in chat.parties]
    fire = Crossfire(chat, strangers=30)
    for _ in chat.steps(4.0):
        for party in chat.parties:
            chat.say(party)
        fire.shoot(50)
        for party in chat.parties:
            assert party.tables["half_open"] <= 64
            assert weight(party.machine) < 3000, party.label
    assert fire.shots > 20_000
    fire.check()
    chat.finish(patience=40)
    assert chat.slowest < (RTT if faults is QUIET else 1.0)
    assert (ann.channel.address, bob.channel.address) == (BOB, ANN)
    assert (ann.stats["moves"], bob.stats["moves"]) == (0, 0)
    assert [party.tables for party in chat.parties] == tables
    for party, before in zip(chat.parties, weights, strict=True):
        assert weight(party.machine) <= before + 4, party.label
    assert max(len(one) for one in (bob.notices(Opened), ann.notices(Opened))) == 1


@pytest.mark.spec("L-16", "L-19")
@pytest.mark.parametrize("mover", ["ann", "bob"])
@pytest.mark.parametrize("seed", range(4))
def test_under_fire_from_many_sides_a_conversation_can_still_move(seed: int, mover: str) -> None:
    chat = Chat(seed, LOSSY)
    party, other = chat.parties if mover == "ann" else chat.parties[::-1]
    fire = Crossfire(chat, strangers=5, early=0.1)
    for turn, _ in enumerate(chat.steps(4.0)):
        if turn == 50:
            step(chat.stage, party, 1)
        for talker in chat.parties:
            chat.say(talker)
        fire.shoot(5)
    chat.finish()
    assert chat.slowest < 1.5
    assert other.channel.address == party.address


def test_a_relay_of_the_challenge_alone_proves_nothing() -> None:
    """Eve passes the newest packet on, and the challenge that she gets to the peer."""
    chat = Chat(8)
    stage, ann, bob = chat.stage, chat.ann, chat.bob
    stage.sim.run_for(1)
    for _ in range(5):
        chat.say(ann)
        stage.inject(bob, ann.sent[-1].data, EVE)
        challenge = bob.to(EVE)[-1]
        stage.inject(ann, challenge.data, BOB)
        answer = ann.sent[-1]
        assert answer.frames == [PathResponse(challenge.token)]
        assert answer.destination == BOB  # and so it comes from Ann's address
        stage.sim.run_for(0.5)
    chat.finish()
    assert bob.channel.address == ANN
    assert bob.stats["moves"] == 0
