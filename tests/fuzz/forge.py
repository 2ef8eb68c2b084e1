"""Packets, frames and messages made by a reader's choices: what a hostile peer might send."""

from __future__ import annotations

from collections.abc import Callable

from palaver.wire import group, group_log, peer, registry
from palaver.wire.duo import Introduce, Text
from palaver.wire.frames import Ack, Close, Frame, PathChallenge, PathResponse, Ping, Segment
from palaver.wire.packets import DATA, DATA_HEADER, Cookie, Hello, Refuse, Reset, Welcome, pad
from palaver.wire.sealing import CLEAR, TAG_SIZE

from .reader import Reader

U16, U32, U64 = ((1 << bits) - 1 for bits in (16, 32, 64))
NAMES = ("ann", "bob", "ANN", "cid", "é", "x" * 64, "7", " x", "a\n", "\ufb01", "")
TEXTS = ("", "hi", "é" * 20, "x" * 900, "x" * 3000)
TOKENS = (b"", bytes(16), b"0123456789abcdef")
IDS = (1, 2, 3, 4, 7, U32)


class Known:
    """What the hostile have learned: ids and tokens, the latest last."""

    def __init__(self) -> None:
        self.tokens: list[bytes] = []
        self.calls: list[bytes] = [b"call-one", b"call-two"]
        # The id of the subject, if it has one.
        self.us = 0

    def learn(self, message: object) -> None:
        """Take note of what a decoded message gives away."""
        token, call = getattr(message, "token", b""), getattr(message, "call", b"")
        if token and token not in self.tokens:
            self.tokens.append(token)
        if call and call not in self.calls:
            self.calls.append(call)


# Packets


def reseal(datagram: bytes) -> bytes:
    """Give the datagram with the right tag."""
    return CLEAR.seal(datagram[:-TAG_SIZE])


def mutate(reader: Reader, datagram: bytes) -> bytes:
    """Change a datagram in up to three places, and give it the right tag, most often."""
    data = bytearray(datagram[:-TAG_SIZE])
    for _ in range(1 + reader.u8() % 3):
        at = reader.u8() % (len(data) + 1)
        how = reader.u8() % 6
        if how == 0:
            data[at : at + 1] = reader.take(1)
        elif how == 1 and at < len(data):
            data[at] ^= 1 << reader.u8() % 8
        elif how == 2:
            data[at:at] = reader.take(reader.u8() % 16)
        elif how == 3:
            del data[at : at + 1 + reader.u8() % 16]
        elif how == 4 and at < len(data):
            data[at] = reader.pick((0, 1, 0x7F, 0x80, 0xFF))
        else:
            del data[at:]
    sealed = CLEAR.seal(bytes(data))
    return sealed if reader.u8() % 8 else sealed[:-1]


def forge_frame(reader: Reader) -> Frame:
    """Give a frame."""
    kind = reader.u8() % 8
    if kind == 0:
        return Segment(reader.number(8) & U32, b"\x10" + reader.take(reader.u8() % 16), last=True)
    if kind == 1:
        return Segment(reader.number(8) & U32, bytes(1 + reader.u8() * 4), last=False)
    if kind == 2:
        newest = reader.number(8)
        earlier = int.from_bytes(reader.take(2), "big") & (U64 >> max(64 - newest, 0))
        wanted, credit = reader.number(8) & U32, 1024 << reader.u8() % 32
        return Ack(wanted, newest & U32, earlier, reader.number(64) & U16, credit)
    if kind == 3:
        return Ping()
    if kind == 4:
        return PathChallenge(reader.take(8).ljust(8, b"t"))
    if kind == 5:
        return PathResponse(reader.take(8).ljust(8, b"t"))
    if kind == 6:
        return Close(reader.pick((0, 1, 2, 4, 13, 133, 200)), reader.number(8) & U32, "why")
    # A FIN, a BYE, or another message of the link's own.
    return Segment(reader.number(8) & U32, bytes((reader.u8() % 4, reader.u8() % 16)), last=True)


def forge_data(reader: Reader, link: int, number: int) -> bytes:
    """Give a DATA packet with the right tag."""
    frames = b"".join(forge_frame(reader).encode() for _ in range(1 + reader.u8() % 3))
    return CLEAR.seal(DATA_HEADER.pack(DATA, link, number & U32) + frames)


def forge_handshake(reader: Reader, link: int, role: str) -> bytes:
    """Give a packet of any kind but DATA for a link id, with the right tag."""
    kind = reader.u8() % 5
    packet: Hello | Cookie | Welcome | Refuse | Reset
    if kind == 0:
        own = reader.pick((link or 1, reader.number() + 1, U64))
        packet = pad(Hello(own & U64, (1,), (0,), role, 1200, 4096, reader.take(4)), 64)
    elif kind == 1:
        packet = Cookie(link, reader.take(8) or b"c")
    elif kind == 2:
        mtu, credit = reader.pick((1200, 64, 65507)), reader.pick((1024, 4096, U32))
        packet = Welcome(link, 1 + reader.number(), reader.u8() % 2, 0, mtu, credit)
        packet = packet if packet.link <= U64 else Welcome(link, 1, 1, 0, mtu, credit)
    elif kind == 3:
        packet = Refuse(link, reader.u8() % 64, (1,))
    else:
        packet = Reset(link, reader.number(16) & U32)
    return CLEAR.seal(packet.encode())


# Messages


