"""Peers that lie about which links are twins, or that know nothing of it (section 6.3)."""

from __future__ import annotations

import pytest
from pairs import DELAY, C, entropy
from twin_support import ANN, BOB, NatWire, decode

from palaver import (
    Address,
    Call,
    Closed,
    ConversationOpened,
    Dial,
    Duo,
    Endpoint,
    Event,
    Finish,
    Leave,
    Notice,
    Reason,
    Received,
    Said,
    Send,
    Timing,
)
from palaver.link.states import State
from palaver.wire.duo import (
    MAX_TWINS,
    ROLE,
    Introduce,
    LinkIds,
    Same,
    Text,
    Twin,
    prove_twins,
)
from palaver.wire.frames import Segment

HOLD, YOUNG = Timing().twin_hold, Timing().twin_young
HELLO = Introduce("Rob").encode()


class Liars:
    """Ann, and at BOB and at C endpoints that say what a test wants; Ann calls the one at BOB."""

    def __init__(self, places: int = 4) -> None:
        self.wire = NatWire()
        self.wire.add(ANN, Duo(entropy("ann"), name="Ann", max_conversations=places))
        for address in (BOB, C):
            self.wire.add(address, Endpoint(entropy(address[0]), roles=(ROLE,)))
        self.wire.tell(ANN, Call(BOB, 10))

    @property
    def ann(self) -> Duo:
        machine = self.wire.machines[ANN]
        assert isinstance(machine, Duo)
        return machine

    def call(self, caller: Address) -> int:
        (dialing,) = self.wire.tell(caller, Dial(ANN, ROLE))
        number: int = dialing.link  # type: ignore[attr-defined]
        return number

    def say(
        self, who: Address, number: int, *messages: bytes, then: tuple[Event, ...] = ()
    ) -> None:
        self.wire.tell(who, *(Send(number, one, None) for one in messages), *then)

    def answered(self, who: Address, number: int) -> int:
        """Give the number of Ann's link at who she called."""
        endpoint = self.wire.machines[who]
        assert isinstance(endpoint, Endpoint)
        (found,) = [one for one in endpoint.links if one != number]
        return found

    def ids(self, who: Address, number: int) -> LinkIds:
        endpoint = self.wire.machines[who]
        assert isinstance(endpoint, Endpoint)
        link = endpoint.links[number]
        local, remote = link.local, link.channel.remote
        return LinkIds(local, remote) if link.callee is None else LinkIds(remote, local)

    def heard(self, who: Address, number: int) -> list[object]:
        told = [one for _, one in self.wire.told[who] if isinstance(one, Received)]
        return [decode(one.message) for one in told if one.link == number]

    def told(self) -> list[Notice]:
        return [one for _, one in self.wire.told[ANN]]

    def opened(self) -> list[tuple[int, int | None]]:
        return [(one.link, one.ref) for one in self.told() if isinstance(one, ConversationOpened)]

    def closed(self, who: Address) -> list[int]:
        return [one.reason for _, one in self.wire.told[who] if isinstance(one, Closed)]


def ready() -> tuple[Liars, int, int]:
    """Let Ann's call and one by her peer be open; give their numbers at the peer."""
    liars = Liars()
    mine = liars.call(BOB)
    liars.say(BOB, mine, HELLO)
    liars.wire.run(3 * DELAY)
    hers = liars.answered(BOB, mine)
    liars.say(BOB, hers, HELLO)
    liars.wire.run(DELAY)
    return liars, hers, mine


@pytest.mark.spec("M-7", "M-8", "M-9")
def test_who_speaks_as_the_document_says_becomes_one_conversation_with_ann() -> None:
    """Written from the document: what a peer has to say, and to hear."""
    liars, hers, mine = ready()
    about = prove_twins(liars.ids(BOB, hers), liars.ids(BOB, mine))
    assert Twin(about) in liars.heard(BOB, hers)
    mirror = prove_twins(liars.ids(BOB, mine), liars.ids(BOB, hers))
    liars.say(BOB, hers, Same(about, yes=True).encode())
    liars.say(BOB, mine, Text("1").encode(), Twin(mirror).encode())
    liars.wire.run(2 * DELAY)
    assert Same(mirror, yes=True) in liars.heard(BOB, mine)
    assert liars.opened() == [(1, 10)]
    liars.say(BOB, mine, Text("2").encode())
    liars.say(BOB, hers, Text("3").encode())
    liars.wire.run(DELAY)
    assert [one for one in liars.told() if isinstance(one, Said)] == [
        Said(1, "1"),
        Said(1, "2"),
        Said(1, "3"),
    ]


