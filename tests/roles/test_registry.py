"""The registry: the role "registry" (PROTOCOL.md, section 6.4), on the side that answers."""

from __future__ import annotations

import pytest
from halls import DELAY, REGISTRY, Hall, Plain

from palaver import (
    Abort,
    Action,
    Closed,
    Dial,
    Endpoint,
    Event,
    Finish,
    Gone,
    Joined,
    Leave,
    Limits,
    Pause,
    Reason,
    Received,
    Registry,
    Resume,
    Retire,
    Send,
    Side,
    Snapshot,
    TakeSnapshot,
    Tick,
    UsageError,
    Why,
)
from palaver.sim import Faults
from palaver.wire.peer import Ring
from palaver.wire.registry import (
    MAX_PAGE,
    NO_TOKEN,
    REPLACED,
    Entry,
    Erased,
    Found,
    Inactive,
    List,
    Lookup,
    Page,
    Refusal,
    Refused,
    Register,
    Registered,
    RollCall,
    Roster,
    Stale,
    Unregister,
)


def entered(client: Plain) -> Registered:
    return client.heard(Registered)[-1]


def refusals(client: Plain) -> list[int]:
    return [one.code for one in client.heard(Refused)]


# Joining


@pytest.mark.smoke
@pytest.mark.spec("G-5")
def test_clients_are_given_small_ids_in_turn_and_a_token_each() -> None:
    hall = Hall()
    clients = [Plain(hall, name) for name in ["ann", "bob", "cid"]]
    for client in clients:
        client.register(client.address[0])
    assert [entered(one).id for one in clients] == [1, 2, 3]
    assert len({entered(one).token for one in clients} - {NO_TOKEN}) == 3
    assert hall.names() == ["ann", "bob", "cid"]
    assert [one.entry.id for one in hall.of_registry(Joined)] == [1, 2, 3]
    assert next(hall.registry.entries(hall.sim.now)).address == ("ann", 1)


@pytest.mark.spec("G-5")
def test_an_id_is_not_given_again_when_its_owner_has_left() -> None:
    hall = Hall()
    ann, bob = Plain(hall, "ann"), Plain(hall, "bob")
    ann.say(ann.register("ann"), Unregister())
    bob.register("ann")
    assert (entered(ann).id, entered(bob).id) == (1, 2)


@pytest.mark.spec("G-3")
@pytest.mark.parametrize("name", ["", " ann", "an\nn", "12", "\u202eann", "\x1b[2J"])
def test_a_name_that_is_none_is_refused_and_another_may_be_tried(name: str) -> None:
    hall = Hall()
    rogue = Plain(hall)
    link = rogue.dial()
    rogue.say(link, Register(name))
    assert refusals(rogue) == [Refusal.NAME_INVALID]
    rogue.say(link, Register("ann"))
    assert entered(rogue).id == 1


@pytest.mark.spec("G-8")
def test_a_full_registry_says_so_and_has_room_again_when_somebody_left() -> None:
    hall = Hall(max_entries=2)
    first, second, third = (Plain(hall, name) for name in ["ann", "bob", "cid"])
    link = first.register("ann")
    second.register("bob")
    waiting = third.register("cid")
    assert refusals(third) == [Refusal.FULL]
    first.say(link, Unregister())
    third.say(waiting, Register("cid"))
    assert entered(third).id == 3
    assert hall.names() == ["bob", "cid"]


def test_hundreds_who_find_the_registry_full_are_all_told_and_none_is_entered() -> None:
    hall = Hall(max_entries=1, limits=Limits(half_open_per_host=64))
    Plain(hall, "ann").register("ann")
    crowd = [Plain(hall, f"p{n}") for n in range(60)]
    for one in crowd:
        one.register(one.address[0])
    assert all(refusals(one) == [Refusal.FULL] for one in crowd)
    hall.run(30)
    assert hall.registry.stats()["links"] == 1


@pytest.mark.spec("G-8")
def test_a_client_at_an_address_that_can_not_be_told_is_refused() -> None:
    hall = Hall()
    far = Plain(hall, "x" * 300)
    far.register("ann")
    assert refusals(far) == [Refusal.NO_ADDRESS]
    assert hall.names() == []


