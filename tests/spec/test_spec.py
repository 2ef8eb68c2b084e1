"""PROTOCOL.md and the code say the same, and every rule in it has a test that cites it."""

from __future__ import annotations

import re
from hashlib import blake2s
from pathlib import Path

import generate
import pytest
import role_parts
import worked
import worked_call
import worked_twins

from palaver.link.states import TABLE, Input
from palaver.roles.peer_states import CALLS, CLIENT, CallInput, ClientInput
from palaver.wire.packets import Kind

ROOT = Path(__file__).resolve().parents[2]
SPEC = (ROOT / "PROTOCOL.md").read_text()
RULES = re.findall(r"^\*\*\[([A-Z]-\d+)\]\*\*", SPEC, re.MULTILINE)


def cited_rules() -> dict[str, list[str]]:
    """Give, for each rule that a test marks with `spec`, the files that do."""
    cited: dict[str, list[str]] = {}
    for path in sorted((ROOT / "tests").rglob("*.py")):
        for arguments in re.findall(r"mark\.spec\(([^)]*)\)", path.read_text()):
            for rule in re.findall(r'"([A-Z]-\d+)"', arguments):
                cited.setdefault(rule, []).append(path.name)
    return cited


@pytest.mark.smoke
def test_the_generated_parts_are_what_the_code_makes() -> None:
    assert generate.generate(SPEC) == SPEC, "run: python tests/spec/generate.py --write"


def test_every_part_that_can_be_generated_is_in_the_document_once() -> None:
    assert sorted(re.findall(r"<!-- generated: (\w+) -->", SPEC)) == sorted(generate.PARTS)


def test_rules_are_numbered_once_and_without_gaps_in_each_group() -> None:
    groups: dict[str, list[int]] = {}
    for rule in RULES:
        letter, number = rule.split("-")
        groups.setdefault(letter, []).append(int(number))
    assert groups
    for letter, numbers in groups.items():
        assert sorted(numbers) == list(range(1, len(numbers) + 1)), letter


def test_every_capital_must_stands_in_a_numbered_rule() -> None:
    prose = re.sub(r"<!-- generated.*?<!-- end -->", "", SPEC, flags=re.DOTALL)
    for paragraph in re.split(r"\n\s*\n|\n(?=\*\*\[)", prose):
        if "MUST" in paragraph and "RFC 2119" not in paragraph:
            assert paragraph.startswith("**["), paragraph


def test_every_rule_is_cited_by_a_test() -> None:
    missing = sorted(set(RULES) - set(cited_rules()))
    assert not missing, f"no test cites {missing}"


def test_no_test_cites_a_rule_that_is_not_there() -> None:
    unknown = {rule: files for rule, files in cited_rules().items() if rule not in RULES}
    assert not unknown


def test_references_between_rules_lead_somewhere() -> None:
    assert set(re.findall(r"\[([A-Z]-\d+)", SPEC)) <= set(RULES)


def test_words_exist_for_every_kind_input_and_action() -> None:
    assert set(generate.KIND_WORDS) == set(Kind)
    assert set(generate.INPUT_WORDS) == set(Input)
    assert set(generate.ACTION_WORDS) == {action for action, _ in TABLE.values()}


@pytest.mark.smoke
def test_the_worked_datagrams_in_the_document_are_those_that_the_machines_send() -> None:
    section = SPEC.split("## 13.")[1]
    printed = [
        bytes.fromhex(block) for block in re.findall(r"```hex\n(.*?)```", section, re.DOTALL)
    ]
    assert printed == [data for _, _, data in worked.datagrams()]
    assert len(printed) == 7


@pytest.mark.smoke
def test_the_worked_messages_in_the_document_are_those_that_registry_and_peers_send() -> None:
    section = SPEC.split("#### 6.5.6")[1].split("### 6.6")[0]
    printed = [
        bytes.fromhex(block) for block in re.findall(r"```hex\n(.*?)```", section, re.DOTALL)
    ]
    assert printed == [data for _, _, data in worked_call.messages()]
    assert len(printed) == 20


def test_words_exist_for_every_input_and_action_of_calls_and_clients() -> None:
    assert set(role_parts.CALL_INPUT_WORDS) == set(CallInput)
    assert set(role_parts.CALL_ACTION_WORDS) == {action for action, _ in CALLS.values()}
    assert set(role_parts.CLIENT_INPUT_WORDS) == set(ClientInput)
    assert set(role_parts.CLIENT_ACTION_WORDS) == {action for action, _ in CLIENT.values()}


def test_modules_cite_sections_that_exist() -> None:
    sections = set(re.findall(r"^#{2,4} ([\d.]+?)\.? ", SPEC, re.MULTILINE))
    sections |= {"5.2", "5.6"}
    for path in (ROOT / "src").rglob("*.py"):
        for cited in re.findall(r"PROTOCOL\.md, sections? ([\d., and]+)", path.read_text()):
            for section in re.findall(r"\d+(?:\.\d+)*", cited):
                assert section in sections, f"{path.name} cites section {section}"


@pytest.mark.spec("M-7", "M-8")
def test_the_proofs_of_the_worked_crossing_are_those_of_its_ids() -> None:
    example = worked_twins.crossing()
    ids = dict(re.findall(r"^\| (\w+)'s \| (`\w+` \| `\w+`) \|$", example, re.MULTILINE))
    pairs = {name: bytes.fromhex("".join(re.findall(r"`(\w+)`", ids[name]))) for name in ids}
    for who, other in (("Ann", "Bob"), ("Bob", "Ann")):
        proof = blake2s(pairs[who] + pairs[other], digest_size=16).hexdigest()
        assert f"| {who} | {who}'s | TWIN `{proof}` |" in example
        assert f"| {other} | {who}'s | SAME 1 `{proof}` |" in example