@pytest.mark.spec("M-8", "M-12")
@pytest.mark.parametrize("answer", ["yes", "no", "none", "yes to something else"])
def test_a_yes_alone_makes_no_twins(answer: str) -> None:
    """Ann's peer says yes to whatever is asked; but it never asks on the other link."""
    liars, hers, mine = ready()
    (asked,) = [one for one in liars.heard(BOB, hers) if isinstance(one, Twin)]
    proof = bytes(16) if answer == "yes to something else" else asked.proof
    if answer != "none":
        liars.say(BOB, hers, Same(proof, yes=answer.startswith("yes")).encode())
    liars.say(BOB, mine, Text("1").encode())
    liars.wire.run(2 * DELAY)
    assert liars.opened() == ([(1, 10), (2, None)] if answer == "no" else [(1, 10)])
    liars.wire.run(HOLD)
    assert liars.opened() == [(1, 10), (2, None)]
    assert Said(2, "1") in liars.told()
    # And once announced, it stays a conversation of its own.
    mirror = prove_twins(liars.ids(BOB, mine), liars.ids(BOB, hers))
    liars.say(BOB, mine, Twin(mirror).encode())
    liars.wire.run(2 * DELAY)
    assert liars.heard(BOB, mine)[-1] == Same(mirror, yes=False)
    assert liars.closed(BOB) == []
    assert liars.ann.stats()["links"] == 2


@pytest.mark.spec("M-8", "M-9")
def test_who_is_called_can_not_make_a_stranger_its_twin() -> None:
    """The peer at BOB says yes to the question about a caller at C, and tells C what was asked."""
    liars = Liars()
    mine = liars.call(C)
    liars.say(C, mine, HELLO)
    liars.wire.run(4 * DELAY)
    liars.say(BOB, 1, HELLO)
    (asked,) = [one for one in liars.heard(BOB, 1) if isinstance(one, Twin)]
    liars.say(BOB, 1, Same(asked.proof, yes=True).encode())
    liars.say(C, mine, Twin(asked.proof).encode(), Text("I am Cem").encode())
    liars.wire.run(2 * DELAY)
    assert liars.heard(C, mine)[-1] == Same(asked.proof, yes=False)
    liars.wire.run(HOLD)
    assert liars.opened() == [(1, 10), (2, None)]
    assert Said(2, "I am Cem") in liars.told()


@pytest.mark.spec("M-8", "M-9")
def test_a_third_party_that_repeats_what_twins_say_changes_nothing() -> None:
    wire = NatWire()
    for address in (ANN, BOB):
        wire.add(address, Duo(entropy(address[0]), name=address[0], max_conversations=3))
    wire.add(C, Endpoint(entropy("c"), roles=(ROLE,)))
    wire.tell(ANN, Call(BOB, 10))
    wire.tell(BOB, Call(ANN, 20))
    for callee in (ANN, BOB):
        wire.tell(C, Dial(callee, ROLE))
    for number in (1, 2):
        wire.tell(C, Send(number, HELLO, None))
    repeated: set[bytes] = set()
    for _ in range(40):
        wire.run(DELAY / 4)
        for flight in list(wire.flights):
            for data in [one.data for one in flight.frames if isinstance(one, Segment)]:
                if isinstance(decode(data), Twin | Same) and data not in repeated:
                    repeated.add(data)
                    # On links of its own, and on the others' from a wrong place.
                    for number in (1, 2):
                        if len(repeated) <= MAX_TWINS:
                            wire.tell(C, Send(number, data, None))
            if flight.data and flight.source[0].startswith("nat") and flight.destination != C:
                wire.inject(flight.data, C, flight.destination)
    wire.run(8)
    assert len(repeated) >= 4
    for who, ref in ((ANN, 10), (BOB, 20)):
        opened = [one for _, one in wire.told[who] if isinstance(one, ConversationOpened)]
        assert sorted((one.name, one.ref) for one in opened) == sorted(
            [((BOB if who == ANN else ANN)[0], ref), ("Rob", None)]
        )
        assert not [one for _, one in wire.told[who] if isinstance(one, Closed)]
        machine = wire.machines[who]
        assert isinstance(machine, Duo)
        # Its copies of HELLOs have got it half-open links.
        assert machine.stats()["links"] - machine.stats()["half_open"] == 2


