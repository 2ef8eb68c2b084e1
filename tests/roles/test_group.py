"""Everyone hears everyone: the role "group" (PROTOCOL.md, section 6.6)."""

from __future__ import annotations

from itertools import pairwise

import pytest
from group_support import HUB, Party
from pairs import entropy

from palaver import (
    Abort,
    Closed,
    Dialing,
    Finish,
    Leave,
    Limits,
    Overdue,
    Pause,
    Reason,
    Resume,
    Side,
    StillDialing,
    Undelivered,
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
    JoinRoom,
    MemberCame,
    MemberWent,
    Post,
    PostHeard,
    PostRelayed,
    PostSpread,
    PostTaken,
    WentOut,
)
from palaver.roles.group.hub import Hub
from palaver.roles.group.member import Member
from palaver.roles.group.rules import HubRules, MemberRules
from palaver.sim import Faults
from palaver.wire.group import JoinRefusal, Welcome
from palaver.wire.group_log import MAX_TEXT, Coming, Going

LINK = Faults(delay=0.01)


def three(**options: object) -> Party:
    """Ann, Bob and Cy are in the lobby."""
    party = Party(faults=LINK, **options)  # type: ignore[arg-type]
    party.join("ann", "bob", "cy")
    return party


# Talking


@pytest.mark.smoke
@pytest.mark.spec("U-5", "U-6")
def test_a_post_reaches_all_others_with_its_author_and_number_and_nobody_hears_itself() -> None:
    party = three()
    party.post("ann", "hello")
    party.post("bob", "hi", "")
    party.sim.run_for(1)
    assert party.told("ann", PostHeard) == [
        PostHeard(1, 5, "bob", "hi"),
        PostHeard(1, 6, "bob", ""),
    ]
    assert party.told("bob", PostHeard) == [PostHeard(1, 4, "ann", "hello")]
    assert party.heard("cy") == ["hello", "hi", ""]
    assert party.told("ann", PostTaken) == [PostTaken(1, 0, 4)]
    assert party.told("bob", PostTaken) == [PostTaken(1, 0, 5), PostTaken(1, 1, 6)]
    assert [one.number for one in party.told("hub", PostRelayed)] == [4, 5, 6]
    party.settle(1)


@pytest.mark.spec("U-7", "U-8")
def test_who_comes_is_told_who_is_there_and_comings_and_goings_have_numbers() -> None:
    party = three()
    assert [one.members for one in party.told("cy", Entered)] == [("ann", "bob")]
    assert party.told("ann", CameIn) == [
        CameIn(1, 1, "ann", Coming.NEW),
        CameIn(1, 2, "bob", Coming.NEW),
        CameIn(1, 3, "cy", Coming.NEW),
    ]
    party.leave("bob")
    party.sim.run_for(5)
    assert party.told("cy", WentOut) == [WentOut(1, 4, "bob", Going.LEFT)]
    assert party.at["ann"].members(1) == ("ann", "cy")
    (closed,) = party.told("bob", Closed)
    assert (closed.reason, closed.by, closed.clean) == (Reason.LEFT, Side.LOCAL, True)
    (went,) = party.told("hub", MemberWent)
    assert (went.room, went.number, went.name, went.how) == ("lobby", 4, "bob", Going.LEFT)
    assert not party.at["bob"].memberships
    assert party.at["bob"].is_idle


@pytest.mark.spec("U-13")
def test_an_author_learns_how_many_of_the_others_have_its_post() -> None:
    party = three()
    party.post("ann", "hello")
    party.sim.run_for(1)
    assert party.told("ann", PostSpread)[-1] == PostSpread(1, 0, 2, 0)
    party.cut("bob")
    party.post("ann", "anyone?")
    party.sim.run_for(2)
    assert party.told("ann", PostSpread)[-1] == PostSpread(1, 1, 1, 1)
    party.sim.run_for(60)
    # Bob was lost without having said that he has it.
    assert party.told("ann", WentOut)[-1].how is Going.LOST
    assert party.told("ann", PostSpread)[-1] == PostSpread(1, 1, 1, 0)


@pytest.mark.spec("U-13")
def test_receipts_are_few_however_many_posts_there_are() -> None:
    party = three()
    hub = party.hub
    before = hub.stats()["datagrams_out"]
    for number in range(200):
        party.post("ann", f"{number}")
        party.sim.run_for(0.01)
    spent = party.sim.now
    party.sim.run_for(1)
    told = [time for time, one in party.sim.notices(("ann", 1)) if isinstance(one, PostSpread)]
    assert len(set(told)) <= 5 * (spent - told[0]) + 7
    assert {one.ref: one.acknowledged for one in party.told("ann", PostSpread)} == dict.fromkeys(
        range(200), 2
    )
    assert hub.stats()["datagrams_out"] > before


