"""Appendix A of PROTOCOL.md and the code say the same."""

from __future__ import annotations

import re
from pathlib import Path

import generate_plain as words

from palaver.roles.plain.rules import DEFAULT_PLAIN_RULES
from palaver.roles.plain.states import TALK_TABLE, TalkInput
from palaver.wire.plain import MAX_NAME

SPEC = (Path(__file__).resolve().parents[2] / "PROTOCOL.md").read_text()
APPENDIX = SPEC.split("## Appendix A.")[1].split("### A.5")[0]


def test_words_exist_for_every_input_and_action() -> None:
    assert set(words.INPUT_WORDS) == set(TalkInput)
    assert set(words.ACTION_WORDS) == {action for action, _ in TALK_TABLE.values()}


def test_the_numbers_in_the_text_are_those_of_the_rules() -> None:
    prose = " ".join(APPENDIX.split())
    rules = DEFAULT_PLAIN_RULES
    for number, unit in [
        (rules.text, "bytes"),
        (rules.piece, "bytes is taken in pieces"),
        (rules.answers, "datagrams with"),
        (rules.answer_bytes, "bytes of text for each datagram"),
        (rules.members, "to 16 of one host"),
        (rules.members_per_host, "of one host"),
        (rules.newcomers, "newcomers per second"),
        (rules.posts, "texts per second"),
        (rules.members - 1, "datagrams to others"),
        (MAX_NAME, "bytes"),
    ]:
        assert re.search(rf"\b{number:,}\b[^.]{{0,30}}{unit}", prose), (number, unit)
    for seconds in (rules.pause, rules.silence, rules.yields_after):
        assert f"{seconds:g} s" in prose
    assert rules.answers_kept == 4
    assert "four datagrams" in prose
