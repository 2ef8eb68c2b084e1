"""One port for both: Palaver and plain text side by side."""

from __future__ import annotations

from typing import Any

import pytest
from test_plain_pair import only, sent

from palaver import (
    Action,
    Address,
    Call,
    CameIn,
    ConversationOpened,
    Datagram,
    Disband,
    Duo,
    Entered,
    Event,
    Hub,
    HubRules,
    JoinRoom,
    Leave,
    Member,
    MemberCame,
    MemberWent,
    Pause,
    Post,
    PostHeard,
    PostRelayed,
    PostSpread,
    Resume,
    Said,
    Say,
    StreamEnded,
    Tick,
    Transmit,
    Unreachable,
    UsageError,
    WentOut,
)
from palaver.machine import Chunk, Disconnect, StreamOpened
from palaver.roles.group.events import AdmitGuest, DismissGuest, GuestPost
from palaver.roles.plain.either import EitherHub, EitherPair
from palaver.roles.plain.events import PlainOpened
from palaver.roles.plain.rules import PlainRules
from palaver.sim.random import SeededRandom
from palaver.wire.group import Post as GroupPost
from palaver.wire.group_log import Coming, Going

HERE = ("10.0.0.99", 2209)
ANN, BOB, CY, DAN = ("10.0.0.1", 1), ("10.0.0.2", 2), ("10.0.0.3", 3), ("10.0.0.4", 4)


def entropy(seed: int) -> Any:  # noqa: ANN401 - what machines want
    return SeededRandom(seed).bytes


class World:
    """Machines at addresses, on a wire that loses nothing; plain addresses just listen."""

    def __init__(self, machines: dict[Address, Any]) -> None:
        self.machines = machines
        self.now = 0.0
        self.told: dict[Address, list[Action]] = {address: [] for address in machines}
        self.texts: dict[Address, list[bytes]] = {}

    def do(self, at: Address, event: Event) -> None:
        self._perform(at, self.machines[at].handle(event, self.now))
        self.settle()

    def say(self, source: Address, data: bytes) -> None:
        """Let somebody with plain text say something to the machine at HERE."""
        self.do(HERE, Datagram(data, source))

    def settle(self, seconds: float = 1.0) -> None:
        """Let time pass, in small steps."""
        for _ in range(int(seconds * 100)):
            for address, machine in self.machines.items():
                while machine.deadline is not None and machine.deadline <= self.now:
                    self._perform(address, machine.handle(Tick(), self.now))
            self.now += 0.01

    def _perform(self, at: Address, actions: list[Action]) -> None:
        for action in actions:
            self.told[at].append(action)
            if not isinstance(action, Transmit):
                continue
            if action.destination in self.machines:
                machine = self.machines[action.destination]
                told = machine.handle(Datagram(action.data, at), self.now)
                self._perform(action.destination, told)
            else:
                self.texts.setdefault(action.destination, []).append(action.data)

    def heard(self, at: Address) -> list[tuple[str, str]]:
        return [(one.name, one.text) for one in only(self.told[at], PostHeard)]


def make_group(**options: Any) -> World:  # noqa: ANN401 - of the hub
    world = World(
        {
            HERE: EitherHub(entropy(1), **options),
            ANN: Member(entropy(2)),
            BOB: Member(entropy(3)),
        }
    )
    world.do(ANN, JoinRoom(HERE, "Ann"))
    world.do(BOB, JoinRoom(HERE, "Bob"))
    assert only(world.told[BOB], Entered)
    return world


@pytest.mark.smoke
@pytest.mark.spec("T-7", "T-11")
def test_everybody_sees_the_posts_of_everybody_else_once() -> None:
    world = make_group()
    world.say(CY, b"Cy : hello\n")
    world.say(DAN, b"I am Dan")
    world.do(ANN, Post(1, "hi all"))
    world.do(BOB, Post(1, "hi too"))
    world.say(CY, b"Cy : again\n")
    dan = "10.0.0.4:4 (plain)"
    assert world.heard(ANN) == [
        *(("Cy (plain)", "hello"), (dan, "I am Dan"), ("Bob", "hi too"), ("Cy (plain)", "again"))
    ]
    assert world.heard(BOB) == [
        *(("Cy (plain)", "hello"), (dan, "I am Dan"), ("Ann", "hi all"), ("Cy (plain)", "again"))
    ]
    assert world.texts[CY] == [b"I am Dan\n", b"Ann : hi all\n", b"Bob : hi too\n"]
    assert world.texts[DAN] == [b"Ann : hi all", b"Bob : hi too", b"Cy : again"]
    posts = only(world.told[HERE], PostRelayed)
    assert [(one.name, one.plain) for one in posts] == [
        *(("Cy (plain)", True), (dan, True), ("Ann", False), ("Bob", False), ("Cy (plain)", True))
    ]
    numbers = [one.number for one in posts]
    assert numbers == sorted(set(numbers))