@pytest.mark.spec("M-7", "M-8")
@pytest.mark.parametrize("held", [True, False])
def test_too_many_questions_end_the_link_and_leave_nothing_behind(held: bool) -> None:
    liars, _, mine = ready()
    if not held:
        liars.wire.run(HOLD)
    for n in range(MAX_TWINS):
        liars.say(BOB, mine, Twin(bytes([n]) * 16).encode())
    liars.wire.run(2 * DELAY)
    answers = [one for one in liars.heard(BOB, mine) if isinstance(one, Same)]
    assert answers == [Same(bytes([n]) * 16, yes=False) for n in range(MAX_TWINS)]
    assert liars.closed(BOB) == []
    liars.say(BOB, mine, Twin(bytes(16)).encode(), Text("never heard").encode())
    liars.wire.run(2 * DELAY)
    assert liars.closed(BOB) == [Reason.PROTOCOL_ERROR]
    assert not [one for one in liars.told() if isinstance(one, Said)]
    assert not liars.ann._twins_heard
    # Her own call goes on.
    liars.wire.run(HOLD)
    assert [one.link for one in liars.told() if isinstance(one, Closed)] == [2]
    assert liars.ann.stats()["links"] == 1


@pytest.mark.spec("M-7")
def test_no_more_than_eight_questions_are_asked_on_a_link() -> None:
    liars = Liars(places=20)
    liars.wire.run(3 * DELAY)
    hers = liars.answered(BOB, 0)
    liars.say(BOB, hers, HELLO)
    for count in range(1, MAX_TWINS + 3):
        caller = liars.call(C)
        liars.say(C, caller, HELLO)
        liars.wire.run(4 * DELAY)
        asked = [one.proof for one in liars.heard(BOB, hers) if isinstance(one, Twin)]
        assert len(asked) == min(count, MAX_TWINS)
        liars.say(BOB, hers, Same(asked[-1], yes=False).encode())
        liars.wire.run(2 * DELAY)
        # Who can't be asked about is nobody's twin, and is announced at once.
        assert len(liars.opened()) == 1 + count
    assert liars.closed(BOB) == []


@pytest.mark.spec("M-7")
@pytest.mark.parametrize("late", [False, True])
def test_a_call_that_was_answered_late_is_young_for_as_long_again(late: bool) -> None:
    liars = Liars()
    liars.wire.lose = lambda _: True
    liars.wire.run(1.2 * YOUNG)
    liars.wire.lose = lambda _: False
    bob = liars.wire.machines[BOB]
    assert isinstance(bob, Endpoint)
    liars.wire.run_until(lambda: any(one.state is State.OPEN for one in bob.links.values()))
    hers = liars.answered(BOB, 0)
    liars.say(BOB, hers, HELLO)
    liars.wire.run(YOUNG if late else 0.5 * YOUNG)
    mine = liars.call(BOB)
    liars.say(BOB, mine, HELLO)
    liars.wire.run(4 * DELAY)
    asked = [one for one in liars.heard(BOB, hers) if isinstance(one, Twin)]
    assert len(asked) == (0 if late else 1)
    assert len(liars.opened()) == (2 if late else 1)


@pytest.mark.spec("M-5")
@pytest.mark.parametrize("message", [Twin(bytes(16)), Same(bytes(16), yes=True)])
def test_before_the_name_nothing_else_may_come(message: Twin | Same) -> None:
    liars = Liars()
    mine = liars.call(BOB)
    liars.say(BOB, mine, message.encode(), HELLO)
    liars.wire.run(1)
    assert liars.closed(BOB) == [Reason.PROTOCOL_ERROR]
    assert liars.opened() == []