def test_a_member_alone_is_told_that_the_hub_has_its_post() -> None:
    party = Party(faults=LINK)
    party.join("ann")
    party.post("ann", "hello?")
    party.sim.run_for(1)
    assert party.told("ann", PostTaken) == [PostTaken(1, 0, 2)]
    assert party.told("ann", PostSpread) == []


def test_what_is_posted_before_one_is_in_goes_out_as_soon_as_one_is() -> None:
    party = Party(faults=LINK)
    party.join("bob")
    party.add("ann")
    party.sim.command(("ann", 1), JoinRoom(HUB, "ann"), Post(1, "first", 0), Post(1, "second", 1))
    party.sim.run_for(1)
    assert party.heard("bob") == ["first", "second"]
    assert party.told("ann", PostTaken) == [PostTaken(1, 0, 3), PostTaken(1, 1, 4)]


def test_the_longest_post_arrives() -> None:
    party = three()
    party.post("ann", "x" * MAX_TEXT)
    party.sim.run_for(5)
    assert party.heard("bob") == party.heard("cy") == ["x" * MAX_TEXT]


# Rooms and names


def test_rooms_have_nothing_to_do_with_each_other_and_one_may_be_in_several() -> None:
    party = Party(faults=LINK)
    party.join("ann", "bob")
    party.join("ann", "cy", room="Garden")
    party.post("ann", "in the lobby", link=1)
    party.post("ann", "in the garden", link=2)
    party.sim.run_for(1)
    assert party.heard("bob") == ["in the lobby"]
    assert party.heard("cy") == ["in the garden"]
    assert party.hub.members("lobby") == ["ann", "bob"]
    assert party.hub.members("gARDEN") == ["ann", "cy"]
    assert party.hub.members("nowhere") == []
    party.leave("ann", link=1)
    party.sim.run_for(2)
    assert party.hub.members("lobby") == ["bob"]
    assert party.hub.members("garden") == ["ann", "cy"]
    party.settle(1)


@pytest.mark.spec("U-3", "U-4")
@pytest.mark.parametrize(
    ("name", "reason", "suggestion"),
    [
        ("aNN", JoinRefusal.NAME_TAKEN, "aNN-2"),
        ("an\u200bn", JoinRefusal.BAD_NAME, "an n"),
        (" bob", JoinRefusal.BAD_NAME, "bob-2"),
        ("\x00", JoinRefusal.BAD_NAME, "guest"),
    ],
)
def test_a_name_that_can_not_be_had_is_refused_with_a_suggestion(
    name: str, reason: JoinRefusal, suggestion: str
) -> None:
    party = Party(faults=LINK)
    party.join("ann", "bob")
    party.add("x")
    party.sim.command(("x", 1), JoinRoom(HUB, name, ref=7), Post(1, "unheard", 3))
    party.sim.run_for(5)
    assert party.told("x", JoinRefused) == [JoinRefused(1, reason, suggestion)]
    assert party.told("x", Undelivered) == [Undelivered(1, 3, reason)]
    assert party.told("x", Closed) == [Closed(1, 7, reason, Side.PEER)]
    assert party.told("x", Entered) == []
    assert party.hub.members("lobby") == ["ann", "bob"]
    assert party.hub.stats()["links"] == 2
    assert party.hub.stats()["turned_down"] == 1
    party.sim.command(("x", 1), JoinRoom(HUB, suggestion))
    party.sim.run_for(1)
    assert party.hub.members("lobby") == ["ann", "bob", suggestion]


@pytest.mark.spec("U-4")
def test_a_name_is_told_in_normal_form() -> None:
    party = Party(faults=LINK)
    party.add("e")
    party.sim.command(("e", 1), JoinRoom(HUB, "e\u0301"))
    party.sim.run_for(1)
    assert [one.name for one in party.told("e", Entered)] == ["é"]


@pytest.mark.spec("U-18")
def test_bounds_of_rooms_and_members_are_kept() -> None:
    party = Party(faults=LINK, rules=HubRules(rooms=2, members=2))
    party.join("ann", "bob", "cy")
    assert [one.reason for one in party.told("cy", JoinRefused)] == [JoinRefusal.ROOM_FULL]
    party.join("dan", room="second")
    party.join("eve", room="third")
    assert [one.reason for one in party.told("eve", JoinRefused)] == [JoinRefusal.NO_MORE_ROOMS]
    party.join("fay", room="a\nb")
    assert [one.reason for one in party.told("fay", JoinRefused)] == [JoinRefusal.BAD_ROOM]
    # A room that stands empty makes place.
    party.leave("dan")
    party.sim.run_for(2)
    assert party.hub.stats()["rooms"] == 2
    party.sim.command(("eve", 1), JoinRoom(HUB, "eve", "third"))
    party.sim.run_for(2)
    assert party.hub.members("third") == ["eve"]
    assert party.hub.members("second") == []


