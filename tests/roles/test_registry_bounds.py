"""A registry at its bounds: full of those who are kept, out of ids, and saved as people leave."""

from __future__ import annotations

from zlib import crc32

import pytest
from halls import REGISTRY, Hall, Plain, Watched

from palaver import Action, Gone, Limits, Pause, Registry, Snapshot
from palaver.roles.autosave import Autosave
from palaver.roles.registry_table import RegistryTable
from palaver.wire.registry import (
    MAX_ID,
    List,
    Refusal,
    Refused,
    Register,
    Registered,
    Unregister,
)

SECRET = bytes(32)


def restored(snapshot: bytes, max_entries: int = 100) -> Hall:
    hall = Hall(max_entries=max_entries)
    hall.sim.restart(REGISTRY, Watched(hall.new_registry(snapshot)))
    return hall


@pytest.mark.spec("G-8")
def test_nobody_new_gets_the_place_of_one_who_is_kept_and_who_comes_back_to_it() -> None:
    table = RegistryTable(SECRET)
    for name in ("ann", "bob"):
        table.enter(name, (name, 1), 1, 0.0)
    hall = restored(table.snapshot(), max_entries=2)
    new, ann = Plain(hall, "new"), Plain(hall, "ann")
    new.register("new")
    assert new.heard(Refused) == [Refused(Refusal.FULL)]
    ann.say(ann.dial(), Register("ann", 1, table.token(1, "ann")))
    assert ann.heard(Registered) == [Registered(1, table.token(1, "ann"))]
    hall.run(61)  # bob did not come
    new.register("new")
    assert [one.id for one in new.heard(Registered)] == [3]


@pytest.mark.spec("G-5")
def test_who_had_an_id_gets_it_back_also_when_none_is_left_for_others() -> None:
    table = RegistryTable(SECRET)
    data = table.snapshot()[:40] + bytes(4) + bytes(8)  # 0: no id is left
    hall = restored(data + crc32(data).to_bytes(4, "big"))
    new, old = Plain(hall, "new"), Plain(hall, "old")
    new.register("new")
    assert new.heard(Refused) == [Refused(Refusal.FULL)]
    old.say(old.dial(), Register("old", MAX_ID, table.token(MAX_ID, "old")))
    assert [one.id for one in old.heard(Registered)] == [MAX_ID]


def test_who_has_left_is_not_in_the_next_snapshot() -> None:
    hall = Hall()
    saving = Registry(hall.sim.entropy("saving"), snapshot_every=1.0)
    hall.sim.restart(REGISTRY, Watched(saving))
    ann = Plain(hall, "ann")
    link = ann.register("ann")
    ann.say(link, Unregister())
    hall.run(2)
    assert hall.of_registry(Gone)
    last = RegistryTable.restore(hall.of_registry(Snapshot)[-1].data)
    assert (len(last), last.next_id) == (0, 2)


def test_when_a_crowd_has_come_the_last_snapshot_keeps_no_ids_free() -> None:
    table, autosave, told = RegistryTable(SECRET), Autosave(1.0), list[Action]()
    number = kept = 0
    while not kept:  # until one is told that keeps ids free
        number += 1
        table.enter(f"c{number}", ("c", number), number, 0.0)
        autosave.is_due = True
        autosave.go_on(table, 0.0, told)
        last = told[-1]
        assert isinstance(last, Snapshot)
        kept = RegistryTable.restore(last.data).next_id - table.next_id
    assert kept == 64
    while autosave.due < float("inf"):
        autosave.go_on(table, autosave.due, told)
    last = told[-1]
    assert isinstance(last, Snapshot)
    assert RegistryTable.restore(last.data).next_id == number + 1


@pytest.mark.spec("G-7")
def test_one_who_has_a_name_and_a_full_queue_can_lose_it_like_any_other() -> None:
    hall = Hall(limits=Limits(queue_messages=4, window=4096))
    ann, rival = Plain(hall, "ann"), Plain(hall, "rival")
    held = ann.register("ann")
    hall.sim.command(ann.address, Pause(held))
    (link,) = hall.registry.links
    outbox = hall.registry._endpoint.links[link].channel.outbox
    for request in range(1000):
        if outbox._queued_messages == 4:
            break
        ann.say(held, List(request, 0))
    assert outbox._queued_messages == 4
    rival.register("ann")
    hall.run(6)
    assert [one.id for one in rival.heard(Registered)] == [2]
    assert hall.names() == ["ann"]
