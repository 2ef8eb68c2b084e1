"""A second opinion, continued: the messages of the role "group".

Written from section 6.6 of PROTOCOL.md alone; see independent_messages.py.

    decode_group(raw)                      # JOIN ... RECEIPT, FIN, BYE
    may_be_admitted(name), same(name)      # the names of a room: [U-4]
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable

from independent_decoder import Malformed
from independent_messages import Body, Value, by_kind

MAX_NAME, MAX_ROOM, MAX_POST, MAX_RUNS = 64, 32, 65000, 64
U64 = 2**64 - 1
LAST = U64 - 1  # the highest number of an entry

NEW, RESUMED, GAP = 0, 1, 2


def _join(b: Body) -> Value:
    backlog, last = b.uint(2), b.uint(8)
    token = b.take(b.uint(1))
    if len(token) not in (0, 16):
        raise Malformed(f"token of {len(token)} bytes", 2)
    if last and not token:
        raise Malformed("last without a token", 2)
    room, name = b.counted(1, MAX_ROOM, "room"), b.counted(1, MAX_NAME, "name")
    return {"backlog": backlog, "last": last, "token": token, "room": room, "name": name}


def _post(b: Body) -> Value:
    return {"id": b.one(1, U64, 8, "id"), "text": b.text(0, MAX_POST, "text")}


def _admitted(b: Body) -> Value:
    how = b.one(NEW, GAP, 1, "how")
    token, number = b.take(16), b.uint(8)
    taken, members = b.uint(8), b.uint(2)
    if how == RESUMED and members:
        raise Malformed("MEMBERS announced to somebody who has them", 2)  # [U-8]
    return {
        "how": how,
        "token": token,
        "number": number,
        "taken": taken,
        "members": members,
        "name": b.text(1, MAX_NAME, "name"),
    }


def _refused(b: Body) -> Value:
    return {"reason": b.uint(1), "suggestion": b.text(0, MAX_NAME, "suggestion")}


def _members(b: Body) -> Value:
    names: list[str] = []
    while b.left() or not names:
        names.append(b.counted(1, MAX_NAME, "name"))
    return {"names": names}


def _entry(kind: int, raw: bytes) -> Value:
    b = Body(raw)
    if kind == 1:
        name = b.counted(1, MAX_NAME, "author")
        got: Value = {"entry": "POSTED", "name": name, "text": b.text(0, MAX_POST, "text")}
    elif kind in (2, 3):
        how = b.one(0, kind - 1, 1, "how")
        got = {"entry": ("JOINED", "LEFT")[kind - 2], "how": how}
        got["name"] = b.text(1, MAX_NAME, "name")
    elif kind == 4:
        got = {"entry": "TAKEN", "id": b.one(1, U64, 8, "id")}
    elif kind < 128:
        raise Malformed(f"unknown entry {kind}", 2)  # [U-2]
    else:
        return {"entry": kind}
    b.end()
    return got


def _log(b: Body) -> Value:
    number = b.one(1, LAST, 8, "number")
    entries: list[Value] = []
    while b.left() or not entries:
        kind = b.uint(1)
        entries.append(_entry(kind, b.take(b.uint(2))))
    if number + len(entries) - 1 > LAST:
        raise Malformed("numbers beyond the last", 2)
    return {"number": number, "entries": entries}


def _receipt(b: Body) -> Value:
    runs: list[Value] = []
    while b.left() or not runs:
        first, count = b.one(1, U64, 8, "first"), b.one(1, 0xFFFF, 2, "count")
        if first + count - 1 > U64:
            raise Malformed("ids beyond the last", 2)
        run = {"first": first, "count": count, "acknowledged": b.uint(2), "awaited": b.uint(2)}
        runs.append(run)
    if len(runs) > MAX_RUNS:
        raise Malformed(f"{len(runs)} runs", 2)
    return {"runs": runs}


GROUP: dict[int, tuple[str, Callable[[Body], Value]]] = {
    16: ("JOIN", _join),
    17: ("POST", _post),
    18: ("ADMITTED", _admitted),
    19: ("REFUSED", _refused),
    20: ("MEMBERS", _members),
    21: ("LOG", _log),
    22: ("RECEIPT", _receipt),
}


def decode_group(raw: bytes) -> Value:
    return by_kind("group", raw, GROUP)


def same(name: str) -> str:
    """Two names are the same if this is the same of both [U-4]."""
    return unicodedata.normalize("NFC", name.casefold())


def may_be_admitted(name: str) -> bool:
    """[U-4]; the bounds are those of a name in normal form C."""
    name = unicodedata.normalize("NFC", name)
    if not 1 <= len(name.encode()) <= MAX_NAME or " " in (name[0], name[-1]):
        return False
    for c in name:
        kind = unicodedata.category(c)
        if kind in ("Cc", "Cf", "Co", "Cn", "Cs") or (kind[0] == "Z" and c != " "):
            return False
    return True