@pytest.mark.spec("U-18")
def test_an_empty_room_is_forgotten_with_its_log_after_a_while() -> None:
    party = Party(faults=LINK, rules=HubRules(absence=30, backlog=5))
    party.join("ann")
    party.post("ann", "old news")
    party.sim.run_for(1)
    party.leave("ann")
    party.sim.run_for(20)
    party.join("bob", backlog=5)
    assert party.heard("bob") == ["old news"]
    party.leave("bob")
    party.sim.run_for(40)
    assert party.hub.stats()["rooms"] == 0
    assert party.hub.is_idle
    assert party.hub.deadline is None
    party.join("cy", backlog=5)
    assert [one.number for one in party.told("cy", CameIn)] == [1]


@pytest.mark.spec("U-9")
def test_who_is_new_gets_the_last_posts_as_far_as_it_asks_and_the_hub_is_willing() -> None:
    party = Party(faults=LINK, rules=HubRules(backlog=3))
    party.join("ann")
    party.post("ann", "1", "2")
    party.sim.run_for(1)
    party.join("bob")
    party.post("bob", "3", "4")
    party.sim.run_for(1)
    party.join("cy", backlog=2)
    assert party.heard("cy") == ["3", "4"]
    party.join("dan", backlog=3)
    assert party.heard("dan") == ["2", "3", "4"]
    # What happened between the posts is told too, and the list of members fits to it.
    assert [one.members for one in party.told("dan", Entered)] == [("ann",)]
    assert [one.name for one in party.told("dan", CameIn)] == ["bob", "cy", "dan"]
    party.join("eve", backlog=9)
    assert party.heard("eve") == ["2", "3", "4"]
    party.join("fay")
    assert party.heard("fay") == []
    party.settle(1)


def test_a_backlog_that_is_longer_than_what_was_said_is_all_of_it() -> None:
    party = Party(faults=LINK, rules=HubRules(backlog=50))
    party.join("ann")
    party.post("ann", "1")
    party.sim.run_for(1)
    party.join("bob", backlog=50)
    assert party.heard("bob") == ["1"]
    assert [one.members for one in party.told("bob", Entered)] == [()]
    party.settle(1)


# Being lost, and coming back


def test_who_crashes_is_announced_as_lost_at_the_same_place_for_all() -> None:
    party = three()
    party.sim.crash(("bob", 1))
    party.post("ann", "bob?")
    party.sim.run_for(70)
    assert party.told("ann", WentOut) == party.told("cy", WentOut)
    assert [(one.name, one.how) for one in party.told("cy", WentOut)] == [("bob", Going.LOST)]
    assert [one.reason for one in party.told("hub", MemberWent)] == [Reason.DEAD]


@pytest.mark.smoke
@pytest.mark.spec("U-7", "U-10", "U-14", "U-16")
def test_who_comes_back_gets_what_it_missed_once_and_its_own_posts_are_not_echoed() -> None:
    party = three()
    party.post("bob", "before")
    party.sim.run_for(1)
    party.cut("bob")
    party.post("bob", "while away 1", "while away 2")
    party.post("ann", "you missed this")
    party.sim.run_for(90)
    assert [one.reason for one in party.told("bob", Interrupted)] == [Reason.DEAD]
    party.post("ann", "and this")
    party.post("bob", "while away 3")
    party.settle()
    assert party.heard("bob") == ["you missed this", "and this"]
    assert party.heard("cy") == [
        *("before", "you missed this", "and this"),
        *("while away 1", "while away 2", "while away 3"),
    ]
    assert [one.how for one in party.told("bob", Entered)] == [Welcome.NEW, Welcome.RESUMED]
    assert [(one.name, one.how) for one in party.told("cy", CameIn)][1:] == [("bob", Coming.BACK)]
    assert [one.ref for one in party.told("bob", PostTaken)] == [0, 1, 2, 3]
    assert party.told("bob", Gap) == []
    assert party.told("bob", Undelivered) == []
    assert [one.ref for one in party.told("bob", Overdue)] == [1, 2]


@pytest.mark.spec("U-15", "U-10")
def test_who_comes_back_before_its_loss_was_noticed_takes_over_and_nobody_notices() -> None:
    party = three()
    party.cut("bob")
    party.post("bob", "slow")
    party.sim.run_for(31)
    assert party.told("bob", Interrupted)
    assert "bob" in party.hub.members("lobby")
    party.settle()
    assert party.heard("ann") == party.heard("cy") == ["slow"]
    assert party.told("ann", WentOut) == []
    assert [one.name for one in party.told("ann", CameIn)] == ["ann", "bob", "cy"]
    assert [one.number for one in party.told("hub", MemberCame)] == [1, 2, 3, 0]
    assert party.told("bob", PostTaken) == [PostTaken(1, 0, 4)]
    assert party.told("ann", PostSpread) == []
    assert party.told("ann", Gap) == []


