"""Swarms: seeds that draw everything, fault scripts that Hypothesis draws, and two campaigns.

A long batch is `palaver sim --seeds 10000`.
"""

from __future__ import annotations

from collections import Counter
from functools import lru_cache

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pairs import examples

from palaver import Call, Closed, ConversationOpened, Delivered, Duo, Leave, Said, Say
from palaver.sim import DROP, NO_FAULTS, Faults, Script, SeededRandom, Sim, Verdict
from palaver.sim.swarm import (
    ALL,
    FAULTS,
    ROLES,
    Run,
    Summary,
    World,
    draw_weather,
    observe,
    run_seed,
    swarm,
)
from palaver.sim.swarm.forgeries import TARGETS, besiege
from palaver.sim.swarm.hard_calls import HardCalls, try_hard
from palaver.sim.swarm.talk_observers import Beginnings, Endings, Outcomes, Prefixes

SEEDS = {"duo": 80, "people": 120, "group": 90}
"""Enough that everything that must be seen is seen."""

MUST_SEE = {
    "duo": [
        *("Prefixes: heard", "Prefixes: delivered", "Prefixes: held in custody"),
        *("Outcomes: delivered", "Outcomes: undelivered"),
        *("Beginnings: opened", "Beginnings: closed", "Beginnings: failed to open"),
        *("Endings: graceful end", "Endings: other end"),
        *("crash", "move", "stall", "sleep", "part", "part one way", "heal"),
        "refused: UsageError",
    ],
    "people": [
        *("Calls: rung", "Calls: opened", "CallTexts: ended", "Prefixes: heard"),
        *("Outcomes: delivered", "Outcomes: undelivered"),
        *(f"Calls: ended: {how}" for how in ("already", "cancelled", "inactive", "no-answer")),
        *(f"Calls: ended: {how}" for how in ("rejected", "terminated", "gone")),
        *("Ownership: joined", "Ownership: resumed", "Ownership: looked up"),
        *("Ownership: gone: left", "Ownership: gone: vanished"),
        *("crash", "move", "stall", "sleep", "part", "part one way", "heal"),
        *("registry crash, with storage", "registry crash, without storage"),
    ],
    "group": [
        *("Rooms: heard", "Rooms: relayed", "Rooms: taken", "Rooms: gap", "in at the end"),
        *(f"Rooms: entered: {how}" for how in ("NEW", "RESUMED", "GAP")),
        *("Posts: PostTaken", "Posts: Undelivered", "Posts: Closed", "Posts: JoinRefused"),
        *("crash", "hub crash", "move", "stall", "sleep", "part", "part one way", "heal"),
        "refused: WouldBlock",
    ],
}
MUST_HAPPEN = [
    *("dropped", "bursts", "duplicated", "reordered", "corrupted", "truncated", "extended"),
    *("replayed", "forged", "parted", "absent", "sent", "overflowed", "injected", "stalled"),
]
EFFECTS = ["damaged", "duplicates", "segments_repeated", "segments_resent", "unknown", "moves"]


@lru_cache
def batch(role: str) -> Summary:
    summary = Summary()
    for run in swarm(role, range(1, 1 + SEEDS[role])):
        summary.add(run)
    return summary


@pytest.mark.parametrize("role", ROLES)
def test_no_seed_breaks_a_promise(role: str) -> None:
    failed = batch(role).failed
    assert not failed, [
        f"palaver sim --role {role} --seed {seed} --trace: {what[0]}"
        for seed, what in failed.items()
    ]


@pytest.mark.parametrize("role", ROLES)
def test_every_promise_is_about_something_that_happens(role: str) -> None:
    summary = batch(role)
    assert [name for name in MUST_SEE[role] if not summary.witnesses[name]] == []


@pytest.mark.parametrize("role", ROLES)
def test_every_fault_happens_and_has_its_effect(role: str) -> None:
    summary = batch(role)
    assert [name for name in MUST_HAPPEN if not summary.faults[name]] == []
    assert [name for name in EFFECTS if not summary.machines[name]] == []
    # Whatever was damaged on the way and arrived was refused, and nothing else was.
    spoiled = sum(summary.faults[name] for name in ("corrupted", "truncated", "extended", "forged"))
    assert 0.5 * spoiled < summary.machines["damaged"] <= spoiled


@pytest.mark.parametrize("role", ROLES)
def test_a_seed_is_the_same_run_every_time(role: str) -> None:
    one, other = run_seed(role, 5), run_seed(role, 5)
    assert one.digest() == other.digest()
    assert (one.witnesses, one.faults) == (other.witnesses, other.faults)
    assert one.digest() != run_seed(role, 6).digest()


def test_only_the_faults_that_are_asked_for_happen() -> None:
    total: Counter[str] = Counter()
    for run in swarm("duo", range(10), ("loss",)):
        total.update(run.faults)
    assert total["dropped"] > 0
    for name in set(FAULTS) - {"dropped", "sent", "parted", "absent"}:
        assert total[name] == 0


