"""Section 6.6 of PROTOCOL.md and the code say the same."""

from __future__ import annotations

import re
from pathlib import Path

import generate_group as words
import pytest
import worked_group

from palaver.roles.group.states import (
    HUB_TABLE,
    MEMBER_TABLE,
    MemberInput,
    SeatInput,
)
from palaver.wire.group import (
    ADMITTED,
    JOIN,
    MEMBERS,
    POST,
    RECEIPT,
    REFUSED,
)
from palaver.wire.group_log import LOG

SPEC = (Path(__file__).resolve().parents[2] / "PROTOCOL.md").read_text()
SECTION = SPEC.split("### 6.6 ")[1].split("\n## 7.")[0]


def test_words_exist_for_every_input_and_action() -> None:
    assert set(words.SEAT_INPUT_WORDS) == set(SeatInput)
    assert set(words.SEAT_ACTION_WORDS) == {action for action, _ in HUB_TABLE.values()}
    assert set(words.MEMBER_INPUT_WORDS) == set(MemberInput)
    assert set(words.MEMBER_ACTION_WORDS) == {action for action, _ in MEMBER_TABLE.values()}


def test_the_kinds_are_those_of_the_code() -> None:
    listed = re.findall(r"^\| (\d+) \| ([A-Z]+) \| (?:hub|member) \|", SECTION, re.MULTILINE)
    assert {name: int(kind) for kind, name in listed} == {
        "JOIN": JOIN,
        "POST": POST,
        "ADMITTED": ADMITTED,
        "REFUSED": REFUSED,
        "MEMBERS": MEMBERS,
        "LOG": LOG,
        "RECEIPT": RECEIPT,
    }


@pytest.mark.smoke
@pytest.mark.spec("U-1", "U-3", "U-5", "U-6", "U-7", "U-8", "U-9", "U-13")
def test_the_worked_messages_in_the_document_are_those_that_the_machines_send() -> None:
    blocks = re.findall(r"```hex\n(.*?)```", SECTION, re.DOTALL)
    printed = [bytes.fromhex(block) for block in blocks]
    assert printed == [message for _, _, message in worked_group.messages()]
    assert len(printed) == 16
