"""The core does no I/O, and its layers know only those below them: read off its source."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "src" / "palaver"
MODULES = sorted(ROOT.rglob("*.py"))
NAMES = [str(path.relative_to(ROOT)) for path in MODULES]

# What the core uses of the standard library, none of which does I/O, reads a clock or draws
# randomness. To add to it is a decision.
ALLOWED = {
    "__future__",
    "bisect",
    "collections",
    "dataclasses",
    "enum",
    "hashlib",
    "heapq",
    "itertools",
    "struct",
    "typing",
    "unicodedata",
    "zlib",
}
FOR_TYPES_ONLY = {"typing_extensions"}
FORBIDDEN = {
    "asyncio",
    "datetime",
    "logging",
    "os",
    "random",
    "secrets",
    "select",
    "selectors",
    "signal",
    "socket",
    "subprocess",
    "sys",
    "threading",
    "time",
    "uuid",
}
FORBIDDEN_CALLS = {
    "__import__",
    "breakpoint",
    "compile",
    "eval",
    "exec",
    "exit",
    "globals",
    "input",
    "open",
    "print",
    "quit",
}

# A module imports from its own layer or from those before it.
LAYERS = ["base", "wire", "link", "roles", "sim"]
BASE = {"machine", "values", "timing", "entropy"}

MUTATORS = {
    "add",
    "append",
    "appendleft",
    "clear",
    "discard",
    "extend",
    "insert",
    "pop",
    "popitem",
    "popleft",
    "remove",
    "reverse",
    "setdefault",
    "sort",
    "update",
}

MOST_LINES = 450
MOST_LINES_OF_FUNCTION = 60

each_module = pytest.mark.parametrize("path", MODULES, ids=NAMES)


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def dotted_name(path: Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(path: Path) -> Iterator[tuple[str, int]]:
    """Give the absolute names of the modules that are imported, and where."""
    package = dotted_name(path).split(".")
    if path.name != "__init__.py":
        package.pop()
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if node.level:
                base = package[: len(package) - node.level + 1]
                module = ".".join([*base, module] if module else base)
            if is_package(module):
                for alias in node.names:
                    yield f"{module}.{alias.name}", node.lineno
            else:
                yield module, node.lineno


def lines_for_types_only(path: Path) -> set[int]:
    """Give the lines of what stands under `if TYPE_CHECKING:`."""
    return {
        inner.lineno
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.If)
        and isinstance(node.test, ast.Name)
        and node.test.id == "TYPE_CHECKING"
        for inner in node.body
    }


def is_package(module: str) -> bool:
    return (ROOT.parent / module.replace(".", "/")).is_dir()


def layer_of(module: str) -> str:
    """Give the layer of a module within `palaver`."""
    _, _, rest = module.partition(".")
    first = rest.split(".")[0]
    if first in BASE:
        return "base"
    assert first in LAYERS, f"{module} belongs to no layer that this test knows"
    return first


def functions_of(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node


def bound_names(function: ast.AST) -> set[str]:
    """Give the names that a function binds, as arguments or by assignment."""
    bound = {node.arg for node in ast.walk(function) if isinstance(node, ast.arg)}
    for node in ast.walk(function):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            bound.add(node.id)
    return bound


def changes_in(function: ast.AST) -> Iterator[tuple[str, int]]:
    """Give the names of the objects that a function changes in place, as far as can be seen."""
    for node in ast.walk(function):
        if isinstance(node, (ast.Subscript, ast.Attribute)):
            if isinstance(node.ctx, (ast.Store, ast.Del)) and isinstance(node.value, ast.Name):
                yield node.value.id, node.lineno
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            target = node.func.value
            if isinstance(target, ast.Name) and node.func.attr in MUTATORS:
                yield target.id, node.lineno


def module_level_names(tree: ast.Module) -> set[str]:
    names: set[str] = set()
    for statement in tree.body:
        targets: list[ast.expr] = []
        if isinstance(statement, ast.Assign):
            targets = statement.targets
        elif isinstance(statement, ast.AnnAssign):
            targets = [statement.target]
        for target in targets:
            names |= {node.id for node in ast.walk(target) if isinstance(node, ast.Name)}
    return names


@pytest.mark.smoke
def test_there_are_modules_to_look_at() -> None:
    assert {"machine.py", "link/link.py", "roles/duo.py", "sim/network.py"} <= set(NAMES)
    assert not ALLOWED & FORBIDDEN
    assert set(dir(builtins)) >= FORBIDDEN_CALLS - {"exit", "quit"}


@pytest.mark.smoke
@each_module
def test_a_module_imports_nothing_that_does_io_reads_a_clock_or_draws_randomness(
    path: Path,
) -> None:
    for module, line in imports_of(path):
        top = module.split(".")[0]
        if top == "palaver":
            continue
        allowed = ALLOWED | (FOR_TYPES_ONLY if line in lines_for_types_only(path) else set())
        assert top not in FORBIDDEN, f"{path}:{line}: {module} has no place in the core"
        assert top in allowed, f"{path}:{line}: is {module} free of I/O? Then add it to ALLOWED"


@each_module
def test_a_module_calls_no_builtin_that_does_io_or_depends_on_the_process(path: Path) -> None:
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in FORBIDDEN_CALLS, f"{path}:{node.lineno}: {node.func.id}()"


@pytest.mark.smoke
@each_module
def test_a_module_imports_only_from_its_layer_and_those_below(path: Path) -> None:
    if path == ROOT / "__init__.py":  # gathers the public names
        for module, line in imports_of(path):
            is_sim = module.startswith("palaver.sim")
            assert not is_sim, f"{path}:{line}: the core must not depend on the simulator"
        return
    own = LAYERS.index(layer_of(dotted_name(path)))
    for module, line in imports_of(path):
        if not module.startswith("palaver"):
            continue
        assert module.split(".")[0] == "palaver", f"{path}:{line}: {module} is a driver"
        theirs = LAYERS.index(layer_of(module))
        assert theirs <= own, f"{path}:{line}: {LAYERS[own]} imports {module}"


@each_module
def test_no_module_has_state_that_its_functions_change(path: Path) -> None:
    tree = tree_of(path)
    shared = module_level_names(tree)
    for function in functions_of(tree):
        for node in ast.walk(function):
            assert not isinstance(node, ast.Global), f"{path}:{node.lineno}: global"
        for name, line in changes_in(function):
            if name not in bound_names(function):
                assert name not in shared, f"{path}:{line}: changes {name}, which all share"


@each_module
def test_no_file_is_too_long(path: Path) -> None:
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= MOST_LINES, f"{path} has {lines} lines; {MOST_LINES} are allowed"


@each_module
def test_no_function_is_too_long(path: Path) -> None:
    for function in functions_of(tree_of(path)):
        lines = (function.end_lineno or function.lineno) - function.lineno + 1
        assert lines <= MOST_LINES_OF_FUNCTION, f"{path}: {function.name} has {lines} lines"
