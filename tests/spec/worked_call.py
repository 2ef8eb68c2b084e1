"""The worked call of PROTOCOL.md, section 6.5: real machines, every message shown."""

from __future__ import annotations

from collections.abc import Callable
from textwrap import wrap

from palaver import (
    Accept,
    Action,
    Address,
    CallOpened,
    Connect,
    Datagram,
    Depart,
    Enlist,
    Event,
    Heard,
    Peer,
    Registry,
    Ringing,
    Say,
    Tick,
    Transmit,
)
from palaver.wire.frames import Segment, decode_frames
from palaver.wire.messages import FIRST_ROLE_KIND
from palaver.wire.packets import DATA, DATA_HEADER_SIZE, Hello, decode_unsealed
from palaver.wire.peer import decode_peer
from palaver.wire.registry import decode_registry
from palaver.wire.sealing import CLEAR

REGISTRY: Address = ("192.0.2.1", 7070)
ANN: Address = ("192.0.2.2", 40001)
BOB: Address = ("192.0.2.3", 40002)
NAMES = {REGISTRY: "Registry", ANN: "Ann", BOB: "Bob"}
LATENCY = 0.0078125


def entropy(byte: int) -> Callable[[int], bytes]:
    return lambda size: bytes([byte]) * size


class Stage:
    """Three machines in virtual time; a message is noted when its segment is first sent."""

    def __init__(self) -> None:
        self.now = 0.0
        self.machines: dict[Address, Peer | Registry] = {
            REGISTRY: Registry(entropy(1)),
            ANN: Peer(entropy(2), name="Ann", registry=REGISTRY),
            BOB: Peer(entropy(3), name="Bob", registry=REGISTRY),
        }
        self.on_wire: list[tuple[float, Address, Transmit]] = []
        self.sent: list[tuple[Address, Address, bytes]] = []
        self._seen: set[tuple[Address, Address, int, str]] = set()
        self._roles: dict[frozenset[Address], str] = {}

    def feed(self, who: Address, event: Event) -> None:
        for action in self.machines[who].handle(event, self.now):
            self.perform(who, action)
        deadline = self.machines[who].deadline
        if not isinstance(event, Tick) and deadline is not None and deadline <= self.now:
            self.feed(who, Tick())

    def perform(self, who: Address, action: Action) -> None:
        if isinstance(action, Transmit):
            self.note(who, action)
            self.on_wire.append((self.now + LATENCY, who, action))
        elif isinstance(action, Ringing):
            self.feed(who, Accept(action.link))
        elif isinstance(action, CallOpened) and who == ANN:
            self.feed(ANN, Say(action.link, "hello", 1))
        elif isinstance(action, Heard) and who == BOB:
            self.feed(BOB, Say(action.link, "hi, Ann", 1))
        elif isinstance(action, Heard):
            self.feed(ANN, Depart())

    def note(self, who: Address, transmit: Transmit) -> None:
        packet = CLEAR.open(transmit.data)
        assert packet is not None
        pair = frozenset({who, transmit.destination})
        if transmit.data[0] != DATA:
            decoded = decode_unsealed(packet)
            if isinstance(decoded, Hello):
                self._roles[pair] = decoded.role
            return
        for frame in decode_frames(packet, DATA_HEADER_SIZE):
            if isinstance(frame, Segment) and frame.data[0] >= FIRST_ROLE_KIND:
                key = (who, transmit.destination, frame.number, self._roles[pair])
                if key not in self._seen:
                    self._seen.add(key)
                    self.sent.append((who, transmit.destination, frame.data))

    def run(self, until: float) -> None:
        while True:
            times = [at for at, _, _ in self.on_wire[:1]]
            times += [
                max(due, self.now)
                for machine in self.machines.values()
                if (due := machine.deadline) is not None
            ]
            if not times or min(times) > until:
                self.now = until
                return
            self.now = min(times)
            while self.on_wire and self.on_wire[0][0] <= self.now:
                _, source, transmit = self.on_wire.pop(0)
                self.feed(transmit.destination, Datagram(transmit.data, source))
            for who, machine in self.machines.items():
                if machine.deadline is not None and machine.deadline <= self.now:
                    self.feed(who, Tick())


def messages() -> list[tuple[Address, Address, bytes]]:
    """Give (sender, receiver, bytes) of every message."""
    stage = Stage()
    stage.feed(ANN, Enlist())
    stage.run(0.5)
    stage.feed(BOB, Enlist())
    stage.run(1.0)
    stage.feed(ANN, Connect("bob", 1))
    stage.run(2.0)
    return stage.sent


def conversation() -> str:
    """Give the part of the document."""
    blocks = []
    for count, (who, to, data) in enumerate(messages(), 1):
        decode = decode_registry if REGISTRY in {who, to} else decode_peer
        value = decode(data)
        fields = "; ".join(
            f"{name} {show(getattr(value, name))}" for name in getattr(value, "__slots__", ())
        )
        lines = [f"{count}. **{NAMES[who]}** to {NAMES[to]}: {name_of(value)}"]
        lines[0] += f" ({fields})" if fields else ""
        lines += ["", "   ```hex", *(f"   {line}" for line in wrap(data.hex(" "), 96)), "   ```"]
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)


def show(value: object) -> str:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, tuple):
        return ", ".join(map(show, value))
    if hasattr(value, "address"):
        host, port = value.address
        return f'{value.id} "{value.name}" {host} {port}, {value.age} s'  # type: ignore[attr-defined]
    return f'"{value}"' if isinstance(value, str) else str(value)


def name_of(value: object) -> str:
    from role_parts import NAMES as MESSAGE_NAMES

    return MESSAGE_NAMES[type(value)]
