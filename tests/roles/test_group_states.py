"""The tables of the role "group": every state with every input, and every row shown to matter.

What the tables should say is written down here a second time. Scenarios of real machines are run
with the whole table, and again without each row that they used: without it, something else must
be told or sent.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from hashlib import blake2b

import pytest
from group_support import HUB, Party
from pairs import entropy

from palaver import Abort, Dial, Endpoint, Leave, Limits, PalaverError, Pause, Resume, Send
from palaver.roles.group.events import Disband, JoinRoom, Post
from palaver.roles.group.rules import HubRules, MemberRules
from palaver.roles.group.states import (
    HUB_TABLE,
    MEMBER_TABLE,
    MemberInput,
    MemberState,
    SeatInput,
    SeatState,
)
from palaver.sim import Faults
from palaver.wire.errors import Reason
from palaver.wire.group import ROLE, Admitted, Join, Members

S, M = SeatState, MemberState
Row = tuple[IntEnum, IntEnum]

SEATS: dict[SeatState, dict[str, SeatState]] = {
    S.WAITING: {
        "JOIN": S.CURRENT,
        "CONTEST": S.CONTENDING,
        "REFUSE LATE LEFT LOST FORGET": S.GONE,
    },
    S.CONTENDING: {"JOIN": S.CURRENT, "REFUSE LEFT LOST": S.GONE},
    S.CURRENT: {
        "RETURN POST ACKNOWLEDGED": S.CURRENT,
        "FULL": S.BEHIND,
        "LEFT": S.GONE,
        "LOST SILENT": S.ABSENT,
    },
    S.BEHIND: {
        "RETURN ROOM": S.CURRENT,
        "POST ACKNOWLEDGED": S.BEHIND,
        "OVERRUN LOST SILENT": S.ABSENT,
        "LEFT": S.GONE,
    },
    S.ABSENT: {"RETURN": S.CURRENT, "FORGET": S.GONE},
    S.GONE: {},
}

MEMBERS: dict[MemberState, dict[str, MemberState]] = {
    M.JOINING: {
        "POST LATE": M.JOINING,
        "ADMITTED": M.ARRIVING,
        "LEAVE ABORT REFUSED LOST ENDED": M.OUT,
    },
    M.ARRIVING: {
        "POST MEMBERS LATE": M.ARRIVING,
        "COMPLETE": M.IN,
        "LOST": M.REJOINING,
        "LEAVE ABORT ENDED": M.OUT,
    },
    M.IN: {
        "POST LOG RECEIPT": M.IN,
        "LEAVE": M.LEAVING,
        "LOST": M.REJOINING,
        "ABORT ENDED": M.OUT,
    },
    M.REJOINING: {
        "POST LOST REDIAL LATE": M.REJOINING,
        "ADMITTED": M.ARRIVING,
        "LEAVE ABORT REFUSED ENDED GIVE_UP": M.OUT,
    },
    M.LEAVING: {
        "POST LOG RECEIPT": M.LEAVING,
        "DRAINED GIVE_UP": M.PARTING,
        "ABORT LOST ENDED": M.OUT,
    },
    M.PARTING: {"POST LOG RECEIPT": M.PARTING, "ABORT LOST ENDED": M.OUT},
    M.OUT: {},
}


@pytest.mark.parametrize("state", SeatState)
@pytest.mark.parametrize("what", SeatInput)
def test_what_follows_for_a_seat_is_what_was_meant(state: SeatState, what: SeatInput) -> None:
    expected = {name: after for names, after in SEATS[state].items() for name in names.split()}
    row = HUB_TABLE.get((state, what))
    assert (None if row is None else row[1]) == expected.get(what.name)


@pytest.mark.parametrize("state", MemberState)
@pytest.mark.parametrize("what", MemberInput)
def test_what_follows_for_a_member_is_what_was_meant(state: MemberState, what: MemberInput) -> None:
    expected = {name: after for names, after in MEMBERS[state].items() for name in names.split()}
    row = MEMBER_TABLE.get((state, what))
    assert (None if row is None else row[1]) == expected.get(what.name)


@pytest.mark.parametrize("state", SeatState)
@pytest.mark.parametrize("what", SeatInput)
def test_a_pair_without_a_row_changes_nothing_at_the_hub(state: SeatState, what: SeatInput) -> None:
    if (state, what) in HUB_TABLE:
        return
    party = Party(faults=Faults(delay=0.01))
    party.join("ann")
    (seat,) = party.hub.seats.values()
    seat.state = state
    key = party.hub.state_key(party.sim.now)
    party.hub.step(seat, what, None, party.sim.now, [])
    assert party.hub.state_key(party.sim.now) == key
    assert party.hub.stats()["odd"] == 1


@pytest.mark.parametrize("state", MemberState)
@pytest.mark.parametrize("what", MemberInput)
def test_a_pair_without_a_row_changes_nothing_at_a_member(
    state: MemberState, what: MemberInput
) -> None:
    if (state, what) in MEMBER_TABLE:
        return
    party = Party(faults=Faults(delay=0.01))
    party.join("ann")
    ann = party.at["ann"]
    ann.memberships[1].state = state
    key = ann.state_key(party.sim.now)
    ann.step(ann.memberships[1], what, None, party.sim.now, [])
    assert ann.state_key(party.sim.now) == key
    assert ann.stats()["odd"] == 1


# Scenarios

SMALL = Limits(window=16384, queue_messages=8)


def party_of(*names: str, rules: HubRules | None = None, limits: Limits | None = None) -> Party:
    party = Party(
        faults=Faults(delay=0.01),
        rules=rules or HubRules(log=20, join_within=3, absence=40),
        member_rules=MemberRules(rejoin_for=40),
        limits=limits,
    )
    party.join(*names, settle=0.5)
    return party


def talking() -> Party:
    party = party_of("ann", "bob", "cy")
    party.post("ann", "1")
    party.post("bob", "2")
    party.sim.run_for(2)
    party.leave("cy")
    party.sim.run_for(2)
    return party


def refused() -> Party:
    party = party_of("ann")
    party.add("x")
    party.sim.command(("x", 1), JoinRoom(HUB, "ann"), Post(1, "x", 1))
    party.sim.run_for(4)
    return party


def refused_at_once() -> Party:
    party = party_of("ann")
    party.add("x")
    party.sim.command(("x", 1), JoinRoom(HUB, "\u200bx"))
    party.sim.run_for(4)
    return party


def waiting(*events: Leave | Abort) -> Callable[[], Party]:
    def scenario() -> Party:
        party = party_of("ann")
        party.sim.add(("rogue", 1), Endpoint(entropy("rogue")))
        party.sim.command(("rogue", 1), Dial(HUB, ROLE))
        party.sim.run_for(1)
        for event in events:
            party.sim.command(("rogue", 1), event)
        party.sim.run_for(5)
        return party

    return scenario


def lost_and_back(seconds: float, *, log: int = 20) -> Callable[[], Party]:
    def scenario() -> Party:
        party = party_of("ann", "bob", rules=HubRules(log=log, absence=40))
        party.cut("bob")
        party.post("ann", "1")
        party.post("bob", "2")
        party.sim.run_for(seconds)
        party.post("bob", "3")
        party.sim.heal()
        party.sim.run_for(30)
        return party

    return scenario


def contested(*events: Leave | Abort, cut: bool = True) -> Callable[[], Party]:
    """Let somebody ask for the name of Bob, who is cut off; and perhaps go before it has it."""

    def scenario() -> Party:
        party = party_of("ann", "bob")
        if cut:
            party.cut("bob")
        and_is_contested(party)
        party.sim.run_for(1)
        for event in events:
            party.sim.command(("x", 1), event)
        party.sim.run_for(8)
        return party

    return scenario


def and_is_contested(party: Party) -> None:
    party.add("x")
    party.sim.command(("x", 1), JoinRoom(HUB, "bob"))


def and_is_cut_and_contested(party: Party) -> None:
    party.cut("bob")
    and_is_contested(party)


def taken_over() -> Party:
    party = party_of("ann", "bob")
    and_takes_over(party)
    party.post("ann", "to whom?")
    party.sim.run_for(2)
    return party


def stuck(then: Callable[[Party], None]) -> Callable[[], Party]:
    """Let Bob take nothing until his queue is full; then something happens."""

    def scenario() -> Party:
        party = party_of("ann", "bob", "cy", rules=HubRules(log=400, absence=40), limits=SMALL)
        party.sim.command(("bob", 1), Pause(1))
        for number in range(70):
            party.post("ann", f"{number} " + "x" * 500)
            party.sim.run_for(0.05)
        assert party.hub.stats()["behind"] == 1
        then(party)
        party.sim.run_for(10)
        return party

    return scenario


def and_resumes(party: Party) -> None:
    party.sim.command(("bob", 1), Resume(1))


def and_posts(party: Party) -> None:
    party.post("bob", "still here")


def and_leaves(party: Party) -> None:
    party.sim.command(("bob", 1), Abort(1))


def and_is_lost(party: Party) -> None:
    party.cut("bob")
    party.sim.run_for(40)


def and_takes_over(party: Party) -> None:
    """Another link comes with Bob's token."""
    one = party.at["bob"].memberships[1]
    party.sim.add(("twin", 1), Endpoint(entropy("twin")))
    party.sim.command(("twin", 1), Dial(HUB, ROLE))
    party.sim.command(
        ("twin", 1), Send(1, Join("bob", "lobby", 0, one.token, one.last).encode(), None)
    )


