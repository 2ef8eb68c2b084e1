"""Make the generated parts of PROTOCOL.md from the code.

python tests/spec/generate.py           # say whether they are up to date
python tests/spec/generate.py --write   # bring them up to date
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable

import generate_group
import generate_plain
import role_parts
import worked
import worked_twins
from tables import ROOT, SOURCE, docs_of, number, table

from palaver import timing
from palaver.link.states import STATE_TIMER, TABLE, Input, State
from palaver.wire import frames
from palaver.wire.errors import Reason
from palaver.wire.packets import Kind

SPEC = ROOT / "PROTOCOL.md"

KIND_WORDS = {
    Kind.HELLO: "asks for a link (4.1)",
    Kind.COOKIE: "asks the caller to prove its address (4.5)",
    Kind.WELCOME: "answers HELLO (4.2)",
    Kind.REFUSE: "turns HELLO down (4.4)",
    Kind.DATA: "carries frames on a link (3.3)",
    Kind.RESET: "says that a link is unknown (8.6)",
}

FRAME_WORDS = [
    ("SEGMENT", "5.1", "yes"),
    ("FRAGMENT", "5.2", "yes"),
    ("ACK", "5.3", "no"),
    ("PING", "5.4", "yes"),
    ("PATH_CHALLENGE", "5.5", "yes"),
    ("PATH_RESPONSE", "5.6", "yes"),
    ("CLOSE", "5.7", "no"),
]

INPUT_WORDS = {
    Input.SEND: "the program sends a message",
    Input.FINISH: "the program says that it will send no more",
    Input.LEAVE: "the program is done",
    Input.ABORT: "the program gives the link up",
    Input.PAUSE: "the program wants no messages for now",
    Input.RESUME: "the program wants messages again",
    Input.HELLO: "a HELLO of this link's caller",
    Input.COOKIE: "a COOKIE",
    Input.WELCOME: "a WELCOME that chose what was offered",
    Input.REFUSE: "a REFUSE",
    Input.DATA: "a fresh DATA packet with a valid tag",
    Input.RESET: "a RESET that names a packet in flight",
    Input.FIN: "FIN was handed over",
    Input.BYE: "BYE was handed over",
    Input.CLOSE: "a CLOSE frame",
    Input.VIOLATION: "the peer broke a rule, or the numbers are used up",
    Input.HELLO_DUE: "it is time for a HELLO (4.3)",
    Input.NO_ANSWER: "the time that the program allowed has passed",
    Input.EXPIRED: "the half-open link has had its time (8.5)",
    Input.DEAD: "silence for too long (8.3)",
    Input.FLUSH_TIMEOUT: "the close took too long (8.4)",
    Input.LINGERED: "the time to repeat acknowledgements is over (8.4)",
    Input.FLUSHED: "all was delivered that the state waits for (8.4)",
    Input.EXHAUSTED: "the numbers are nearly used up (8.4)",
    Input.CROWDED: "DATA, but the last free place has gone (4.4)",
    Input.CUT: "the stream has ended (8.9)",
}

ACTION_WORDS = {
    "queue": "queue it",
    "say_fin": "queue FIN, once",
    "cancel": "report undelivered and closed (65)",
    "pause": "hold messages back (7.7)",
    "resume": "hand over what was held back",
    "present_cookie": "repeat HELLO with it, at once",
    "be_welcomed": "report opened; send the messages that wait, or PING",
    "be_refused": "report undelivered and closed, with its reason",
    "send_hello": "send HELLO",
    "give_up": "report undelivered and closed (64)",
    "repeat_welcome": "send the WELCOME",
    "accept": "report opened; take the packet",
    "turn_away": "send CLOSE (4)",
    "vanish": "forget the link",
    "say_bye": "queue BYE; hand over what was held back",
    "abort": "send CLOSE; report undelivered and closed",
    "receive": "take the packet",
    "be_reset": "report undelivered and closed (66)",
    "be_cut_off": "report undelivered and closed (68)",
    "note_fin": "report finished",
    "answer_bye": "queue BYE; acknowledge with every packet",
    "note_bye": "acknowledge with every packet",
    "be_closed": "report undelivered and closed, with its reason",
    "fail": "send CLOSE with the reason; report undelivered and closed",
    "refuse_to_queue": "report undelivered",
    "linger": "report closed",
    "tell_closed": "report closed",
    "rest": "forget the link, but for a last ACK (8.7)",
}


def kinds() -> str:
    rows = [[f"`{kind:02x}`", kind.name, KIND_WORDS[kind]] for kind in Kind]
    return table(["kind", "name", "what it does"], rows)


def frame_types() -> str:
    rows = [
        [f"`{getattr(frames, name):02x}`", name.replace("_", " "), section, eliciting]
        for name, section, eliciting in FRAME_WORDS
    ]
    return table(["type", "name", "section", "ack-eliciting"], rows)


def states() -> str:
    words = dict(docs_of(SOURCE / "link" / "states.py", "State"))
    rows = []
    for state in State:
        timer = STATE_TIMER.get(state)
        rows.append([state.name, words[state.name], timer.name if timer is not None else ""])
    inputs = [[what.name, INPUT_WORDS[what]] for what in Input]
    return (
        table(["state", "what it is", "its timer's input"], rows)
        + "\n\n"
        + table(["input", "what happens"], inputs)
    )


def transitions() -> str:
    rows = []
    for (state, what), (action, after) in sorted(TABLE.items()):
        rows.append(
            [state.name, what.name, ACTION_WORDS[action], "" if after == state else after.name]
        )
    return table(["state", "input", "what is done", "new state, if another"], rows)


def diagram() -> str:
    edges: dict[tuple[State, State], list[str]] = {}
    for (state, what), (_, after) in sorted(TABLE.items()):
        if after != state:
            edges.setdefault((state, after), []).append(what.name)
    lines = ["```mermaid", "stateDiagram-v2", "    [*] --> CALLING", "    [*] --> WELCOMED"]
    lines += [f"    {a.name} --> {b.name}: {', '.join(names)}" for (a, b), names in edges.items()]
    return "\n".join([*lines, "    CLOSED --> [*]", "```"])


def reasons() -> str:
    words = dict(docs_of(SOURCE / "wire" / "errors.py", "Reason"))
    rows = [[str(int(one)), one.name.lower().replace("_", "-"), words[one.name]] for one in Reason]
    return table(["code", "name", "meaning"], rows)


def parameters(scope: str) -> str:
    values = {"Timing": timing.DEFAULT_TIMING, "Limits": timing.DEFAULT_LIMITS}[scope]
    rows = [
        [f"`{name}`", number(getattr(values, name)), doc]
        for name, doc in docs_of(SOURCE / "timing.py", scope)
    ]
    return table([scope.lower(), "default", "meaning and reason"], rows)


CONSTANTS = {
    "VERSION": "the version of this document",
    "MIN_MTU": "every peer takes datagrams of this size; the least size of a HELLO",
    "MAX_MTU": "the largest payload of a UDP datagram over IPv4",
    "MAX_MESSAGE": "kind and body of one message",
    "SEGMENT_CHARGE": "what a segment costs beyond its data",
    "CREDIT_RESERVE": "held free beyond the window for FIN and BYE",
    "MIN_CREDIT": "the least first credit",
    "REPLAY_WINDOW": "packet numbers that are remembered",
    "MAX_RECORD": "the largest packet on a stream (8.9)",
    "MAX_NUMBER": "the last packet number, and the last segment number",
}


def constants() -> str:
    rows = [
        [f"`{name}`", number(getattr(timing, name)), words] for name, words in CONSTANTS.items()
    ]
    return table(["constant of the wire", "value", "meaning"], rows)


PARTS: dict[str, Callable[[], str]] = {
    "kinds": kinds,
    "frames": frame_types,
    "states": states,
    "table": transitions,
    "diagram": diagram,
    "reasons": reasons,
    "timing": lambda: parameters("Timing"),
    "limits": lambda: parameters("Limits"),
    "constants": constants,
    "worked": worked.conversation,
    **role_parts.PARTS,
    **generate_group.PARTS,
    "twins": worked_twins.crossing,
    **generate_plain.PARTS,
}

_PART = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def generate(text: str) -> str:
    """Give the text of PROTOCOL.md with its generated parts made anew."""
    return _PART.sub(lambda part: f"{part[1]}{PARTS[part[2]]()}\n{part[3]}", text)


def main() -> int:
    text = SPEC.read_text()
    made = generate(text)
    if "--write" in sys.argv:
        SPEC.write_text(made)
    elif made != text:
        sys.stderr.write("PROTOCOL.md is out of date; call this with --write\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
