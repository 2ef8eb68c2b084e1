"""Two who want one name: who has it must show life, or gives way (PROTOCOL.md, [U-19])."""

from __future__ import annotations

import pytest
from group_support import HUB, Party
from pairs import entropy

from palaver import Abort, Address, Closed, Dial, Endpoint, Leave, Pause, Reason, Received, Send
from palaver.roles.group.events import (
    AdmitGuest,
    CameIn,
    Disband,
    Entered,
    JoinRefused,
    JoinRoom,
    MemberCame,
    MemberWent,
    WentOut,
)
from palaver.roles.group.rules import HubRules
from palaver.sim import Faults
from palaver.wire.group import ROLE, Join, JoinRefusal, Post, decode_group
from palaver.wire.group_log import Coming, Going

LINK = Faults(delay=0.01)
AGAIN: Address = ("again", 1)
ROGUE: Address = ("rogue", 1)
TAKEN = [JoinRefused(1, JoinRefusal.NAME_TAKEN, "bob-2")]


def party_of(*names: str, faults: Faults = LINK, seed: int = 1, **rules: float) -> Party:
    party = Party(seed, faults, rules=HubRules(**rules))  # type: ignore[arg-type]
    party.join(*names)
    return party


def ask(party: Party, who: str, name: str = "bob", room: str = "lobby") -> None:
    """Let somebody ask for a name."""
    party.add(who)
    party.sim.command(party.where[who], JoinRoom(HUB, name, room))


def entered(party: Party, who: str) -> list[str]:
    return [one.name for one in party.told(who, Entered)]


@pytest.mark.spec("U-19")
def test_who_was_killed_gives_way_in_five_seconds_to_one_who_asks_for_its_name() -> None:
    party = party_of("ann", "bob")
    party.sim.crash(("bob", 1))
    ask(party, "again")
    party.sim.run_for(4.9)
    assert entered(party, "again") == []
    assert party.hub.members("lobby") == ["ann", "bob"]
    assert party.hub.stats()["contests"] == 1
    party.sim.run_for(0.2)
    assert entered(party, "again") == ["bob"]
    assert party.told("again", JoinRefused) == []
    # All see one going and one coming, in this order, and the reason is that of a silent link.
    (lost,) = party.told("hub", MemberWent)
    assert (lost.name, lost.how, lost.reason) == ("bob", Going.LOST, Reason.DEAD)
    assert party.told("ann", WentOut) == [WentOut(1, 3, "bob", Going.LOST)]
    assert party.told("ann", CameIn)[-1] == CameIn(1, 4, "bob", Coming.NEW)
    assert party.hub.members("lobby") == ["ann", "bob"]
    stats = party.hub.stats()
    assert (stats["contests"], stats["absent"], stats["links"]) == (0, 0, 2)
    party.post("again", "it's me")
    party.sim.run_for(1)
    assert party.heard("ann") == ["it's me"]


@pytest.mark.spec("U-19")
def test_who_is_there_keeps_its_name_and_the_other_is_told_at_once() -> None:
    party = party_of("ann", "bob")
    before = party.sim.now
    ask(party, "again")
    party.sim.run_for(0.1)
    assert party.told("again", JoinRefused) == TAKEN
    assert party.sim.now - before < 0.2
    party.sim.run_for(20)
    assert party.told("hub", MemberWent) == []
    assert party.hub.stats()["contests"] == 0
    assert party.told("bob", Closed) == []


@pytest.mark.spec("U-19")
def test_who_takes_nothing_but_is_there_keeps_its_name() -> None:
    """A program that has paused reads nothing: what counts is the life of the link."""
    party = party_of("ann", "bob")
    party.sim.command(("bob", 1), Pause(1))
    party.post("ann", "not read yet")
    party.sim.run_for(1)
    ask(party, "again")
    party.sim.run_for(8)
    assert party.told("again", JoinRefused) == TAKEN
    assert party.told("hub", MemberWent) == []


@pytest.mark.spec("U-19")
@pytest.mark.parametrize("seed", range(20))
def test_who_is_there_keeps_its_name_on_a_bad_wire(seed: int) -> None:
    party = party_of("ann", "bob", faults=Faults(delay=0.05, loss=0.2), seed=seed)
    for number in range(5):
        ask(party, f"x{number}")
        party.sim.run_for(7)
        assert entered(party, f"x{number}") == [], f"seed {seed}, the {number}th who asked"
    assert party.told("hub", MemberWent) == [], f"seed {seed}"


@pytest.mark.spec("U-19")
def test_of_two_who_ask_the_second_is_refused_at_once_and_the_first_gets_the_name() -> None:
    party = party_of("ann", "bob")
    party.cut("bob")
    ask(party, "again")
    party.sim.run_for(1)
    ask(party, "third", "BOB")
    party.sim.run_for(1)
    assert party.told("third", JoinRefused) == [JoinRefused(1, JoinRefusal.NAME_TAKEN, "BOB-2")]
    party.sim.run_for(3.2)
    assert entered(party, "again") == ["bob"]


