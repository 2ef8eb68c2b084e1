"""The kill matrix as a table."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from .layers import Layer
from .mutant import Mutant

MATRIX = Path(__file__).with_name("MATRIX.md")

HEAD = """\
# The kill matrix

Made by `python tests/mutants/run.py --write`; not to be edited. Each row is a bug that was put
into the library on purpose, and each column a layer of tests: **x** where a test of it failed,
**t** where it hung and was stopped, a dot where it noticed nothing, and nothing where it was not
run or has no tests for that area.
"""


class Verdict(Enum):
    """What a layer made of a bug."""

    KILLED = "killed"
    HANGS = "hangs"
    SURVIVES = "survives"


_MARKS = {Verdict.KILLED: "x", Verdict.HANGS: "t", Verdict.SURVIVES: "·"}


@dataclass(frozen=True)
class Row:
    """A bug, and what each layer that has tests for it made of it."""

    mutant: Mutant
    verdicts: dict[str, Verdict]

    @property
    def killers(self) -> int:
        """How many layers noticed it."""
        return sum(verdict is not Verdict.SURVIVES for verdict in self.verdicts.values())


def rows_of(matrix: str, mutants: tuple[Mutant, ...]) -> list[Row]:
    """Give the rows of a matrix, but for bugs that there are no more."""
    known = {f"`{one.name}`": one for one in mutants}
    verdict = {mark: verdict for verdict, mark in _MARKS.items()}
    rows, names = [], []
    for line in matrix.splitlines():
        cells = [cell.strip() for cell in line.split("|")][1:-1]
        if cells[:1] == ["bug"]:
            names = cells[3:]
        elif cells and cells[0] in known:
            marks = zip(names, cells[3:], strict=True)
            rows.append(Row(known[cells[0]], {name: verdict[m] for name, m in marks if m}))
    return rows


def render(rows: list[Row], layers: tuple[Layer, ...]) -> str:
    """Give the matrix in Markdown, with what the layers are and the sums.

    Layers that were run for none of the bugs are left out.
    """
    layers = tuple(one for one in layers if any(one.name in row.verdicts for row in rows))
    names = [layer.name for layer in layers]
    table = [
        f"| bug | what it breaks | rule | {' | '.join(names)} |",
        "| --- | --- | --- |" + " :-: |" * len(names),
    ]
    for row in rows:
        one = row.mutant
        marks = [_MARKS[row.verdicts[name]] if name in row.verdicts else "" for name in names]
        table.append(f"| `{one.name}` | {one.breaks} | {one.rule} | {' | '.join(marks)} |")
    return "\n".join([HEAD, *_about(layers, rows), "", *table, "", *_sums(rows), ""])


def _about(layers: tuple[Layer, ...], rows: list[Row]) -> list[str]:
    lines = []
    for layer in layers:
        verdicts = [row.verdicts[layer.name] for row in rows if layer.name in row.verdicts]
        killed = sum(verdict is not Verdict.SURVIVES for verdict in verdicts)
        lines.append(f"* *{layer.name}*: {layer.about}; finds {killed} of {len(verdicts)}")
    return lines


def _sums(rows: list[Row]) -> list[str]:
    found = sum(row.killers > 0 for row in rows)
    twice = sum(row.killers > 1 for row in rows)
    decoders = sum(row.mutant.area == "wire" for row in rows)
    return [
        f"{len(rows)} bugs, {decoders} of them in decoders:",
        f"{found} are found, {twice} by two layers or more.",
    ]
