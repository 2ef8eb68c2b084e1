"""The generated parts of PROTOCOL.md, sections 6.4 and 6.5: registry and peer."""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import Any, TypeAlias

import worked_call
from tables import SOURCE, docs_of, table

from palaver.roles.peer_states import (
    CALLS,
    CLIENT,
    CallInput,
    CallState,
    ClientInput,
    ClientState,
)
from palaver.wire import peer as peer_wire
from palaver.wire import registry as registry_wire
from palaver.wire.peer import Rejection
from palaver.wire.registry import Refusal

NAMES = {
    registry_wire.Register: "REGISTER",
    registry_wire.Lookup: "LOOKUP",
    registry_wire.List: "LIST",
    registry_wire.Unregister: "LEAVE",
    registry_wire.Registered: "REGISTERED",
    registry_wire.Refused: "REFUSED",
    registry_wire.Found: "FOUND",
    registry_wire.Inactive: "INACTIVE",
    registry_wire.Page: "PAGE",
    registry_wire.Roster: "ROSTER",
    registry_wire.Stale: "STALE",
    registry_wire.Erased: "ERASED",
    registry_wire.RollCall: "ROLLCALL",
    peer_wire.Ring: "RING",
    peer_wire.Accepted: "ACCEPT",
    peer_wire.Rejected: "REJECT",
    peer_wire.Cancelled: "CANCEL",
    peer_wire.Chat: "CHAT",
    peer_wire.Terminate: "TERMINATE",
    peer_wire.Terminated: "TERMINATED",
}
REGISTRY_KINDS = [cls for cls in NAMES if cls.__module__ == registry_wire.__name__]
PEER_KINDS = [cls for cls in NAMES if cls.__module__ == peer_wire.__name__]

CALL_INPUT_WORDS = {
    CallInput.ACCEPT: "the program takes the call",
    CallInput.REJECT: "the program turns the call down",
    CallInput.SAY: "the program says something",
    CallInput.TERMINATE: "the program ends the call",
    CallInput.FOUND: "FOUND for whom we call",
    CallInput.INACTIVE: "INACTIVE for whom we call",
    CallInput.CHECKED: "the registry's answer about who calls, or none can be had",
    CallInput.ABSENT: "ROSTER says that whom we call is not there, and the link is not open",
    CallInput.ACCEPTED: "ACCEPT",
    CallInput.REJECTED: "REJECT",
    CallInput.CANCELLED: "CANCEL",
    CallInput.CHAT: "CHAT",
    CallInput.TERMINATION: "TERMINATE",
    CallInput.TERMINATED: "TERMINATED",
    CallInput.RING_DUE: "10 s more have passed (6.5.2)",
    CallInput.TIMEOUT: "the time of the state has passed: the program's, 2 s, or 5 s",
    CallInput.CROSSED: "a RING that crosses this call and becomes the conversation (6.5.3)",
    CallInput.FOLDED: "it turns out that there is another call with the same peer",
    CallInput.LINK_LOST: "the link has ended",
}

CALL_ACTION_WORDS = {
    "cancel": "report the outcome: cancelled",
    "call_up": "dial; send RING",
    "be_inactive": "report the outcome: inactive",
    "stop_looking": "report the outcome: no answer",
    "cross": "close the link of this call, if it is another; send ACCEPT; report open",
    "be_needless": "report the outcome: there is one already",
    "withdraw": "send CANCEL, if the link is open; close the link",
    "be_accepted": "report open",
    "be_rejected": "close the link",
    "ring_again": "send RING, if the last is acknowledged; report that it goes on",
    "end": "report the outcome, or gone if there is none",
    "ring": "report that it rings",
    "be_cancelled": "close the link",
    "fold": "forget it: the other goes on in its place (6.5.3)",
    "vanish": "forget it, but for its id",
    "accept": "send ACCEPT; report open",
    "reject": "send REJECT, code 0; close the link",
    "say": "send CHAT",
    "refuse_to_say": "report undelivered",
    "hear": "report it, if its number is above all before",
    "be_accepted_late": "take note of it, if we had given the call up",
    "hear_late": "report it, if they talked and its number is above all before",
    "terminate": "send TERMINATE",
    "be_terminated": "send TERMINATED; close the link",
    "hang_up": "close the link",
}

CLIENT_INPUT_WORDS = {
    ClientInput.ENLIST: "the program wants to be entered",
    ClientInput.DEPART: "the program is done",
    ClientInput.REGISTERED: "REGISTERED",
    ClientInput.REFUSED: "REFUSED",
    ClientInput.ANSWER: "FOUND, INACTIVE or PAGE",
    ClientInput.NEWS: "ROSTER or STALE",
    ClientInput.ERASED: "ERASED",
    ClientInput.RETRY_DUE: "it is time to try again (6.4.3)",
    ClientInput.TIMEOUT: "5 s have passed",
    ClientInput.LINK_LOST: "the link has ended",
    ClientInput.REPLACED: "the link has ended, reason 128",
}

CLIENT_ACTION_WORDS = {
    "dial": "dial; send REGISTER",
    "go": "close the link, if there is one; report departed",
    "be_entered": "report it; ask what waits to be asked",
    "be_refused": "close the link; report it",
    "lose": "report it",
    "say_leave": "send LEAVE",
    "be_answered": "do with it what it was asked for",
    "pass_news": "report it",
    "be_replaced": "report it; forget the token",
}

Table: TypeAlias = dict[tuple[Any, Any], tuple[str, Any]]


def kinds_of(classes: list[Any]) -> str:
    rows = []
    for cls in sorted(classes, key=lambda one: one.KIND):
        who, _, words = " ".join(cls.__doc__.split()).partition(": ")
        rows.append([str(cls.KIND), NAMES[cls], who.lower(), words.rstrip(".")])
    return table(["kind", "name", "sent by", "what it says"], rows)


def codes_of(codes: type[IntEnum], file: str) -> str:
    words = dict(docs_of(SOURCE / "wire" / file, codes.__name__))
    rows = [[str(int(one)), one.name.lower().replace("_", "-"), words[one.name]] for one in codes]
    return table(["code", "name", "meaning"], rows)


def states_of(states: type[IntEnum], inputs: dict[Any, str]) -> str:
    words = dict(docs_of(SOURCE / "roles" / "peer_states.py", states.__name__))
    return (
        table(["state", "what it is"], [[one.name, words[one.name]] for one in states])
        + "\n\n"
        + table(["input", "what happens"], [[one.name, text] for one, text in inputs.items()])
    )


def rows_of(rows: Table, words: dict[str, str]) -> str:
    lines = [
        [state.name, what.name, words[action], "" if after == state else after.name]
        for (state, what), (action, after) in sorted(rows.items())
    ]
    return table(["state", "input", "what is done", "new state, if another"], lines)


PARTS: dict[str, Callable[[], str]] = {
    "registrykinds": lambda: kinds_of(REGISTRY_KINDS),
    "refusals": lambda: codes_of(Refusal, "registry.py"),
    "peerkinds": lambda: kinds_of(PEER_KINDS),
    "rejections": lambda: codes_of(Rejection, "peer.py"),
    "callstates": lambda: states_of(CallState, CALL_INPUT_WORDS),
    "calltable": lambda: rows_of(CALLS, CALL_ACTION_WORDS),
    "clientstates": lambda: states_of(ClientState, CLIENT_INPUT_WORDS),
    "clienttable": lambda: rows_of(CLIENT, CLIENT_ACTION_WORDS),
    "workedcall": worked_call.conversation,
}