@pytest.mark.spec("M-2")
@pytest.mark.parametrize(
    "message",
    [
        b"\x80",
        b"\x80" + bytes(15),
        b"\x80" + bytes(17),
        b"\x81\1" + bytes(15),
        b"\x81\2" + bytes(16),
    ],
)
def test_a_malformed_one_ends_the_link(message: bytes) -> None:
    liars, _, mine = ready()
    liars.say(BOB, mine, message)
    liars.wire.run(2 * DELAY)
    assert liars.closed(BOB) == [Reason.PROTOCOL_ERROR]


@pytest.mark.spec("M-9")
def test_an_answer_to_nothing_has_no_effect() -> None:
    liars, hers, mine = ready()
    for _ in range(50):
        liars.say(BOB, hers, Same(bytes(16), yes=True).encode())
        liars.say(BOB, mine, Same(bytes(16), yes=True).encode(), Text("x").encode())
    liars.wire.run(HOLD + 1)
    assert liars.opened() == [(1, 10), (2, None)]
    assert liars.closed(BOB) == []


@pytest.mark.spec("M-8", "M-12")
@pytest.mark.parametrize("last", ["nothing", "no", "the end of her call"])
def test_who_asks_and_does_not_answer_is_announced_after_all(last: str) -> None:
    liars, hers, mine = ready()
    mirror = prove_twins(liars.ids(BOB, mine), liars.ids(BOB, hers))
    liars.say(BOB, mine, Text("1").encode(), Twin(mirror).encode(), Text("2").encode())
    liars.wire.run(2 * DELAY)
    assert Same(mirror, yes=True) in liars.heard(BOB, mine)
    assert liars.opened() == [(1, 10)]
    (asked,) = [one for one in liars.heard(BOB, hers) if isinstance(one, Twin)]
    if last == "no":
        liars.say(BOB, hers, Same(asked.proof, yes=False).encode())
        liars.wire.run(DELAY)
    elif last == "the end of her call":
        liars.say(BOB, hers, then=(Leave(hers),))
        liars.wire.run(4 * DELAY)
    else:
        liars.wire.run(2 * HOLD)
    assert liars.opened() == [(1, 10), (2, None)]
    assert [one for one in liars.told() if isinstance(one, Said)] == [Said(2, "1"), Said(2, "2")]
    # A yes that comes now is too late.
    if last == "nothing":
        liars.say(BOB, hers, Same(asked.proof, yes=True).encode(), Text("3").encode())
        liars.wire.run(DELAY)
        assert liars.told()[-1] == Said(1, "3")


@pytest.mark.spec("M-12")
def test_who_is_bound_and_says_much_is_made_to_wait() -> None:
    liars, hers, mine = ready()
    mirror = prove_twins(liars.ids(BOB, mine), liars.ids(BOB, hers))
    liars.say(BOB, mine, Twin(mirror).encode(), *[Text("x" * 60_000).encode()] * 12)
    liars.wire.run(1)
    (held,) = liars.ann._held.values()
    assert held.paused
    assert held.size < 262144 + 2 * 61_000
    liars.wire.run(2 * HOLD)
    assert len([one for one in liars.told() if isinstance(one, Said)]) == 12


@pytest.mark.spec("M-9")
def test_who_has_finished_on_the_call_is_no_twin_any_more() -> None:
    liars, hers, mine = ready()
    mirror = prove_twins(liars.ids(BOB, mine), liars.ids(BOB, hers))
    liars.say(BOB, mine, Twin(mirror).encode(), Text("1").encode())
    liars.wire.run(DELAY)
    liars.say(BOB, hers, then=(Finish(hers),))
    liars.wire.run(DELAY)
    assert liars.opened() == [(1, 10), (2, None)]
    assert Said(2, "1") in liars.told()


@pytest.mark.spec("M-1")
def test_a_peer_that_knows_nothing_of_twins_has_two_conversations() -> None:
    """Kinds from 128 on are skipped by who does not know them; so both calls stand."""
    liars, hers, mine = ready()
    liars.wire.run(HOLD)
    assert liars.opened() == [(1, 10), (2, None)]
    liars.say(BOB, hers, Text("hers").encode())
    liars.say(BOB, mine, Text("mine").encode())
    liars.wire.run(DELAY)
    assert liars.told()[-2:] == [Said(1, "hers"), Said(2, "mine")]