def and_is_overrun(party: Party) -> None:
    for number in range(500):
        party.post("ann", f"{number} " + "x" * 500)
        party.sim.run_for(0.05)


def early(*events: Leave | Abort) -> Callable[[], Party]:
    def scenario() -> Party:
        party = party_of()
        party.sim.partition(("ann", 1), HUB)
        party.add("ann")
        party.sim.command(("ann", 1), JoinRoom(HUB, "ann", timeout=4.0), Post(1, "x", 1))
        party.sim.run_for(1)
        for event in events:
            party.sim.command(("ann", 1), event)
        party.sim.run_for(6)
        return party

    return scenario


def arriving(then: Callable[[Party, Endpoint], object]) -> Callable[[], Party]:
    """Let Ann be admitted by a hub that says that there is one more to meet; then something."""

    def scenario() -> Party:
        party = party_of()
        party.sim.crash(HUB)
        hub = Endpoint(entropy("other"), roles=(ROLE,))
        party.sim.restart(HUB, hub)
        party.add("ann")
        party.sim.command(("ann", 1), JoinRoom(HUB, "ann"))
        party.sim.run_for(0.5)
        admitted = Admitted(0, bytes(16), 0, 0, 1, "ann")
        party.sim.command(HUB, Send(1, admitted.encode(), None))
        party.sim.run_for(0.5)
        then(party, hub)
        party.sim.run_for(3)
        return party

    return scenario


