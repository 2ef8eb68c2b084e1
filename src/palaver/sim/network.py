"""Machines, the network between them, and a clock that jumps from one happening to the next."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from palaver.machine import Address, Datagram, Event, Machine, Notice, UsageError

from .faults import NO_FAULTS, Faults
from .node import Log, Node, SimError
from .path import Bottleneck, Path
from .random import SeededRandom
from .trace import DropReason, Entry, digest
from .transit import Transit

MAX_STEPS = 100_000
"""Steps of a simulation within one `MOMENT`."""
MOMENT = 1e-6
"""Seconds of virtual time."""

_NEVER = float("inf")


class Sim:
    """A network in virtual time: the same run for the same `seed` and the same calls.

    `faults` and `bottleneck` hold for every path that was not given others. `trace` lists what
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
        record: bool = True,
    ) -> None:
        self.trace: list[Entry] = []
        self._record = self.trace if record else None
        self._random = SeededRandom(seed)
        self._now = 0.0
        self._nodes: dict[Address, Node] = {}
        self._logs: dict[Address, Log] = {}  # of all addresses that ever had a machine
        paths = self._random.fork("paths")
        self._transit = Transit(paths, faults, bottleneck, self._logs, self._record)
        self._moment = 0.0  # when the counting of steps began
        self._steps = 0

    # What there is to know

    @property
    def now(self) -> float:
        """The virtual time in seconds: 0 at first, and never less than it was."""
        return self._now

    def notices(self, address: Address) -> Sequence[tuple[float, Notice]]:
        """Give all that the machines at `address` ever told, with the time; it goes on growing.

        Raises UsageError if there never was a machine.
        """
        if address not in self._logs:
            raise UsageError(f"there never was a machine at {address}")
        return self._logs[address]

    def counts(self) -> dict[str, int]:
        """Give what happened to datagrams, by name, over all paths (`Path.counts`).

        `absent` is added: copies that found no machine at their destination.
        """
        return self._transit.counts()

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
        return machine

    def restart(self, address: Address, machine: Machine) -> None:
        """Put a machine where there was one, crashed or not; datagrams under way will reach it.

        Raises UsageError if there never was one.
        """
        if address not in self._logs:
            raise UsageError(f"there never was a machine at {address}: use add()")
        log = self._logs[address]
        self._nodes[address] = Node(address, machine, log, self._transit, self._record)

    def command(self, address: Address, *events: Event) -> list[Notice]:
        """Give a machine events as one batch, tick it, and give the notices that this caused.

        What the machine raises, this raises; the tick then comes when time next passes.
        """
        node = self._node(address)
        seen = len(node.log)
        for event in events:
            node.handle(event, self._now)
        node.tick(self._now)
        return [notice for _, notice in node.log[seen:]]

    # The network

    def path(self, source: Address, destination: Address) -> Path:
        """Give one direction: set its `faults`, `bottleneck` or `cut` for this one alone."""
        return self._transit.path(source, destination)

    def set_faults(self, faults: Faults) -> None:
        """Set the faults of all paths, also of those that had their own."""
        self._transit.set_faults(faults)

    def partition(self, a: Address, b: Address) -> None:
        """Lose all that is sent between two addresses, either way, until `heal()`."""
        self.path(a, b).cut = True
        self.path(b, a).cut = True

    def heal(self) -> None:
        """End all partitions."""
        self._transit.heal()

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
            if self._record is not None:
                self._record.append(arrived)
            node.handle(Datagram(arrived.data, arrived.source), self._now)

    def _next_time(self) -> float:
        """Give when something is next due, at the earliest now; infinity for never."""
        time = self._transit.next_time
        for node in self._nodes.values():
            deadline = node.machine.deadline
            if deadline is not None and deadline < time:
                time = deadline
        return max(time, self._now)

    def _check_progress(self, time: float) -> None:
        if time > self._moment + MOMENT:
            self._moment = time
            self._steps = 0
        self._steps += 1
        if self._steps > MAX_STEPS:
            raise SimError(f"time stands still: {MAX_STEPS} steps from {self._moment} to {time} s")

    def _node(self, address: Address) -> Node:
        node = self._nodes.get(address)
        if node is None:
            raise UsageError(f"there is no machine at {address} now")
        return node
