"""Scripts, moves, clocks that stand still, and the faults that come in bursts or out of nothing."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import palaver
from palaver import (
    Call,
    ConversationOpened,
    Duo,
    Leave,
    Notice,
    Said,
    Say,
    UsageError,
)
from palaver.sim import (
    DROP,
    Arrived,
    Dropped,
    DropReason,
    FaultInjector,
    Faults,
    Sent,
    Sim,
    SimError,
    Verdict,
    describe,
)

ANN, BOB, ELSEWHERE = ("ann", 1), ("bob", 1), ("ann", 2)
MANY = 20_000
DELAY = 1 / 64


def duo(faults: Faults | None = None, seed: int = 1, **more: object) -> Sim:
    sim = Sim(seed, faults or Faults(delay=DELAY), **more)  # type: ignore[arg-type]
    sim.add(ANN, Duo(sim.entropy("ann"), name="Ann"))
    sim.add(BOB, Duo(sim.entropy("bob"), name="Bob"))
    return sim


def told(sim: Sim, address: tuple[str, int], kind: type[Notice]) -> int:
    return sum(isinstance(one, kind) for _, one in sim.notices(address))


def talk(sim: Sim) -> Sim:
    sim.command(ANN, Call(BOB))
    sim.run_until(lambda: told(sim, ANN, ConversationOpened) == 1)
    return sim


# Faults


def test_losses_come_in_bursts_of_the_length_asked_for() -> None:
    injector = FaultInjector(Faults(burst=0.02, burst_end=0.2), seed=3)
    lost = [not injector.apply(b"x", 0.0) for _ in range(MANY)]
    runs = "".join("x" if one else " " for one in lost).split()
    assert injector.counters.dropped == sum(lost)
    assert injector.counters.bursts >= len(runs) > 200
    assert 4.3 < sum(lost) / len(runs) < 5.9  # 5, and now and then two in a row


def test_a_burst_ends_when_bursts_are_switched_off() -> None:
    injector = FaultInjector(Faults(burst=1, burst_end=0), seed=3)
    assert [injector.apply(b"x", 0.0) for _ in range(20)] == [[]] * 20
    injector.faults = Faults()
    assert injector.apply(b"x", 0.0) == []  # the last of the burst
    assert injector.apply(b"x", 0.0) == [(0.0, b"x")]


def test_copies_are_cut_short_and_made_longer() -> None:
    short = FaultInjector(Faults(truncate=0.5), seed=1)
    sizes = [len(short.apply(b"12345678", 0)[0][1]) for _ in range(2000)]
    assert set(sizes) == set(range(9))
    assert short.counters.truncated == sum(size < 8 for size in sizes) > 800
    long = FaultInjector(Faults(extend=0.5), seed=1)
    copies = [long.apply(b"1234", 0)[0][1] for _ in range(2000)]
    assert all(copy.startswith(b"1234") for copy in copies)
    assert {len(copy) for copy in copies} == set(range(4, 21))
    assert long.counters.extended == sum(len(copy) > 4 for copy in copies) > 800


def test_replays_come_late_and_forgeries_look_like_a_packet() -> None:
    injector = FaultInjector(Faults(replay=1, replay_delay=7, forge=1, delay=1), seed=1)
    [(first, data), (late, same), (with_it, forged)] = injector.apply(b"\x03abc", 0.0)
    assert (first, late, with_it) == (1, 8, 1)
    assert data == same == b"\x03abc" != forged
    assert forged[0] == 3
    assert (injector.counters.replayed, injector.counters.forged) == (1, 1)


def test_what_arrives_is_what_the_counters_say() -> None:
    faults = Faults(
        loss=0.1, duplicate=0.1, reorder=0.1, corrupt=0.1, burst=0.02, truncate=0.1, extend=0.1,
        replay=0.1, forge=0.1,
    )  # fmt: skip
    injector = FaultInjector(faults, seed=2)
    out = sum(len(injector.apply(b"abcdefgh", 0.0)) for _ in range(2000))
    counts = injector.counters.as_dict()
    assert min(counts.values()) > 10
    gained = counts["duplicated"] + counts["replayed"] + counts["forged"]
    assert out == counts["sent"] - counts["dropped"] + gained


# Scripts


def test_a_script_tells_what_happens_to_each_datagram() -> None:
    plan = {
        1: DROP,
        2: Verdict(late=2.0),
        3: Verdict(flip=(0, 8)),
        4: Verdict(keep=2),
        5: Verdict(append=b"!"),
        6: Verdict(again=4.0),
        7: Verdict(forge=b"boo"),
    }
    injector = FaultInjector(Faults(delay=1), seed=1)
    copies = [injector.apply(b"abcd", 0.0, plan.get(n)) for n in range(1, 9)]
    assert copies == [
        [],
        [(3.0, b"abcd")],
        [(1.0, b"abbe")],
        [(1.0, b"ab")],
        [(1.0, b"abcd!")],
        [(1.0, b"abcd"), (5.0, b"abcd")],
        [(1.0, b"abcd"), (1.0, b"boo")],
        [(1.0, b"abcd")],
    ]
    assert injector.counters.as_dict() == {
        "bursts": 0, "corrupted": 1, "dropped": 1, "duplicated": 1, "extended": 1, "forged": 1,
        "reordered": 1, "replayed": 0, "sent": 8, "truncated": 1,
    }  # fmt: skip


def test_a_script_counts_the_datagrams_of_all_machines() -> None:
    sim = duo(script={1: DROP, 3: DROP})
    talk(sim)
    lost = [one.number for one in sim.trace if isinstance(one, Dropped)]
    assert lost == [1, 3]
    assert sim.counts()["dropped"] == 2
    assert sim.now > 0.25  # the HELLO had to be repeated


@pytest.mark.parametrize("bad", [{"late": -1}, {"late": 1e10}, {"again": -1}, {"keep": -1}])
def test_a_verdict_has_bounds(bad: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        Verdict(**bad)  # type: ignore[arg-type]


# Machines that move, crash and sleep


def test_a_machine_goes_on_from_another_address() -> None:
    sim = talk(duo())
    sim.rebind(ANN, ELSEWHERE)
    sim.command(ELSEWHERE, Say(1, "it is me"))
    sim.run_until(lambda: told(sim, BOB, Said) == 1)
    sim.command(BOB, Say(1, "so I see"))
    sim.run_until(lambda: told(sim, ELSEWHERE, Said) == 1)
    assert told(sim, ANN, Said) == 0
    assert sim.stats()["moves"] == 1
    with pytest.raises(UsageError):
        sim.rebind(ELSEWHERE, BOB)
    with pytest.raises(UsageError):
        sim.rebind(ANN, ("new", 1))


def test_what_arrives_at_a_stalled_machine_waits() -> None:
    sim = talk(duo())
    sim.stall(BOB, 5.0)
    assert sim.is_stalled(BOB)
    sim.command(ANN, Say(1, "wake up"))
    with pytest.raises(UsageError, match="stands still"):
        sim.command(BOB, Say(1, "I sleep"))
    start = sim.now
    sim.run_until(lambda: told(sim, BOB, Said) == 1)
    assert sim.now == start + 5.0
    assert not sim.is_stalled(BOB)
    arrived = [one for one in sim.trace if isinstance(one, Arrived) and one.destination == BOB]
    assert [one.time for one in arrived] == sorted(one.time for one in arrived)


def test_a_stalled_machine_has_room_for_so_many_datagrams() -> None:
    sim = duo()
    sim.stall(BOB, 1.0)
    for _ in range(300):
        sim.inject(BOB, b"noise", ANN)
    sim.run_for(2)
    assert sim.counts()["stalled"] == 44
    assert sum(isinstance(one, Arrived) for one in sim.trace) == 256
    reasons = {one.reason for one in sim.trace if isinstance(one, Dropped)}
    assert reasons == {DropReason.STALLED}


@pytest.mark.parametrize("seconds", [0.1, 1 / 3, 29.7])
def test_a_clock_that_stood_still_is_late_ever_after(seconds: float) -> None:
    """Whoever sleeps with a stopped clock has the same timers left when it wakes up."""
    sim = duo()
    sim.crash(BOB)
    sim.command(ANN, Call(BOB, timeout=6.0))
    sim.run_for(1)
    before = sim.counts()["sent"]
    sim.stall(ANN, seconds, clock_stops=True)
    sim.run_for(seconds - 0.01)
    assert sim.counts()["sent"] == before
    kind = palaver.Closed
    sim.run_until(lambda: told(sim, ANN, kind) == 1)
    assert sim.now == pytest.approx(6.0 + seconds)
    other = duo()
    other.crash(BOB)
    other.command(ANN, Call(BOB, timeout=6.0))
    other.run_for(1)
    other.stall(ANN, 2.0)  # its clock goes on, so its time is over as if it had not slept
    other.run_until(lambda: told(other, ANN, kind) == 1)
    assert other.now == pytest.approx(6.0)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 3), st.floats(0, 0.7), st.booleans()), max_size=8))
def test_clocks_that_are_late_by_anything_keep_their_timers(
    naps: list[tuple[float, float, bool]],
) -> None:
    sim = talk(duo(Faults(delay=0.01, loss=0.2)))
    for seconds, wait, stops in naps:
        sim.stall(ANN, seconds, clock_stops=stops)
        sim.run_for(wait)
    sim.run_for(30)
    sim.command(ANN, Say(1, "still here"), Leave(1))
    sim.run_for(40)
    assert told(sim, BOB, Said) == 1


@pytest.mark.parametrize("seconds", [-1.0, float("nan"), 1e10])
def test_a_nap_has_bounds(seconds: float) -> None:
    with pytest.raises(UsageError, match="stall"):
        duo().stall(ANN, seconds)


def test_a_partition_can_be_one_way() -> None:
    sim = talk(duo())
    sim.partition(ANN, BOB, one_way=True)
    sim.command(ANN, Say(1, "no"))
    sim.command(BOB, Say(1, "yes"))
    sim.run_for(1)
    assert (told(sim, BOB, Said), told(sim, ANN, Said)) == (0, 1)
    sim.heal()
    sim.run_for(4)
    assert told(sim, BOB, Said) == 1


def test_the_counts_of_machines_are_those_of_all_that_ever_were() -> None:
    sim = talk(duo(Faults(delay=DELAY, corrupt=0.3, duplicate=0.3), seed=4))
    sim.run_for(1)
    once = sim.stats()
    machine = sim.crash(BOB)
    assert sim.stats() == once
    sim.restart(BOB, machine)
    assert sim.stats() == once
    assert once["damaged"] > 0


# Traces for people


def test_every_entry_is_one_line() -> None:
    sim = talk(duo(script={2: DROP}))
    sim.rebind(ANN, ELSEWHERE)
    sim.stall(BOB, 1)
    sim.run_for(2)
    sim.crash(BOB)
    with pytest.raises(UsageError):
        sim.command(ELSEWHERE, Say(77, "to nobody"))
    sim.command(ELSEWHERE, Say(1, "\x1b[31m\n\u202e"))
    sim.inject(ELSEWHERE, b"", BOB)
    sim.set_faults(Faults(loss=1))
    sim.run_for(1)
    kinds = {type(entry).__name__ for entry in sim.trace}
    assert len(kinds) == 10, kinds
    lines = [describe(entry) for entry in sim.trace]
    assert all(line.isascii() and line.isprintable() for line in lines)
    text = "\n".join(lines)
    for what in ("HELLO", "WELCOME", "dropped (loss)", "moves to ann:2", "stands still for 1 s"):
        assert what in text
    assert len([line for line in lines if " sent" in line]) == sum(
        isinstance(entry, Sent) for entry in sim.trace
    )


# Every Python


PINNED = "c042cc36412290bb5b7152e3f95d3b82"


def digest_of(python: str, hash_seed: str) -> str:
    source = str(Path(palaver.__file__).parents[1])
    code = (
        "import sys; sys.path[:0] = sys.argv[1:]\n"
        "from spoiled import spoiled_run\nprint(spoiled_run().digest())"
    )
    return subprocess.run(
        [python, "-c", code, source, str(Path(__file__).parent)],
        env={"PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout.strip()


@pytest.mark.parametrize("hash_seed", ["0", "1", "4242"])
def test_a_spoiled_run_is_the_same_in_every_process(hash_seed: str) -> None:
    assert digest_of(sys.executable, hash_seed) == PINNED


@pytest.mark.parametrize("version", ["3.10", "3.11", "3.12", "3.13"])
def test_a_spoiled_run_is_the_same_on_every_python(version: str) -> None:
    installed = Path.home().glob(f".pyenv/versions/{version}.*/bin/python")
    python = next(map(str, installed), None) or shutil.which(f"python{version}")
    if (
        python is None
        or subprocess.run([python, "-V"], check=False, capture_output=True).returncode
    ):
        pytest.skip(f"Python {version} is not here")
    assert digest_of(python, "7") == PINNED


def test_a_simulation_that_hangs_says_so() -> None:
    with pytest.raises(SimError, match="did not come to hold"):
        talk(duo()).run_until(lambda: False, limit=1)