# What is out of order


@pytest.mark.spec("G-1")
@pytest.mark.parametrize(
    "message",
    [
        Lookup(1, 1),
        List(1, 0),
        Unregister(),
        Registered(1, bytes(16)),
        Found(1, Entry(1, "a", ("h", 1), 0)),
        Roster((1,)),
        Erased(),
        RollCall(),
    ],
    ids=lambda one: type(one).__name__,
)
def test_before_a_client_is_entered_it_may_say_nothing_but_register(message: Lookup) -> None:
    hall = Hall()
    rogue = Plain(hall)
    rogue.say(rogue.dial(), message)
    assert rogue.end(1) == Closed(1, 0, Reason.PROTOCOL_ERROR, Side.PEER)
    assert rogue.told(Received) == []


@pytest.mark.spec("G-1")
@pytest.mark.parametrize(
    "message",
    [Register("bob"), Registered(1, bytes(16)), Page(1, more=False, entries=()), Stale()],
    ids=lambda one: type(one).__name__,
)
def test_once_entered_a_client_may_not_register_again_nor_speak_as_a_registry(
    message: Register,
) -> None:
    hall = Hall()
    rogue = Plain(hall)
    rogue.say(rogue.register("ann"), message)
    end = rogue.end(1)
    assert end is not None
    assert end.reason == Reason.PROTOCOL_ERROR
    assert hall.names() == []


@pytest.mark.spec("G-1", "M-1", "M-2")
@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (b"\x11\x00", Reason.PROTOCOL_ERROR),
        (Ring(bytes(8), 1, 2, "").encode()[:1] + b"x", Reason.PROTOCOL_ERROR),
        (b"\x7f", Reason.UNSUPPORTED),
    ],
)
def test_a_message_that_is_not_valid_or_not_known_ends_the_link_and_the_entry(
    message: bytes, reason: Reason
) -> None:
    hall = Hall()
    ann, rogue = Plain(hall, "ann"), Plain(hall)
    ann.register("ann")
    rogue.say(rogue.register("bob"), message)
    end = rogue.end(1)
    assert end is not None
    assert end.reason == reason
    assert hall.names() == ["ann"]
    assert hall.of_registry(Gone)[-1].why is Why.VANISHED


@pytest.mark.spec("G-10")
def test_who_has_left_may_register_again_on_the_same_link() -> None:
    hall = Hall()
    rogue = Plain(hall)
    link = rogue.register("ann")
    rogue.say(link, Unregister(), Register("bob"))
    assert [one.id for one in rogue.heard(Registered)] == [1, 2]
    assert hall.names() == ["bob"]
    rogue.say(link, Unregister(), Lookup(1, 1))
    end = rogue.end(link)
    assert end is not None
    assert end.reason == Reason.PROTOCOL_ERROR


@pytest.mark.spec("G-1")
def test_fin_has_no_place_here() -> None:
    hall = Hall()
    rogue = Plain(hall)
    link = rogue.register("ann")
    hall.sim.command(rogue.address, Finish(link))
    hall.run(1)
    end = rogue.end(link)
    assert end is not None
    assert end.reason == Reason.PROTOCOL_ERROR


@pytest.mark.spec("G-1")
@pytest.mark.parametrize("refused", [False, True])
def test_who_does_not_register_in_time_is_sent_away(refused: bool) -> None:
    hall = Hall()
    rogue = Plain(hall)
    link = rogue.dial()
    hall.run(5)
    if refused:
        rogue.say(link, Register("12"))
    hall.run(9.8 if refused else 4.9)
    assert rogue.end(link) is None
    hall.run(1)
    assert rogue.end(link) == Closed(1, 0, Reason.PROTOCOL_ERROR, Side.PEER)


# One name, two who want it


