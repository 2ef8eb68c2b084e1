"""A peer as the client of its registry (PROTOCOL.md, section 6.4): `palaver.roles.membership`."""

from __future__ import annotations

from itertools import pairwise

import pytest
from halls import DELAY, REGISTRY, Hall, Plain

from palaver import (
    Accept,
    Appeared,
    CallEnded,
    Calling,
    Closed,
    Connect,
    Depart,
    Departed,
    Endpoint,
    Enlist,
    Enlisted,
    EnlistRefused,
    Entry,
    Finish,
    Gone,
    Heard,
    Limits,
    NewsMissed,
    Notice,
    Opened,
    Outcome,
    Peer,
    Present,
    Reason,
    Refusal,
    RegistryAway,
    Replaced,
    Ringing,
    Say,
    Side,
    StillEnlisting,
    UsageError,
    Vanished,
    Who,
    Why,
)
from palaver.roles.membership import Membership
from palaver.roles.peer_events import Unanswered
from palaver.roles.peer_states import CLIENT, ClientInput, ClientState
from palaver.sim import Faults
from palaver.timing import Timing
from palaver.wire.registry import (
    NO_TOKEN,
    Erased,
    Found,
    Inactive,
    List,
    Lookup,
    Page,
    Refused,
    Register,
    Registered,
    RegistryMessage,
    RollCall,
    Stale,
    Unregister,
)


class FakeRegistry(Plain):
    """An endpoint at the registry's address that answers as a test wants."""

    def __init__(self, hall: Hall) -> None:
        self.hall = hall
        self.address = REGISTRY
        hall.sim.restart(REGISTRY, Endpoint(hall.sim.entropy("fake"), roles=("registry",)))

    @property
    def link(self) -> int:
        return self.told(Opened)[-1].link

    def answer(self, *messages: RegistryMessage | bytes) -> None:
        self.say(self.link, *messages)


def ann_of(hall: Hall) -> Peer:
    return hall.peer("ann")


# Joining


@pytest.mark.smoke
def test_a_peer_is_told_its_id_and_who_comes_and_goes() -> None:
    hall = Hall().enlist("ann", "bob")
    assert hall.told("ann", Enlisted) == [Enlisted(1, "ann", 0)]
    assert hall.told("ann", Enlisted)[0].is_new
    assert ann_of(hall).id == 1
    hall.run(1)
    assert hall.told("ann", Appeared) == [Appeared(Entry(2, "bob", ("bob", 1), 0))]
    hall.tell("bob", Depart())
    hall.run(1)
    assert hall.told("ann", Vanished) == [Vanished(2)]


def test_a_peer_does_nothing_before_it_is_told_to() -> None:
    hall = Hall().add("ann")
    hall.run(10)
    assert ann_of(hall).deadline is None
    assert ann_of(hall).stats()["datagrams_out"] == 0
    with pytest.raises(UsageError, match="enlist"):
        hall.tell("ann", Connect("bob"))
    with pytest.raises(UsageError):
        hall.tell("ann", Who())


def test_a_registry_that_does_not_answer_is_asked_until_it_does() -> None:
    hall = Hall().add("ann")
    snapshot = hall.registry.snapshot()
    hall.sim.crash(REGISTRY)
    hall.tell("ann", Enlist())
    hall.run(60)
    tries = [one.attempt for one in hall.told("ann", StillEnlisting)]
    assert tries == list(range(2, len(tries) + 2))
    assert len(tries) > 10
    hall.restart_registry(snapshot)
    hall.run(11)
    assert hall.told("ann", Enlisted) == [Enlisted(1, "ann", 0)]


@pytest.mark.spec("G-7")
def test_a_name_that_is_taken_is_refused_and_another_can_be_tried() -> None:
    hall = Hall().enlist("ann").add("eve")
    hall.tell("eve", Enlist("ANN"))
    hall.run(1)
    assert hall.told("eve", EnlistRefused) == [EnlistRefused(Refusal.NAME_TAKEN)]
    hall.run(60)
    assert hall.peer("eve").is_idle
    assert hall.told("eve", Enlisted) == []
    hall.tell("eve", Enlist("evelyn"))
    hall.run(1)
    assert hall.told("eve", Enlisted) == [Enlisted(2, "evelyn", 0)]


