"""What the generated parts of PROTOCOL.md are made with."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "palaver"


def docs_of(path: Path, scope: str | None) -> Iterator[tuple[str, str]]:
    """Give the names assigned in a class (or module) of a file, with the docstring after each."""
    body: list[ast.stmt] = ast.parse(path.read_text()).body
    if scope is not None:
        (found,) = [node for node in body if isinstance(node, ast.ClassDef) and node.name == scope]
        body = found.body
    for node, after in pairwise(body):
        if isinstance(node, ast.AnnAssign):
            target: ast.expr = node.target
        elif isinstance(node, ast.Assign):
            target = node.targets[0]
        else:
            continue
        if isinstance(target, ast.Name) and isinstance(after, ast.Expr):
            doc = after.value
            if isinstance(doc, ast.Constant) and isinstance(doc.value, str):
                yield target.id, " ".join(doc.value.split())


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"
