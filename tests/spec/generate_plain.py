"""The generated parts of PROTOCOL.md, appendix A."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields

from generate_group import transitions
from tables import SOURCE, docs_of, number, table

from palaver.roles.plain.rules import DEFAULT_PLAIN_RULES, PlainRules
from palaver.roles.plain.states import TALK_TABLE, TalkInput, TalkState

PLAIN = SOURCE / "roles" / "plain"

INPUT_WORDS = {
    TalkInput.OPENED: "the stream that we open stands",
    TalkInput.TEXT: "a text came",
    TalkInput.EXIT: "the word `exit` came",
    TalkInput.SAY: "the program says something",
    TalkInput.LEAVE: "the program is done",
    TalkInput.ABORT: "the program breaks it off",
    TalkInput.HINT: "the network says that nobody is there",
    TalkInput.CUT: "the stream has ended, or could not be opened",
    TalkInput.RETRY: "it is time to open a stream again",
    TalkInput.LATE: "nothing has come in the time that the program gave",
    TalkInput.SILENT: "the peer has said nothing for too long",
    TalkInput.PARTED: "`exit` is sent, and nothing more is waited for",
}

ACTION_WORDS = {
    "open": "report that it is open",
    "plan_retry": "try again a little later",
    "retry": "open a stream",
    "hear": "report the text",
    "say": "send it when [T-6] and the stream allow",
    "refuse": "report undelivered",
    "note_hint": "take note of it",
    "tell_hint": "report it, once",
    "leave": "send `exit`; who was never answered waits for an ICMP message then",
    "part": "end the stream; report the end",
    "be_left": "end the stream; report that the peer has left",
    "be_cut": "report that the peer has left",
    "cancel": "report the end",
    "give_up": "end the stream; report that there was no answer",
    "break_off": "end the stream; report the end",
    "fade": "report that the peer is gone",
}


def states() -> str:
    docs = dict(docs_of(PLAIN / "states.py", "TalkState"))
    rows = [[state.name, docs[state.name]] for state in TalkState]
    happens = [[what.name, INPUT_WORDS[what]] for what in TalkInput]
    return table(["state", "what it is"], rows) + "\n\n" + table(["input", "what happens"], happens)


def rules() -> str:
    words = dict(docs_of(PLAIN / "rules.py", "PlainRules"))
    rows = [
        [f"`{one.name}`", number(getattr(DEFAULT_PLAIN_RULES, one.name)), words[one.name]]
        for one in fields(PlainRules)
    ]
    return table(["of plain text", "default", "meaning and reason"], rows)


PARTS: dict[str, Callable[[], str]] = {
    "talkstates": states,
    "talktable": lambda: transitions(TALK_TABLE, ACTION_WORDS),
    "plainrules": rules,
}
