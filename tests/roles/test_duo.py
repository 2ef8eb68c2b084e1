"""Two people talk: the role "duo" (PROTOCOL.md, section 6.3)."""

from __future__ import annotations

from typing import TypeVar

import pytest
from pairs import DELAY, A, B, C, Wire, entropy, unlucky

from palaver import (
    Abort,
    Address,
    Call,
    Closed,
    ConversationOpened,
    Datagram,
    Delivered,
    Dial,
    Dialing,
    Duo,
    Endpoint,
    Event,
    Finish,
    Finished,
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
    StillDialing,
    Tick,
    Transmit,
    Undelivered,
    UsageError,
    WouldBlock,
    Writable,
)
from palaver.wire.duo import ROLE, Introduce, Text

N = TypeVar("N", bound=Notice)


class People:
    """Ann at A, who calls, Bob at B, who is called, and who else a test needs."""

    def __init__(
        self,
        ann: str = "Ann",
        bob: str = "Bob",
        max_conversations: int = 1,
        limits: Limits | None = None,
    ) -> None:
        limits = limits or Limits()
        self.wire = Wire()
        self.wire.add(A, Duo(entropy("a"), name=ann, accept=False, limits=limits))
        bobs = Duo(entropy("b"), name=bob, max_conversations=max_conversations, limits=limits)
        self.wire.add(B, bobs)

    def duo(self, address: Address) -> Duo:
        machine = self.wire.machines[address]
        assert isinstance(machine, Duo)
        return machine

    def tell(self, address: Address, *events: Event) -> list[Notice]:
        return self.wire.tell(address, *events)

    def talk(self) -> People:
        self.tell(A, Call(B, 7))
        self.wire.run(1)
        return self

    def told(self, address: Address, kind: type[N]) -> list[N]:
        return [notice for _, notice in self.wire.told[address] if isinstance(notice, kind)]

    def texts(self, address: Address) -> list[str]:
        return [said.text for said in self.told(address, Said)]


class Rogue:
    """A caller at A that speaks the role as it likes, to Bob at B."""

    def __init__(self, max_conversations: int = 1) -> None:
        self.wire = Wire()
        self.wire.add(A, Endpoint(entropy("a")))
        bob = Duo(entropy("b"), name="Bob", max_conversations=max_conversations)
        self.wire.add(B, bob)
        self.wire.tell(A, Dial(B, ROLE))
        self.wire.run(DELAY * 2)

    def say(self, *messages: bytes, then: tuple[Event, ...] = ()) -> None:
        """Say it all in one packet."""
        self.wire.tell(A, *(Send(1, one, None) for one in messages), *then)
        self.wire.run(1)

    def told(self) -> list[Notice]:
        return [notice for _, notice in self.wire.told[B]]

    @property
    def end(self) -> Closed:
        """How it has ended for the caller."""
        (closed,) = [one for _, one in self.wire.told[A] if isinstance(one, Closed)]
        return closed


HELLO_FROM_ANN = Introduce("Ann").encode()


# Talking


@pytest.mark.smoke
def test_both_learn_the_others_name_and_that_they_talk() -> None:
    people = People().talk()
    assert people.told(A, Dialing) == [Dialing(1, 7, B)]
    assert people.told(A, ConversationOpened) == [ConversationOpened(1, 7, B, "Bob")]
    assert people.told(B, ConversationOpened) == [ConversationOpened(1, None, A, "Ann")]
    assert not people.told(A, ConversationOpened)[0].inbound
    assert people.told(B, ConversationOpened)[0].inbound
    assert people.told(A, Opened) == people.told(B, Opened) == []


@pytest.mark.smoke
def test_what_is_said_is_heard_and_reported_as_delivered() -> None:
    people = People().talk()
    people.tell(A, Say(1, "hello", 1), Say(1, "", 2))
    people.tell(B, Say(1, "grüß dich 👋\nzwei Zeilen", 1))
    people.wire.run(1)
    assert people.texts(B) == ["hello", ""]
    assert people.texts(A) == ["grüß dich 👋\nzwei Zeilen"]
    assert people.told(A, Delivered) == [Delivered(1, 1), Delivered(1, 2)]
    assert people.told(B, Delivered) == [Delivered(1, 1)]


def test_what_is_said_before_the_conversation_is_open_comes_first_and_in_order() -> None:
    people = People()
    people.wire.lose_from(B)
    people.tell(A, Call(B), Say(1, "1", 1))
    people.tell(A, Say(1, "2", 2))
    people.wire.run(1)
    people.wire.lose_from()
    people.wire.run(1)
    people.tell(A, Say(1, "3", 3))
    people.wire.run(1)
    assert people.texts(B) == ["1", "2", "3"]
    order = [type(notice) for notice in people.told(B, Notice)]
    assert order == [ConversationOpened, Said, Said, Said]
    assert [one.ref for one in people.told(A, Delivered)] == [1, 2, 3]


