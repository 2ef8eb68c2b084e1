"""The example of PROTOCOL.md, section 6.6: three real machines, every message of the role shown."""

from __future__ import annotations

from textwrap import wrap

from worked import entropy

from palaver import Address, Datagram, Event, Leave, Tick, Transmit
from palaver.roles.group.events import Entered, JoinRoom, Post, PostHeard
from palaver.roles.group.hub import Hub
from palaver.roles.group.member import Member
from palaver.wire.frames import Segment, decode_frames
from palaver.wire.group import (
    Admitted,
    GroupMessage,
    Join,
    Members,
    Receipt,
    Refused,
    decode_group,
)
from palaver.wire.group import Post as PostMessage
from palaver.wire.group_log import Entry, Joined, Left, Log, Posted, Skipped, Taken
from palaver.wire.messages import FIRST_ROLE_KIND
from palaver.wire.packets import DATA, DATA_HEADER_SIZE
from palaver.wire.sealing import CLEAR

HUB: Address = ("hub", 1)
ANN: Address = ("Ann", 2)
BOB: Address = ("Bob", 3)
LATENCY = 0.0078125


class Stage:
    """A hub and two members, in virtual time; what each says, once."""

    def __init__(self) -> None:
        self.now = 0.0
        self.machines: dict[Address, Hub | Member] = {
            HUB: Hub(entropy(1)),
            ANN: Member(entropy(2)),
            BOB: Member(entropy(3)),
        }
        self.on_wire: list[tuple[float, Address, Transmit]] = []
        self.said: dict[tuple[Address, Address, int], bytes] = {}

    def feed(self, who: Address, event: Event) -> None:
        for action in self.machines[who].handle(event, self.now):
            if isinstance(action, Transmit):
                self.note(who, action)
                self.on_wire.append((self.now + LATENCY, who, action))
            elif isinstance(action, Entered) and who == ANN:
                self.feed(BOB, JoinRoom(HUB, "Bob", backlog=1))
            elif isinstance(action, Entered) and who == BOB:
                self.feed(ANN, Post(1, "hi"))
            elif isinstance(action, PostHeard) and who == BOB:
                self.feed(BOB, Post(1, "hello"))
                self.feed(BOB, Leave(1))
        deadline = self.machines[who].deadline
        if not isinstance(event, Tick) and deadline is not None and deadline <= self.now:
            self.feed(who, Tick())

    def note(self, who: Address, transmit: Transmit) -> None:
        if transmit.data[0] != DATA:
            return
        packet = CLEAR.open(transmit.data)
        assert packet is not None
        for frame in decode_frames(packet, DATA_HEADER_SIZE):
            if isinstance(frame, Segment):
                self.said.setdefault((who, transmit.destination, frame.number), frame.data)

    def run(self, until: float) -> None:
        while True:
            times = [at for at, _, _ in self.on_wire]
            deadlines = [machine.deadline for machine in self.machines.values()]
            times += [max(due, self.now) for due in deadlines if due is not None]
            if not times or min(times) > until:
                return
            self.now = min(times)
            arrived = [one for one in self.on_wire if one[0] <= self.now]
            self.on_wire = [one for one in self.on_wire if one[0] > self.now]
            for _, source, transmit in arrived:
                self.feed(transmit.destination, Datagram(transmit.data, source))
            for who, machine in self.machines.items():
                if machine.deadline is not None and machine.deadline <= self.now:
                    self.feed(who, Tick())


def messages() -> list[tuple[Address, Address, bytes]]:
    """Give who said what to whom."""
    stage = Stage()
    stage.feed(ANN, JoinRoom(HUB, "Ann"))
    stage.run(2.0)
    return [
        (source, destination, message)
        for (source, destination, _), message in stage.said.items()
        if message[0] >= FIRST_ROLE_KIND
    ]


def conversation() -> str:
    lines = []
    for number, (source, destination, message) in enumerate(messages(), 1):
        decoded = decode_group(message)
        assert decoded is not None
        hexed = "\n   ".join(wrap(message.hex(" "), 95))
        lines += [
            f"{number}. {source[0]} to {destination[0]}: {describe(decoded)}",
            "",
            f"   ```hex\n   {hexed}\n   ```",
            "",
        ]
    return "\n".join(lines).rstrip()


def describe(message: GroupMessage) -> str:
    if isinstance(message, Join):
        return f'JOIN room "{message.room}" as "{message.name}", backlog {message.backlog}'
    if isinstance(message, PostMessage):
        return f'POST {message.id} "{message.text}"'
    if isinstance(message, Admitted):
        return (
            f"ADMITTED, how {message.how}, number {message.number}, taken {message.taken},"
            f' members {message.members}, name "{message.name}"'
        )
    if isinstance(message, Refused):
        return f"REFUSED, reason {message.reason}"
    if isinstance(message, Members):
        return "MEMBERS " + ", ".join(f'"{name}"' for name in message.names)
    if isinstance(message, Log):
        entries = "; ".join(describe_entry(entry) for entry in message.entries)
        return f"LOG from {message.number}: {entries}"
    assert isinstance(message, Receipt)
    return "RECEIPT " + "; ".join(
        f"{run.count} from {run.first}: acknowledged {run.acknowledged}, awaited {run.awaited}"
        for run in message.runs
    )


def describe_entry(entry: Entry) -> str:
    if isinstance(entry, Posted):
        return f'POSTED by "{entry.name}" "{entry.text}"'
    if isinstance(entry, Joined | Left):
        return f'{type(entry).__name__.upper()} "{entry.name}", how {entry.how}'
    if isinstance(entry, Taken):
        return f"TAKEN {entry.id}"
    assert isinstance(entry, Skipped)
    return f"entry of kind {entry.kind}"