@pytest.mark.spec("U-10", "U-16")
def test_a_post_that_was_taken_but_not_confirmed_is_not_taken_twice() -> None:
    party = three()
    # What Bob sends arrives; what is sent to him does not.
    party.sim.path(HUB, ("bob", 1)).cut = True
    party.post("bob", "taken")
    party.sim.run_for(31)
    assert party.heard("ann") == ["taken"]
    followers = party.settle()
    assert party.heard("ann") == party.heard("cy") == ["taken"]
    assert followers["bob/1"].own == {4: 0}
    assert party.hub.stats()["repeated"] == 0


@pytest.mark.spec("U-14", "U-17", "U-8")
def test_who_was_away_for_too_long_is_told_of_the_gap() -> None:
    party = three(rules=HubRules(log=10))
    party.cut("bob")
    party.post("bob", "unsure")
    for number in range(30):
        party.post("ann", f"{number}")
        party.sim.run_for(3)
    followers = party.settle()
    (gap,) = followers["bob/1"].gaps
    assert gap.first == 4
    assert party.told("bob", Entered)[-1].how is Welcome.GAP
    assert party.told("bob", Entered)[-1].number == gap.last
    assert party.heard("bob") == [f"{n}" for n in range(30)][-len(party.heard("bob")) :]
    assert party.heard("cy") == [f"{n}" for n in range(30)] + ["unsure"]
    assert [one.ref for one in party.told("bob", PostTaken)] == [0]


def test_posts_that_were_taken_before_a_gap_are_reported_without_a_number() -> None:
    party = three(rules=HubRules(log=10))
    party.sim.path(HUB, ("bob", 1)).cut = True
    party.post("bob", "taken")
    for number in range(30):
        party.post("ann", f"{number}")
        party.sim.run_for(3)
    party.settle()
    assert party.told("bob", PostTaken) == [PostTaken(1, 0, 0)]
    assert party.heard("cy").count("taken") == 1


@pytest.mark.spec("U-16", "U-17")
def test_a_hub_that_was_restarted_knows_nobody_and_what_may_be_lost_is_said() -> None:
    party = three()
    party.post("ann", "before")
    party.sim.run_for(1)
    party.sim.crash(HUB)
    party.post("ann", "into the void")
    party.sim.run_for(5)
    party.restart_hub()
    party.sim.run_for(5)
    # The hub does not know the link: it is reset at once, and Ann comes in anew.
    assert [one.reason for one in party.told("ann", Interrupted)] == [Reason.RESET]
    assert party.told("ann", Undelivered) == [Undelivered(1, 1, Reason.RESET)]
    assert party.told("ann", Gap) == [Gap(1, 5, 0)]
    assert [one.how for one in party.told("ann", Entered)] == [Welcome.NEW, Welcome.NEW]
    party.post("ann", "after")
    party.post("bob", "bob too")
    party.settle()
    assert party.told("ann", PostTaken)[-1].ref == 2
    assert party.heard("bob") == ["before", "after"] or party.heard("bob") == ["before"]


def test_what_was_posted_while_the_hub_was_away_goes_to_the_new_one() -> None:
    party = Party(faults=LINK)
    party.join("ann", "bob")
    party.sim.crash(HUB)
    party.post("ann", "lost?")
    party.sim.run_for(35)
    party.post("ann", "kept 1", "kept 2")
    party.sim.run_for(1)
    party.restart_hub()
    party.sim.run_for(60)
    assert [one.ref for one in party.told("ann", Undelivered)] == [0]
    assert [one.ref for one in party.told("ann", PostTaken)] == [1, 2]


@pytest.mark.spec("U-17")
def test_who_does_not_get_back_in_time_gives_up_and_says_what_was_not_taken() -> None:
    party = three()
    party.cut("bob")
    party.post("bob", "never")
    party.sim.run_for(200)
    assert party.told("bob", Undelivered) == [Undelivered(1, 0, Reason.DEAD)]
    (closed,) = party.told("bob", Closed)
    assert (closed.reason, closed.by) == (Reason.DEAD, Side.LOCAL)
    assert party.at["bob"].is_idle
    assert party.at["bob"].deadline is None
    assert party.hub.stats()["absent"] == 0