def test_two_who_claim_one_name_at_once_one_is_entered_and_one_is_refused() -> None:
    for seed in range(20):
        hall = Hall(Faults(delay=DELAY, jitter=DELAY, loss=0.3, duplicate=0.2), seed=seed)
        hall.add("x", "y")
        for name in ["x", "y"]:
            hall.tell(name, Enlist("ann"))
        hall.run(15)
        entered = [name for name in ["x", "y"] if hall.told(name, Enlisted)]
        refused = [name for name in ["x", "y"] if hall.told(name, EnlistRefused)]
        assert len(entered) == len(refused) == 1, f"seed {seed}"
        assert hall.names() == ["ann"]


@pytest.mark.parametrize("name", ["", "12", "a\nb", "x" * 65])
def test_a_name_that_is_none_raises(name: str) -> None:
    hall = Hall()
    with pytest.raises(UsageError):
        hall.new_peer(name)
    hall.add("ann")
    with pytest.raises(UsageError):
        hall.tell("ann", Enlist(name))
    assert ann_of(hall).client.name == "ann"


def test_who_is_entered_can_not_enlist_again() -> None:
    hall = Hall().enlist("ann")
    with pytest.raises(UsageError):
        hall.tell("ann", Enlist())


# Asking


def test_a_peer_lists_who_is_there_page_by_page() -> None:
    hall = Hall().enlist("ann", "bob")
    hall.tell("ann", Who(7), Who(8, after=1))
    hall.run(1)
    first, second = hall.told("ann", Present)
    assert (first.ref, [one.name for one in first.entries], first.more) == (
        7,
        ["ann", "bob"],
        False,
    )
    assert (second.ref, [one.name for one in second.entries]) == (8, ["bob"])


@pytest.mark.spec("G-2")
def test_a_peer_never_has_more_than_32_requests_unanswered() -> None:
    hall = Hall().add("ann")
    fake = FakeRegistry(hall)
    hall.tell("ann", Enlist())
    hall.run(1)
    fake.answer(Registered(5, bytes(16)))
    hall.tell("ann", *(Connect(f"p{n}", n) for n in range(40)))
    hall.run(1)
    assert len(fake.heard(Lookup)) == 32
    with pytest.raises(UsageError):
        hall.tell("ann", Who())
    fake.answer(*(Inactive(one.request) for one in fake.heard(Lookup)[:3]))
    hall.run(1)
    asked = fake.heard(Lookup)
    assert len(asked) == 35
    assert len({one.request for one in asked}) == 35
    assert {one.name for one in asked} == {f"p{n}" for n in range(35)}


# Leaving


@pytest.mark.spec("G-10")
def test_a_peer_waits_for_the_registrys_word_before_it_is_gone() -> None:
    hall = Hall().enlist("ann")
    hall.tell("ann", Depart())
    assert hall.told("ann", Departed) == []
    hall.run(1)
    assert hall.told("ann", Departed) == [Departed(acknowledged=True)]
    assert [one.why for one in hall.of_registry(Gone)] == [Why.LEFT]


@pytest.mark.spec("G-10")
def test_a_peer_that_leaves_an_absent_registry_waits_5_s_and_no_longer() -> None:
    hall = Hall().enlist("ann")
    hall.sim.crash(REGISTRY)
    hall.tell("ann", Depart())
    hall.run(4.9)
    assert hall.told("ann", Departed) == []
    hall.run(0.2)
    assert hall.told("ann", Departed) == [Departed(acknowledged=False)]
    hall.run(8)
    assert ann_of(hall).is_idle


def test_a_peer_that_is_not_entered_yet_departs_at_once() -> None:
    hall = Hall().add("ann")
    assert hall.tell("ann", Depart()) == [Departed(acknowledged=False)]
    hall.sim.crash(REGISTRY)
    hall.tell("ann", Enlist())
    hall.run(1)
    assert hall.tell("ann", Depart())[-1] == Departed(acknowledged=False)
    assert ann_of(hall).is_idle


# Registries that go away, and come back