def duo_message(reader: Reader, _: Known) -> bytes:
    """Give a message of role "duo"."""
    if reader.u8() % 3:
        return Text(reader.pick(TEXTS)).encode()
    return Introduce(reader.pick(NAMES)).encode()


def _entry(reader: Reader) -> registry.Entry:
    host = reader.pick(("host-1", "subject", "x" * 255))
    name = reader.pick(NAMES) or "nemo"
    return registry.Entry(reader.pick(IDS), name, (host, reader.u8() % 3), reader.number() & U32)


def registry_message(reader: Reader, known: Known) -> bytes:
    """Give a message of role "registry", of either side."""
    kind = reader.u8() % 14
    request = 1 + reader.u8() % 6
    token = reader.pick((*TOKENS[1:], *known.tokens[-2:]))
    made: registry.RegistryMessage
    if kind <= 1:
        made = registry.Register(reader.pick(NAMES), reader.pick((0, *IDS)), token)
    elif kind == 2:
        name = reader.pick(NAMES)
        made = registry.Lookup(request, 0 if name else 1, name)
    elif kind == 3:
        made = registry.List(request, reader.number() & U32)
    elif kind == 4:
        made = registry.Unregister()
    elif kind == 5:
        made = registry.Registered(reader.pick(IDS), token)
    elif kind == 6:
        made = registry.Refused(reader.u8() % 6)
    elif kind <= 8:
        made = registry.Found(request, _entry(reader))
    elif kind == 9:
        made = registry.Inactive(request)
    elif kind == 10:
        made = registry.Page(request, more=False, entries=(_entry(reader),))
    elif kind == 11:
        made = registry.Roster((_entry(reader), reader.pick(IDS)))
    else:
        bare: tuple[registry.RegistryMessage, ...] = (
            registry.Stale(),
            registry.Erased(),
            registry.RollCall(),
        )
        made = reader.pick(bare)
    return made.encode()


def peer_message(reader: Reader, known: Known) -> bytes:
    """Give a message of role "peer"."""
    kind = reader.u8() % 8
    call = reader.pick(known.calls[:-5:-1])
    sender, us = reader.pick(IDS), known.us or 1
    made: peer.PeerMessage
    if kind <= 1:
        made = peer.Ring(call, sender, reader.pick((us, us, us, us, *IDS[:3])), reader.pick(NAMES))
    elif kind == 2:
        made = peer.Rejected(call, sender, reader.u8() % 5, "no")
    elif kind == 3:
        made = peer.Chat(call, sender, 1 + reader.number() % U32, reader.pick(TEXTS))
    else:
        made = (peer.Accepted, peer.Cancelled, peer.Terminate, peer.Terminated)[kind - 4](
            call, sender
        )
    return made.encode()


def _log_entry(reader: Reader) -> group_log.Entry:
    name = reader.pick(NAMES) or "nemo"
    kind = reader.u8() % 5
    if kind == 0:
        return group_log.Posted(name, reader.pick(TEXTS))
    if kind == 1:
        return group_log.Joined(reader.u8() % 2, name)
    if kind == 2:
        return group_log.Left(reader.u8() % 3, name)
    if kind == 3:
        return group_log.Taken(1 + reader.number() % U64)
    return group_log.Skipped(128 + reader.u8() % 128, reader.take(3))


def group_message(reader: Reader, known: Known) -> bytes:
    """Give a message of role "group", of either side."""
    kind = reader.u8() % 9
    token = reader.pick((*TOKENS, *known.tokens[-3:]))
    made: group.GroupMessage
    if kind <= 1:
        last = reader.number(8) if token else 0
        room = reader.pick(("lobby", "LOBBY", "den", " ", "attic"))
        made = group.Join(reader.pick(NAMES) or "nemo", room, reader.u8() % 4, token, last)
    elif kind <= 3:
        made = group.Post(1 + reader.number(8) % U64, reader.pick(TEXTS))
    elif kind == 4:
        numbers = (reader.number(8), reader.number(8), reader.u8() % 4)
        made = group.Admitted(reader.u8() % 3, token or bytes(16), *numbers, "ann")
    elif kind == 5:
        made = group.Refused(reader.pick((128, 131, 4, 255)), reader.pick(NAMES))
    elif kind == 6:
        made = group.Members(tuple(reader.pick(NAMES[:4]) for _ in range(1 + reader.u8() % 3)))
    elif kind == 7:
        entries = tuple(_log_entry(reader) for _ in range(1 + reader.u8() % 4))
        made = group_log.Log(1 + reader.number(8) % (U64 - 8), entries)
    else:
        run = group.Run(1 + reader.number() % U32, 1 + reader.number() % U16, 1, reader.u8() % 3)
        made = group.Receipt((run,))
    return made.encode()


MESSAGES: dict[str, Callable[[Reader, Known], bytes]] = {
    "test": lambda reader, _: b"\x10" + reader.take(reader.u8() % 8),
    "duo": duo_message,
    "registry": registry_message,
    "peer": peer_message,
    "group": group_message,
}
DECODERS: dict[str, Callable[[bytes], object]] = {
    "registry": registry.decode_registry,
    "peer": peer.decode_peer,
    "group": group.decode_group,
}


def forge_message(reader: Reader, role: str, known: Known) -> bytes:
    """Give a message of a role: a valid one, a damaged one, or any bytes."""
    how = reader.u8()
    if how >= 248:
        return bytes((reader.u8(),)) + reader.take(reader.u8() % 32)
    message = MESSAGES[role](reader, known)
    if how >= 224 and len(message) > 1:
        return message[: 1 + reader.u8() % len(message)]
    return message