@pytest.mark.spec("U-4")
def test_the_name_of_somebody_who_was_lost_is_free_and_then_it_can_not_come_back() -> None:
    party = three()
    party.cut("bob")
    party.post("ann", "bob?")
    party.sim.run_for(60)
    party.add("bob2")
    party.sim.command(("bob2", 1), JoinRoom(HUB, "BOB"))
    party.sim.run_for(1)
    assert party.told("bob2", Entered)
    party.sim.heal()
    party.sim.run_for(30)
    assert party.told("bob", JoinRefused) == [JoinRefused(1, JoinRefusal.NAME_TAKEN, "bob-2")]
    assert party.told("bob", Closed)[0].reason == JoinRefusal.NAME_TAKEN


@pytest.mark.spec("U-18")
def test_only_so_many_lost_members_are_remembered() -> None:
    party = Party(faults=LINK, rules=HubRules(absent=2))
    party.join("ann", "bob", "cy", "dan")
    for name in ("bob", "cy", "dan"):
        party.cut(name)
    party.post("ann", "hello?")
    party.sim.run_for(60)
    assert party.hub.stats()["absent"] == 2


# Leaving


def test_leaving_waits_until_the_hub_has_all_posts() -> None:
    party = three()
    party.sim.set_faults(Faults(loss=0.4, delay=0.05))
    texts = [f"{n}" for n in range(30)]
    party.post("ann", *texts)
    party.leave("ann")
    party.sim.run_for(30)
    assert [one.ref for one in party.told("ann", PostTaken)] == list(range(30))
    assert party.told("ann", Closed)[0].clean
    party.settle()
    assert party.heard("bob") == party.heard("cy") == texts


def test_leaving_does_not_wait_for_ever() -> None:
    party = three()
    party.cut("ann")
    party.post("ann", "never")
    party.leave("ann")
    party.post("ann", "too late")
    assert party.told("ann", Undelivered) == [Undelivered(1, 1, Reason.LEFT)]
    party.sim.run_for(15)
    (closed,) = party.told("ann", Closed)
    assert not closed.clean
    assert [one.ref for one in party.told("ann", Undelivered)] == [1, 0]


def test_leaving_a_hub_that_takes_nothing_but_is_there_is_no_clean_end() -> None:
    """The link closes in agreement, and yet a post was not taken."""
    party = three()
    party.hub.rooms[1].held = True
    party.post("ann", "held back")
    party.leave("ann")
    party.sim.run_for(8)
    (closed,) = party.told("ann", Closed)
    assert party.told("ann", Undelivered) == [Undelivered(1, 0, closed.reason)]
    assert not closed.graceful
    assert not closed.clean
    assert party.at["ann"].stats()["odd"] == 0


@pytest.mark.parametrize("command", [Leave(1), Abort(1)])
def test_one_may_give_up_before_one_is_in(command: Leave | Abort) -> None:
    party = Party(faults=LINK)
    party.sim.crash(HUB)
    party.add("ann")
    party.sim.command(("ann", 1), JoinRoom(HUB, "ann", ref=5), Post(1, "x", 9))
    party.sim.run_for(1)
    party.sim.command(("ann", 1), command)
    assert party.told("ann", Dialing) == [Dialing(1, 5, HUB)]
    assert party.told("ann", StillDialing)
    assert party.told("ann", Undelivered) == [Undelivered(1, 9, Reason.CANCELLED)]
    assert party.told("ann", Closed) == [Closed(1, 5, Reason.CANCELLED, Side.LOCAL)]
    assert party.at["ann"].is_idle


def test_a_hub_that_does_not_answer_in_time_is_given_up() -> None:
    party = Party(faults=LINK)
    party.sim.crash(HUB)
    party.add("ann")
    party.sim.command(("ann", 1), JoinRoom(HUB, "ann", timeout=3.0))
    party.sim.run_for(5)
    assert [one.reason for one in party.told("ann", Closed)] == [Reason.NO_ANSWER]


def test_one_may_abort_and_the_others_are_told_that_one_has_left() -> None:
    party = three()
    party.sim.command(("bob", 1), Abort(1))
    party.sim.run_for(1)
    assert [one.how for one in party.told("ann", WentOut)] == [Going.LEFT]
    assert party.told("bob", Closed)[0].reason == Reason.ABORTED


def test_one_may_give_up_coming_back() -> None:
    party = three()
    party.cut("bob")
    party.post("bob", "x")
    party.sim.run_for(40)
    party.leave("bob")
    assert party.told("bob", Undelivered) == [Undelivered(1, 0, Reason.LEFT)]
    assert party.told("bob", Closed)[0].reason == Reason.LEFT
    party.sim.run_for(60)
    assert party.at["bob"].is_idle


def test_a_hub_that_disbands_says_so_and_takes_no_more() -> None:
    party = three()
    party.post("ann", "last words")
    party.sim.command(HUB, Disband())
    party.sim.run_for(5)
    for name in ("ann", "bob", "cy"):
        (closed,) = party.told(name, Closed)
        assert (closed.reason, closed.by) == (Reason.SHUTTING_DOWN, Side.PEER)
    assert party.told("ann", Interrupted) == []
    assert party.hub.is_idle
    party.join("dan", settle=5)
    assert party.told("dan", Entered) == []
    assert party.told("dan", Closed)[0].reason == Reason.SHUTTING_DOWN


