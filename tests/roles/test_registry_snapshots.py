"""The snapshots that a registry gives by itself: whole, in time, and not too many."""

from __future__ import annotations

import pytest
from halls import REGISTRY, Hall, Plain, Watched

from palaver import Joined, Notice, Registry, Send, Snapshot, UsageError
from palaver.roles.registry_table import RegistryTable
from palaver.wire.registry import Register, Registered

EVERY = 1.0


class Saving(Hall):
    """A hall whose registry saves its table."""

    def new_registry(self, snapshot: bytes | None = None) -> Registry:
        self.lives += 1
        return Registry(
            self.sim.entropy(f"registry {self.lives}"),
            snapshot=snapshot,
            snapshot_every=EVERY,
        )

    @property
    def snapshots(self) -> list[tuple[float, RegistryTable]]:
        return [
            (at, RegistryTable.restore(one.data))
            for at, one in self.sim.notices(REGISTRY)
            if isinstance(one, Snapshot)
        ]

    def times_of_registry(self, kind: type[Notice]) -> list[float]:
        return [at for at, one in self.sim.notices(REGISTRY) if isinstance(one, kind)]

    def crash_and_restore(self) -> None:
        """Come back with what was told last, all at once."""
        data = self.of_registry(Snapshot)[-1].data
        self.sim.restart(REGISTRY, Watched(self.new_registry(data)))


def dial_all(hall: Hall, count: int) -> list[tuple[Plain, int]]:
    """Give clients with open links that have not said anything."""
    clients = [Plain(hall, f"c{number}") for number in range(count)]
    links = [(one, one.dial()) for one in clients]
    hall.run(0.5)
    return links


def test_the_first_change_is_told_at_once_and_keeps_no_ids_free() -> None:
    hall = Saving()
    Plain(hall, "ann").register("ann")
    ((at, table),) = hall.snapshots
    assert at == hall.times_of_registry(Joined)[0]
    assert (len(table), table.next_id) == (1, 2)


def test_of_many_changes_all_but_a_few_are_told_together() -> None:
    hall = Saving()
    clients = dial_all(hall, 60)
    for number, (client, link) in enumerate(clients):
        client.say(link, Register(f"n{number}"))  # takes 4 delays of 1/64 s
    took = hall.sim.now - 0.5
    assert took > 3
    assert 8 <= len(hall.snapshots) <= 8 + took / EVERY + 1
    hall.run(3)
    times = [at for at, _ in hall.snapshots]
    for first, at in enumerate(times):
        assert sum(at <= one < at + EVERY for one in times[first:]) <= 8 + 2
    assert (len(hall.snapshots[-1][1]), hall.snapshots[-1][1].next_id) == (60, 61)
    before = len(times)
    hall.run(60)
    assert len(hall.snapshots) == before  # nothing has changed


def test_a_handful_who_come_at_once_keep_no_ids_free() -> None:
    hall = Saving()
    for number in range(8):
        Plain(hall, f"c{number}").register(f"n{number}")
    assert [table.next_id for _, table in hall.snapshots] == list(range(2, 10))


def test_a_burst_of_joins_is_told_eight_times_and_once_for_every_64() -> None:
    hall = Saving()
    clients = dial_all(hall, 90)
    for number, (client, link) in enumerate(clients):
        hall.sim.command(client.address, *_send(link, Register(f"n{number}")))
    hall.run(0.5)
    assert len(hall.of_registry(Joined)) == 90
    assert 8 <= len(hall.snapshots) <= 8 + 2
    hall.run(10)
    assert len(hall.snapshots[-1][1]) == 90


def _send(link: int, *messages: Register) -> list[Send]:
    return [Send(link, one.encode(), None) for one in messages]


@pytest.mark.spec("G-5")
def test_no_id_is_given_twice_though_the_registry_crashes_between_two_snapshots() -> None:
    hall = Saving()
    clients = dial_all(hall, 20)
    given: dict[str, Registered] = {}
    for number, (client, link) in enumerate(clients):
        hall.sim.command(client.address, *_send(link, Register(f"n{number}")))
    hall.run(0.5)
    for number, (client, _) in enumerate(clients):
        given[f"n{number}"] = client.heard(Registered)[-1]
    assert len(hall.snapshots[-1][1]) < 20  # some joined after it
    hall.crash_and_restore()
    new = Plain(hall, "new")
    new.register("newcomer")
    (got,) = new.heard(Registered)
    assert got.id not in {one.id for one in given.values()}
    # And all owners have theirs, also those that the snapshot did not have.
    for name, proof in given.items():
        again = Plain(hall, f"again {name}")
        again.say(again.dial(), Register(name, proof.id, proof.token))
        assert again.heard(Registered) == [proof]


@pytest.mark.spec("G-5")
def test_an_owner_whose_id_was_given_to_another_gets_a_new_one() -> None:
    # The computer broke down before the last snapshot was on the disk.
    hall = Hall()
    first = hall.registry.snapshot()
    ann = Plain(hall, "ann")
    ann.register("ann")
    (proof,) = ann.heard(Registered)
    hall.restart_registry(first)
    bob = Plain(hall, "bob")
    bob.register("bob")
    assert bob.heard(Registered)[0].id == proof.id
    back = Plain(hall, "back")
    back.say(back.dial(), Register("ann", proof.id, proof.token))
    (got,) = back.heard(Registered)
    assert got.id == 2
    assert hall.names() == ["bob", "ann"]


def test_there_must_be_time_between_snapshots() -> None:
    with pytest.raises(UsageError, match="some time between"):
        Registry(bytes, snapshot_every=0)


def test_a_twin_saves_by_itself() -> None:
    hall = Saving()
    dial_all(hall, 2)
    twin = hall.registry.clone()
    client, link = Plain(hall, "ann"), 0
    link = client.dial()
    client.say(link, Register("ann"))
    assert hall.registry.state_key(hall.sim.now) != twin.state_key(hall.sim.now)
    assert twin._autosave is not hall.registry._autosave