@pytest.mark.smoke
@pytest.mark.spec("G-4", "G-7")
def test_a_name_is_refused_while_the_one_who_has_it_is_alive() -> None:
    hall = Hall()
    ann, rogue = Plain(hall, "ann"), Plain(hall)
    ann.register("Ann")
    rogue.say(rogue.dial(), Register("aNN"))
    hall.run(4 * DELAY)
    assert refusals(rogue) == [Refusal.NAME_TAKEN]
    assert ann.heard(RollCall) == [RollCall()]
    assert ann.end(1) is None
    hall.run(20)
    assert hall.names() == ["Ann"]


@pytest.mark.spec("G-7")
def test_a_name_passes_on_within_5_s_when_the_one_who_has_it_is_not_there_any_more() -> None:
    hall = Hall()
    ann, other = Plain(hall, "ann"), Plain(hall, "other")
    ann.register("ann")
    hall.sim.crash(ann.address)
    hall.run(1)
    since = hall.sim.now
    other.register("ann")
    hall.sim.run_until(lambda: bool(other.heard(Registered)))
    assert hall.sim.now - since <= 5 + 8 * DELAY
    assert entered(other).id == 2
    (gone,) = hall.of_registry(Gone)
    assert (gone.entry.id, gone.why) == (1, Why.VANISHED)
    assert hall.names() == ["ann"]
    assert refusals(other) == []


@pytest.mark.spec("G-7")
def test_two_who_claim_a_free_name_at_once_one_gets_it_and_the_other_hears_no() -> None:
    for seed in range(20):
        hall = Hall(Faults(delay=DELAY, jitter=DELAY, loss=0.2), seed=seed)
        both = [Plain(hall, "x"), Plain(hall, "y")]
        links = [one.dial() for one in both]
        for one, link in zip(both, links, strict=True):
            one.say(link, Register("ann"))
        hall.sim.run_until(
            lambda both=both: all(one.heard(Registered) or one.heard(Refused) for one in both)  # type: ignore[misc]
        )
        assert sorted(len(one.heard(Registered)) for one in both) == [0, 1]
        assert sorted(refusals(both[0]) + refusals(both[1])) == [Refusal.NAME_TAKEN]
        assert hall.names() == ["ann"]


@pytest.mark.spec("G-7")
def test_of_two_who_wait_for_a_name_the_later_is_refused_at_once() -> None:
    hall = Hall()
    ann, second, third = (Plain(hall, name) for name in ["ann", "x", "y"])
    ann.register("ann")
    hall.sim.crash(ann.address)
    second.register("ann")
    third.register("ann")
    assert refusals(third) == [Refusal.NAME_TAKEN]
    hall.run(6)
    assert entered(second).id == 2
    assert hall.names() == ["ann"]


@pytest.mark.spec("G-1", "G-7")
def test_who_waits_for_a_name_may_not_ask_again() -> None:
    hall = Hall()
    ann, rogue = Plain(hall, "ann"), Plain(hall)
    ann.register("ann")
    hall.sim.crash(ann.address)
    link = rogue.register("ann")
    rogue.say(link, Register("bob"))
    end = rogue.end(link)
    assert end is not None
    assert end.reason == Reason.PROTOCOL_ERROR
    hall.run(70)
    assert hall.names() == []
    assert hall.registry.stats()["entries"] == 0


@pytest.mark.spec("G-7")
def test_one_who_was_restarted_and_claims_its_name_need_not_wait_5_s() -> None:
    hall = Hall()
    ann = Plain(hall, "ann")
    ann.register("ann")
    hall.sim.crash(ann.address)
    # The same address, but nothing is left of what was there: the roll call is answered by RESET.
    hall.sim.restart(ann.address, Endpoint(hall.sim.entropy("another life")))
    since = hall.sim.now
    ann.register("ann")
    hall.sim.run_until(lambda: len(ann.heard(Registered)) == 2)
    assert hall.sim.now - since < 0.5
    assert entered(ann).id == 2
    assert hall.names() == ["ann"]


