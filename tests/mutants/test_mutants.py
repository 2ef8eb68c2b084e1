"""The seeded bugs still fit the code. Whether the tests find them is shown by `run.py`."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from mutants.all_mutants import MUTANTS
from mutants.layers import LAYERS, ROOT, files_of
from mutants.matrix import rows_of
from mutants.mutant import Area, Mutant

SOURCE = ROOT / "src" / "palaver"
each = pytest.mark.parametrize("mutant", MUTANTS, ids=[mutant.name for mutant in MUTANTS])


@each
def test_each_bug_has_its_one_place_and_is_a_program(mutant: Mutant) -> None:
    source = (SOURCE / mutant.file).read_text()
    changed = mutant.apply(source)
    assert ast.dump(ast.parse(changed)) != ast.dump(ast.parse(source))


def test_there_are_many_and_few_of_them_are_in_decoders() -> None:
    assert len(MUTANTS) >= 40
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)
    assert sum(mutant.area == "wire" for mutant in MUTANTS) <= 10


@each
def test_each_bug_names_a_rule_that_there_is(mutant: Mutant) -> None:
    text = (ROOT / "PROTOCOL.md").read_text()
    if mutant.rule == "machine.py":
        assert "after a tick" in mutant.breaks or "a clone" in mutant.breaks
    elif mutant.rule[0].isupper():
        assert f"**[{mutant.rule}]**" in text
    else:
        assert re.search(rf"^##+ (.*, )?{re.escape(mutant.rule)}[. ]", text, re.MULTILINE)


def test_a_text_that_is_not_there_once_is_no_place_for_a_bug() -> None:
    mutant = Mutant("x", "link", "f.py", "old", "new", "nothing", "D-1")
    assert mutant.apply("an old one") == "an new one"
    for source in ("none", "old and old"):
        with pytest.raises(ValueError, match="times"):
            mutant.apply(source)


def test_each_layer_has_tests_for_some_area_and_they_are_there() -> None:
    for layer in LAYERS:
        assert layer.tests, layer.name
        for area in layer.tests:
            for path in files_of(layer, area, ROOT):
                assert Path(ROOT, path.split("::")[0]).exists(), path


def test_the_matrix_has_a_row_for_each_bug() -> None:
    matrix = (ROOT / "tests" / "mutants" / "MATRIX.md").read_text()
    rows = [line.split("|")[1].strip() for line in matrix.splitlines() if line.startswith("| `")]
    assert rows == [f"`{mutant.name}`" for mutant in MUTANTS]


def test_the_matrix_has_a_column_for_each_layer() -> None:
    matrix = (ROOT / "tests" / "mutants" / "MATRIX.md").read_text()
    head = next(line for line in matrix.splitlines() if line.startswith("| bug |"))
    columns = [cell.strip() for cell in head.strip("|").split("|")]
    assert columns == ["bug", "what it breaks", "rule", *(layer.name for layer in LAYERS)]


def test_each_area_has_bugs_and_each_bug_was_found_by_some_layer() -> None:
    assert {mutant.area for mutant in MUTANTS} == set(get_args(Area))
    matrix = (ROOT / "tests" / "mutants" / "MATRIX.md").read_text()
    for row in rows_of(matrix, MUTANTS):
        assert row.killers, row.mutant.name


def test_a_layer_that_there_is_not_is_refused_and_nothing_is_run() -> None:
    command = [sys.executable, "tests/mutants/run.py", "--trust", "--layer", "nonsense"]
    finished = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert finished.returncode == 2
    assert "nonsense" in finished.stderr
    assert "decoder" in finished.stderr
    assert finished.stdout == ""