@pytest.mark.spec("T-8", "T-14")
def test_those_with_text_come_and_go_in_the_log_and_their_names_are_marked() -> None:
    world = make_group()
    world.say(CY, b"Cy : hello")
    assert [one.name for one in only(world.told[ANN], CameIn)] == ["Ann", "Bob", "Cy (plain)"]
    assert world.machines[HERE].hub.members("lobby") == ["Ann", "Bob", "Cy (plain)"]
    world.machines[DAN] = Member(entropy(4))
    world.told[DAN] = []
    world.do(DAN, JoinRoom(HERE, "Dan"))
    (entered,) = only(world.told[DAN], Entered)
    assert set(entered.members) >= {"Ann", "Bob", "Cy (plain)"}
    world.say(CY, b"exit")
    assert [(one.name, one.how) for one in only(world.told[ANN], WentOut)] == [
        ("Cy (plain)", Going.LEFT)
    ]
    assert world.machines[HERE].hub.members("lobby") == ["Ann", "Bob", "Dan"]


@pytest.mark.spec("T-13")
def test_nobody_is_told_that_those_with_text_have_anything() -> None:
    world = make_group()
    world.say(CY, b"Cy : hello")
    world.say(DAN, b"Dan : hello")
    world.do(ANN, Post(1, "hi", 5))
    world.settle(2.0)
    (*_, last) = only(world.told[ANN], PostSpread)
    assert (last.ref, last.acknowledged, last.awaited) == (5, 1, 0)


@pytest.mark.spec("T-13")
def test_those_with_text_take_nobodys_place() -> None:
    world = make_group(rules=HubRules(members=3))
    world.say(CY, b"Cy : hello")
    world.say(DAN, b"Dan : hello")
    assert world.machines[HERE].hub.members("lobby") == ["Ann", "Bob", "Cy (plain)"]
    assert world.machines[HERE].plain.members() == ["Cy (plain)"]
    world.machines[DAN] = Member(entropy(4))
    world.told[DAN] = []
    world.do(DAN, JoinRoom(HERE, "Dan"))
    assert only(world.told[DAN], Entered)


@pytest.mark.spec("T-7")
def test_what_a_member_posts_orders_no_terminal_and_is_cut() -> None:
    world = make_group()
    world.say(CY, b"Cy : hello")
    world.do(ANN, Post(1, "a\x1b[2J\nDan : b" + "x" * 5000))
    (data,) = world.texts[CY]
    assert data.startswith("Ann : a\ufffd[2J Dan : bxxx".encode())
    assert len(data) <= PlainRules().text


def test_what_is_said_in_other_rooms_is_not_passed_on() -> None:
    world = make_group()
    world.do(BOB, JoinRoom(HERE, "Bob", "garden", 9))
    world.say(CY, b"Cy : hello")
    link = only(world.told[BOB], Entered)[-1].link
    world.do(BOB, Post(link, "flowers"))
    assert CY not in world.texts


@pytest.mark.spec("T-8")
def test_a_hub_that_ends_says_so_to_both() -> None:
    world = make_group()
    world.say(CY, b"Cy : hello")
    world.do(HERE, Disband())
    world.settle(3.0)
    assert world.texts[CY] == [b"exit"]
    assert next(one.name for one in only(world.told[HERE], MemberWent)) == "Cy (plain)"
    assert world.machines[HERE].is_idle
    world.say(DAN, b"Dan : hello")
    assert DAN not in world.texts