@pytest.mark.spec("G-7")
def test_one_who_goes_away_while_waiting_for_a_name_costs_its_owner_nothing() -> None:
    hall = Hall()
    ann, rogue = Plain(hall, "ann"), Plain(hall)
    link = ann.register("ann")
    hall.sim.command(ann.address, Pause(link))
    waiting = rogue.register("ann")
    hall.sim.command(rogue.address, Abort(waiting))
    hall.run(1)
    hall.sim.command(ann.address, Resume(link))
    hall.run(20)
    assert ann.end(link) is None
    assert hall.names() == ["ann"]


# Owners who come back


@pytest.mark.spec("G-6")
def test_the_owner_takes_its_entry_over_at_once_by_its_token() -> None:
    hall = Hall()
    old, new, watcher = (Plain(hall, name) for name in ["old", "new", "watcher"])
    old.register("Ann")
    watcher.register("watcher")
    proof = entered(old)
    since = hall.sim.now
    new.say(new.dial(), Register("ann", proof.id, proof.token))
    assert hall.sim.now - since <= 4 * DELAY
    assert entered(new) == proof
    assert old.end(1) == Closed(1, 0, REPLACED, Side.PEER)
    assert hall.of_registry(Gone) == []
    assert hall.of_registry(Joined)[-1].resumed
    (row, _) = hall.registry.entries(hall.sim.now)
    assert (row.id, row.name, row.address) == (1, "ann", ("new", 1))
    hall.run(1)
    changed = [change for one in watcher.heard(Roster) for change in one.changes]
    assert changed[-1] == Entry(1, "ann", ("new", 1), 0)


@pytest.mark.spec("G-6")
def test_a_token_is_worth_nothing_for_another_name_or_id_or_with_a_bit_wrong() -> None:
    hall = Hall()
    ann, bob = Plain(hall, "ann"), Plain(hall, "bob")
    ann.register("ann")
    bob.register("bob")
    token = entered(ann).token
    for name, number, proof in [
        ("bob", 1, token),
        ("bob", 2, token),
        ("ann", 2, token),
        ("ann", 1, token[:-1] + bytes([token[-1] ^ 1])),
        ("ann", 1, NO_TOKEN),
        ("ann", 0, token),
    ]:
        rogue = Plain(hall, f"rogue {name} {number} {proof.hex()}")
        rogue.say(rogue.dial(), Register(name, number, proof))
        hall.run(6 * DELAY)
        assert refusals(rogue) == [Refusal.NAME_TAKEN]
    assert hall.names() == ["ann", "bob"]
    assert ann.end(1) is bob.end(1) is None


@pytest.mark.spec("G-5")
def test_an_owner_that_was_gone_gets_its_id_back_and_an_old_one_never_beats_a_newer() -> None:
    hall = Hall()
    ann, other, late = (Plain(hall, name) for name in ["ann", "other", "late"])
    ann.say(ann.register("ann"), Unregister())
    proof = entered(ann)
    ann.say(1, Register("ann", proof.id, proof.token))
    assert [one.id for one in ann.heard(Registered)] == [1, 1]
    ann.say(1, Unregister())
    other.register("ann")
    assert entered(other).id == 2
    late.say(late.dial(), Register("ann", proof.id, proof.token))
    hall.run(4 * DELAY)
    assert refusals(late) == [Refusal.NAME_TAKEN]
    assert other.end(1) is None
    assert hall.names() == ["ann"]


def test_the_owner_beats_one_who_waits_for_its_name() -> None:
    hall = Hall()
    old, new, rogue = (Plain(hall, name) for name in ["old", "new", "rogue"])
    old.register("ann")
    proof = entered(old)
    hall.sim.crash(old.address)
    rogue.register("ann")
    new.say(new.dial(), Register("ann", proof.id, proof.token))
    assert entered(new).id == 1
    assert refusals(rogue) == [Refusal.NAME_TAKEN]
    hall.run(20)
    assert hall.names() == ["ann"]


# Leaving


