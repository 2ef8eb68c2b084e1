"""Apply each seeded bug in turn and show which layers of tests find it: the kill matrix.

    python tests/mutants/run.py [NAME ...] [--jobs 2] [--layer NAME ...] [--write] [--trust]

NAME is a bug or the beginning of its name, or an area (wire, traffic, link, call, registry, group,
duo, plain);
without any, all are run. The bugs are put into copies of the tree below a temporary directory.
First each layer is run without a bug: one that does not pass then proves nothing; `--trust` leaves
that out. `--write` renews MATRIX.md bug by bug, for the bugs and layers that were run. The exit
code is 1 if a bug was found by no layer.
"""

from __future__ import annotations

import argparse
import os
import queue
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from typing import TypeAlias

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mutants.all_mutants import MUTANTS
from mutants.layers import LAYERS, ROOT, Layer, files_of
from mutants.matrix import MATRIX, Row, Verdict, render, rows_of
from mutants.mutant import Area, Mutant

Allowed: TypeAlias = dict[tuple[str, Area], float]

COPIED = ("src", "adapters", "tests", "examples", "pyproject.toml", "PROTOCOL.md", "README.md")
LEAST_TIMEOUT = 60.0  # seconds for a layer on a bug, at least
SLOWER = 8  # times as long as without a bug may a layer take; then it hangs
BASELINE_TIMEOUT = 900.0
TRUSTED_TIMEOUT = 240.0
MOST_MEMORY = 4 << 30  # bytes: a bug that forgets to forget must not take the machine with it


@dataclass(frozen=True)
class Outcome:
    """How a layer of tests ended."""

    verdict: Verdict
    seconds: float
    test: str = ""


@contextmanager
def copies(count: int) -> Iterator[queue.SimpleQueue[Path]]:
    """Give that many copies of the tree, which are gone afterwards."""
    free: queue.SimpleQueue[Path] = queue.SimpleQueue()
    with tempfile.TemporaryDirectory(prefix="mutants-", ignore_cleanup_errors=True) as directory:
        for number in range(count):
            copy = Path(directory, str(number))
            copy.mkdir()
            for name in COPIED:
                if (ROOT / name).is_dir():
                    ignore = shutil.ignore_patterns("__pycache__", "*.egg-info")
                    shutil.copytree(ROOT / name, copy / name, ignore=ignore)
                else:
                    shutil.copy(ROOT / name, copy / name)
            free.put(copy)
        yield free


def put(tree: Path, mutant: Mutant, source: str) -> None:
    """Write the file of a bug, and throw away what was compiled from it."""
    path = tree / "src" / "palaver" / mutant.file
    path.write_text(source)
    for compiled in path.parent.glob(f"__pycache__/{path.stem}.*.pyc"):
        compiled.unlink()


def bound_memory() -> None:
    """Bound the memory of this process and those that it starts, where that can be done."""
    with suppress(ImportError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))