def at_the_wrong_door() -> Party:
    party = party_of()
    party.sim.crash(HUB)
    party.sim.restart(HUB, Endpoint(entropy("x"), roles=("other",)))
    party.join("ann")
    return party


def unanswered(seconds: float) -> Callable[[], Party]:
    """Let Ann come to a hub that never says anything."""

    def scenario() -> Party:
        party = party_of("ann") if seconds else party_of()
        party.sim.crash(HUB)
        party.sim.run_for(seconds)
        party.sim.restart(HUB, Endpoint(entropy("mute"), roles=(ROLE,)))
        if not seconds:
            party.join("ann")
        party.post("ann", "anybody?")
        party.sim.run_for(15)
        return party

    return scenario


def ends(reason: int) -> Callable[[Party, Endpoint], object]:
    return lambda party, _: party.sim.command(HUB, Abort(1, reason))


def told(*events: Leave | Abort | Post) -> Callable[[Party, Endpoint], object]:
    return lambda party, _: party.sim.command(("ann", 1), *events)


def posts_and_meets(party: Party, _: Endpoint) -> None:
    party.sim.command(("ann", 1), Post(1, "x", 1))
    party.sim.command(HUB, Send(1, Members(("bob",)).encode(), None))


def ending(*events: Leave | Abort, cut: bool = False, seconds: float = 10) -> Callable[[], Party]:
    """Ann leaves while things are under way."""

    def scenario() -> Party:
        party = party_of("ann", "bob")
        if cut:
            party.cut("ann")
        party.post("ann", "1")
        for event in events:
            party.sim.command(("ann", 1), event)
            party.post("bob", "meanwhile")
            party.post("ann", "late")
            party.sim.run_for(0.001)
        party.sim.run_for(seconds)
        return party

    return scenario


