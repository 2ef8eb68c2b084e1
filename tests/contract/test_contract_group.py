"""What a hub and its members do, on every driver and transport, and between any two drivers."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import product

import pytest
from contract_support import DRIVERS, TRANSPORTS, WAYS, Way
from group_contract_support import Player, hall
from io_support import FAST, leaving_nothing_behind

from palaver import (
    Closed,
    Leave,
    Limits,
    Notice,
    Pause,
    Reason,
    Resume,
    UsageError,
    WouldBlock,
    Writable,
)
from palaver.roles.group.events import (
    CameIn,
    Disband,
    Entered,
    Gap,
    Interrupted,
    JoinRefused,
    MemberCame,
    MemberWent,
    Post,
    PostHeard,
    PostRelayed,
    PostSpread,
    PostTaken,
    WentOut,
)
from palaver.roles.group.rules import HubRules, MemberRules
from palaver.sim import Faults
from palaver.wire.group import JoinRefusal, Welcome
from palaver.wire.group_log import Coming, Going

PAIRS = [
    (Way(hub, transport), Way(member, transport))
    for hub, member, transport in product(DRIVERS, DRIVERS, TRANSPORTS)
]
each_pair = pytest.mark.parametrize("pair", PAIRS, ids=lambda p: f"{p[0].driver}-{'-'.join(p[1])}")
each_way = pytest.mark.parametrize("way", WAYS, ids="-".join)

QUICK = MemberRules(rejoin_first=0.02)


def has_told(one: Player, kind: type[Notice], count: int) -> bool:
    return len(one.all(kind)) >= count


@pytest.fixture(autouse=True)
def _no_leaks() -> Iterator[None]:
    with leaving_nothing_behind():
        yield


@pytest.mark.smoke
@each_pair
def test_all_hear_all_others_in_one_order(pair: tuple[Way, Way]) -> None:
    with hall(*pair) as party:
        names = ["Ann", "Bob", "Cy"]
        members = [party.join(name) for name in names]
        twin = party.add()
        party.ask(twin, "ANN")
        party.wait(lambda: twin.all(Closed))
        (refused,) = twin.all(JoinRefused)
        assert (refused.reason, refused.suggestion) == (JoinRefusal.NAME_TAKEN, "ANN-2")
        for number in range(20):
            for one, name in zip(members, names, strict=True):
                party.post(one, f"{name} {number}")
        for one in members:
            party.wait(partial(has_spread_to_all, one, 20))
        members[2].driver.perform(Leave(1))
        party.wait(lambda: members[2].all(Closed))
        assert members[2].all(Closed)[0].clean
        party.wait(lambda: party.hub.all(MemberWent))
        party.check(members[2], 3 + 60)
        for one in members[:2]:
            party.check(one, 3 + 60 + 1)
            assert one.all(WentOut)[0].how is Going.LEFT
        party.hub.driver.perform(Disband())
        for one in members[:2]:
            party.wait(partial(one.all, Closed))
            assert one.all(Closed)[0].reason == Reason.SHUTTING_DOWN


def has_spread_to_all(one: Player, posts: int) -> bool:
    """Tell whether the author knows that both others have its posts."""
    spread = {it.ref: it for it in one.all(PostSpread)}
    done = [it for it in spread.values() if (it.acknowledged, it.awaited) == (2, 0)]
    return len(done) == posts


@each_way
def test_rooms_are_apart_and_newcomers_get_what_was_said_last(way: Way) -> None:
    with hall(way, way, rules=HubRules(backlog=2)) as party:
        ann = party.join("Ann")
        party.post(ann, "1", "2", "3")
        garden = party.ask(ann, "Ann", "garden")
        bob = party.join("Bob", "garden")
        party.post(bob, "flowers")
        cy = party.join("Cy", backlog=9)
        party.check(ann, 5)
        party.check(cy, 5)
        party.check(bob, 3, room="garden")
        party.check(ann, 3, link=garden, room="garden")
        assert [one.text for one in cy.all(PostHeard)] == ["2", "3"]
        assert [one.text for one in ann.all(PostHeard)] == ["flowers"]
        assert {one.text: one.room for one in party.hub.all(PostRelayed)} == {
            **dict.fromkeys("123", "lobby"),
            "flowers": "garden",
        }


@each_way
def test_a_member_that_was_killed_is_missed_and_its_name_is_free(way: Way) -> None:
    with hall(way, way, timing=FAST) as party:
        ann, bob = party.join("Ann"), party.join("Bob")
        party.kill(bob)
        party.post(ann, "still there?")
        party.wait(lambda: ann.all(WentOut))
        assert ann.all(WentOut)[0].how is Going.LOST
        reason = Reason.DISCONNECTED if party.is_tcp else Reason.DEAD
        assert [one.reason for one in party.hub.all(MemberWent)] == [reason]
        again = party.add()
        party.ask(again, "Bob")
        party.wait(lambda: again.all(Entered))
        party.check(ann, 5)
        # It has not proved that it is the old one.
        assert [one.how for one in ann.all(CameIn)] == [Coming.NEW] * 3


@each_way
def test_members_join_a_hub_anew_that_was_killed_and_started_again(way: Way) -> None:
    with hall(way, way, member_rules=QUICK) as party:
        ann, bob = party.join("Ann"), party.join("Bob")
        party.post(ann, "before")
        party.wait(lambda: bob.all(PostHeard))
        party.kill(party.hub)
        party.restart_hub()
        for one in (ann, bob):
            # Over UDP it is noticed when something is sent.
            party.post(one, "to whom?")
            party.wait(partial(has_told, one, Entered, 2))
            entered = one.all(Entered)[1]
            assert entered.how is Welcome.NEW
            assert one.all(Gap)[0].last == 0
            reason = Reason.DISCONNECTED if party.is_tcp else Reason.RESET
            assert one.all(Interrupted)[0].reason == reason
        ann.driver.perform(Post(1, "after", 99))
        party.wait(lambda: [one for one in bob.all(PostHeard) if one.text == "after"])
        party.wait(lambda: [one for one in ann.all(PostTaken) if one.ref == 99])


@each_way
def test_a_member_that_takes_nothing_is_dropped_and_told_of_its_gap(way: Way) -> None:
    rules = HubRules(log=64)
    with hall(way, way, rules=rules, member_rules=QUICK) as party:
        ann, bob = party.join("Ann"), party.join("Bob")
        slow = party.add(Limits(window=16384))
        party.ask(slow, "Cy")
        party.wait(lambda: slow.all(Entered))
        slow.driver.perform(Pause(1))
        texts = [f"{number} {'x' * 900}" for number in range(200)]
        for start in range(0, len(texts), 20):
            # Bob keeps up.
            party.post(ann, *texts[start : start + 20])
            party.wait(partial(has_told, bob, PostHeard, start + 20))
        party.wait(lambda: party.hub.all(MemberWent))
        went = party.hub.all(MemberWent)[0]
        assert (went.name, went.how, went.reason) == ("Cy", Going.DROPPED, Reason.OVERWHELMED)
        assert [one.text for one in bob.all(PostHeard)] == texts
        party.wait(lambda: len(slow.all(Entered)) == 2)
        assert slow.all(Interrupted)[0].reason == Reason.OVERWHELMED
        assert slow.all(Entered)[1].how is Welcome.GAP
        assert slow.all(Gap)[0].last == slow.all(Entered)[1].number
        numbers = [one.number for one in slow.all(PostHeard)]
        assert numbers == sorted(set(numbers))


@each_way
def test_a_bad_network_changes_nothing(way: Way) -> None:
    faults = Faults(loss=0.2, duplicate=0.1, reorder=0.1, corrupt=0.05)
    if way.transport == "tcp":
        with (
            pytest.raises(UsageError, match="faults can't be injected into TCP"),
            hall(way, way, faults=faults),
        ):
            raise AssertionError("it was taken")
        return
    with hall(way, way, faults=faults) as party:
        names = ["Ann", "Bob", "Cy"]
        members = [party.join(name) for name in names]
        for number in range(25):
            for one, name in zip(members, names, strict=True):
                party.post(one, f"{name} {number}")
        for one in members:
            party.check(one, 3 + 75)


@each_way
def test_who_posts_faster_than_the_hub_takes_must_wait(way: Way) -> None:
    with hall(way, way, member_rules=MemberRules(posts=8)) as party:
        ann, bob = party.join("Ann"), party.join("Bob")
        link = party.hub.all(MemberCame)[0].link
        party.hub.driver.perform(Pause(link))
        party.post(ann, *(f"{number}" for number in range(8)))
        with pytest.raises(WouldBlock):
            ann.driver.perform(Post(1, "too much", 99))
        party.hub.driver.perform(Resume(link))
        party.wait(lambda: ann.all(Writable))
        party.post(ann, *(f"{number}" for number in range(8, 100)))
        party.check(bob, 102)
        assert [one.text for one in bob.all(PostHeard)] == [f"{number}" for number in range(100)]