def test_one_with_text_that_is_unreachable_is_lost_to_all() -> None:
    world = make_group()
    world.say(CY, b"Cy : hello")
    world.do(HERE, Unreachable(CY))
    assert [(one.name, one.how) for one in only(world.told[ANN], WentOut)] == [
        ("Cy (plain)", Going.LOST)
    ]


@pytest.mark.spec("T-11")
def test_damaged_packets_and_stun_are_no_texts() -> None:
    world = make_group()
    for data in (b"\xfc damaged", b"\xff", b"\x00\x01", b"\x03", b"\x07abc"):
        world.say(CY, data)
    assert only(world.told[HERE], MemberCame)[2:] == []
    world.say(CY, b"\x08text")
    assert len(only(world.told[HERE], MemberCame)) == 3


def test_pausing_and_abort_reach_the_one_that_they_are_for() -> None:
    world = make_group()
    world.say(CY, b"Cy : hello")
    (link,) = {one.link for one in only(world.told[HERE], MemberCame) if one.name == "Ann"}
    for event in (Pause(-1), Resume(-1), Pause(link), Resume(link)):
        world.do(HERE, event)
    world.do(ANN, Post(1, "still"))
    assert world.texts[CY] == [b"Ann : still"]


# Guests of a hub


def test_guests_need_numbers_of_their_own() -> None:
    hub = Hub(entropy(1))
    for number in (0, 1):
        with pytest.raises(UsageError):
            hub.handle(AdmitGuest(number, "x", CY), 0.0)
    (came,) = hub.handle(AdmitGuest(-1, "x", CY), 0.0)
    assert came == MemberCame(-1, "lobby", 1, "x", Coming.NEW, CY, plain=True)
    with pytest.raises(UsageError):
        hub.handle(AdmitGuest(-1, "y", CY), 0.0)
    (came,) = hub.handle(AdmitGuest(-2, "X", CY), 0.0)
    assert isinstance(came, MemberCame)
    assert came.name == "X-2"
    with pytest.raises(UsageError):
        hub.handle(GuestPost(-3, "x"), 0.0)
    with pytest.raises(UsageError):
        hub.handle(GuestPost(-1, "x" * 65001), 0.0)
    assert hub.handle(DismissGuest(-3, Going.LEFT, 0), 0.0) == []
    assert hub.stats()["guests"] == 2


def test_a_room_of_guests_stands_until_they_are_gone() -> None:
    hub = Hub(entropy(1))
    hub.handle(AdmitGuest(-1, "x", CY), 0.0)
    for now in range(0, 1000, 50):
        hub.handle(Tick(), float(now))
    assert hub.stats()["rooms"] == 1
    hub.handle(DismissGuest(-1, Going.LEFT, 0), 1000.0)
    assert hub.stats()["guests"] == 0
    hub.handle(Tick(), 1000.0 + HubRules().absence)
    assert hub.stats()["rooms"] == 0


def test_a_room_in_which_only_guests_are_left_stands() -> None:
    world = make_group(rules=HubRules(absence=1.0))
    world.say(CY, b"Cy : hello")
    for address in (ANN, BOB):
        world.do(address, Leave(1))
    world.settle(4.0)
    assert world.machines[HERE].hub.members("lobby") == ["Cy (plain)"]
    world.say(CY, b"Cy : alone")
    assert only(world.told[HERE], PostRelayed)[-1].text == "alone"
    world.say(CY, b"exit")
    world.settle(2.0)
    assert world.machines[HERE].hub.stats()["rooms"] == 0


@pytest.mark.spec("T-13")
def test_what_a_guest_says_while_posts_are_held_back_is_dropped() -> None:
    hub = Hub(entropy(1))
    hub.handle(AdmitGuest(-1, "x", CY), 0.0)
    hub.rooms[1].held = True
    assert hub.handle(GuestPost(-1, "x"), 0.0) == []
    assert hub.rooms[1].last == 1
    hub.rooms[1].held = False
    assert only(hub.handle(GuestPost(-1, "x"), 0.0), PostRelayed)