@pytest.mark.spec("U-19")
def test_a_holder_that_goes_by_itself_makes_place_at_once() -> None:
    party = party_of("ann", "bob")
    party.cut("bob")
    ask(party, "again")
    party.sim.run_for(1)
    (bob,) = (seat for seat in party.hub.seats.values() if seat.name == "bob")
    party.sim.command(HUB, Abort(bob.link, Reason.LEFT))
    party.sim.run_for(0.2)
    assert entered(party, "again") == ["bob"]
    assert [one.how for one in party.told("ann", WentOut)] == [Going.LOST]


@pytest.mark.spec("U-19")
def test_a_holder_that_comes_back_with_its_token_keeps_its_name() -> None:
    party = party_of("ann", "bob")
    one = party.at["bob"].memberships[1]
    party.sim.crash(("bob", 1))
    ask(party, "again")
    party.sim.run_for(2)
    party.sim.add(ROGUE, Endpoint(entropy("twin")))
    party.sim.command(ROGUE, Dial(HUB, ROLE))
    party.sim.command(ROGUE, Send(1, Join("bob", "lobby", 0, one.token, one.last).encode(), None))
    party.sim.run_for(0.5)
    assert party.told("again", JoinRefused) == TAKEN
    party.sim.run_for(6)
    assert party.told("hub", MemberWent) == []
    assert [one.how for one in party.told("hub", MemberCame)][-1] is Coming.BACK


@pytest.mark.spec("U-19")
@pytest.mark.parametrize("event", [Leave(1), Abort(1)])
def test_who_asks_and_goes_leaves_nothing_behind(event: Leave | Abort) -> None:
    party = party_of("ann", "bob")
    party.cut("bob")
    ask(party, "again")
    party.sim.run_for(1)
    assert party.hub.stats()["contests"] == 1
    party.sim.command(("again", 1), event)
    party.sim.run_for(1)
    assert party.hub.stats()["contests"] == 0
    # Nobody waits for the name any more, so that nothing is taken from anybody.
    party.sim.run_for(6)
    assert party.told("hub", MemberWent) == []
    assert party.hub.members("lobby") == ["ann", "bob"]


@pytest.mark.spec("U-19", "U-1")
@pytest.mark.parametrize("message", [Join("bob", "lobby"), Post(1, "now?")])
def test_who_says_more_while_it_waits_breaks_the_rules(message: Join | Post) -> None:
    party = party_of("ann", "bob")
    party.cut("bob")
    party.sim.add(ROGUE, Endpoint(entropy("rogue")))
    party.sim.command(ROGUE, Dial(HUB, ROLE))
    party.sim.command(ROGUE, Send(1, Join("bob", "lobby").encode(), None))
    party.sim.run_for(1)
    party.sim.command(ROGUE, Send(1, message.encode(), None))
    party.sim.run_for(1)
    (closed,) = [one for _, one in party.sim.notices(ROGUE) if isinstance(one, Closed)]
    assert closed.reason == Reason.PROTOCOL_ERROR
    assert party.hub.stats()["contests"] == 0


@pytest.mark.spec("U-19")
def test_a_guest_is_not_asked_for_it_has_no_link() -> None:
    party = party_of("ann")
    party.sim.command(HUB, AdmitGuest(-1, "bob", ("elsewhere", 9)))
    ask(party, "again")
    party.sim.run_for(0.2)
    assert party.told("again", JoinRefused) == TAKEN
    assert party.hub.stats()["contests"] == 0


@pytest.mark.spec("U-19")
def test_a_rogue_that_asks_for_all_names_in_turn_makes_the_hub_send_little() -> None:
    """Each JOIN costs the hub one PING to the one who has the name, and no more."""
    party = party_of("ann", "bob")
    party.sim.add(ROGUE, Endpoint(entropy("rogue")))
    party.sim.run_for(30)
    before = party.hub.stats()["datagrams_out"]
    for number in range(1, 51):
        party.sim.command(ROGUE, Dial(HUB, ROLE))
        party.sim.command(ROGUE, Send(number, Join("bob", "lobby").encode(), None))
        party.sim.run_for(0.3)
    said = [
        decode_group(one.message) for _, one in party.sim.notices(ROGUE) if type(one) is Received
    ]
    assert len(said) == 50
    # WELCOME, REFUSED with BYE and what acknowledges them; one PING; keepalives.
    assert party.hub.stats()["datagrams_out"] - before <= 50 * 5 + 4
    assert party.told("hub", MemberWent) == []


@pytest.mark.spec("U-19")
def test_a_hub_that_goes_away_takes_those_who_wait_with_it() -> None:
    party = party_of("ann", "bob")
    party.cut("bob")
    ask(party, "again")
    party.sim.run_for(1)
    party.sim.command(HUB, Disband())
    party.sim.run_for(10)
    assert [one.reason for one in party.told("again", Closed)] == [Reason.SHUTTING_DOWN]
    assert party.hub.stats()["contests"] == 0


def test_a_contest_has_twins_that_do_the_same() -> None:
    party = party_of("ann", "bob")
    party.cut("bob")
    calm = party.hub.state_key(party.sim.now)
    ask(party, "again")
    party.sim.run_for(1)
    now = party.sim.now
    twin = party.hub.clone()
    assert twin.state_key(now) == party.hub.state_key(now) != calm
    party.sim.run_for(6)
    assert party.hub.stats()["contests"] == 0
    assert twin.stats()["contests"] == 1