@pytest.mark.smoke
@pytest.mark.spec("G-9", "G-10")
def test_who_leaves_is_erased_and_told_so_and_the_others_hear_of_it() -> None:
    hall = Hall()
    ann, bob = Plain(hall, "ann"), Plain(hall, "bob")
    link = ann.register("ann")
    bob.register("bob")
    ann.say(link, Unregister())
    assert ann.heard(Erased) == [Erased()]
    assert [(one.entry.name, one.why) for one in hall.of_registry(Gone)] == [("ann", Why.LEFT)]
    hall.run(1)
    assert bob.heard(Roster)[-1].changes[-1] == 1
    bob.say(1, Lookup(1, 1), Lookup(2, 0, "ann"), List(3, 0))
    assert bob.heard(Inactive) == [Inactive(1), Inactive(2)]
    assert [one.id for one in bob.heard(Page)[0].entries] == [2]


@pytest.mark.spec("G-9")
def test_an_entry_ends_with_its_link_whatever_ends_it() -> None:
    hall = Hall()
    left, cut, crashed, vanished = (Plain(hall, n) for n in ["left", "cut", "crashed", "vanished"])
    for one in (left, cut, crashed, vanished):
        one.register(one.address[0])
    hall.sim.command(left.address, Leave(1))
    hall.sim.command(cut.address, Abort(1))
    hall.run(1)
    assert hall.names() == ["crashed", "vanished"]
    # Forgetful at the same address: the next packet of the registry tells, at the latest a PING.
    hall.sim.crash(crashed.address)
    hall.sim.restart(crashed.address, Registry(hall.sim.entropy("another")))
    hall.sim.crash(vanished.address)
    hall.run(25)
    assert hall.names() == ["vanished"]
    hall.run(30)
    assert hall.names() == []
    assert [one.why for one in hall.of_registry(Gone)] == [Why.VANISHED] * 4


# Asking


@pytest.mark.spec("G-12")
def test_lookups_are_answered_by_id_and_by_name_however_it_is_spelt() -> None:
    hall = Hall()
    ann, bob = Plain(hall, "ann"), Plain(hall, "bob")
    ann.register("Jörg")
    hall.run(9.5)
    bob.register("bob")
    bob.say(1, Lookup(1, 1), Lookup(2, 0, "jo\u0308RG"), Lookup(3, 9), Lookup(4, 0, "eve"))
    found = Entry(1, "Jörg", ("ann", 1), 9)
    assert bob.heard(Found) == [Found(1, found), Found(2, found)]
    assert bob.heard(Inactive) == [Inactive(3), Inactive(4)]


@pytest.mark.spec("G-12")
def test_a_name_that_could_never_be_registered_is_inactive() -> None:
    hall = Hall()
    rogue = Plain(hall)
    rogue.say(rogue.register("ann"), Lookup(1, 0, "\x00\u202e"), Lookup(2, 0, "12"))
    assert rogue.heard(Inactive) == [Inactive(1), Inactive(2)]


@pytest.mark.spec("G-13")
def test_a_list_comes_in_pages_that_are_complete_in_order_and_small() -> None:
    hall = Hall(limits=Limits(half_open_per_host=64))
    crowd = [Plain(hall, f"p{n}") for n in range(70)]
    for one in crowd:
        one.register(f"someone whose name is {one.address[0]}")
    asker, after, seen, pages = crowd[3], 0, [], 0
    while True:
        asker.say(1, List(pages, after))
        page = asker.heard(Page)[-1]
        assert page.request == pages
        assert len(page.encode()) <= MAX_PAGE
        seen += [entry.id for entry in page.entries]
        pages += 1
        if not page.more:
            break
        assert len(page.encode()) > MAX_PAGE - 60
        after = seen[-1]
    assert seen == list(range(1, 71))
    assert pages > 2
    asker.say(1, List(99, 70))
    assert asker.heard(Page)[-1] == Page(99, more=False, entries=())


@pytest.mark.spec("G-12")
def test_the_address_of_one_who_has_moved_is_the_new_one() -> None:
    hall = Hall()
    ann, bob = Plain(hall, "ann"), Plain(hall, "bob")
    ann.register("ann")
    bob.register("bob")
    hall.sim.add(("moved", 9), hall.sim.crash(ann.address))
    ann.address = ("moved", 9)
    ann.say(1, List(1, 0))
    hall.run(1)
    bob.say(1, Lookup(1, 1))
    assert bob.heard(Found)[0].entry.address == ("moved", 9)


