"""The worked crossing of PROTOCOL.md, section 6.3: who asks what on which link, and is answered."""

from __future__ import annotations

from collections.abc import Iterator

from worked import ANN, BOB, Stage, entropy

from palaver import Address, Call, Duo
from palaver.wire.duo import Introduce, Same, Twin, decode_duo
from palaver.wire.frames import Segment, decode_frames
from palaver.wire.messages import BYE
from palaver.wire.packets import DATA, DATA_HEADER, DATA_HEADER_SIZE
from palaver.wire.sealing import CLEAR

NATS: dict[Address, Address] = {("nat of ann", 1): ANN, ("nat of bob", 2): BOB}


class NatStage(Stage):
    """Each can be called at its own address, and calls from another."""

    def make(self) -> dict[Address, Duo]:
        return {ANN: Duo(entropy(1), name="Ann"), BOB: Duo(entropy(2), name="Bob")}

    def source(self, who: Address, destination: Address) -> Address:
        return (f"nat of {who[0]}", who[1]) if destination in {ANN, BOB} else who

    def owner(self, address: Address) -> Address:
        return NATS.get(address, address)


def messages(stage: NatStage) -> Iterator[tuple[float, Address, int, bytes]]:
    """Give (time, sender, receiver's link id, message), each once."""
    seen = set()
    for at, who, data in stage.sent:
        packet = CLEAR.open(data)
        if packet is None or data[0] != DATA:
            continue
        _, link, _ = DATA_HEADER.unpack_from(packet)
        for frame in decode_frames(packet, DATA_HEADER_SIZE):
            if isinstance(frame, Segment) and (link, frame.number) not in seen:
                seen.add((link, frame.number))
                yield at, who, link, frame.data


def describe(message: bytes) -> str:
    if message[0] == BYE:
        return "BYE reason 0"
    decoded = decode_duo(message)
    if isinstance(decoded, Introduce):
        return f'INTRODUCE "{decoded.name}"'
    assert isinstance(decoded, Twin | Same)
    if isinstance(decoded, Twin):
        return f"TWIN `{decoded.proof.hex()}`"
    return f"SAME {int(decoded.yes)} `{decoded.proof.hex()}`"


def crossing() -> str:
    """Give the example."""
    stage = NatStage()
    stage.feed(ANN, Call(BOB))
    stage.feed(BOB, Call(ANN))
    stage.run(0.0)
    dialled = {who: duo._endpoint.links[1] for who, duo in stage.machines.items()}
    stage.run(0.03)
    ids: dict[int, str] = {}
    lines = ["| link | caller's id | callee's id |", "| --- | --- | --- |"]
    for who, link in dialled.items():
        ids |= dict.fromkeys((link.local, link.channel.remote), who[0].capitalize())
        ours, theirs = link.local, link.channel.remote
        lines.append(f"| {who[0].capitalize()}'s | `{ours:016x}` | `{theirs:016x}` |")
    stage.run(1.0)
    lines += ["", "| at | who | on whose link | message |", "| --- | --- | --- | --- |"]
    for at, who, link_id, message in messages(stage):
        name = who[0].capitalize()
        lines.append(f"| {at * 1000:.1f} ms | {name} | {ids[link_id]}'s | {describe(message)} |")
    return "\n".join(lines)