def leaving_from(then: str) -> Callable[[], Party]:
    """Ann leaves, and is not told that the hub has her post; then the hub goes away."""

    def scenario() -> Party:
        party = party_of("ann", "bob")
        party.sim.path(HUB, ("ann", 1)).cut = True
        party.post("ann", "1")
        party.leave("ann")
        party.post("ann", "late")
        party.sim.run_for(0.5)
        party.post("bob", "for ann")
        party.sim.run_for(1)
        if then == "bye":
            party.sim.run_for(5)
            party.post("ann", "later")
        if then in {"disband", "bye", "ended"}:
            party.sim.path(HUB, ("ann", 1)).cut = False
            party.sim.command(HUB, Disband() if then == "disband" else Abort(1))
        elif then == "restart":
            party.restart_hub()
            party.sim.path(HUB, ("ann", 1)).cut = False
        elif then == "heal":
            party.sim.path(HUB, ("ann", 1)).cut = False
        elif then == "abort":
            party.sim.command(("ann", 1), Abort(1))
        party.sim.run_for(10)
        return party

    return scenario


def parting(then: str) -> Callable[[], Party]:
    """Ann has said BYE, and the hub does not hear it; then something happens."""

    def scenario() -> Party:
        party = party_of("ann", "bob")
        party.sim.path(("ann", 1), HUB).cut = True
        party.post("bob", "for ann")
        party.leave("ann")
        party.sim.run_for(0.3)
        party.post("ann", "late")
        if then == "abort":
            party.sim.command(("ann", 1), Abort(1))
        elif then == "restart":
            party.restart_hub()
            party.sim.path(("ann", 1), HUB).cut = False
        elif then == "ended":
            party.sim.command(HUB, Abort(1))
        elif then == "heal":
            party.sim.path(("ann", 1), HUB).cut = False
        party.sim.run_for(12)
        return party

    return scenario


def receipts_while_leaving() -> Party:
    """Ann's first post spreads while the hub does not hear her second one, nor her BYE."""
    party = party_of("ann", "bob")
    party.post("ann", "1")
    party.sim.run_for(0.15)
    party.sim.path(("ann", 1), HUB).cut = True
    party.post("ann", "2")
    party.leave("ann")
    party.sim.run_for(12)
    return party


def receipts_while_parting() -> Party:
    party = party_of("ann", "bob")
    party.post("ann", "1")
    party.sim.run_for(0.15)
    party.sim.path(("ann", 1), HUB).cut = True
    party.leave("ann")
    party.sim.run_for(12)
    return party


def rejoining(then: str) -> Callable[[], Party]:
    def scenario() -> Party:
        party = party_of("ann", "bob")
        party.cut("ann")
        party.post("ann", "1")
        party.post("bob", "to ann")
        party.sim.run_for(35)
        party.post("ann", "2")
        if then == "abort":
            party.sim.command(("ann", 1), Abort(1))
        elif then == "leave":
            party.leave("ann")
        elif then == "refused":
            party.add("thief")
            party.sim.command(("thief", 1), JoinRoom(HUB, "ann"))
            party.sim.run_for(1)
            party.sim.heal()
        elif then in {"busy", "wrong"}:
            party.sim.crash(HUB)
            roles = (ROLE,) if then == "busy" else ("other",)
            places = 0 if then == "busy" else 9
            party.sim.restart(HUB, Endpoint(entropy("x"), roles=roles, max_inbound=places))
            party.sim.heal()
        party.sim.run_for(50)
        return party

    return scenario


