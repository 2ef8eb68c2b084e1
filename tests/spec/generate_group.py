"""The generated parts of PROTOCOL.md, section 6.6."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from enum import IntEnum
from pathlib import Path
from typing import TypeVar

import worked_group
from tables import docs_of, number, table

from palaver.roles.group.rules import DEFAULT_HUB_RULES, DEFAULT_MEMBER_RULES, HubRules, MemberRules
from palaver.roles.group.states import (
    HUB_TABLE,
    MEMBER_TABLE,
    MemberInput,
    MemberState,
    SeatInput,
    SeatState,
)
from palaver.wire.group import JoinRefusal

State = TypeVar("State", bound=IntEnum)
Input = TypeVar("Input", bound=IntEnum)

SOURCE = Path(__file__).resolve().parents[2] / "src" / "palaver"
GROUP = SOURCE / "roles" / "group"

SEAT_INPUT_WORDS = {
    SeatInput.JOIN: "a JOIN of somebody new who can be admitted",
    SeatInput.RETURN: "a JOIN with its token, on another link",
    SeatInput.REFUSE: "a JOIN of somebody who can't be admitted",
    SeatInput.LATE: "there was no JOIN in time",
    SeatInput.POST: "a POST",
    SeatInput.ACKNOWLEDGED: "it has acknowledged an entry, and so all before it",
    SeatInput.FULL: "its link takes no more for now",
    SeatInput.ROOM: "its link takes something again",
    SeatInput.OVERRUN: "the log has lost the entry that it needs next",
    SeatInput.LEFT: "its link has ended: it said so",
    SeatInput.LOST: "its link has ended otherwise",
    SeatInput.FORGET: "it was away for too long, its name went, or its link goes to another",
    SeatInput.CONTEST: "a JOIN for the name of a member whom nobody else contests",
    SeatInput.SILENT: "somebody asks for its name, and its link has shown no life in time",
}

SEAT_ACTION_WORDS = {
    "admit": "send ADMITTED and MEMBERS; log JOINED (new)",
    "refuse": "send REFUSED and BYE",
    "dismiss": "send CLOSE (134)",
    "forget": "forget it",
    "take_over": "send CLOSE (133) on the old link; send ADMITTED, and what it has missed",
    "publish": "log the post, unless its id is not new",
    "count": "count it for the authors",
    "fall_behind": "let the log keep what it needs",
    "see_off": "log LEFT (said so)",
    "miss": "log LEFT (lost); remember it",
    "contest": "ask that member's link for a sign of life (U-19)",
    "bury": "send CLOSE (11); log LEFT (lost); remember it",
    "catch_up": "send what it needs, as much as its link takes",
    "drop": "send CLOSE (13); log LEFT (dropped); remember it",
    "readmit": "send ADMITTED, and what it has missed; log JOINED (back again)",
}

MEMBER_INPUT_WORDS = {
    MemberInput.POST: "the program posts",
    MemberInput.LEAVE: "the program is done",
    MemberInput.ABORT: "the program gives it up",
    MemberInput.ADMITTED: "ADMITTED",
    MemberInput.REFUSED: "REFUSED",
    MemberInput.MEMBERS: "MEMBERS",
    MemberInput.LOG: "LOG",
    MemberInput.RECEIPT: "RECEIPT",
    MemberInput.LOST: "the link has ended, with a reason after which one may come back (U-17)",
    MemberInput.ENDED: "the link has ended with any other reason",
    MemberInput.REDIAL: "it is time to call again",
    MemberInput.GIVE_UP: "it has taken too long",
    MemberInput.LATE: "the link is open, and the hub has not said what it must in time",
    MemberInput.COMPLETE: "all names have come that ADMITTED announced",
    MemberInput.DRAINED: "the hub has taken all posts",
}

MEMBER_ACTION_WORDS = {
    "keep": "keep the post",
    "give_up": "end the link, if there is one; report undelivered and the end",
    "be_admitted": "take note of it; report a gap, if there is one",
    "be_refused": "send BYE; report the refusal, undelivered and the end",
    "end": "report undelivered and the end",
    "meet": "take note of the names",
    "enter": "report that we are in; send the posts that are kept (U-16)",
    "post": "send the post, or keep it until the link takes it",
    "finish": "wait until the hub has taken all posts",
    "follow": "tell of the entries",
    "note_receipt": "tell how far posts have come",
    "lose": "report it; call again a little later",
    "wait": "call again later",
    "redial": "call, and send JOIN with the token",
    "hang_up": "send CLOSE (134): the link is lost",
    "refuse_post": "report undelivered",
    "say_bye": "send BYE",
}


def refusals() -> str:
    words = dict(docs_of(SOURCE / "wire" / "group.py", "JoinRefusal"))
    rows = [
        [str(int(one)), one.name.lower().replace("_", "-"), words[one.name]] for one in JoinRefusal
    ]
    return table(["reason", "name", "meaning"], rows)


def rules(kind: type[HubRules | MemberRules], head: str) -> str:
    defaults = DEFAULT_HUB_RULES if kind is HubRules else DEFAULT_MEMBER_RULES
    words = dict(docs_of(GROUP / "rules.py", kind.__name__))
    rows = [
        [f"`{one.name}`", number(getattr(defaults, one.name)), words[one.name]]
        for one in fields(kind)
    ]
    return table([head, "default", "meaning and reason"], rows)


def states(kind: type[State], inputs: type[Input], words: dict[Input, str]) -> str:
    docs = dict(docs_of(GROUP / "states.py", kind.__name__))
    rows = [[state.name, docs[state.name]] for state in kind]
    happens = [[what.name, words[what]] for what in inputs]
    return table(["state", "what it is"], rows) + "\n\n" + table(["input", "what happens"], happens)


def transitions(rows: dict[tuple[State, Input], tuple[str, State]], words: dict[str, str]) -> str:
    lines = [
        [state.name, what.name, words[action], "" if after == state else after.name]
        for (state, what), (action, after) in sorted(rows.items())
    ]
    return table(["state", "input", "what is done", "new state, if another"], lines)


PARTS: dict[str, Callable[[], str]] = {
    "joinrefusals": refusals,
    "hubrules": lambda: rules(HubRules, "of a hub"),
    "memberrules": lambda: rules(MemberRules, "of a member"),
    "hubstates": lambda: states(SeatState, SeatInput, SEAT_INPUT_WORDS),
    "hubtable": lambda: transitions(HUB_TABLE, SEAT_ACTION_WORDS),
    "memberstates": lambda: states(MemberState, MemberInput, MEMBER_INPUT_WORDS),
    "membertable": lambda: transitions(MEMBER_TABLE, MEMBER_ACTION_WORDS),
    "groupworked": worked_group.conversation,
}
