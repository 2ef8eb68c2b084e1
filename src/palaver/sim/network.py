"""Machines, the network between them, and a clock that jumps from one happening to the next."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from palaver.machine import Address, Event, Machine, Notice, PalaverError, UsageError

from .faults import NO_FAULTS, Faults
from .node import Log, Node, SimError
from .path import Bottleneck, Path
from .random import SeededRandom
from .trace import (
    Began,
    Changed,
    Commanded,
    Crashed,
    DropReason,
    Entry,
    Moved,
    Refused,
    digest,
)
from .transit import Transit
from .verdict import Script

MAX_STEPS = 100_000
"""Steps of a simulation within one `MOMENT`."""
MOMENT = 1e-6
"""Seconds of virtual time."""

_NEVER = float("inf")
_LONGEST = 1e9  # seconds


class Sim:
    """A network in virtual time: the same run for the same `seed` and the same calls.

    `faults` and `bottleneck` hold for every path that was not given others; `script` says for
    some datagrams, by their number from 1, what happens to them instead. `trace` lists what
    happened; with `record=False` it stays empty, which saves memory in long runs.

    Machines are treated as a driver would treat them: all datagrams that arrive at one instant
    are handled, then the machine is ticked while its deadline is not later than `now`.
    """

    def __init__(
        self,
        seed: int,
        faults: Faults = NO_FAULTS,
        bottleneck: Bottleneck | None = None,
        *,
        script: Script | None = None,
        record: bool = True,
    ) -> None:
        self.trace: list[Entry] = []
        self._record = self.trace if record else None
        self._random = SeededRandom(seed)
        self._now = 0.0
        self._nodes: dict[Address, Node] = {}
        self._logs: dict[Address, Log] = {}  # of all addresses that ever had a machine
        self._lives: list[Machine] = []  # all that ever were
        paths = self._random.fork("paths")
        self._transit = Transit(paths, faults, bottleneck, self._logs, self._record, script or {})
        self._moment = 0.0  # when the counting of steps began
        self._steps = 0

    # What there is to know

    @property
    def now(self) -> float:
        """The virtual time in seconds: 0 at first, and never less than it was."""
        return self._now

    def addresses(self) -> tuple[Address, ...]:
        """Give where there are machines now, in the order in which they came."""
        return tuple(self._nodes)

    def notices(self, address: Address) -> Sequence[tuple[float, Notice]]:
        """Give all that the machines at `address` ever told, with the time; it goes on growing.

        Raises UsageError if there never was a machine.
        """
        if address not in self._logs:
            raise UsageError(f"there never was a machine at {address}")
        return self._logs[address]

    def counts(self) -> dict[str, int]:
        """Give what happened to datagrams, by name, over all paths (`Path.counts`).

        `absent` is added: copies that found no machine at their destination; `injected`: what
        `inject` was given; `stalled`: what was lost because a machine stood still.
        """
        return self._transit.counts()

    def stats(self) -> dict[str, int]:
        """Give the sum of the `stats()` of all machines that ever were, where they have that.

        It shows what became of the faults: `damaged` counts what the checksum has refused,
        `duplicates` and `segments_repeated` what was not handed over twice, and so on.
        """
        totals: dict[str, int] = {}
        for machine in {id(one): one for one in self._lives}.values():
            stats: dict[str, int] = getattr(machine, "stats", dict)()
            for name, count in stats.items():
                totals[name] = totals.get(name, 0) + count
        return totals

    def digest(self) -> str:
        """Give a fingerprint of the trace. Raises UsageError if it was not recorded."""
        if self._record is None:
            raise UsageError("there is no trace to make a digest of: it needs record=True")
        return digest(self.trace)

    def entropy(self, label: str) -> Callable[[int], bytes]:
        """Give a source of bytes for the machine called `label`, from the seed of the run."""
        return self._random.fork(f"entropy {label}").bytes

    # Machines

    def add(self, address: Address, machine: Machine) -> None:
        """Put a machine at a new address. Raises UsageError if there has been one before."""
        if address in self._logs:
            raise UsageError(f"there already was a machine at {address}: use restart()")
        self._logs[address] = []
        self.restart(address, machine)

    def crash(self, address: Address) -> Machine:
        """Take the machine away, and give it; what arrives there is lost until a restart.

        Raises UsageError if there is none.
        """
        machine = self._node(address).machine
        del self._nodes[address]
        self._note(Crashed(self._now, address))
        return machine

    def restart(self, address: Address, machine: Machine) -> None:
        """Put a machine where there was one, crashed or not; datagrams under way will reach it.

        What it still knows is up to you: the machine that `crash` gave knows all, a new one
        nothing but what you tell it, such as the snapshot of a registry. Raises UsageError if
        there never was one.
        """
        if address not in self._logs:
            raise UsageError(f"there never was a machine at {address}: use add()")
        log = self._logs[address]
        self._nodes[address] = Node(address, machine, log, self._transit, self._record)
        self._lives.append(machine)
        self._note(Began(self._now, address, len(self._lives)))

    def rebind(self, address: Address, to: Address) -> None:
        """Give a machine a new address, as a NAT does that has forgotten the old one.

        What is under way to the old one is lost; what it tells from now on is in
        `notices(to)`. Raises UsageError if there is no machine, or was one at the new address.
        """
        node = self._node(address)
        if to in self._logs:
            raise UsageError(f"there already was a machine at {to}")
        self._logs[to] = []
        del self._nodes[address]
        node.move(to, self._logs[to])
        self._nodes[to] = node
        self._note(Moved(self._now, address, to))

    def stall(self, address: Address, seconds: float, *, clock_stops: bool = False) -> None:
        """Let a machine stand still: it gets no tick, and what arrives waits until it goes on.

        Up to 256 datagrams wait; more are lost. With `clock_stops` it does not notice: its clock
        stands still too and is late ever after, as that of a computer that was asleep. Raises
        UsageError if there is no machine, or for a time that is not from 0 to 1e9.
        """
        if not 0 <= seconds <= _LONGEST:
            raise UsageError(f"can't stall for {seconds} s")
        self._node(address).stall(self._now, seconds, clock_stops=clock_stops)
        clock = ", and its clock" if clock_stops else ""
        self._note(Changed(self._now, f"{address} stands still for {seconds} s{clock}"))

    def is_stalled(self, address: Address) -> bool:
        """Say whether the machine stands still. Raises UsageError if there is none."""
        return self._node(address).stalled_until > self._now

    def command(self, address: Address, *events: Event) -> list[Notice]:
        """Give a machine events as one batch, tick it, and give the notices that this caused.

        What the machine raises, this raises; the tick then comes when time next passes. Raises
        UsageError if there is no machine, or if it is stalled.
        """
        node = self._node(address)
        if node.stalled_until > self._now:
            raise UsageError(f"the machine at {address} stands still: see is_stalled()")
        seen = len(node.log)
        for event in events:
            self._note(Commanded(self._now, address, event))
            try:
                node.handle(event, self._now)
            except PalaverError as error:
                self._note(Refused(self._now, address, type(error).__name__))
                raise
        node.tick(self._now)
        return [notice for _, notice in node.log[seen:]]

    # The network

    def path(self, source: Address, destination: Address) -> Path:
        """Give one direction: set its `faults`, `bottleneck` or `cut` for this one alone."""
        return self._transit.path(source, destination)

    def set_faults(self, faults: Faults) -> None:
        """Set the faults of all paths, also of those that had their own."""
        self._transit.set_faults(faults)
        self._note(Changed(self._now, f"from now on: {faults}"))

    def set_bottleneck(self, bottleneck: Bottleneck | None) -> None:
        """Make all paths as narrow as that, or as wide as can be: each direction on its own."""
        self._transit.set_bottleneck(bottleneck)
        self._note(Changed(self._now, f"from now on: {bottleneck or 'no bottleneck'}"))

    def partition(self, a: Address, b: Address, *, one_way: bool = False) -> None:
        """Lose all that is sent from `a` to `b`, and back unless `one_way`, until `heal()`."""
        self.path(a, b).cut = True
        if not one_way:
            self.path(b, a).cut = True
        what = "loses all" if one_way else "and back loses all"
        self._note(Changed(self._now, f"the path from {a} to {b} {what}"))

    def heal(self) -> None:
        """End all partitions."""
        self._transit.heal()
        self._note(Changed(self._now, "all paths are open"))

    def inject(self, destination: Address, data: bytes, source: Address) -> None:
        """Let forged `data` arrive as if from `source`, now, and whatever the path is like."""
        self._transit.inject(self._now, source, destination, data)

    # Time

    def run_for(self, seconds: float) -> None:
        """Let that much time pass. Raises what `run_until` does."""
        self.run_until(self._now + seconds)

    def run_until(self, target: float | Callable[[], bool], *, limit: float = 3600.0) -> None:
        """Let time pass up to and including a moment, or until a condition holds.

        The condition is asked first, and again after everything that happens. Raises SimError if
        it does not hold within `limit` seconds or nothing is left to happen, and if a machine or
        the network is so busy that time stands still. Raises UsageError for a moment that is
        past or not finite.
        """
        if callable(target):
            self._run_until_true(target, limit)
            return
        if not self._now <= target < _NEVER:
            raise UsageError(f"can't run until {target} s: it is {self._now} s now")
        while self._step(target):
            pass
        self._now = float(target)

    def _run_until_true(self, condition: Callable[[], bool], limit: float) -> None:
        end = self._now + limit
        while not condition():
            if self._step(end):
                continue
            if self._next_time() == _NEVER:
                raise SimError(f"the condition does not hold, and nothing follows {self._now} s")
            self._now = end
            raise SimError(f"the condition did not come to hold in {limit} s, by {end} s")

    def _step(self, end: float) -> bool:
        """Go to the next instant at which something is due, unless that is after `end`."""
        time = self._next_time()
        if time > end:
            return False
        self._check_progress(time)
        self._now = time
        self._deliver()
        for node in self._nodes.values():
            node.tick(time)
        return True

    def _deliver(self) -> None:
        """Hand over all that has arrived by now."""
        for arrived in self._transit.take(self._now):
            node = self._nodes.get(arrived.destination)
            if node is None:
                self._transit.lose(arrived, DropReason.ABSENT)
                continue
            if not node.arrive(arrived, self._now):
                self._transit.lose(arrived, DropReason.STALLED)

    def _next_time(self) -> float:
        """Give when something is next due, at the earliest now; infinity for never."""
        time = self._transit.next_time
        for node in self._nodes.values():
            due = node.due
            if due < time:
                time = due
        return max(time, self._now)

    def _check_progress(self, time: float) -> None:
        if time > self._moment + MOMENT:
            self._moment = time
            self._steps = 0
        self._steps += 1
        if self._steps > MAX_STEPS:
            raise SimError(f"time stands still: {MAX_STEPS} steps from {self._moment} to {time} s")

    def _note(self, entry: Entry) -> None:
        if self._record is not None:
            self._record.append(entry)

    def _node(self, address: Address) -> Node:
        node = self._nodes.get(address)
        if node is None:
            raise UsageError(f"there is no machine at {address} now")
        return node
