"""The worked conversation of PROTOCOL.md, section 13: two real machines, every datagram shown."""

from __future__ import annotations

from collections.abc import Callable
from textwrap import wrap

from palaver import Address, Call, ConversationOpened, Datagram, Duo, Event, Leave, Said, Say
from palaver.machine import Tick, Transmit
from palaver.wire.frames import Ack, Close, Frame, Ping, Segment, decode_frames
from palaver.wire.packets import (
    DATA,
    DATA_HEADER,
    DATA_HEADER_SIZE,
    Hello,
    Welcome,
    decode_unsealed,
)
from palaver.wire.sealing import CLEAR

ANN: Address = ("ann", 1)
BOB: Address = ("bob", 2)
LATENCY = 0.0078125  # seconds: a power of two, so that times are exact


def entropy(byte: int) -> Callable[[int], bytes]:
    return lambda size: bytes([byte]) * size


class Stage:
    """Two machines and the datagrams between them, in virtual time."""

    def __init__(self) -> None:
        self.now = 0.0
        self.machines = self.make()
        self.on_wire: list[tuple[float, Address, Transmit]] = []
        self.sent: list[tuple[float, Address, bytes]] = []

    def make(self) -> dict[Address, Duo]:
        return {
            ANN: Duo(entropy(1), name="Ann", accept=False),
            BOB: Duo(entropy(2), name="Bob"),
        }

    def source(self, who: Address, _destination: Address) -> Address:
        """Give where what one sends is seen to come from."""
        return who

    def owner(self, address: Address) -> Address:
        """Give who gets what is sent to an address."""
        return address

    def feed(self, who: Address, event: Event) -> None:
        for action in self.machines[who].handle(event, self.now):
            if isinstance(action, Transmit):
                self.sent.append((self.now, who, action.data))
                self.on_wire.append((self.now + LATENCY, who, action))
            elif isinstance(action, Said) and who == BOB:
                self.feed(BOB, Say(action.link, "hi, Ann", 1))
            elif isinstance(action, Said):
                self.feed(ANN, Leave(action.link))
            elif isinstance(action, ConversationOpened) and who == BOB:
                pass
        deadline = self.machines[who].deadline
        if not isinstance(event, Tick) and deadline is not None and deadline <= self.now:
            self.feed(who, Tick())

    def run(self, until: float) -> None:
        while True:
            times = [(at, 0) for at, _, _ in self.on_wire[:1]]
            times += [
                (max(due, self.now), 1)
                for machine in self.machines.values()
                if (due := machine.deadline) is not None
            ]
            if not times or min(times)[0] > until:
                return
            self.now = min(times)[0]
            if self.on_wire and self.on_wire[0][0] <= self.now:
                _, source, transmit = self.on_wire.pop(0)
                seen = self.source(source, transmit.destination)
                self.feed(self.owner(transmit.destination), Datagram(transmit.data, seen))
            for who, machine in self.machines.items():
                if machine.deadline is not None and machine.deadline <= self.now:
                    self.feed(who, Tick())


def datagrams() -> list[tuple[float, Address, bytes]]:
    """Give (time, sender, bytes) of every datagram of the conversation."""
    stage = Stage()
    stage.feed(ANN, Call(BOB))
    stage.feed(ANN, Say(1, "hello", 1))
    stage.run(1.0)
    return stage.sent


def describe_frame(frame: Frame) -> str:
    if isinstance(frame, Segment):
        kind = {0: "FIN", 1: "BYE", 16: "INTRODUCE", 17: "TEXT"}[frame.data[0]]
        text = frame.data[2 if kind == "BYE" else 1 :].decode()
        reason = f" reason {frame.data[1]}" if kind == "BYE" else ""
        return f"SEGMENT {frame.number}: {kind}{reason}" + (f' "{text}"' if text else "")
    if isinstance(frame, Ack):
        return (
            f"ACK wanted {frame.wanted}, newest {frame.newest}, earlier {frame.earlier:#x}, "
            f"delay {frame.delay}, credit {frame.credit}"
        )
    assert isinstance(frame, Ping | Close)
    return type(frame).__name__.upper()


def describe(data: bytes) -> list[str]:
    packet = CLEAR.open(data)
    assert packet is not None
    if data[0] == DATA:
        _, link, number = DATA_HEADER.unpack_from(packet)
        frames = decode_frames(packet, DATA_HEADER_SIZE)
        return [f"DATA to {link:016x}, packet {number}", *map(describe_frame, frames)]
    decoded = decode_unsealed(packet)
    if isinstance(decoded, Hello):
        return [
            (
                f"HELLO from {decoded.link:016x}: versions {list(decoded.versions)}, profiles "
                f"{list(decoded.profiles)}, role {decoded.role}, mtu {decoded.mtu}, "
                f"credit {decoded.credit}, padded"
            )
        ]
    assert isinstance(decoded, Welcome)
    return [
        (
            f"WELCOME to {decoded.destination:016x} from {decoded.link:016x}: version "
            f"{decoded.version}, profile {decoded.profile}, mtu {decoded.mtu}, "
            f"credit {decoded.credit}"
        )
    ]


def conversation() -> str:
    """Give section 13."""
    blocks = []
    for count, (at, who, data) in enumerate(datagrams(), 1):
        first, *rest = describe(data)
        lines = [f"{count}. **{who[0].capitalize()}**, at {at * 1000:.1f} ms: {first}"]
        lines += [f"   - {line}" for line in rest]
        lines += ["", "   ```hex"]
        lines += [f"   {line}" for line in wrap(data.hex(" "), 96)]
        blocks.append("\n".join([*lines, "   ```"]))
    return "\n\n".join(blocks)