@pytest.mark.smoke
@pytest.mark.spec("G-11", "G-5")
def test_after_a_restart_with_its_table_peers_are_entered_again_by_themselves_as_before() -> None:
    hall = Hall().enlist("ann", "bob")
    ann, bob = hall.talk("ann", "bob")
    hall.restart_registry(hall.registry.snapshot())
    hall.run(60)
    for name, number in [("ann", 1), ("bob", 2)]:
        assert [one.reason for one in hall.told(name, RegistryAway)] == [Reason.RESET]
        again = hall.told(name, Enlisted)[1]
        assert (again.id, again.previous, again.is_new) == (number, number, False)
    assert hall.names() == ["ann", "bob"]
    hall.tell("ann", Say(ann, "still here", 1))
    hall.run(1)
    assert hall.told("bob", Heard) == [Heard(bob, 1, 1, "still here")]
    assert hall.told("ann", CallEnded) == []


@pytest.mark.spec("G-11", "C-1")
def test_after_a_restart_without_its_table_peers_get_new_ids_and_are_told() -> None:
    hall = Hall().enlist("zoe", "ann", "bob")
    ann, bob = hall.talk("ann", "bob")
    hall.restart_registry()
    first = Plain(hall, "first")
    first.register("first")
    hall.run(60)
    again = hall.told("ann", Enlisted)[1]
    assert again.previous == 2
    assert again.id == hall.id("ann")
    assert sorted(hall.names()) == ["ann", "bob", "first", "zoe"]
    # The conversation goes on with the ids that it began with.
    hall.tell("bob", Say(bob, "hello", 1))
    hall.run(1)
    assert hall.told("ann", Heard) == [Heard(ann, 3, 1, "hello")]
    # And new calls go by the new ones.
    hall.call("zoe", "ann")
    assert hall.told("ann", Ringing)[-1].peer == hall.id("zoe")
    assert hall.told("ann", Ringing)[-1].verified


@pytest.mark.spec("C-1")
def test_whom_one_talks_with_is_known_under_a_new_id_too() -> None:
    hall = Hall().enlist("zoe", "ann", "bob", "cid")
    hall.talk("ann", "bob")
    hall.restart_registry()
    for name in ["p", "q", "r", "s"]:
        Plain(hall, name).register(name)
    hall.run(60)
    assert hall.id("bob") > 4
    hall.tell("ann", Connect("bob", 2), Connect("cid", 3))
    hall.run(1)
    assert hall.end("ann", 2).outcome is Outcome.ALREADY
    assert len(hall.told("bob", Ringing)) == 1
    assert len(hall.told("cid", Ringing)) == 1


@pytest.mark.smoke
@pytest.mark.spec("G-11")
def test_while_the_registry_is_away_conversations_go_on_and_new_calls_wait() -> None:
    hall = Hall().enlist("ann", "bob", "cid")
    ann, bob = hall.talk("ann", "bob")
    hall.sim.crash(REGISTRY)
    hall.run(70)
    assert [one.reason for one in hall.told("ann", RegistryAway)] == [Reason.DEAD]
    assert hall.told("ann", StillEnlisting)
    hall.tell("ann", Say(ann, "are you there?", 1))
    hall.tell("bob", Say(bob, "yes", 1))
    (calling,) = hall.tell("ann", Connect("cid", 5))
    assert isinstance(calling, Calling)
    with pytest.raises(UsageError):
        hall.tell("ann", Who())
    hall.run(10)
    assert hall.texts("ann") == ["yes"]
    assert hall.texts("bob") == ["are you there?"]
    assert hall.told("ann", CallEnded) == []
    # She is the last to come back, so that whom she calls is there.
    hall.sim.partition(hall.at("ann"), REGISTRY)
    hall.restart_registry()
    hall.run(12)
    hall.sim.heal()
    hall.run(12)
    assert len(hall.told("cid", Ringing)) == 1
    hall.tell("cid", Accept(1))
    hall.run(1)
    assert hall.is_open("ann", calling.link)
    hall.tell("ann", Say(ann, "bye", 2))
    hall.run(1)
    assert hall.texts("bob")[-1] == "bye"


