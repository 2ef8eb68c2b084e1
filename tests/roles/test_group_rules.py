"""What a hub and a member do with peers that break the rules (PROTOCOL.md, section 6.6)."""

from __future__ import annotations

from typing import TypeVar

import pytest
from group_support import HUB, Party
from pairs import entropy

from palaver import (
    Abort,
    Address,
    Closed,
    Dial,
    Endpoint,
    Finish,
    Leave,
    Limits,
    Notice,
    Opened,
    Pause,
    Reason,
    Received,
    Send,
    Side,
    Undelivered,
)
from palaver.roles.group.events import (
    CameIn,
    Entered,
    Interrupted,
    JoinRoom,
    Post,
    PostHeard,
    PostTaken,
    WentOut,
)
from palaver.roles.group.hub import Hub
from palaver.roles.group.member import Member
from palaver.roles.group.rules import MAX_MEMBERS
from palaver.sim import Faults, Sim
from palaver.wire.group import (
    ROLE,
    Admitted,
    GroupMessage,
    Join,
    JoinRefusal,
    Members,
    Receipt,
    Refused,
    Run,
    decode_group,
)
from palaver.wire.group import Post as PostMessage
from palaver.wire.group_log import Entry, Going, Joined, Left, Log, Posted, Skipped, Taken

N = TypeVar("N", bound=Notice)
ROGUE: Address = ("rogue", 1)
TOKEN = bytes(range(16))
JOIN = Join("rogue", "lobby")


# A rogue at a hub