def test_a_first_text_arrives_with_the_name_after_one_and_a_half_round_trips() -> None:
    people = People()
    start = people.wire.now
    people.tell(A, Call(B), Say(1, "hi", 1))
    people.wire.run(1)
    times = [time - start for time, notice in people.wire.told[B] if isinstance(notice, Said)]
    assert times == [3 * DELAY]


@pytest.mark.parametrize("name", ["", "x" * 64, "é" * 32, "👋" * 16, "a\nb\x1b[31m"])
def test_a_name_is_told_as_it_is(name: str) -> None:
    people = People(ann=name, bob=name).talk()
    assert people.told(A, ConversationOpened)[0].name == name
    assert people.told(B, ConversationOpened)[0].name == name


@pytest.mark.parametrize("name", ["x" * 65, "é" * 33, "\ud800"])
def test_a_name_that_can_not_be_told_raises(name: str) -> None:
    with pytest.raises(UsageError):
        Duo(entropy("a"), name=name)


@pytest.mark.parametrize("text", ["x" * 65535, "é" * 32767])
def test_the_longest_text_arrives(text: str) -> None:
    people = People().talk()
    people.tell(A, Say(1, text, 1))
    people.wire.run(5)
    assert people.texts(B) == [text]
    assert people.told(A, Delivered) == [Delivered(1, 1)]


def test_everything_is_said_and_heard_though_a_third_of_all_datagrams_is_lost() -> None:
    people = People(limits=Limits(mtu=64))
    people.wire.mtu = 64
    people.wire.lose = unlucky(1 / 3)
    people.tell(A, Call(B))
    people.wire.run(5)
    lines = [f"line {n}" for n in range(60)]
    for n, line in enumerate(lines):
        people.tell(A, Say(1, line, n))
        people.tell(B, Say(1, line, n))
        people.wire.run(0.01)
    people.wire.run(30)
    assert people.texts(A) == people.texts(B) == lines
    assert [one.ref for one in people.told(A, Delivered)] == list(range(60))
    assert [one.ref for one in people.told(B, Delivered)] == list(range(60))


# The link's own commands and notices


def test_leaving_ends_it_for_both() -> None:
    people = People().talk()
    people.tell(A, Say(1, "bye", 1), Leave(1, 130, "so long"))
    people.wire.run(5)
    assert people.texts(B) == ["bye"]
    assert people.told(B, Closed) == [Closed(1, None, 130, Side.PEER, "so long")]
    assert people.told(A, Closed) == [Closed(1, 7, 130, Side.LOCAL, "so long")]
    assert people.duo(A).is_idle
    assert people.duo(B).is_idle


def test_finishing_is_told_and_the_other_may_go_on() -> None:
    people = People().talk()
    people.tell(A, Finish(1))
    people.wire.run(1)
    assert people.told(B, Finished) == [Finished(1)]
    people.tell(B, Say(1, "still here", 1))
    people.wire.run(1)
    assert people.texts(A) == ["still here"]
    with pytest.raises(UsageError):
        people.tell(A, Say(1, "me too", 2))


def test_pausing_holds_back_and_resuming_hands_over() -> None:
    people = People().talk()
    people.tell(B, Pause(1))
    people.tell(A, Say(1, "1", 1))
    people.wire.run(15)
    assert people.texts(B) == []
    assert people.told(A, Overdue) == [Overdue(1, 1)]
    assert people.tell(B, Resume(1)) == [Said(1, "1")]
    people.wire.run(1)
    assert people.told(A, Delivered) == [Delivered(1, 1)]


def test_a_caller_that_pauses_before_the_answer_learns_the_name_when_it_resumes() -> None:
    people = People()
    people.tell(A, Call(B), Pause(1))
    people.wire.run(1)
    assert people.told(A, ConversationOpened) == []
    (opened,) = people.tell(A, Resume(1))
    assert opened == ConversationOpened(1, 0, B, "Bob")


def test_aborting_tells_what_was_not_delivered() -> None:
    people = People().talk()
    people.wire.lose_from(A)
    told = people.tell(A, Say(1, "x", 1), Abort(1))
    assert told == [
        Undelivered(1, 1, Reason.ABORTED),
        Closed(1, 7, Reason.ABORTED, Side.LOCAL),
    ]
    assert people.tell(A, Say(1, "y", 2)) == [Undelivered(1, 2, Reason.ABORTED)]