@pytest.mark.spec("T-7", "T-13")
@pytest.mark.parametrize("first", [b"Dan : let me in", b"let me in\n"])
def test_what_somebody_says_who_finds_no_place_in_the_lobby_reaches_nobody(first: bytes) -> None:
    world = make_group(rules=HubRules(members=3))
    world.say(CY, b"Cy : hello")
    world.say(DAN, first)
    assert CY not in world.texts
    assert world.heard(ANN) == [("Cy (plain)", "hello")]
    assert world.machines[HERE].plain.stats()["turned_down"] == 1
    # When somebody goes there is a place, and the next text is one like any other.
    world.say(CY, b"exit")
    world.say(DAN, b"Dan : now")
    assert world.heard(ANN)[-1] == ("Dan (plain)", "now")
    world.say(CY, b"Cy : me too")
    assert DAN not in world.texts


@pytest.mark.spec("T-7", "T-13")
def test_where_there_can_be_no_lobby_text_reaches_nobody() -> None:
    world = World({HERE: EitherHub(entropy(1), rules=HubRules(rooms=1)), ANN: Member(entropy(2))})
    world.do(ANN, JoinRoom(HERE, "Ann", "garden"))
    world.say(CY, b"Cy : hello")
    world.say(DAN, b"Dan : hello")
    assert world.texts == {}
    assert world.machines[HERE].plain.members() == []
    assert world.machines[HERE].plain.stats()["turned_down"] == 2


@pytest.mark.spec("T-7", "T-13")
def test_a_stream_that_finds_no_place_in_the_lobby_is_ended_and_reaches_nobody() -> None:
    hub = EitherHub(entropy(1), streams=True, rules=HubRules(members=1))
    for address in (CY, DAN, BOB):
        hub.handle(StreamOpened(address), 0.0)
    hub.handle(Chunk(b"Cy : hello\n", CY), 0.0)
    hub.handle(Tick(), 0.0)
    actions = [*hub.handle(Chunk(b"Dan : hi\nDan : hi\n", DAN), 0.1), *hub.handle(Tick(), 0.1)]
    assert actions == [Disconnect(DAN)]
    # What has no line end becomes a text in a tick: that is no back door.
    assert hub.handle(Chunk(b"Bob : hi", BOB), 0.2) == []
    assert hub.handle(Tick(), 0.5) == [Disconnect(BOB)]
    assert hub.deadline is None or hub.deadline > 0.5
    assert hub.hub.members("lobby") == ["Cy (plain)"]


def test_of_two_who_come_with_one_tick_the_second_finds_no_place() -> None:
    hub = EitherHub(entropy(1), streams=True, rules=HubRules(members=2))
    for address in (CY, DAN, BOB):
        hub.handle(StreamOpened(address), 0.0)
    hub.handle(Chunk(b"Cy : hello\n", CY), 0.0)
    for when, text, address in ((0.1, b"Dan : one", DAN), (0.11, b"Bob : two", BOB)):
        assert not only(hub.handle(Chunk(text, address), when), Transmit)
    actions = hub.handle(Tick(), 0.5)
    assert sent(actions) == [b"Dan : one\n"]
    assert [one.address for one in only(actions, Disconnect)] == [BOB]
    assert hub.hub.members("lobby") == ["Cy (plain)", "Dan (plain)"]


@pytest.mark.spec("T-13")
def test_what_is_said_in_text_while_posts_are_held_back_reaches_nobody() -> None:
    world = make_group()
    world.say(CY, b"Cy : hello")
    world.say(DAN, b"Dan : hello")
    room = world.machines[HERE].hub.rooms[1]
    heard = len(world.texts[CY])
    room.held = True
    actions = world.machines[HERE].handle(Datagram(b"Dan : lost", DAN), world.now)
    actions += world.machines[HERE].handle(Tick(), world.now)
    assert not only(actions, PostRelayed)
    assert not [one for one in actions if isinstance(one, Transmit) and one.destination == CY]
    room.held = False
    world.say(DAN, b"Dan : heard")
    assert world.texts[CY][heard:] == [b"Dan : heard"]
    assert [text for _, text in world.heard(ANN)] == ["hello", "hello", "heard"]


def test_one_tick_sends_also_what_the_hub_says_in_it() -> None:
    world = make_group()
    world.say(CY, b"Cy : hello")
    either = world.machines[HERE]
    room = either.hub.rooms[1]
    (ann,) = [seat for seat in room.present.values() if seat.name == "Ann"]
    # A post that waits for the others is published by the tick that finds that they follow again.
    room.held = True
    room.waiting.append((ann.number, GroupPost(1, "at last")))
    either.hub.pending[1] = room
    actions = either.handle(Tick(), world.now)
    assert b"Ann : at last" in sent(actions)
    assert either.deadline is None or either.deadline > world.now


