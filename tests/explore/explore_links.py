"""Stories of two endpoints: their programs, what they remember, and what holds between them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from explore_nodes import tick
from explore_story import FAR, Explorable, Facts, Party, Story, entropy

from palaver.link.endpoint import Endpoint
from palaver.link.events import (
    Closed,
    Delivered,
    Dial,
    Dialing,
    Finished,
    Opened,
    Overdue,
    Received,
    Send,
    StillDialing,
    Undelivered,
    Writable,
)
from palaver.link.link import Link
from palaver.link.states import State
from palaver.machine import Address, Datagram, Event, Notice, Tick, Transmit
from palaver.timing import CREDIT_RESERVE, Limits, Timing

ANN: Address = ("ann", 1)
BOB: Address = ("bob", 1)
ROLE = "test"
A, B = 0, 1
START = 1024.0


class Told(NamedTuple):
    """What a program did and was told, of all links together: there is one at a time."""

    done: tuple[str, ...] = ()
    """The commands, in order."""
    opened: int = 0
    received: tuple[bytes, ...] = ()
    delivered: tuple[int, ...] = ()
    undelivered: tuple[int, ...] = ()
    finished: bool = False
    closed: tuple[int, str] | None = None
    """The reason, and which side ended it."""
    graceful: bool = False

    @property
    def sent(self) -> tuple[int, ...]:
        """The refs of the messages that were sent."""
        return tuple(int(label.split()[1]) for label in self.done if label.startswith("send"))


class Seen(NamedTuple):
    """What there is to see of an endpoint."""

    states: tuple[State, ...]
    ids: tuple[tuple[int, int], ...]
    """Of the links that are open: the local and the remote id."""
    wanted: int
    half_open: int
    number: int
    """The number of the link that the program would use."""
    has_gap: bool
    is_blocked: bool
    """Whether credit is what keeps something from being sent."""
    is_paused: bool


class TwoEnds(Story):
    """Two endpoints, that note all they are told; nothing is opened yet."""

    opened = False
    """Whether Ann has called Bob before the story begins."""
    limits = Limits(mtu=1200, window=1024)
    most_half_open = 1

    def timing(self) -> Timing:
        raise NotImplementedError

    def endpoint(self, label: str) -> Endpoint:
        """Make one of the two."""
        return Endpoint(entropy(label), roles=[ROLE], timing=self.timing(), limits=self.limits)

    def begin(self) -> tuple[list[Party], float]:
        parties = [
            Party(ANN, self.endpoint("ann"), Told()),
            Party(BOB, self.endpoint("bob"), Told()),
        ]
        now = START
        if self.opened:
            now = rehearse(parties, [(ANN, Dial(BOB, ROLE))], now, 1.0)
        return parties, now

    def did(self, who: int, memory: Told, label: str) -> Told:
        return memory._replace(done=(*memory.done, label))

    def told(self, who: int, memory: Told, notice: Notice) -> Told:
        late = isinstance(notice, Undelivered | Delivered)
        assert memory.closed is None or late, f"after Closed came {notice}"
        if isinstance(notice, Opened):
            return memory._replace(opened=memory.opened + 1)
        if isinstance(notice, Received):
            assert not memory.finished, f"after Finished came {notice}"
            return memory._replace(received=(*memory.received, notice.message))
        if isinstance(notice, Delivered | Undelivered):
            assert notice.ref in memory.sent, f"never sent: {notice}"
            known = memory.delivered + memory.undelivered
            assert notice.ref not in known, f"a second outcome: {notice}"
            if isinstance(notice, Delivered):
                return memory._replace(delivered=(*memory.delivered, notice.ref))
            return memory._replace(undelivered=(*memory.undelivered, notice.ref))
        if isinstance(notice, Finished):
            assert not memory.finished, "finished twice"
            return memory._replace(finished=True)
        if isinstance(notice, Closed):
            left = set(memory.sent) - {*memory.delivered, *memory.undelivered}
            assert not left, f"{notice} without an outcome of {sorted(left)}"
            return memory._replace(
                closed=(notice.reason, notice.by.value), graceful=notice.graceful
            )
        assert isinstance(notice, Dialing | StillDialing | Overdue | Writable), notice
        return memory

    def view(self, who: int, machine: Endpoint) -> Seen:
        links = list(machine.links.values())
        for link in links:
            check_bounds(link, self.limits)
        assert machine.stats()["half_open"] <= self.most_half_open
        talking = [link for link in links if link.is_conversing]
        return Seen(
            tuple(link.state for link in links),
            tuple((link.local, link.channel.remote) for link in talking),
            max((link.channel.inbox.wanted for link in links), default=0),
            machine.stats()["half_open"],
            next((link.number for link in (*talking, *links)), 0),
            any(link.channel.inbox.has_gap for link in links),
            any(link.channel.outbox._unsent for link in talking),
            any(link.channel.inbox.paused for link in links),
        )

    def check(self, facts: Facts) -> None:
        for (ours, seen), (theirs, other) in (facts, facts[::-1]):
            sent = tuple(message(int(ref)) for ref in theirs.sent)
            assert ours.received == sent[: len(ours.received)], "received is no prefix of sent"
            known = [message(ref) in ours.received for ref in theirs.delivered]
            assert all(known), "delivered was said of what was not handed over"
            if State.OPEN in seen.states and State.OPEN in other.states:
                mirrored = {(remote, local) for local, remote in other.ids}
                assert set(seen.ids) == mirrored, "both are open, on different links"
            assert ours.opened <= 1, "opened twice"

    def send(self, ref: int, seen: Seen) -> tuple[str, Event]:
        """Give the command to send message `ref`."""
        return f"send {ref}", Send(seen.number, message(ref, self.size(ref)), ref)

    def size(self, ref: int) -> int:
        """Give how long message `ref` is."""
        return 2

    def commands(self, who: int, memory: Told, view: Seen) -> list[tuple[str, Event]]:
        return []

    def witnessed(self, facts: Facts) -> Iterable[str]:
        return ()


def message(ref: int, size: int = 2) -> bytes:
    """Give message `ref`: of a role's kind, and unlike all others."""
    return bytes((16,)) + bytes((ref,)) * (size - 1)