def test_a_vanished_peer_is_found_out() -> None:
    people = People().talk()
    people.wire.remove(B)
    people.tell(A, Say(1, "anybody?", 1))
    people.wire.run(31)
    assert people.told(A, Overdue) == [Overdue(1, 1)]
    assert people.told(A, Undelivered) == [Undelivered(1, 1, Reason.DEAD)]
    assert people.told(A, Closed) == [Closed(1, 7, Reason.DEAD, Side.LOCAL)]


def test_a_restarted_peer_is_found_out_quickly_and_can_be_called_again() -> None:
    people = People().talk()
    people.wire.add(B, Duo(entropy("b2"), name="Bob again"))
    people.tell(A, Say(1, "anybody?", 1))
    people.wire.run(1)
    assert people.told(A, Closed) == [Closed(1, 7, Reason.RESET, Side.PEER)]
    people.tell(A, Call(B, 8))
    people.wire.run(1)
    assert people.told(A, ConversationOpened)[-1] == ConversationOpened(2, 8, B, "Bob again")


def test_a_call_that_nobody_answers_is_told_of_and_given_up() -> None:
    people = People()
    people.wire.remove(B)
    people.tell(A, Call(B, 3, timeout=1.0), Say(1, "never", 1))
    people.wire.run(2)
    assert len(people.told(A, StillDialing)) == 3
    assert people.told(A, Undelivered) == [Undelivered(1, 1, Reason.NO_ANSWER)]
    assert people.told(A, Closed) == [Closed(1, 3, Reason.NO_ANSWER, Side.LOCAL)]
    assert people.duo(A).is_idle


def test_a_cancelled_call_is_never_shown_to_the_callee() -> None:
    people = People()
    people.tell(A, Call(B))
    people.wire.run(DELAY)
    people.tell(A, Leave(1))
    people.wire.run(60)
    assert people.told(A, Closed) == [Closed(1, 0, Reason.CANCELLED, Side.LOCAL)]
    assert people.wire.told[B] == []
    assert people.duo(B).is_idle


def test_a_full_queue_blocks_and_says_when_it_is_writable() -> None:
    people = People(limits=Limits(queue_messages=4)).talk()
    with pytest.raises(WouldBlock):
        people.tell(A, *(Say(1, "x", n) for n in range(5)))
    people.wire.run(1)
    assert people.told(A, Writable) == [Writable(1)]
    assert people.texts(B) == ["x"] * 4


# Several conversations


@pytest.mark.smoke
def test_many_can_talk_to_one_and_are_not_mixed_up() -> None:
    people = People(max_conversations=3)
    callers: list[Address] = [(f"caller-{n}", n) for n in range(3)]
    for n, address in enumerate(callers):
        people.wire.add(address, Duo(entropy(f"caller {n}"), name=f"caller {n}"))
        people.tell(address, Call(B), Say(1, f"I am {n}", 1))
    people.wire.run(1)
    opened = {one.name: one.link for one in people.told(B, ConversationOpened)}
    assert set(opened) == {"caller 0", "caller 1", "caller 2"}
    for name, link in opened.items():
        people.tell(B, Say(link, f"hello {name}", link))
    people.wire.run(1)
    for n, address in enumerate(callers):
        assert people.texts(address) == [f"hello caller {n}"]
    heard = {(said.link, said.text) for said in people.told(B, Said)}
    assert heard == {(opened[f"caller {n}"], f"I am {n}") for n in range(3)}


def test_one_can_call_and_be_called_at_the_same_time() -> None:
    wire = Wire()
    for address, name in ((A, "Ann"), (B, "Bob"), (C, "Cem")):
        wire.add(address, Duo(entropy(name), name=name))
    wire.tell(A, Call(B))
    wire.tell(B, Call(C))
    wire.tell(C, Call(A))
    wire.run(1)
    for address, names in ((A, {"Bob", "Cem"}), (B, {"Ann", "Cem"}), (C, {"Ann", "Bob"})):
        opened = [one for _, one in wire.told[address] if isinstance(one, ConversationOpened)]
        assert {one.name for one in opened} == names
        assert sorted(one.inbound for one in opened) == [False, True]