# What can't be


def test_too_many_posts_block_and_room_is_told() -> None:
    party = three(member_rules=MemberRules(posts=8))
    party.cut("ann")
    party.post("ann", *(f"{n}" for n in range(8)))
    with pytest.raises(WouldBlock):
        party.sim.command(("ann", 1), Post(1, "one too many", 8))
    assert party.told("ann", Writable) == []
    party.settle(10)
    assert len(party.told("ann", Writable)) == 1
    party.post("ann", "now")
    party.sim.run_for(1)
    assert party.heard("bob") == [*(f"{n}" for n in range(8)), "now"]


def test_many_bytes_block_too() -> None:
    party = three(member_rules=MemberRules(post_bytes=1000))
    party.cut("ann")
    party.post("ann", "x" * 2000)
    with pytest.raises(WouldBlock):
        party.sim.command(("ann", 1), Post(1, "", 8))


@pytest.mark.parametrize(
    "event",
    [
        Post(2, "nobody"),
        Post(1, "\ud800"),
        Post(1, "x" * (MAX_TEXT + 1)),
        Finish(1),
        Leave(3),
        Leave(1, reason=66),
        JoinRoom(HUB, ""),
        JoinRoom(HUB, "x" * 65),
        JoinRoom(HUB, "x", "x" * 33),
        JoinRoom(HUB, "x", backlog=65536),
        JoinRoom(HUB, "x", timeout=0.0),
    ],
)
def test_what_makes_no_sense_raises_and_changes_nothing(event: Post) -> None:
    party = three()
    machine = party.at["ann"]
    key = machine.state_key(party.sim.now)
    with pytest.raises(UsageError):
        machine.handle(event, party.sim.now)
    assert machine.state_key(party.sim.now) == key


@pytest.mark.parametrize("event", [Leave(1), Post(1, "x"), JoinRoom(HUB, "x")])
def test_a_hub_takes_no_commands_of_members(event: Leave) -> None:
    party = three()
    with pytest.raises(UsageError):
        party.hub.handle(event, party.sim.now)


@pytest.mark.parametrize(
    "make",
    [
        lambda: HubRules(rooms=0),
        lambda: HubRules(log_bytes=1000),
        lambda: HubRules(members=70000),
        lambda: HubRules(backlog=-1),
        lambda: MemberRules(posts=0),
        lambda: MemberRules(rejoin_first=9.0),
    ],
)
def test_rules_that_can_not_work_raise(make: type[HubRules]) -> None:
    with pytest.raises(UsageError):
        make()


def test_after_the_end_posts_are_undelivered_and_other_commands_do_nothing() -> None:
    party = three()
    party.leave("ann")
    party.sim.run_for(5)
    party.post("ann", "late")
    assert party.told("ann", Undelivered) == [Undelivered(1, 0, Reason.LEFT)]
    for command in (Leave(1), Abort(1), Pause(1), Resume(1)):
        assert party.sim.command(("ann", 1), command) == []


# Slow members


def test_a_member_that_pauses_gets_everything_later() -> None:
    party = three()
    party.sim.command(("bob", 1), Pause(1))
    party.post("ann", "1", "2")
    party.sim.run_for(5)
    assert party.heard("bob") == []
    assert party.heard("cy") == ["1", "2"]
    party.sim.command(("bob", 1), Resume(1))
    party.sim.run_for(1)
    assert party.heard("bob") == ["1", "2"]


def test_a_pause_outlives_the_link_and_one_who_leaves_hears_the_end() -> None:
    party = three()
    party.sim.command(("bob", 1), Pause(1))
    party.cut("bob")
    party.post("bob", "x")
    party.sim.run_for(60)
    party.sim.heal()
    party.sim.run_for(20)
    party.post("ann", "1")
    party.sim.run_for(5)
    assert party.heard("bob") == []
    party.leave("bob")
    party.sim.run_for(5)
    assert party.heard("bob") == ["1"]
    assert party.told("bob", Closed)[0].clean