def run_layer(tree: Path, layer: Layer, area: Area, timeout: float) -> Outcome | None:
    """Run the tests of a layer for an area; None if there are none."""
    tests = files_of(layer, area, tree)
    if not tests:
        return None
    pytest = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider"]
    environment = {**os.environ, "HYPOTHESIS_PROFILE": "ci"}
    since = time.monotonic()
    process = subprocess.Popen(
        [*pytest, "--tb=no", *layer.options(area), *tests],
        cwd=tree,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        said, _ = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return Outcome(Verdict.HANGS, time.monotonic() - since)
    seconds = time.monotonic() - since
    if process.returncode == 5:  # there is no such test
        return None
    if process.returncode == 0:
        return Outcome(Verdict.SURVIVES, seconds)
    found = re.search(r"^(?:FAILED|ERROR) (.+?)(?: - |$)", said, re.MULTILINE)
    if found is None and process.returncode > 0:
        raise RuntimeError(f"{layer.name} for {area} could not be run:\n{said[-2000:]}")
    return Outcome(Verdict.KILLED, seconds, found[1] if found else f"exit {process.returncode}")


def baseline(tree: Path, layers: list[Layer], areas: list[Area]) -> Allowed:
    """Run each layer without a bug; give the seconds that it may take with one."""
    allowed: Allowed = {}
    for area in areas:
        for layer in layers:
            outcome = run_layer(tree, layer, area, BASELINE_TIMEOUT)
            if outcome is None:
                continue
            if outcome.verdict is not Verdict.SURVIVES:
                raise SystemExit(f"{layer.name} for {area} fails without any bug: {outcome.test}")
            allowed[layer.name, area] = max(LEAST_TIMEOUT, SLOWER * outcome.seconds)
            print(f"without a bug: {area:9} {layer.name:11} {outcome.seconds:6.1f} s", flush=True)
    return allowed


def run_mutant(mutant: Mutant, layers: list[Layer], allowed: Allowed, tree: Path) -> Row:
    """Run all layers on a bug."""
    source = (tree / "src" / "palaver" / mutant.file).read_text()
    put(tree, mutant, mutant.apply(source))
    verdicts: dict[str, Verdict] = {}
    lines = []
    try:
        for layer in layers:
            timeout = allowed.get((layer.name, mutant.area))
            outcome = None if timeout is None else run_layer(tree, layer, mutant.area, timeout)
            if outcome is not None:
                verdicts[layer.name] = outcome.verdict
                what = f"{outcome.verdict.value:9} {outcome.seconds:5.1f} s  {outcome.test}"
                lines.append(f"  {layer.name:11} {what}".rstrip())
    finally:
        put(tree, mutant, source)
    print("\n".join([f"{mutant.name} ({mutant.area}, {mutant.rule})", *lines]), flush=True)
    return Row(mutant, verdicts)


def chosen(names: list[str]) -> list[Mutant]:
    """Give the bugs that are meant; all, if none is named."""
    if not names:
        return list(MUTANTS)
    for name in names:
        if not any(one.name.startswith(name) or one.area == name for one in MUTANTS):
            raise SystemExit(f"there is no seeded bug, and no area, {name!r}")
    prefixes = tuple(names)
    return [one for one in MUTANTS if one.name.startswith(prefixes) or one.area in names]


def renew(row: Row) -> None:
    """Put what came of a bug into the matrix that is kept."""
    before = {}
    if MATRIX.exists():
        before = {row.mutant.name: row for row in rows_of(MATRIX.read_text(), MUTANTS)}
    known = before.get(row.mutant.name)
    verdicts = row.verdicts if known is None else {**known.verdicts, **row.verdicts}
    before[row.mutant.name] = Row(row.mutant, verdicts)
    kept = [before[one.name] for one in MUTANTS if one.name in before]
    MATRIX.write_text(render(kept, LAYERS))


def main() -> int:
    """Run the bugs that the command line names."""
    parser = argparse.ArgumentParser(description="Show which layer of tests finds which bug.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="a bug or an area; default: all")
    parser.add_argument("--jobs", type=int, default=2, help="how many at a time (default: 2)")
    names = [one.name for one in LAYERS]
    parser.add_argument("--layer", nargs="+", default=[], choices=names, help="only these layers")
    parser.add_argument("--write", action="store_true", help="renew MATRIX.md")
    parser.add_argument("--trust", action="store_true", help="don't run the layers without a bug")
    options = parser.parse_args()
    mutants = chosen(options.names)
    layers = [one for one in LAYERS if not options.layer or one.name in options.layer]
    bound_memory()
    since = time.monotonic()
    with copies(options.jobs) as free, ThreadPoolExecutor(options.jobs) as pool:

        def with_copy(work: Callable[[Path], Row]) -> Row:
            tree = free.get()
            try:
                return work(tree)
            finally:
                free.put(tree)

        areas = list(dict.fromkeys(one.area for one in mutants))
        if options.trust:
            allowed = dict.fromkeys(product([one.name for one in layers], areas), TRUSTED_TIMEOUT)
        else:
            tree = free.get()
            allowed = baseline(tree, layers, areas)
            free.put(tree)
        runs = [
            pool.submit(with_copy, partial(run_mutant, one, layers, allowed)) for one in mutants
        ]
        rows = []
        for run in as_completed(runs):
            rows.append(run.result())
            if options.write:
                renew(rows[-1])
    rows.sort(key=lambda row: MUTANTS.index(row.mutant))
    print(f"\n{render(rows, LAYERS)}\n{time.monotonic() - since:.0f} s")
    return 0 if all(row.killers for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