SCENARIOS: dict[str, Callable[[], Party]] = {
    "talking": talking,
    "refused": refused,
    "refused at once": refused_at_once,
    "waiting": waiting(),
    "waiting, left": waiting(Leave(1)),
    "waiting, aborted": waiting(Abort(1, 2)),
    "lost and back": lost_and_back(55),
    "lost and back too late": lost_and_back(110),
    "contested": contested(),
    "contested, alive": contested(cut=False),
    "contested, left": contested(Leave(1)),
    "contested, aborted": contested(Abort(1, 2)),
    "stuck, contested": stuck(and_is_cut_and_contested),
    "taken over": taken_over,
    "stuck, resumes": stuck(and_resumes),
    "stuck, posts": stuck(and_posts),
    "stuck, leaves": stuck(and_leaves),
    "stuck, is lost": stuck(and_is_lost),
    "stuck, takes over": stuck(and_takes_over),
    "stuck, overrun": stuck(and_is_overrun),
    "early": early(),
    "early, leaves": early(Leave(1)),
    "early, aborts": early(Abort(1)),
    "at the wrong door": at_the_wrong_door,
    "arriving, lost": arriving(ends(Reason.OVERWHELMED)),
    "arriving, ended": arriving(ends(Reason.SHUTTING_DOWN)),
    "arriving, leaves": arriving(told(Leave(1))),
    "arriving, aborts": arriving(told(Abort(1))),
    "arriving, posts": arriving(posts_and_meets),
    "arriving, waits": arriving(lambda party, _: party.sim.run_for(11)),
    "unanswered": unanswered(0),
    "unanswered later": unanswered(35),
    "aborts": ending(Abort(1)),
    "leaves": ending(Leave(1)),
    "leaves, then aborts": ending(Leave(1), Abort(1), cut=True),
    "leaves without being heard": ending(Leave(1), cut=True, seconds=20),
    "disband": ending(),
    **{
        f"leaving, {then}": leaving_from(then)
        for then in ("disband", "restart", "heal", "abort", "bye", "ended")
    },
    **{f"parting, {then}": parting(then) for then in ("abort", "restart", "ended", "heal")},
    "receipts while leaving": receipts_while_leaving,
    "receipts while parting": receipts_while_parting,
    **{
        f"rejoining, {then}": rejoining(then)
        for then in ("nothing", "abort", "leave", "refused", "busy", "wrong")
    },
}


class Watched(dict[Row, tuple[str, IntEnum]]):
    """A table that remembers what was asked of it."""

    def __init__(self, rows: dict[Row, tuple[str, IntEnum]]) -> None:
        super().__init__(rows)
        self.asked: set[Row] = set()

    def get(self, row: Row, default: object = None) -> tuple[str, IntEnum] | None:  # type: ignore[override]
        if row in self:
            self.asked.add(row)
        return super().get(row)


TABLES: dict[str, dict[Row, tuple[str, IntEnum]]] = {
    "palaver.roles.group.hub.HUB_TABLE": dict(HUB_TABLE.items()),
    "palaver.roles.group.member.MEMBER_TABLE": dict(MEMBER_TABLE.items()),
}
ROWS = [(place, row) for place, table in TABLES.items() for row in table]


def outcome(name: str) -> bytes:
    """Run a scenario and give a fingerprint of all that was told and sent."""
    digest = blake2b()
    try:
        party = SCENARIOS[name]()
        for address in [HUB, *((one, 1) for one in party.at)]:
            for told_at in party.sim.notices(address):
                digest.update(repr(told_at).encode())
        digest.update(repr(party.sim.counts()).encode())
        digest.update(repr(sorted(party.hub.stats().items())).encode())
    except (PalaverError, AssertionError, LookupError) as broken:
        return repr(type(broken)).encode()
    return digest.digest()


@pytest.fixture(scope="module")
def runs() -> dict[str, tuple[bytes, set[Row]]]:
    """Give, for each scenario, what came of it and the rows that it used."""
    found = {}
    for name in SCENARIOS:
        with pytest.MonkeyPatch.context() as patch:
            watched = {place: Watched(table) for place, table in TABLES.items()}
            for place, table in watched.items():
                patch.setattr(place, table)
            found[name] = (outcome(name), {row for t in watched.values() for row in t.asked})
    return found


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_scenario_can_be_repeated_exactly(
    name: str, runs: dict[str, tuple[bytes, set[Row]]]
) -> None:
    assert len(runs[name][0]) == 64, f"it broke: {runs[name][0]!r}"
    assert outcome(name) == runs[name][0]


@pytest.mark.parametrize(
    ("place", "row"), ROWS, ids=lambda one: "-".join(x.name for x in one) if one[0] != "p" else ""
)
def test_without_a_row_something_else_happens(
    place: str,
    row: Row,
    runs: dict[str, tuple[bytes, set[Row]]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    users = [name for name, (_, used) in runs.items() if row in used]
    assert users, "no scenario uses it"
    monkeypatch.setattr(place, {one: to for one, to in TABLES[place].items() if one != row})
    assert any(outcome(name) != runs[name][0] for name in users)