@pytest.mark.smoke
@pytest.mark.spec("U-11")
def test_a_stuck_member_is_dropped_the_others_notice_nothing_and_it_comes_back() -> None:
    party = three(limits=Limits(window=16384, queue_messages=16), rules=HubRules(log=50))
    party.sim.command(("bob", 1), Pause(1))
    sizes, delays = [], []
    for number in range(600):
        start = party.sim.now
        party.post("ann", f"{number} " + "x" * 200)
        party.sim.run_until(lambda n=number: len(party.heard("cy")) > n, limit=1)  # type: ignore[misc]
        delays.append(party.sim.now - start)
        sizes.append(party.hub.stats()["log"])
    assert max(delays) < 0.03
    assert max(sizes) == 50
    # It comes back at once, and takes nothing again.
    gone = party.told("hub", MemberWent)
    assert {(one.name, one.how, one.reason) for one in gone} == {
        ("bob", Going.DROPPED, Reason.OVERWHELMED)
    }
    assert party.hub.stats()["dropped"] == len(gone)
    assert {one.reason for one in party.told("bob", Interrupted)} == {Reason.OVERWHELMED}
    party.sim.command(("bob", 1), Resume(1))
    followers = party.settle()
    assert followers["bob/1"].gaps
    assert party.told("cy", Interrupted) == []
    assert party.heard("cy") == [one.text for one in party.told("hub", PostRelayed)]
    assert len(party.heard("cy")) == 600


@pytest.mark.spec("U-11")
def test_a_member_with_too_small_a_window_for_a_post_is_ended_and_not_the_others() -> None:
    party = Party(faults=LINK)
    party.join("ann", "bob")
    party.add("cy", limits=Limits(window=4096))
    party.join("cy")
    party.post("ann", "x" * 10000)
    party.sim.run_for(0.2)
    assert party.heard("bob") == ["x" * 10000]
    assert [one.reason for one in party.told("cy", Interrupted)] == [Reason.OVERWHELMED]
    assert [one.how for one in party.told("bob", WentOut)] == [Going.DROPPED]
    # It comes back for as long as the post is in the log, each time a little later.
    party.sim.run_for(60)
    times = [time for time, one in party.sim.notices(HUB) if isinstance(one, MemberWent)]
    waits = [after - before for before, after in pairwise(times)]
    assert waits[0] < 1 < waits[-1]
    assert 5 < len(waits) < 14


@pytest.mark.spec("U-12")
def test_when_most_can_not_follow_the_authors_wait_and_nobody_is_dropped() -> None:
    # The hub's way out is narrow: all but what goes in must wait.
    party = three(rules=HubRules(log=40), limits=Limits(queue_messages=8))
    for name in ("ann", "bob", "cy"):
        party.sim.path(HUB, (name, 1)).faults = Faults(delay=0.3)
    texts = [f"{n} " + "x" * 400 for n in range(400)]
    waiting = list(texts)
    ref = 0
    stalled = False
    while waiting:
        try:
            party.sim.command(("ann", 1), Post(1, waiting[0], ref))
        except WouldBlock:
            party.sim.run_for(0.05)
        else:
            waiting.pop(0)
            ref += 1
        stalled = stalled or any(room.stalled for room in party.hub.rooms.values())
    party.sim.run_for(120)
    assert stalled
    assert party.heard("bob") == party.heard("cy") == texts
    assert party.hub.stats()["dropped"] == 0
    assert not any(room.stalled for room in party.hub.rooms.values())


@pytest.mark.spec("U-12")
def test_authors_wait_for_nobody_who_takes_nothing_even_if_that_is_most() -> None:
    party = Party(faults=LINK, rules=HubRules(log=40), limits=Limits(queue_messages=8, window=8192))
    party.join("ann", "bob", "cy", "dan", "eve")
    for name in ("bob", "cy", "dan"):
        party.sim.command((name, 1), Pause(1))
    delays = []
    for number in range(300):
        start = party.sim.now
        party.post("ann", f"{number} " + "x" * 300)
        party.sim.run_until(lambda n=number: len(party.heard("eve")) > n, limit=5)  # type: ignore[misc]
        delays.append(party.sim.now - start)
    assert max(delays) <= party.rules.patience + 0.1
    dropped = party.hub.stats()["dropped"]
    assert dropped >= 3
    # They come back, and then they are waited for once more.
    assert sum(delay > 0.1 for delay in delays) <= dropped


# Twins


def test_a_twin_has_the_same_state_and_does_the_same() -> None:
    party = three()
    party.cut("bob")
    party.post("ann", "1")
    party.post("bob", "2")
    party.sim.run_for(20)
    now = party.sim.now
    for machine in (party.hub, party.at["ann"], party.at["bob"]):
        assert isinstance(machine, Hub | Member)
        twin = machine.clone()
        assert twin.state_key(now) == machine.state_key(now)
        assert twin.deadline == machine.deadline
        keys = (twin.state_key(now + 1), machine.state_key(now + 1))
        assert keys[0] == keys[1]
    twin = party.hub.clone()
    twin.handle(Disband(), now)
    assert party.hub.members("lobby") == ["ann", "bob", "cy"]