def test_what_was_asked_when_the_registry_went_away_is_answered_one_way_or_another() -> None:
    hall = Hall().enlist("ann", "bob")
    hall.sim.crash(REGISTRY)
    hall.tell("ann", Who(7), Connect("bob", 1), Connect(9, 2, timeout=20))
    hall.run(35)
    assert hall.told("ann", Unanswered) == [Unanswered(7)]
    assert hall.end("ann", 2) == CallEnded(2, 2, Outcome.NO_ANSWER, Side.LOCAL, Reason.LEFT)
    hall.sim.partition(hall.at("ann"), REGISTRY)
    hall.restart_registry()
    hall.run(45)
    hall.sim.heal()
    hall.run(12)
    assert len(hall.told("bob", Ringing)) == 1


@pytest.mark.spec("G-11")
def test_a_registry_that_turns_a_peer_away_is_asked_again_with_growing_pauses() -> None:
    hall = Hall().add("ann")
    hall.sim.restart(REGISTRY, Endpoint(hall.sim.entropy("other"), roles=("duo",)))
    hall.tell("ann", Enlist())
    hall.run(60)
    away = hall.told("ann", RegistryAway)
    assert {one.reason for one in away} == {Reason.WRONG_ROLE}
    times = hall.times("ann", RegistryAway)
    pauses = [later - earlier for earlier, later in pairwise(times)]
    expected = [0.25, 0.5, 1, 2, 4, 8, 10, 10, 10]
    assert pauses[:9] == pytest.approx([one + 2 * DELAY for one in expected], abs=1e-9)


@pytest.mark.spec("G-6")
def test_who_was_replaced_does_not_fight_for_its_entry() -> None:
    hall = Hall().enlist("ann")
    client = ann_of(hall).client
    other = Plain(hall, "other")
    other.say(other.dial(), Register("ann", client.id, client.token))
    hall.run(60)
    assert hall.told("ann", Replaced) == [Replaced()]
    assert hall.told("ann", RegistryAway) == []
    assert len(other.heard(Registered)) == 1
    assert other.end(1) is None
    hall.tell("ann", Enlist("ann again"))
    hall.run(1)
    assert hall.told("ann", Enlisted)[-1] == Enlisted(2, "ann again", 1)


def test_a_restarted_peer_gets_its_name_back_within_seconds() -> None:
    hall = Hall().enlist("ann", "bob")
    hall.sim.crash(hall.at("ann"))
    hall.run(1)
    # Another process, another port, the same name.
    hall.sim.add(("ann", 2), hall.new_peer("ann"))
    since = hall.sim.now
    hall.sim.command(("ann", 2), Enlist())
    hall.sim.run_until(
        lambda: any(isinstance(one, Enlisted) for _, one in hall.sim.notices(("ann", 2)))
    )
    assert hall.sim.now - since < 5.5
    hall.run(1)
    news = [n for n in notices(hall, "bob") if isinstance(n, Appeared | Vanished)]
    assert news[-2:] == [Vanished(1), Appeared(Entry(3, "ann", ("ann", 2), 0))]


def notices(hall: Hall, name: str) -> list[Notice]:
    return [one for _, one in hall.sim.notices(hall.at(name))]


# A registry that misbehaves


@pytest.mark.spec("G-1", "M-1", "M-2")
@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (b"\x20\x00", Reason.PROTOCOL_ERROR),
        (b"\x7f", Reason.UNSUPPORTED),
        (Register("x"), Reason.PROTOCOL_ERROR),
        (Unregister(), Reason.PROTOCOL_ERROR),
        (List(1, 0), Reason.PROTOCOL_ERROR),
        (Found(99, Entry(1, "x", ("h", 1), 0)), Reason.PROTOCOL_ERROR),
    ],
)
def test_nonsense_from_a_registry_ends_its_link_and_it_is_tried_again(
    message: RegistryMessage | bytes, reason: Reason
) -> None:
    hall = Hall().add("ann")
    fake = FakeRegistry(hall)
    hall.tell("ann", Enlist())
    hall.run(1)
    fake.answer(Registered(5, bytes(range(16))), message)
    hall.run(1)
    assert [one.reason for one in hall.told("ann", RegistryAway)] == [reason]
    assert fake.heard(Register)[-1] == Register("ann", 5, bytes(range(16)))