# Being told


@pytest.mark.spec("G-14")
def test_all_who_are_there_hear_who_comes_and_goes_in_order() -> None:
    hall = Hall()
    watcher = Plain(hall, "watcher")
    watcher.register("watcher")
    for name in ["ann", "bob"]:
        one = Plain(hall, name)
        one.register(name)
        hall.run(1)
        one.say(1, Unregister())
        hall.run(1)
    changes = [change for one in watcher.heard(Roster) for change in one.changes]
    assert [one if isinstance(one, int) else one.name for one in changes] == [
        "watcher",
        "ann",
        2,
        "bob",
        3,
    ]


@pytest.mark.spec("G-14")
def test_a_crowd_shares_announcements_and_too_much_at_once_is_stale() -> None:
    hall = Hall(limits=Limits(half_open_per_host=64))
    watcher = Plain(hall, "watcher")
    watcher.register("watcher")
    hall.run(1)
    told_before = len(watcher.told(Received))
    crowd = [Plain(hall, f"a name as long as this {n}") for n in range(50)]
    links = [one.dial() for one in crowd]
    for one, link in zip(crowd, links, strict=True):
        hall.sim.command(one.address, _send(link, Register(one.address[0])))
    hall.run(1)
    assert len(hall.names()) == 51
    news = watcher.told(Received)[told_before:]
    assert len(news) <= 3
    assert watcher.heard(Stale)


def _send(link: int, message: Register) -> Send:
    return Send(link, message.encode(), None)


@pytest.mark.spec("G-14")
def test_a_client_that_takes_nothing_costs_the_others_nothing_and_hears_that_it_missed() -> None:
    hall = Hall()
    slow, quick, busy = (Plain(hall, name) for name in ["slow", "quick", "busy"])
    slow.register("slow")
    quick.register("quick")
    hall.sim.command(slow.address, Pause(1))
    link = busy.dial()
    for _ in range(200):
        busy.say(link, Register("busy"))
        hall.run(0.3)
        busy.say(link, Unregister())
        hall.run(0.3)
    ids = [one.id for one in busy.heard(Registered)]
    assert ids == list(range(3, 203))
    heard = [change for one in quick.heard(Roster) for change in one.changes]
    assert [one for one in heard if isinstance(one, int)] == ids
    assert not quick.heard(Stale)
    assert slow.end(1) is None
    assert len(slow.heard(Roster)) <= 1
    hall.sim.command(slow.address, Resume(1))
    hall.run(2)
    assert len(slow.heard(Roster)) <= 10
    assert slow.heard(Stale) == [Stale()]
    # And from then on it hears again.
    busy.say(link, Register("busy"))
    hall.run(1)
    assert isinstance(slow.heard(Roster)[-1].changes[-1], Entry)
    slow.say(1, Lookup(5, 1))
    assert slow.heard(Found)[0].request == 5


def test_a_client_that_floods_and_does_not_read_is_sent_away_and_the_others_stay() -> None:
    hall = Hall(limits=Limits(queue_messages=64))
    rogue, ann = Plain(hall), Plain(hall, "ann")
    link = rogue.register("rogue")
    ann.register("ann")
    hall.sim.path(REGISTRY, rogue.address).cut = True
    for number in range(40):
        rogue.say(link, *(List(number * 8 + n, 0) for n in range(8)))
    hall.run(1)
    gone = [one.entry.name for one in hall.of_registry(Gone)]
    assert gone == ["rogue"]
    ann.say(1, Lookup(1, 2))
    assert ann.heard(Found)


# Restarts