def test_machines_that_do_nothing_want_nothing() -> None:
    assert Hub(entropy("h")).deadline is None
    assert Member(entropy("m")).deadline is None
    assert Hub(entropy("h")).stats()["rooms"] == 0
    assert Member(entropy("m")).stats()["kept"] == 0
    assert Member(entropy("m")).members(1) == ()
    assert Member(entropy("m")).address(1) is None


@pytest.mark.spec("U-8")
def test_the_list_of_members_is_that_of_the_place_in_the_log_where_one_comes_in() -> None:
    party = Party(faults=LINK, rules=HubRules(backlog=9))
    party.join("ann", "bob")
    party.post("ann", "1")
    party.sim.run_for(1)
    party.leave("bob")
    party.sim.run_for(2)
    party.join("cy", backlog=1)
    (entered,) = party.told("cy", Entered)
    assert entered.members == ("ann", "bob")
    assert party.at["cy"].members(1) == ("ann", "cy")
    party.settle(1)


# A program that pauses a link of its hub


def stalled_room() -> Party:
    """Ann has said more than the others can take now, and waits."""
    party = three(rules=HubRules(log=40, patience=60), limits=Limits(queue_messages=8))
    for name in ("ann", "bob", "cy"):
        party.sim.path(HUB, (name, 1)).faults = Faults(delay=0.5)
    party.post("ann", *(f"{number} " + "x" * 400 for number in range(200)))
    party.sim.run_until(lambda: any(room.held for room in party.hub.rooms.values()))
    return party


def is_paused(party: Party, link: int) -> bool:
    return party.hub._endpoint.links[link].channel.inbox.paused


def test_what_the_program_resumes_waits_on_while_the_room_can_not_follow() -> None:
    party = stalled_room()
    party.sim.command(HUB, Pause(1))
    party.sim.command(HUB, Resume(1))
    assert is_paused(party, 1)
    party.settle()
    assert not is_paused(party, 1)
    assert party.heard("bob") == [one.text for one in party.told("hub", PostRelayed)]


def test_what_the_program_has_paused_stays_paused_when_the_room_follows_again() -> None:
    party = stalled_room()
    party.sim.command(HUB, Pause(1))
    party.sim.run_for(30)
    assert not any(room.held for room in party.hub.rooms.values())
    assert is_paused(party, 1)
    assert not is_paused(party, 2)
    party.sim.command(HUB, Resume(1))
    party.settle()
    assert not is_paused(party, 1)
    assert len(party.heard("bob")) == 200


# Crowds

CROWD = tuple(f"m{number}" for number in range(200))


def test_hundreds_that_vanish_at_once_are_all_announced_and_nothing_raises() -> None:
    party = Party(faults=LINK)
    party.join("ann", settle=0.5)
    party.join(*CROWD, settle=0.05)
    for name in CROWD:
        party.sim.crash((name, 1))
    party.post("ann", "is anybody here?")
    party.sim.run_for(60)
    assert party.hub.members("lobby") == ["ann"]
    assert [one.how for one in party.told("ann", WentOut)] == [Going.LOST] * 200
    assert {one.name for one in party.told("ann", WentOut)} == set(CROWD)
    assert party.told("ann", PostSpread)[-1] == PostSpread(1, 0, 0, 0)


@pytest.mark.spec("U-11")
def test_hundreds_that_can_not_take_a_post_are_dropped_and_nothing_raises() -> None:
    party = Party(faults=LINK)
    party.join("ann", "bob", settle=0.5)
    for name in CROWD:
        party.add(name, limits=Limits(window=8192))
    party.join(*CROWD, settle=0.05)
    for _ in range(4):
        party.post("ann", "x" * 60000)
    party.sim.run_for(5)
    assert party.heard("bob") == ["x" * 60000] * 4
    assert party.told("bob", Interrupted) == party.told("ann", Interrupted) == []
    assert {one.name for one in party.told("ann", WentOut)} == set(CROWD)
    assert {one.how for one in party.told("ann", WentOut)} == {Going.DROPPED}


@pytest.mark.spec("U-11")
def test_hundreds_that_take_nothing_are_dropped_and_the_others_hear_all() -> None:
    party = Party(
        faults=LINK,
        rules=HubRules(log=400, patience=0.1),
        limits=Limits(queue_messages=4, window=16384),
    )
    party.join("ann", "bob", settle=0.5)
    party.join(*CROWD, settle=0.05)
    for name in CROWD:
        party.sim.crash((name, 1))
    for number in range(600):
        party.post("ann", f"{number} " + "x" * 100)
        party.sim.run_for(0.02)
    party.sim.run_for(5)
    assert len(party.heard("bob")) == 600
    assert party.told("bob", Interrupted) == party.told("ann", Interrupted) == []
    assert sorted(party.hub.members("lobby")) == ["ann", "bob"]
    assert party.hub.stats()["dropped"] == 200