def test_who_calls_a_busy_one_is_told_so_and_can_call_again_later() -> None:
    people = People().talk()
    people.wire.add(C, Duo(entropy("c"), name="Cem"))
    people.tell(C, Call(B, 1), Say(1, "?", 1))
    people.wire.run(3)
    assert people.told(C, Closed) == [Closed(1, 1, Reason.BUSY, Side.PEER)]
    assert people.told(C, Undelivered) == [Undelivered(1, 1, Reason.BUSY)]
    assert len(people.told(B, ConversationOpened)) == 1
    people.tell(B, Leave(1))
    people.wire.run(1)
    people.tell(C, Call(B, 2))
    people.wire.run(1)
    assert people.told(C, ConversationOpened) == [ConversationOpened(2, 2, B, "Bob")]
    assert people.told(B, ConversationOpened)[-1].name == "Cem"


def test_one_that_does_not_accept_refuses() -> None:
    people = People()
    people.tell(B, Call(A, 5))
    people.wire.run(1)
    assert people.told(B, Closed) == [Closed(1, 5, Reason.WRONG_ROLE, Side.PEER)]
    assert people.wire.told[A] == []


# A peer that breaks the rules [M-1, M-2, M-5]


@pytest.mark.smoke
@pytest.mark.parametrize(
    ("messages", "reason"),
    [
        ([Text("hi").encode()], Reason.PROTOCOL_ERROR),
        ([HELLO_FROM_ANN, HELLO_FROM_ANN], Reason.PROTOCOL_ERROR),
        ([HELLO_FROM_ANN, b"\x11\xff"], Reason.PROTOCOL_ERROR),
        ([HELLO_FROM_ANN, b"\x11\xed\xa0\x80"], Reason.PROTOCOL_ERROR),
        ([HELLO_FROM_ANN, b"\x11\xc0\x80"], Reason.PROTOCOL_ERROR),
        ([b"\x10\xff"], Reason.PROTOCOL_ERROR),
        ([b"\x10" + b"x" * 65], Reason.PROTOCOL_ERROR),
        ([HELLO_FROM_ANN, b"\x12"], Reason.UNSUPPORTED),
        ([HELLO_FROM_ANN, b"\x7fxyz"], Reason.UNSUPPORTED),
        ([b"\x12"], Reason.UNSUPPORTED),
    ],
)
@pytest.mark.spec("M-5")
def test_a_message_that_breaks_the_rules_ends_the_link(
    messages: list[bytes], reason: Reason
) -> None:
    rogue = Rogue()
    rogue.say(*messages)
    assert (rogue.end.reason, rogue.end.by) == (reason, Side.PEER)
    expected: list[Notice] = []
    if messages[0] == HELLO_FROM_ANN:
        expected = [
            ConversationOpened(1, None, A, "Ann"),
            Closed(1, None, reason, Side.LOCAL),
        ]
    # Who never introduced itself was never announced.
    assert rogue.told() == expected
    bob = rogue.wire.machines[B]
    assert isinstance(bob, Duo)
    assert bob.is_idle


@pytest.mark.parametrize("kind", [130, 200, 255])
@pytest.mark.spec("M-1")
def test_unknown_kinds_from_128_on_are_skipped(kind: int) -> None:
    rogue = Rogue()
    strange = bytes((kind,)) + b"\xff\xfe"
    rogue.say(strange, HELLO_FROM_ANN, strange, Text("hi").encode(), strange)
    assert rogue.told() == [ConversationOpened(1, None, A, "Ann"), Said(1, "hi")]


@pytest.mark.parametrize("then", [(), (Finish(1),), (Leave(1),), (Finish(1), Leave(1))])
@pytest.mark.parametrize("before", ["not announced", "in the same packet", "long before"])
def test_nothing_is_told_of_what_follows_a_broken_rule_in_the_same_packet(
    before: str, then: tuple[Event, ...]
) -> None:
    rogue = Rogue()
    bad = [b"\x12", Text("after").encode(), HELLO_FROM_ANN, Text("and after").encode()]
    if before == "long before":
        rogue.say(HELLO_FROM_ANN)
    elif before == "in the same packet":
        bad.insert(0, HELLO_FROM_ANN)
    rogue.say(*bad, then=then)
    told = rogue.told()
    if before == "not announced":
        assert told == []
        return
    opened, closed = told
    assert opened == ConversationOpened(1, None, A, "Ann")
    assert isinstance(closed, Closed)
    assert closed.reason == Reason.UNSUPPORTED


@pytest.mark.parametrize("then", [Finish(1), Leave(1), Abort(1)])
@pytest.mark.spec("M-5")
def test_who_goes_without_an_introduction_is_never_told_of(then: Event) -> None:
    rogue = Rogue()
    rogue.say(then=(then,))
    rogue.wire.tell(A, Leave(1))
    rogue.wire.run(30)
    assert rogue.told() == []