class AtHub:
    """Ann in the lobby, and a caller that speaks the role as it likes."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.party = Party(faults=Faults(delay=0.01))
        self.party.join("ann")
        self.sim = self.party.sim
        self.sim.add(ROGUE, Endpoint(entropy("rogue"), limits=limits or Limits()))
        self.links = 0
        self.dial()

    def dial(self) -> int:
        self.sim.command(ROGUE, Dial(HUB, ROLE))
        self.sim.run_for(0.5)
        self.links += 1
        return self.links

    def say(self, *messages: GroupMessage | bytes, link: int = 1) -> None:
        raw = [one if isinstance(one, bytes) else one.encode() for one in messages]
        self.sim.command(ROGUE, *(Send(link, one, None) for one in raw))
        self.sim.run_for(1)

    def heard(self, link: int = 1) -> list[GroupMessage | None]:
        notices = [one for _, one in self.sim.notices(ROGUE) if isinstance(one, Received)]
        return [decode_group(one.message) for one in notices if one.link == link]

    def closed(self, link: int = 1) -> Closed | None:
        ends = [one for _, one in self.sim.notices(ROGUE) if isinstance(one, Closed)]
        return next((one for one in ends if one.link == link), None)

    def admitted(self, link: int = 1) -> Admitted:
        (message,) = [one for one in self.heard(link) if isinstance(one, Admitted)]
        return message


@pytest.mark.spec("U-1", "U-2")
@pytest.mark.parametrize(
    "messages",
    [
        (PostMessage(1, "before JOIN"),),
        (JOIN, JOIN),
        (JOIN, Log(1, (Joined(0, "x"),))),
        (JOIN, Admitted(0, TOKEN, 0, 0, 0, "x")),
        (Members(("x",)),),
        (Refused(128),),
        (JOIN, Receipt((Run(1, 1, 1, 0),))),
        (JOIN, b"\x11\0"),
        (b"\x10",),
    ],
)
def test_what_a_hub_must_not_be_told_ends_the_link_and_nobody_else_is_touched(
    messages: tuple[GroupMessage | bytes, ...],
) -> None:
    stage = AtHub()
    stage.say(*messages)
    closed = stage.closed()
    assert closed is not None
    assert (closed.reason, closed.by) == (Reason.PROTOCOL_ERROR, Side.PEER)
    assert stage.party.hub.members("lobby") == ["ann"]
    assert stage.party.told("ann", Closed) == []


@pytest.mark.spec("U-1")
def test_kinds_that_a_hub_does_not_know_end_the_link_or_are_skipped() -> None:
    stage = AtHub()
    stage.say(JOIN, b"\x80?", PostMessage(1, "still here"))
    assert stage.closed() is None
    assert stage.party.heard("ann") == ["still here"]
    stage.say(b"\x7f?")
    closed = stage.closed()
    assert closed is not None
    assert closed.reason == Reason.UNSUPPORTED


@pytest.mark.spec("U-1")
def test_a_member_that_finishes_is_given_up() -> None:
    stage = AtHub()
    stage.say(JOIN)
    stage.sim.command(ROGUE, Finish(1))
    stage.sim.run_for(1)
    closed = stage.closed()
    assert closed is not None
    assert closed.reason == Reason.PROTOCOL_ERROR


@pytest.mark.spec("U-3")
def test_who_does_not_say_join_in_time_is_parted_with() -> None:
    stage = AtHub()
    stage.sim.run_for(9)
    assert stage.closed() is None
    stage.sim.run_for(2)
    closed = stage.closed()
    assert closed is not None
    assert closed.reason == JoinRefusal.LATE
    assert stage.party.hub.stats()["links"] == 1


@pytest.mark.spec("U-3")
def test_a_hub_that_does_not_answer_join_in_time_is_parted_with() -> None:
    party = Party()
    party.sim.crash(HUB)
    party.sim.restart(HUB, Endpoint(entropy("mute"), roles=(ROLE,)))
    party.join("ann")
    party.post("ann", "anybody?")
    party.sim.run_for(7)
    assert party.told("ann", Closed) == []
    party.sim.run_for(3)
    assert [one.ref for one in party.told("ann", Undelivered)] == [0]
    (closed,) = party.told("ann", Closed)
    assert (closed.reason, closed.by, closed.graceful) == (JoinRefusal.LATE, Side.LOCAL, False)


@pytest.mark.parametrize("event", [Leave(1), Abort(1)])
def test_who_goes_without_a_join_was_never_there(event: Leave | Abort) -> None:
    stage = AtHub()
    stage.sim.command(ROGUE, event)
    stage.sim.run_for(5)
    assert [one.name for one in stage.party.told("ann", CameIn)] == ["ann"]
    assert stage.party.told("ann", WentOut) == []
    stage.sim.run_for(20)
    assert len(stage.party.hub.seats) == 1


@pytest.mark.spec("U-10")
def test_a_post_with_an_id_that_is_not_new_is_ignored() -> None:
    stage = AtHub()
    stage.say(JOIN, PostMessage(5, "a"), PostMessage(5, "b"), PostMessage(4, "c"))
    stage.say(PostMessage(6, "d"))
    assert stage.party.heard("ann") == ["a", "d"]
    assert stage.closed() is None
    assert stage.party.hub.stats()["repeated"] == 2


@pytest.mark.spec("U-14")
@pytest.mark.parametrize("beyond", [1, 97])
def test_entries_that_were_never_sent_can_not_have_come(beyond: int) -> None:
    stage = AtHub()
    stage.say(JOIN)
    token = stage.admitted().token
    link = stage.dial()
    # Ann came as entry 1, and the rogue as entry 2.
    stage.say(Join("rogue", "lobby", token=token, last=2 + beyond), link=link)
    closed = stage.closed(link)
    assert closed is not None
    assert closed.reason == Reason.PROTOCOL_ERROR
    assert stage.closed() is None
    assert stage.party.hub.members("lobby") == ["ann", "rogue"]


@pytest.mark.spec("U-14")
@pytest.mark.parametrize("room", ["lobby", "garden"])
def test_a_token_that_is_not_known_or_of_another_room_makes_nobody_known(room: str) -> None:
    stage = AtHub()
    stage.say(JOIN)
    token = TOKEN if room == "lobby" else stage.admitted().token
    link = stage.dial()
    stage.say(Join("other", room, token=token, last=1), link=link)
    assert stage.admitted(link).how == 0
    assert stage.admitted(link).name == "other"
    assert stage.party.hub.members(room)[-1] == "other"


@pytest.mark.spec("U-15", "U-14", "U-13")
def test_a_takeover_ends_the_old_link_and_what_the_new_one_says_counts() -> None:
    stage = AtHub()
    stage.say(JOIN, PostMessage(7, "first"))
    token = stage.admitted().token
    stage.party.post("ann", "for both")
    stage.sim.run_for(1)
    link = stage.dial()
    stage.say(Join("ignored", "LOBBY", token=token, last=2), link=link)
    closed = stage.closed()
    assert closed is not None
    assert closed.reason == JoinRefusal.TAKEN_OVER
    assert stage.admitted(link) == Admitted(1, token, 2, 7, 0, "rogue")
    assert stage.heard(link)[1] == Log(3, (Taken(7), Posted("ann", "for both")))
    assert [one.name for one in stage.party.told("ann", CameIn)] == ["ann", "rogue"]
    # An old post comes again on the new link.
    stage.say(PostMessage(7, "first"), PostMessage(8, "second"), link=link)
    assert stage.party.heard("ann") == ["first", "second"]


def test_a_peer_that_acknowledges_packets_and_no_entries_costs_no_memory() -> None:
    # It grants all the credit that there is, and never says that its program was given anything.
    stage = AtHub(limits=Limits(window=0xFFFFFFFF))
    stage.say(JOIN)
    stage.sim.command(ROGUE, Pause(1))
    outbox = stage.party.hub._endpoint.links[2].channel.outbox
    most = 0
    for number in range(3000):
        stage.party.post("ann", f"{number}")
        stage.sim.run_for(0.02)
        most = max(most, len(outbox.undelivered))
    rules = stage.party.rules
    assert rules.log / 2 < most <= rules.log + 256
    assert stage.party.hub.members("lobby") == ["ann"]
    assert stage.party.told("ann", WentOut)[-1].how is Going.DROPPED


# A rogue as the hub


class AtMember:
    """Ann, who has called a hub that speaks the role as it likes."""

    def __init__(self) -> None:
        self.sim = Sim(1, Faults(delay=0.01), record=False)
        self.hub = Endpoint(entropy("hub"), roles=(ROLE,))
        self.sim.add(HUB, self.hub)
        self.ann = Member(entropy("ann"))
        self.sim.add(("ann", 1), self.ann)
        self.sim.command(("ann", 1), JoinRoom(HUB, "ann", ref=3))
        self.sim.run_for(0.5)
        self.link = 1

    def say(self, *messages: GroupMessage | bytes) -> AtMember:
        raw = [one if isinstance(one, bytes) else one.encode() for one in messages]
        self.sim.command(HUB, *(Send(self.link, one, None) for one in raw))
        self.sim.run_for(1)
        return self

    def admit(self, how: int = 0, number: int = 10, taken: int = 0) -> AtMember:
        return self.say(Admitted(how, TOKEN, number, taken, 0, "ann"))

    def come_back(self, how: int, number: int, taken: int = 0) -> None:
        """Lose the link in a way after which Ann calls again, and admit her."""
        self.sim.command(HUB, Abort(self.link, Reason.OVERWHELMED))
        self.sim.run_for(3)
        links = [one.link for _, one in self.sim.notices(HUB) if isinstance(one, Opened)]
        assert links[-1] > self.link
        self.link = links[-1]
        self.admit(how, number, taken)

    def told(self, kind: type[N]) -> list[N]:
        return [one for _, one in self.sim.notices(("ann", 1)) if isinstance(one, kind)]

    def posts(self) -> list[PostMessage]:
        heard = [one for _, one in self.sim.notices(HUB) if isinstance(one, Received)]
        messages = [decode_group(one.message) for one in heard if one.link == self.link]
        return [one for one in messages if isinstance(one, PostMessage)]

    def end(self) -> Closed:
        (closed,) = self.told(Closed)
        return closed


@pytest.mark.spec("U-1", "U-2", "U-6")
@pytest.mark.parametrize(
    "messages",
    [
        (JOIN,),
        (PostMessage(1, "x"),),
        (Admitted(0, TOKEN, 10, 0, 0, "ann"),),
        (Refused(128),),
        (Members(("x",)),),
        (Log(10, (Joined(0, "x"),)),),
        (Log(12, (Joined(0, "x"),)),),
        (Log(11, (Joined(0, "x"),)), Log(11, (Joined(0, "x"),))),
        (Log(11, (Taken(1),)),),
        (b"\x15" + bytes(7) + b"\x0b" + b"\x05\0\0",),
        (b"\x16",),
    ],
)
def test_what_a_member_must_not_be_told_ends_it(messages: tuple[GroupMessage | bytes, ...]) -> None:
    stage = AtMember().admit()
    stage.say(*messages)
    assert (stage.end().reason, stage.end().by) == (Reason.PROTOCOL_ERROR, Side.LOCAL)
    assert stage.ann.stats()["rooms"] == 0


@pytest.mark.spec("U-1")
@pytest.mark.parametrize(
    "messages",
    [
        (Log(1, (Joined(0, "x"),)),),
        (Members(("x",)),),
        (Admitted(1, TOKEN, 0, 0, 0, "ann"),),
        (Admitted(2, TOKEN, 5, 0, 0, "ann"),),
        (Admitted(0, TOKEN, 0, 0, 1, "ann"), Log(1, (Joined(0, "x"),))),
        (Admitted(0, TOKEN, 0, 0, 1, "ann"), Members(("x", "y"))),
        (Receipt((Run(1, 1, 1, 0),)),),
    ],
)
def test_what_a_member_must_not_be_told_before_it_is_in_ends_it(
    messages: tuple[GroupMessage, ...],
) -> None:
    stage = AtMember().say(*messages)
    assert stage.end().reason == Reason.PROTOCOL_ERROR
    assert stage.told(Entered) == []


@pytest.mark.spec("U-6")
def test_a_taken_out_of_order_ends_it_and_an_old_one_is_ignored() -> None:
    stage = AtMember().admit()
    stage.sim.command(("ann", 1), Post(1, "a", 0), Post(1, "b", 1))
    stage.sim.run_for(0.1)
    stage.say(Log(11, (Taken(1), Taken(1))))
    assert stage.told(PostTaken) == [PostTaken(1, 0, 11)]
    assert stage.told(Closed) == []
    stage.sim.command(("ann", 1), Post(1, "c", 2))
    stage.say(Log(13, (Taken(3),)))
    assert stage.end().reason == Reason.PROTOCOL_ERROR


@pytest.mark.spec("U-18")
def test_a_hub_that_tells_of_more_who_came_than_there_can_be_is_left() -> None:
    stage = AtMember().admit()
    for first in range(0, MAX_MEMBERS, 4096):
        names = [f"{number}" for number in range(first, min(first + 4096, MAX_MEMBERS))]
        stage.say(Log(11 + first, tuple(Joined(0, name) for name in names)))
    assert stage.told(Closed) == []
    last = 10 + MAX_MEMBERS
    # Who goes makes place; who is there already takes none.
    stage.say(Log(last + 1, (Joined(1, "7"), Left(0, "7"), Joined(0, "x"))))
    assert stage.told(Closed) == []
    stage.say(Log(last + 4, (Joined(0, "one too many"),)))
    assert stage.end().reason == Reason.PROTOCOL_ERROR


@pytest.mark.spec("U-2")
@pytest.mark.parametrize("entry", [Skipped(128, b"?"), Skipped(255, b"")])
def test_an_unknown_entry_has_a_number_and_is_skipped(entry: Entry) -> None:
    stage = AtMember().admit()
    stage.say(Log(11, (entry, Posted("bob", "hi"))), b"\x80?")
    assert stage.told(PostHeard) == [PostHeard(1, 12, "bob", "hi")]
    assert stage.told(Closed) == []


def test_receipts_for_posts_that_never_were_cost_and_say_nothing() -> None:
    stage = AtMember().admit()
    stage.sim.command(("ann", 1), Post(1, "a", 9))
    stage.say(Log(11, (Taken(1),)), Receipt((Run(1 << 40, 0xFFFF, 1, 0),) * 64))
    stage.say(Receipt((Run(1, 0xFFFF, 3, 1),)))
    (spread,) = [n for _, n in stage.sim.notices(("ann", 1)) if "Spread" in type(n).__name__]
    assert (spread.ref, spread.acknowledged, spread.awaited) == (9, 3, 1)  # type: ignore[attr-defined]


@pytest.mark.spec("U-16")
def test_after_a_return_only_posts_that_were_not_taken_are_sent_again_with_their_ids() -> None:
    stage = AtMember().admit()
    stage.sim.command(("ann", 1), *(Post(1, f"{n}", n) for n in range(1, 5)))
    stage.sim.run_for(1)
    assert [one.id for one in stage.posts()] == [1, 2, 3, 4]
    stage.say(Log(11, (Taken(1),)))
    stage.come_back(how=1, number=11, taken=3)
    assert [(one.id, one.text) for one in stage.posts()] == [(4, "4")]
    stage.say(Log(12, (Taken(2), Posted("bob", "hi"), Taken(3), Taken(4))))
    assert [one.number for one in stage.told(PostTaken)] == [11, 12, 14, 15]


@pytest.mark.parametrize(("how", "number"), [(1, 12), (1, 9), (2, 10), (2, 9)])
def test_a_return_to_another_place_than_can_be_ends_it(how: int, number: int) -> None:
    stage = AtMember().admit()
    stage.come_back(how, number)
    assert stage.end().reason == Reason.PROTOCOL_ERROR


@pytest.mark.spec("U-17")
@pytest.mark.parametrize(
    "reason",
    [0, 1, 2, 3, 5, 6, 7, 8, 12, 128, 133, 200],
)
def test_after_an_end_for_good_nobody_comes_back(reason: int) -> None:
    stage = AtMember().admit()
    stage.sim.command(HUB, Abort(1, reason))
    stage.sim.run_for(30)
    assert (stage.end().reason, stage.end().by) == (reason, Side.PEER)
    assert stage.ann.is_idle


@pytest.mark.spec("U-17")
@pytest.mark.parametrize("reason", [4, 9, 10, 11, 13, 134])
def test_after_another_end_a_member_calls_again(reason: int) -> None:
    stage = AtMember().admit()
    stage.sim.command(HUB, Abort(1, reason))
    stage.sim.run_for(3)
    assert stage.told(Closed) == []
    heard = [one for _, one in stage.sim.notices(HUB) if isinstance(one, Received)]
    joins = [decode_group(one.message) for one in heard]
    assert joins == [Join("ann", "lobby"), Join("ann", "lobby", 0, TOKEN, 10)]


def test_calls_of_a_returning_member_are_further_and_further_apart() -> None:
    stage = AtMember().admit()
    stage.sim.crash(HUB)
    hub = Endpoint(entropy("busy"), roles=("other",))
    stage.sim.restart(HUB, hub)
    stage.sim.command(("ann", 1), Post(1, "x", 1))
    stage.sim.run_for(100)
    # Each call is refused for the role: that is an end for good.
    assert stage.end().reason == Reason.WRONG_ROLE


def test_a_hub_with_no_place_is_called_again_later() -> None:
    stage = AtMember().admit()
    stage.sim.crash(HUB)
    full = Hub(entropy("full"))
    stage.sim.restart(HUB, full)
    stage.sim.command(("ann", 1), Post(1, "x", 1))
    stage.sim.run_for(20)
    assert [one.how for one in stage.told(Entered)] == [0, 0]
    assert full.members("lobby") == ["ann"]


def test_who_left_is_gone_from_the_list_of_members() -> None:
    stage = AtMember().say(Admitted(0, TOKEN, 10, 0, 2, "ann"), Members(("bob",)))
    assert stage.told(Entered) == []
    stage.say(Members(("cy",)))
    assert stage.told(Entered)[0].members == ("bob", "cy")
    stage.say(Log(11, (Left(1, "bob"), Joined(1, "dan"))))
    assert stage.ann.members(1) == ("cy", "dan")


@pytest.mark.spec("U-3")
def test_a_hub_that_does_not_tell_all_names_is_called_again() -> None:
    stage = AtMember().say(Admitted(0, TOKEN, 10, 0, 2, "ann"), Members(("bob",)))
    stage.sim.run_for(12)
    assert [one.reason for one in stage.told(Interrupted)] == [JoinRefusal.LATE]
    opened = [one.link for _, one in stage.sim.notices(HUB) if isinstance(one, Opened)]
    assert opened == [1, 2]
    stage.link = 2
    stage.admit(how=1)
    assert [one.how for one in stage.told(Entered)] == [1]
    stage.sim.run_for(30)
    assert stage.told(Closed) == []
