"""A second opinion, continued: the messages of the roles "registry" and "peer", and records.

Written from sections 6.4, 6.5 and 8.9 of PROTOCOL.md alone, as independent_decoder.py was from the
rest; its rules hold here too. Each message becomes a plain dict: "kind" is its name in PROTOCOL.md
or the number of a kind that the receiver ignores; the others are its fields.

    decode_registry(raw)        # REGISTER ... ROLLCALL, FIN, BYE
    decode_peer(raw)            # RING ... TERMINATED, FIN, BYE
    is_name(text), folded(text) # the names of the registry: [G-3], [G-4]
    Records().feed(raw)         # the packets of a stream: 8.9
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from typing import Any

from independent_decoder import Bye, Fin, Malformed, decode_message

Value = dict[str, Any]

MAX_MESSAGE = 65536
MAX_LISTING = 1024  # PAGE and ROSTER, kind and body
MAX_RECORD = 2047


class Body:
    """What follows the kind; whatever goes wrong in it ends the link with reason 2 [M-2]."""

    def __init__(self, raw: bytes) -> None:
        self.raw, self.at = raw, 0

    def left(self) -> int:
        return len(self.raw) - self.at

    def take(self, n: int) -> bytes:
        if n > self.left():
            raise Malformed("cut off", 2)
        self.at += n
        return self.raw[self.at - n : self.at]

    def uint(self, n: int) -> int:
        return int.from_bytes(self.take(n), "big")

    def one(self, low: int, high: int, n: int, what: str) -> int:
        got = self.uint(n)
        if not low <= got <= high:
            raise Malformed(f"{what}: {got}", 2)
        return got

    def id(self, what: str) -> int:
        return self.one(1, 2**32 - 1, 4, what)

    def text(self, low: int, high: int, what: str) -> str:
        """All that is left."""
        return utf8(self.take(self.left()), low, high, what)

    def counted(self, low: int, high: int, what: str) -> str:
        return utf8(self.take(self.uint(1)), low, high, what)

    def end(self) -> None:
        if self.left():
            raise Malformed(f"{self.left()} bytes too many", 2)


def utf8(raw: bytes, low: int, high: int, what: str) -> str:
    if not low <= len(raw) <= high:
        raise Malformed(f"{what}: {len(raw)} bytes", 2)
    try:
        return raw.decode("utf-8", "strict")
    except UnicodeDecodeError:
        raise Malformed(f"{what}: not UTF-8", 2) from None


def by_kind(role: str, raw: bytes, kinds: dict[int, tuple[str, Callable[[Body], Value]]]) -> Value:
    """What all roles share: lengths, FIN and BYE, unknown kinds, nothing behind the last field."""
    if not 1 <= len(raw) <= MAX_MESSAGE:
        raise Malformed("length of message", 2)
    kind = raw[0]
    if kind < 16:
        got = decode_message(role, raw)
        if isinstance(got, Bye):
            return {"kind": "BYE", "reason": got.reason, "text": got.text}
        assert isinstance(got, Fin)
        return {"kind": "FIN"}
    if kind not in kinds:
        if kind < 128:
            raise Malformed(f"unknown kind {kind}", 3)
        return {"kind": kind, "body": raw[1:]}
    name, fields = kinds[kind]
    body = Body(raw[1:])
    value = {"kind": name, **fields(body)}
    body.end()
    return value


def _nothing(_: Body) -> Value:
    return {}


# --- The registry (6.4.1) -------------------------------------------------------------------------


def _entry(b: Body) -> Value:
    return {
        "id": b.id("id of an entry"),
        "age": b.uint(4),
        "port": b.uint(2),
        "host": b.counted(1, 255, "host"),
        "name": b.counted(1, 64, "name"),
    }


def _register(b: Body) -> Value:
    # A name that can't be taken [G-3] is answered by REFUSED, code 2, and ends no link.
    head = {"id": b.uint(4), "token": b.take(16), "port": b.uint(2)}
    return {**head, "name": b.text(0, 64, "name")}


def _lookup(b: Body) -> Value:
    got = {"request": b.uint(4), "id": b.uint(4), "name": b.text(0, 64, "name")}
    if bool(got["id"]) == bool(got["name"]):
        raise Malformed("LOOKUP by both, or by neither", 2)
    return got


def _list(b: Body) -> Value:
    return {"request": b.uint(4), "after": b.uint(4)}


def _registered(b: Body) -> Value:
    return {"id": b.id("id"), "token": b.take(16)}


def _refused(b: Body) -> Value:
    return {"code": b.uint(1)}


def _found(b: Body) -> Value:
    return {"request": b.uint(4), "entry": _entry(b)}


def _inactive(b: Body) -> Value:
    return {"request": b.uint(4)}


def _short(b: Body) -> None:
    if 1 + len(b.raw) > MAX_LISTING:
        raise Malformed("too long", 2)


def _page(b: Body) -> Value:
    _short(b)
    got: Value = {"request": b.uint(4), "more": bool(b.one(0, 1, 1, "more")), "entries": []}
    while b.left():
        entry = _entry(b)
        if got["entries"] and entry["id"] <= got["entries"][-1]["id"]:
            raise Malformed("ids that don't rise", 2)
        got["entries"].append(entry)
    if got["more"] and not got["entries"]:
        raise Malformed("more above nobody", 2)
    return got


def _roster(b: Body) -> Value:
    _short(b)
    changes: list[Value | int] = []
    while b.left() or not changes:
        changes.append(_entry(b) if b.one(0, 1, 1, "change") else b.id("id of a change"))
    return {"changes": changes}


REGISTRY: dict[int, tuple[str, Callable[[Body], Value]]] = {
    16: ("REGISTER", _register),
    17: ("LOOKUP", _lookup),
    18: ("LIST", _list),
    19: ("LEAVE", _nothing),
    32: ("REGISTERED", _registered),
    33: ("REFUSED", _refused),
    34: ("FOUND", _found),
    35: ("INACTIVE", _inactive),
    36: ("PAGE", _page),
    37: ("ROSTER", _roster),
    38: ("STALE", _nothing),
    39: ("ERASED", _nothing),
    128: ("ROLLCALL", _nothing),
}


def decode_registry(raw: bytes) -> Value:
    return by_kind("registry", raw, REGISTRY)


def is_name(text: str) -> bool:
    """[G-3]."""
    text = unicodedata.normalize("NFC", text)
    if not 1 <= len(text.encode()) <= 64 or " " in (text[0], text[-1]):
        return False
    kinds = [unicodedata.category(c) for c in text]
    if all(kind == "Nd" for kind in kinds):
        return False
    return all(kind[0] in "LMNPS" or c == " " for kind, c in zip(kinds, text, strict=True))


def folded(name: str) -> str:
    """Two names count as one if this is the same of both [G-4]."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