def test_what_guests_said_counts_for_the_backlog() -> None:
    world = make_group(rules=HubRules(backlog=9))
    for number in range(3):
        world.say(CY, b"Cy : %d" % number)
    world.machines[DAN] = Member(entropy(4))
    world.told[DAN] = []
    world.do(DAN, JoinRoom(HERE, "Dan", backlog=2))
    assert world.heard(DAN) == [("Cy (plain)", "1"), ("Cy (plain)", "2")]


def test_a_twin_goes_the_same_way() -> None:
    world = make_group()
    world.say(CY, b"Cy : hello")
    hub = world.machines[HERE]
    twin = hub.clone()
    assert twin.state_key(world.now) == hub.state_key(world.now)
    event = Datagram(b"Dan : hi", DAN)
    assert twin.handle(event, world.now) == hub.handle(event, world.now)
    assert twin.handle(Tick(), world.now) == hub.handle(Tick(), world.now)
    assert twin.state_key(world.now) == hub.state_key(world.now)
    key = hub.state_key(world.now)
    twin.handle(Datagram(b"Dan : more", DAN), world.now)
    assert hub.state_key(world.now) == key
    assert twin.state_key(world.now) != key


# Two


@pytest.mark.smoke
@pytest.mark.spec("T-11")
def test_a_listener_talks_with_both_kinds_at_a_time() -> None:
    world = World({HERE: EitherPair(entropy(1), name="Here"), ANN: Duo(entropy(2), name="Ann")})
    world.do(ANN, Call(HERE))
    world.say(CY, b"hello\n")
    assert only(world.told[HERE], PlainOpened) == [PlainOpened(-1, None, CY)]
    (opened,) = only(world.told[HERE], ConversationOpened)
    assert opened.name == "Ann"
    world.do(ANN, Say(1, "hello"))
    world.do(HERE, Say(opened.link, "hi Ann"))
    world.do(HERE, Say(-1, "hi Cy"))
    assert [(one.link, one.text) for one in only(world.told[HERE], Said)] == [
        *((-1, "hello"), (opened.link, "hello"))
    ]
    assert [one.text for one in only(world.told[ANN], Said)] == ["hi Ann"]
    assert world.texts[CY] == [b"hi Cy\n"]
    world.do(HERE, Leave(-1))
    assert not world.machines[HERE].is_idle
    world.do(HERE, Leave(opened.link))
    world.settle(3.0)
    assert world.machines[HERE].is_idle
    assert "plain_texts" in world.machines[HERE].stats()


def test_on_streams_a_record_is_palavers_and_bytes_are_not() -> None:
    pair = EitherPair(entropy(1), streams=True)
    assert pair.handle(StreamOpened(CY), 0.0) == [PlainOpened(-1, None, CY)]
    assert pair.handle(Chunk(b"hi\n", CY), 0.0) == [Said(-1, "hi")]
    # A record that begins like text is a damaged packet.
    assert not only(pair.handle(Datagram(b"text", ANN), 0.0), Said)
    twin = pair.clone()
    assert only(twin.handle(StreamEnded(CY), 0.0), Said) == []
    assert twin.is_idle
    assert not pair.is_idle
    assert sent(pair.handle(Say(-1, "x"), 0.0)) == []
    assert sent(pair.handle(Tick(), 0.0)) == [b"x\n"]


@pytest.mark.spec("T-1", "T-3")
@pytest.mark.parametrize("size", [1024, 21_666, 21_667, 30_000, 65_507])
def test_bytes_that_grow_when_they_are_decoded_harm_nobody(size: int) -> None:
    """Each byte that is not UTF-8 becomes three: more than a post may have."""
    hub = EitherHub(SeededRandom(1).bytes)
    actions = hub.handle(Datagram(b"\x80" * size, ("10.0.0.1", 1)), 0.0)
    (post,) = [one for one in actions if isinstance(one, PostRelayed)]
    assert len(post.text.encode()) <= 1024
    assert post.text.endswith("\N{HORIZONTAL ELLIPSIS}")