@pytest.mark.spec("G-5")
def test_after_a_restart_with_its_table_owners_get_their_ids_and_others_not_their_names() -> None:
    hall = Hall()
    ann, bob = Plain(hall, "ann"), Plain(hall, "bob")
    ann.register("Ann")
    bob.register("bob")
    proof = entered(ann)
    hall.restart_registry(hall.registry.snapshot())
    assert hall.names() == []
    rogue, again, new = (Plain(hall, name) for name in ["rogue", "again", "new"])
    rogue.register("ann")
    assert refusals(rogue) == [Refusal.NAME_TAKEN]
    again.say(again.dial(), Register("Ann", proof.id, proof.token))
    assert entered(again) == proof
    new.register("new")
    assert entered(new).id == 3
    new.say(1, Lookup(1, 2), Lookup(2, 1))
    assert new.heard(Inactive) == [Inactive(1)]
    assert new.heard(Found)[0].entry.address == ("again", 1)
    hall.run(61)
    late = Plain(hall, "late")
    late.register("bob")
    assert entered(late).id == 4


@pytest.mark.spec("G-5")
def test_after_a_restart_without_its_table_tokens_are_worth_nothing() -> None:
    hall = Hall()
    ann = Plain(hall, "ann")
    ann.register("ann")
    proof = entered(ann)
    hall.restart_registry()
    first, again = Plain(hall, "first"), Plain(hall, "again")
    first.register("first")
    again.say(again.dial(), Register("ann", 7, proof.token))
    assert entered(again).id == 2
    assert entered(again).token != proof.token


# The machine


@pytest.mark.parametrize("entries", [0, -1])
def test_a_bound_that_makes_no_sense_raises(entries: int) -> None:
    with pytest.raises(UsageError):
        Registry(Hall().sim.entropy("x"), max_entries=entries)


def test_a_registry_takes_no_commands_but_to_end_links() -> None:
    hall = Hall()
    ann = Plain(hall, "ann")
    ann.register("ann")
    for event in [_send(1, Register("x")), Event(), Dial(ann.address, "registry")]:
        with pytest.raises(UsageError):
            hall.registry.handle(event, hall.sim.now)
    (link,) = hall.registry.links
    hall.sim.command(REGISTRY, Leave(link, Reason.SHUTTING_DOWN))
    hall.run(1)
    end = ann.end(1)
    assert end is not None
    assert end.reason == Reason.SHUTTING_DOWN
    assert hall.names() == []


def test_a_registry_that_retires_tells_its_clients_and_can_be_restored_from_its_snapshot() -> None:
    hall = Hall()
    ann, bob = Plain(hall, "ann"), Plain(hall, "bob")
    ann.register("ann")
    bob.register("bob")
    (snapshot,) = hall.sim.command(REGISTRY, TakeSnapshot())
    assert isinstance(snapshot, Snapshot)
    hall.sim.command(REGISTRY, Retire())
    hall.run(3)
    for one in (ann, bob):
        end = one.end(1)
        assert end is not None
        assert end.reason == Reason.SHUTTING_DOWN
    assert hall.registry.is_idle
    assert len(Registry(hall.sim.entropy("x"), snapshot=snapshot.data)) == 0
    assert Registry(hall.sim.entropy("x"), snapshot=snapshot.data).stats()["kept"] == 2


def test_a_twin_does_the_same_and_is_independent() -> None:
    hall = Hall()
    ann, rogue = Plain(hall, "ann"), Plain(hall)
    link = ann.register("ann")
    hall.sim.command(ann.address, Pause(link))
    rogue.register("ann")
    machine = hall.registry
    twin = machine.clone()
    now = hall.sim.now
    assert twin.state_key(now) == machine.state_key(now)
    out: list[list[Action]] = []
    for one in (twin, machine):
        out.append([])
        for step in range(200):
            out[-1] += one.handle(Tick(), now + step * 0.1)
    assert out[0] == out[1]
    assert any(isinstance(one, Gone) for one in out[0])
    assert twin.state_key(now + 20) == machine.state_key(now + 20)
    assert len(machine) == 1


# Ports


@pytest.mark.spec("G-15", "G-1")
def test_who_names_a_port_without_streams_breaks_the_rules() -> None:
    hall = Hall()
    client = Plain(hall)
    link = client.dial()
    client.say(link, Register("ann", port=4000))
    end = client.end(link)
    assert end is not None
    assert end.reason == Reason.PROTOCOL_ERROR
    assert hall.names() == []