# --- The peer (6.5.1) -----------------------------------------------------------------------------


def _ring(b: Body) -> Value:
    return {
        "call": b.take(8),
        "caller": b.id("id of the caller"),
        "callee": b.id("id of the callee"),
        "name": b.text(0, 64, "name"),
    }


def _about(b: Body) -> Value:
    return {"call": b.take(8), "sender": b.id("id of the sender")}


def _reject(b: Body) -> Value:
    return {**_about(b), "code": b.uint(1), "text": b.text(0, 120, "text")}


def _chat(b: Body) -> Value:
    got = {**_about(b), "number": b.one(1, 2**32 - 1, 4, "number")}
    return {**got, "text": b.text(0, MAX_MESSAGE, "text")}


PEER: dict[int, tuple[str, Callable[[Body], Value]]] = {
    16: ("RING", _ring),
    17: ("ACCEPT", _about),
    18: ("REJECT", _reject),
    19: ("CANCEL", _about),
    20: ("CHAT", _chat),
    21: ("TERMINATE", _about),
    22: ("TERMINATED", _about),
}


def decode_peer(raw: bytes) -> Value:
    return by_kind("peer", raw, PEER)


# --- Records on a stream (8.9) --------------------------------------------------------------------


class Records:
    """Cuts what a stream brings into packets; Malformed means that the stream has to end [S-1]."""

    def __init__(self) -> None:
        self.held = b""

    def feed(self, raw: bytes) -> list[bytes]:
        self.held += raw
        packets = []
        # The first byte of a length tells as much as can be wrong with it, but for 0.
        while self.held:
            if self.held[0] > MAX_RECORD >> 8:
                raise Malformed("no length of a record")
            if len(self.held) < 2:
                break
            n = int.from_bytes(self.held[:2], "big")
            if not n:
                raise Malformed("a record of nothing")
            if len(self.held) < 2 + n:
                break
            packets.append(self.held[2 : 2 + n])
            self.held = self.held[2 + n :]
        return packets
