"""The worked datagrams of tests/vectors/packets.json, for any test that wants real bytes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias, cast

from strategies import Data, Packet

from palaver.wire.duo import Introduce, Text
from palaver.wire.frames import (
    Ack,
    Close,
    Frame,
    PathChallenge,
    PathResponse,
    Ping,
    Segment,
    Unknown,
)
from palaver.wire.messages import FIN_MESSAGE, Bye
from palaver.wire.packets import Cookie, Hello, Option, Refuse, Reset, Welcome

Fields: TypeAlias = dict[str, Any]
Message: TypeAlias = bytes | Bye | Introduce | Text


class Vector:
    """One entry of the file."""

    def __init__(self, entry: Fields) -> None:
        self.name = cast("str", entry["name"])
        self.data = b"".join(bytes.fromhex(part) for part, _ in entry["layout"])
        self.value = cast("Fields", entry.get("value", {}))
        self.like = cast("str", entry.get("like", ""))

    def __repr__(self) -> str:
        return self.name

    def packet(self) -> Packet:
        return _PACKETS[self.value["packet"]](self.value)

    def message(self) -> Message:
        return _MESSAGES[self.value["message"]](self.value)


def _id(fields: Fields, name: str) -> int:
    return int(fields[name], 16)


def _options(fields: Fields) -> tuple[Option, ...]:
    return tuple(Option(kind, bytes.fromhex(data)) for kind, data in fields["options"])


def _hello(fields: Fields) -> Hello:
    return Hello(
        _id(fields, "link"),
        tuple(fields["versions"]),
        tuple(fields["profiles"]),
        fields["role"],
        fields["mtu"],
        fields["credit"],
        bytes.fromhex(fields["cookie"]),
        bytes.fromhex(fields["key_exchange"]),
        _options(fields),
    )


def _welcome(fields: Fields) -> Welcome:
    return Welcome(
        _id(fields, "destination"),
        _id(fields, "link"),
        fields["version"],
        fields["profile"],
        fields["mtu"],
        fields["credit"],
        bytes.fromhex(fields["key_exchange"]),
        _options(fields),
    )


_FRAMES: dict[str, Callable[[Fields], Frame]] = {
    "Segment": lambda f: Segment(f["number"], bytes.fromhex(f["data"]), f["last"]),
    "Ack": lambda f: Ack(f["wanted"], f["newest"], f["earlier"], f["delay"], f["credit"]),
    "Ping": lambda f: Ping(),
    "PathChallenge": lambda f: PathChallenge(bytes.fromhex(f["token"])),
    "PathResponse": lambda f: PathResponse(bytes.fromhex(f["token"])),
    "Close": lambda f: Close(f["reason"], f["wanted"], f["text"]),
    "Unknown": lambda f: Unknown(f["type"], bytes.fromhex(f["data"])),
}

_PACKETS: dict[str, Callable[[Fields], Packet]] = {
    "Hello": _hello,
    "Cookie": lambda f: Cookie(_id(f, "destination"), bytes.fromhex(f["cookie"])),
    "Welcome": _welcome,
    "Refuse": lambda f: Refuse(_id(f, "destination"), f["reason"], tuple(f["versions"])),
    "Reset": lambda f: Reset(_id(f, "link"), f["number"]),
    "Data": lambda f: Data(
        _id(f, "link"),
        f["number"],
        tuple(_FRAMES[frame["frame"]](frame) for frame in f["frames"]),
    ),
}

_MESSAGES: dict[str, Callable[[Fields], Message]] = {
    "Fin": lambda f: FIN_MESSAGE,
    "Bye": lambda f: Bye(f["reason"], f["text"]),
    "Introduce": lambda f: Introduce(f["name"]),
    "Text": lambda f: Text(f["text"]),
}

_FILE: dict[str, list[Fields]] = json.loads(
    (Path(__file__).parent / "vectors" / "packets.json").read_text(encoding="utf-8")
)
ACCEPTED = [Vector(entry) for entry in _FILE["accepted"]]
REJECTED = [Vector(entry) for entry in _FILE["rejected"]]
MESSAGES = [Vector(entry) for entry in _FILE["messages"]]
REJECTED_MESSAGES = [Vector(entry) for entry in _FILE["rejected_messages"]]
