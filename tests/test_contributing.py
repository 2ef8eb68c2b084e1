"""CONTRIBUTING.md names every chore, and nothing that is not there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
CODE = re.findall(r"`([^`\n]+)`", (ROOT / "CONTRIBUTING.md").read_text())


@pytest.mark.smoke
def test_each_file_that_is_named_is_there() -> None:
    named = {word for code in CODE for word in code.split() if re.search(r"\w/\w|\.(py|md)$", word)}
    files = {word for word in named if not word.startswith((".venv/", ".ci/work"))}
    assert len(files) > 15
    homes = (ROOT, *(ROOT / "tests" / name for name in ("fuzz", "mutants", "explore")))
    assert [name for name in files if not any((home / name).exists() for home in homes)] == []


@pytest.mark.smoke
def test_each_benchmark_has_a_chore() -> None:
    programs = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "benchmarks").glob("*.py")
        if '__name__ == "__main__"' in path.read_text()
    }
    assert len(programs) > 5
    assert programs == {code.split()[1] for code in CODE if " benchmarks/" in code}