def check_bounds(link: Link, limits: Limits) -> None:
    """A link holds no more than it granted, and its peer can't spend more than it was granted."""
    inbox, outbox = link.channel.inbox, link.channel.outbox
    assert inbox._charged <= limits.window + CREDIT_RESERVE, "more is held than was granted"
    reserve = CREDIT_RESERVE if link.farewell.fin_said or link.state > State.OPEN else 0
    assert outbox.spent <= outbox.credit + reserve, "more is spent than was granted"
    assert len(link.channel.recovery.packets) <= 64, "more in flight than can be"


def rehearse(
    parties: list[Party], cues: list[tuple[Address, Event]], now: float, seconds: float = 0.0
) -> float:
    """Let happen what these commands cause in so many seconds, on a wire without faults or delay.

    Gives what time it is then.
    """
    end = now + seconds
    machines: dict[Address, Explorable] = {party.address: party.machine for party in parties}
    air: list[tuple[Address, Transmit]] = []

    def tell(address: Address, event: Event) -> None:
        machine = machines[address]
        actions = (*machine.handle(event, now), *tick(machine, now))
        air.extend((address, action) for action in actions if isinstance(action, Transmit))

    def arrive() -> None:
        while air:
            source, transmit = air.pop(0)
            if transmit.destination in machines:
                tell(transmit.destination, Datagram(transmit.data, source))

    for address, cue in cues:
        tell(address, cue)
        arrive()
    while True:
        dues = {address: machine.deadline for address, machine in machines.items()}
        due = min((due for due in dues.values() if due is not None), default=FAR)
        if due > end:
            return end
        now = max(now, due)
        for address in machines:
            tell(address, Tick())
        arrive()


def is_quiet(machine: Any) -> bool:
    """Tell whether nothing of a link awaits anything."""
    return all(link.channel.outbox.is_empty for link in machine.links.values())