def test_each_seed_has_its_own_weather_and_some_of_it_lasts() -> None:
    weathers = [draw_weather(SeededRandom(seed)) for seed in range(300)]
    assert len({one.bad for one in weathers}) > 280
    assert {*FAULTS, "narrow", "flood"} == {*ALL}
    assert 30 < sum(one.bottleneck is not None for one in weathers) < 90
    assert 60 < sum(one.floods for one in weathers) < 120
    for name in FAULTS:
        on = [getattr(one.bad, name) > 0 for one in weathers]
        assert 80 < sum(on) < 160, name
        lasting = [getattr(one.lasting, name) for one in weathers]
        assert 10 < sum(chance > 0 for chance in lasting) < 60, name
        assert all(
            rest in {0, getattr(one.bad, name) / 2}
            for rest, one in zip(lasting, weathers, strict=True)
        )


class Broken(World):
    """A world that breaks in its way."""

    def observers(self) -> list[object]:  # type: ignore[override]
        return []

    def act(self) -> None:
        self.require(self.sim.now < 1, "it is late")
        self.bound("it", {"calls": 3}, {"calls": 2})

    def drain(self) -> None:
        raise AssertionError("no way out")

    def part(self) -> None:
        pass


def test_what_breaks_in_a_world_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ROLES, "duo", Broken)
    run: Run = run_seed("duo", 1)
    told = "\n".join(run.violations)
    for what in ("it is late", "it remembers 3 calls", "AssertionError", "no way out"):
        assert what in told
    summary = Summary()
    summary.add(run)
    assert list(summary.failed) == [1]


# Scripts

seconds = st.sampled_from([0.02, 0.3, 2.0, 12.0])
verdicts = st.one_of(
    st.just(DROP),
    st.builds(Verdict, late=seconds),
    st.builds(Verdict, again=seconds),
    st.builds(Verdict, flip=st.lists(st.integers(0, 600), min_size=1, max_size=3).map(tuple)),
    st.builds(Verdict, keep=st.integers(0, 40)),
    st.builds(Verdict, append=st.binary(min_size=1, max_size=4)),
    st.builds(Verdict, forge=st.binary(max_size=40)),
)
scripts = st.dictionaries(st.integers(1, 40), verdicts, max_size=12)


def scripted_talk(script: Script) -> Sim:
    """Ann calls Bob, both say something, Ann leaves."""
    sim = Sim(1, Faults(delay=1 / 64), script=script)
    ann, bob = ("ann", 1), ("bob", 1)
    for who in (ann, bob):
        sim.add(who, Duo(sim.entropy(who[0]), name=who[0]))
    sim.command(ann, Call(bob, 1, timeout=30.0))
    for n in range(3):
        sim.command(ann, Say(1, f"ann {n}", n))
        sim.run_for(0.2)
    if any(isinstance(one, ConversationOpened) for _, one in sim.notices(bob)):
        sim.command(bob, Say(1, "bob 0", 0))
    sim.run_for(15)
    sim.command(ann, Leave(1))
    sim.run_for(60)
    return sim


@given(scripts)
@examples(150)
def test_no_script_breaks_a_promise(script: Script) -> None:
    """A failure is the shortest script: what it does not mention is delivered."""
    sim = scripted_talk(script)
    assert observe(sim.trace, [Prefixes(), Outcomes(), Beginnings(), Endings()]) == []
    told = [one for _, one in sim.notices(("ann", 1))]
    assert sum(isinstance(one, Delivered) for one in told) == 3, "few faults stop nobody for long"


def test_without_a_script_all_is_delivered_at_once() -> None:
    sim = scripted_talk({})
    assert sum(isinstance(one, Said) for _, one in sim.notices(("bob", 1))) == 3
    (end,) = [one for _, one in sim.notices(("ann", 1)) if isinstance(one, Closed)]
    assert end.clean
    assert sim.counts()["dropped"] == 0


# Campaigns: `palaver sim --calls` and `palaver sim --forged`


def test_hard_calls_come_to_an_end_and_none_rings_twice() -> None:
    found = HardCalls()
    for seed in range(150):
        try_hard(seed, found)
    assert found.stuck == found.rung_twice == []
    for what in ("handshakes", "calls"):
        assert found.opened[what] + found.failed[what] == 150
        assert found.opened[what] > 130
        assert found.slowest[what] > 3  # it was hard
    assert found.rung > 130


@pytest.mark.spec("H-3", "L-10", "L-14")
@pytest.mark.parametrize("target", TARGETS)
def test_forgeries_leave_everything_bounded_and_honest_people_served(target: str) -> None:
    siege = besiege(target, 6000)
    assert siege.problems == []
    assert sum(siege.sent.values()) == 6000
    assert min(siege.sent.values()) * len(siege.sent) > 5000
    assert siege.peaks["half_open"] == 64  # it was an attack
    assert siege.answers > 500
    assert 0 < siege.most_per_byte <= 1
    assert 0 < siege.waited < 0.5


@pytest.mark.spec("T-9", "T-10", "T-11")
def test_forged_texts_earn_no_more_than_appendix_a_allows() -> None:
    siege = besiege("hub with plain text", 6000, 2)
    assert siege.problems == []
    assert siege.sent["forged text"] > 600
    assert siege.peaks["plain_members"] == 64  # it was an attack
    assert siege.texts > 3000
    assert 1 < siege.most_texts <= 64
    assert 1024 < siege.most_text_bytes <= 16384


def test_no_weather_is_no_faults() -> None:
    assert draw_weather(SeededRandom(1), ()).bad.loss == NO_FAULTS.loss