@pytest.mark.spec("G-1")
def test_a_registry_that_finishes_is_given_up() -> None:
    hall = Hall().add("ann")
    fake = FakeRegistry(hall)
    hall.tell("ann", Enlist())
    hall.run(1)
    fake.answer(Registered(5, bytes(16)))
    hall.sim.command(REGISTRY, Finish(fake.link))
    hall.run(1)
    assert [one.reason for one in hall.told("ann", RegistryAway)] == [Reason.PROTOCOL_ERROR]


@pytest.mark.spec("G-1")
def test_an_answer_of_the_wrong_kind_ends_the_link() -> None:
    hall = Hall().add("ann")
    fake = FakeRegistry(hall)
    hall.tell("ann", Enlist())
    hall.run(1)
    fake.answer(Registered(5, bytes(16)))
    hall.tell("ann", Who(7))
    hall.run(1)
    fake.answer(Found(fake.heard(List)[0].request, Entry(1, "x", ("h", 1), 0)))
    hall.run(1)
    assert [one.reason for one in hall.told("ann", RegistryAway)] == [Reason.PROTOCOL_ERROR]


def test_what_a_registry_says_out_of_turn_is_ignored() -> None:
    hall = Hall().add("ann")
    fake = FakeRegistry(hall)
    hall.tell("ann", Enlist())
    hall.run(1)
    fake.answer(Erased(), Stale(), Page(1, more=False, entries=()))
    fake.answer(Registered(5, bytes(16)), Registered(6, bytes(16)), Refused(1), Erased())
    fake.answer(RollCall(), b"\xc8")
    assert hall.told("ann", Enlisted) == [Enlisted(5, "ann", 0)]
    assert hall.told("ann", EnlistRefused) == []
    assert hall.told("ann", NewsMissed) == []
    assert ann_of(hall).stats()["out_of_place"] == 6
    fake.answer(Stale())
    assert hall.told("ann", NewsMissed) == [NewsMissed()]
    assert hall.told("ann", RegistryAway) == []


def test_a_call_for_which_no_link_is_left_ends_and_says_so() -> None:
    hall = Hall().enlist("bob")
    hall.limits = Limits(links=1)
    hall.enlist("ann")
    hall.tell("ann", Connect("bob", 1))
    hall.run(1)
    end = hall.end("ann", 1)
    assert (end.outcome, end.by, end.reason) == (Outcome.GONE, Side.LOCAL, Reason.BUSY)
    assert hall.told("bob", Ringing) == []
    assert ann_of(hall).stats()["calls"] == 0


# The table


class FakePeer:
    """What a Membership needs of a Peer."""

    def __init__(self) -> None:
        self.ignored = 0

    def __getattr__(self, name: str) -> object:
        return lambda *_: 1


SUBJECTS: dict[ClientInput, object] = {
    ClientInput.REGISTERED: Registered(4, bytes(range(16))),
    ClientInput.REFUSED: Refused(1),
    ClientInput.ANSWER: Page(1, more=False, entries=()),
    ClientInput.NEWS: Stale(),
    ClientInput.ERASED: Erased(),
}


@pytest.mark.parametrize("what", ClientInput)
@pytest.mark.parametrize("state", ClientState)
def test_every_input_in_every_state_does_what_the_table_says_and_nothing_else(
    state: ClientState, what: ClientInput
) -> None:
    client = Membership(REGISTRY, "ann", Timing())
    client.state = state
    peer = FakePeer()
    subject = SUBJECTS.get(what, Closed(1, 1, Reason.DEAD, Side.LOCAL))
    before = client.key(0.0)
    out: list[Notice] = []
    client.step(peer, what, subject, 0.0, out)  # type: ignore[arg-type]
    row = CLIENT.get((state, what))
    assert client.state is (state if row is None else row[1])
    assert peer.ignored == (row is None)
    if row is None:
        assert client.key(0.0) == before
        assert out == []
    elif row[0] not in {"dial", "say_leave", "be_answered"}:
        assert out


def test_a_token_is_only_shown_for_the_name_that_it_proves() -> None:
    client = Membership(REGISTRY, "Jörg", Timing())
    client.token = bytes(range(16))
    client.rename("JÖRG")
    assert client.token != NO_TOKEN
    client.rename("ann")
    assert client.token == NO_TOKEN