def test_who_never_introduces_itself_takes_a_place_but_makes_room_when_it_goes() -> None:
    rogue = Rogue()
    rogue.wire.run(1)
    rogue.wire.add(C, Duo(entropy("c"), name="Cem"))
    rogue.wire.tell(C, Call(B, 1))
    rogue.wire.run(3)
    assert rogue.wire.told[C][-1][1] == Closed(1, 1, Reason.BUSY, Side.PEER)
    rogue.wire.tell(A, Leave(1))
    rogue.wire.run(1)
    rogue.wire.tell(C, Call(B, 2))
    rogue.wire.run(1)
    assert rogue.wire.told[C][-1][1] == ConversationOpened(2, 2, B, "Bob")


def test_a_caller_is_told_when_the_callee_breaks_the_rules() -> None:
    wire = Wire()
    wire.add(A, Duo(entropy("a"), name="Ann"))
    wire.add(B, Endpoint(entropy("b"), roles=(ROLE,)))
    wire.tell(A, Call(B, 4), Say(1, "hi", 1))
    wire.run(1)
    wire.tell(B, Send(1, Text("no name").encode(), None))
    wire.run(1)
    told = [notice for _, notice in wire.told[A]]
    assert told[-1] == Closed(1, 4, Reason.PROTOCOL_ERROR, Side.LOCAL)
    assert ConversationOpened not in {type(one) for one in told}
    heard = [notice.message for _, notice in wire.told[B] if isinstance(notice, Received)]
    assert heard == [Introduce("Ann").encode(), Text("hi").encode()]


# Misuse


@pytest.mark.parametrize(
    "event",
    [
        Say(1, "x" * 65536),
        Say(1, "\ud800"),
        Say(2, "nobody"),
        Say(0, "nobody"),
        Say(-1, "nobody"),
        Leave(2),
        Leave(1, 64),
        Abort(1, 100),
        Abort(1, 1, "x" * 121),
        Pause(9),
        Send(1, b"\x11raw"),
        Dial(B, ROLE),
        Call(B, timeout=0.0),
        Call(B, timeout=float("nan")),
        Event(),
    ],
)
def test_misuse_raises_and_leaves_everything_as_it_was(event: Event) -> None:
    people = People().talk()
    duo, now = people.duo(A), people.wire.now
    key, deadline, stats = duo.state_key(now), duo.deadline, duo.stats()
    with pytest.raises(UsageError):
        people.tell(A, event)
    assert duo.state_key(now) == key
    assert duo.deadline == deadline
    assert duo.stats() == stats
    people.tell(A, Say(1, "all is well", 1))
    people.wire.run(1)
    assert people.texts(B) == ["all is well"]


@pytest.mark.parametrize("bound", [0, -1])
def test_a_bound_of_no_conversations_raises(bound: int) -> None:
    with pytest.raises(UsageError):
        Duo(entropy("a"), max_conversations=bound)


# Twins


def test_a_clone_goes_its_own_way_and_the_same_way() -> None:
    people = People().talk()
    people.tell(A, Say(1, "x", 1))
    ann, now = people.duo(A), people.wire.now
    twin, idle = ann.clone(), ann.clone()
    key = ann.state_key(now)
    assert twin.state_key(now) == idle.state_key(now) == key
    for event in (Say(1, "y", 2), Tick(), Call(C, 5), Tick(), Leave(1), Tick()):
        assert twin.handle(event, now) == ann.handle(event, now)
        assert twin.state_key(now) == ann.state_key(now) != key
        assert idle.state_key(now) == key
    assert twin.stats() == ann.stats() != idle.stats()


def test_stats_and_round_trip_times_are_those_of_the_links() -> None:
    people = People().talk()
    people.tell(A, Say(1, "x", 1))
    people.wire.run(1)
    assert people.duo(A).stats()["messages_delivered"] == 1
    assert people.duo(A).stats()["links"] == 1
    assert people.duo(A).rtt(1) == pytest.approx(2 * DELAY, rel=0.5)
    assert people.duo(A).rtt(2) is None


@pytest.mark.spec("P-8")
def test_foreign_noise_is_counted_and_answered_with_silence() -> None:
    people = People().talk()
    bob = people.duo(B)
    before = bob.stats()
    for noise in (b"", b"hi", b"GET / HTTP/1.1\r\n\r\n", bytes(100), b"\xf8" * 64):
        actions = bob.handle(Datagram(noise, C), people.wire.now)
        assert [one for one in actions if isinstance(one, Transmit)] == []
    after = bob.stats()
    assert after["datagrams_in"] == before["datagrams_in"] + 5
    assert after["damaged"] + after["malformed"] == before["damaged"] + before["malformed"] + 5
