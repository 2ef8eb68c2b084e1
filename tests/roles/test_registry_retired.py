"""A registry that goes away: it enters nobody any more, and what it has kept stays as it was."""

from __future__ import annotations

from halls import REGISTRY, Hall, Plain, Watched

from palaver import (
    Abort,
    Enlisted,
    Gone,
    Joined,
    Pause,
    Reason,
    Registry,
    RegistryAway,
    Retire,
    Snapshot,
)
from palaver.roles.registry_table import RegistryTable
from palaver.wire.registry import Register, Registered


class Saving(Hall):
    """A hall whose registry saves its table."""

    def new_registry(self, snapshot: bytes | None = None) -> Registry:
        self.lives += 1
        return Registry(
            self.sim.entropy(f"registry {self.lives}"), snapshot=snapshot, snapshot_every=1.0
        )


def test_who_comes_back_to_a_registry_that_goes_away_is_not_entered_again() -> None:
    hall = Hall().enlist("ann", "bob")
    hall.sim.command(REGISTRY, Retire())
    hall.run(3)
    assert [len(hall.told(name, Enlisted)) for name in ("ann", "bob")] == [1, 1]
    reasons = {one.reason for one in hall.told("ann", RegistryAway)}
    assert Reason.SHUTTING_DOWN in reasons
    assert hall.names() == []


def test_a_link_that_opens_too_late_is_told_why_it_ends() -> None:
    hall = Hall()
    hall.sim.command(REGISTRY, Retire())
    late = Plain(hall, "late")
    link = late.dial()
    hall.run(3)
    end = late.end(link)
    assert end is not None
    assert end.reason == Reason.SHUTTING_DOWN


def test_what_was_said_before_the_end_was_known_enters_nobody() -> None:
    hall = Hall()
    early = Plain(hall, "early")
    link = early.dial()
    hall.run(1)
    hall.sim.command(REGISTRY, Retire())
    early.say(link, Register("early"))
    hall.run(3)
    assert early.heard(Registered) == []
    assert hall.of_registry(Joined) == []
    assert hall.registry.is_idle


def test_who_waits_for_a_name_does_not_get_it_from_a_registry_that_goes_away() -> None:
    hall = Hall()
    ann, rival = Plain(hall, "ann"), Plain(hall, "rival")
    held = ann.register("ann")
    hall.sim.command(ann.address, Pause(held))
    waiting = rival.register("ann")
    hall.sim.command(rival.address, Pause(waiting))  # so that its link is there for longer
    hall.sim.command(REGISTRY, Retire())
    hall.sim.command(ann.address, Abort(held))
    hall.run(20)
    assert len(hall.of_registry(Joined)) == 1
    assert rival.heard(Registered) == []
    assert hall.registry.is_idle


def test_all_who_were_there_stay_in_the_last_snapshot() -> None:
    hall = Saving().enlist("ann", "bob", "cid")
    hall.sim.command(REGISTRY, Retire())
    hall.run(5)
    assert len(hall.of_registry(Gone)) == 3
    data = hall.of_registry(Snapshot)[-1].data
    assert len(RegistryTable.restore(data)) == 3


def test_changes_that_waited_for_their_turn_are_in_the_last_snapshot() -> None:
    hall = Saving()
    clients = [Plain(hall, f"c{number}") for number in range(20)]
    for one, link in [(one, one.dial()) for one in clients]:
        one.say(link, Register(one.address[0]))
    before = RegistryTable.restore(hall.of_registry(Snapshot)[-1].data)
    assert len(before) < 20, "all was saved already: the test looks at nothing"
    hall.sim.command(REGISTRY, Retire())
    hall.run(5)
    data = hall.of_registry(Snapshot)[-1].data
    assert len(RegistryTable.restore(data)) == 20


def test_a_successor_has_those_of_a_registry_that_has_retired() -> None:
    hall = Saving().enlist("ann", "bob")
    ids = hall.id("ann"), hall.id("bob")
    hall.sim.command(REGISTRY, Retire())
    hall.run(3)
    data = hall.of_registry(Snapshot)[-1].data
    hall.sim.restart(REGISTRY, Watched(hall.new_registry(data)))
    hall.run(30)
    assert (hall.id("ann"), hall.id("bob")) == ids
    assert sorted(hall.names()) == ["ann", "bob"]
