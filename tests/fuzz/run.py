"""Fuzz the decoders and the machines with atheris.

    python tests/fuzz/run.py [--seconds N | --counted] [TARGET ...]
    python tests/fuzz/run.py --replay TARGET HEX

N is for all targets together, 60 if not said otherwise. With `--counted` the clock plays no part:
about as much is tried as in 60 s, and the same each time and on each machine. Each target begins
with its corpus (tests/fuzz/corpus) and what its seed draws, and prints how often it ran, how often
in a second, and what it covers. What it finds it shrinks and shows: the bytes, the story, and the
command that repeats it, which needs no atheris. `--save` adds to the corpus what covers more,
within its bounds. The exit code is 1 if anything was found.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, TypeAlias

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / part) for part in ("tests", "src", "adapters")]

Trace: TypeAlias = Callable[[FrameType, str, Any], Any]

SECONDS = 60
MOST_BYTES = 400  # of a script; longer ones are slow, and tell little more
MOST_ENTRIES = 24  # of a corpus, so that all are replayed in a second or two
MOST_KEPT = 160  # bytes of an entry that is kept
GRACE = 120  # seconds for a target to start and to end
COUNTED = {"decoder": 400_000, "machine": 700}  # executions of a target that take some 5 s
PATIENCE = 200.0  # seconds that they may take on a slow machine
STATUS = re.compile(r"^#(\d+)\s.*?cov: (\d+) ft: (\d+).*?exec/s: (\d+)", re.MULTILINE)


@dataclass(frozen=True)
class Result:
    """What came of fuzzing one target."""

    target: str
    executions: int
    seconds: float
    edges: int
    features: int
    findings: tuple[bytes, ...]
    failed: str = ""

    def __str__(self) -> str:
        """Say it on one line."""
        rate = self.executions / max(self.seconds, 0.001)
        found = "nothing found" if not self.findings else f"{len(self.findings)} FOUND"
        return (
            f"{self.target:9} {self.executions:9,} executions {rate:8,.0f}/s"
            f" {self.edges:6,} edges {self.features:6,} features  {self.failed or found}"
        )


def child(target: str, arguments: list[str]) -> None:
    """Be the process that fuzzes one target: libFuzzer never returns."""
    atheris = importlib.import_module("atheris")
    with atheris.instrument_imports(include=["palaver", "palaver_io"]):
        targets = importlib.import_module("fuzz.targets")
    atheris.Setup([sys.argv[0], *arguments], targets.runner(target))
    atheris.Fuzz()


def fuzz(target: str, seconds: float | None, seed: int, *, keep: bool) -> Result:
    """Fuzz one target in a process of its own, for some time or for its number of executions."""
    from fuzz.casts import CASTS
    from fuzz.targets import draw, load, save

    with tempfile.TemporaryDirectory(prefix="fuzz-") as directory:
        corpus, found = Path(directory, "corpus"), Path(directory, "found")
        corpus.mkdir()
        found.mkdir()
        for number, entry in enumerate((*load(target), *draw(target, seed))):
            (corpus / f"first-{number}").write_bytes(entry)
        runs = COUNTED["machine" if target in CASTS else "decoder"]
        until = f"-max_total_time={max(1, round(seconds))}" if seconds else f"-runs={runs}"
        arguments = [
            str(corpus),
            until,
            f"-max_len={MOST_BYTES}",
            f"-artifact_prefix={found}/",
            f"-seed={seed}",
            "-len_control=0",
            "-reload=0",
            "-timeout=20",
            "-rss_limit_mb=2048",
            "-print_final_stats=1",
        ]
        since = time.monotonic()
        said, code = run_child(target, arguments, (seconds or PATIENCE) + GRACE)
        took = time.monotonic() - since
        findings = tuple(path.read_bytes() for path in sorted(found.iterdir()))
        last = [*STATUS.finditer(said)][-1:]
        executions, edges, features, _ = map(int, last[0].groups()) if last else (0, 0, 0, 0)
        total = re.search(r"stat::number_of_executed_units:\s*(\d+)", said)
        executions = int(total[1]) if total else executions
        failed = f"it ended with code {code}:\n{said[-1500:]}" if code and not findings else ""
        if keep and not code:
            save(target, choose(target, corpus))
        share = took if seconds is None else min(took, seconds)
        return Result(target, executions, share, edges, features, findings, failed)


def run_child(target: str, arguments: list[str], timeout: float) -> tuple[str, int]:
    """Run a target with arguments for libFuzzer; give what it said, and its exit code."""
    finished = subprocess.run(
        [sys.executable, __file__, "--child", target, "--", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=timeout,
        check=False,
        # What a set gives first must not depend on chance, or no run would be like another.
        env={**os.environ, "PYTHONHASHSEED": "0"},
    )
    return finished.stdout, finished.returncode


def choose(target: str, corpus: Path, seconds: float = 30.0) -> list[bytes]:
    """Give a few short entries of a corpus that together reach most of the code that it reaches."""
    from fuzz.targets import load

    entries = [path.read_bytes() for path in corpus.iterdir() if path.stat().st_size <= MOST_KEPT]
    until = time.monotonic() + seconds
    # The longest reach most; what was kept before is looked at first.
    entries.sort(key=lambda entry: (entry not in load(target), -len(entry)))
    reached = {}
    for entry in entries:
        if time.monotonic() < until:
            reached[entry] = reach(target, entry)
    chosen: list[bytes] = []
    missing = set().union(*reached.values()) if reached else set()
    while missing and len(chosen) < MOST_ENTRIES:
        best = max(reached, key=lambda entry: len(reached[entry] & missing))
        missing -= reached[best]
        chosen.append(best)
    return chosen


def reach(target: str, data: bytes) -> set[tuple[str, int, int]]:
    """Give the steps from line to line in the library that bytes lead to."""
    from fuzz.targets import run

    steps: set[tuple[str, int, int]] = set()
    library = (str(ROOT / "src"), str(ROOT / "adapters"))

    def trace(frame: FrameType, _: str, __: object) -> Trace | None:
        name = frame.f_code.co_filename
        if not name.startswith(library):
            return None
        last = 0

        def trace_lines(frame: FrameType, event: str, _: object) -> Trace | None:
            nonlocal last
            if event == "line":
                steps.add((name, last, frame.f_lineno))
                last = frame.f_lineno
            return trace_lines

        return trace_lines

    sys.settrace(trace)
    try:
        run(target, data)
    finally:
        sys.settrace(None)
    return steps


def show(target: str, data: bytes) -> int:
    """Run a target on some bytes and show what comes of it; 1 if that is a finding."""
    from fuzz.casts import FindingError
    from fuzz.targets import run

    try:
        run(target, data)
    except FindingError as exc:
        print(f"\n{target}, {len(data)} bytes: {data.hex()}\n{exc}")
        return 1
    print(f"{target}, {len(data)} bytes: nothing found")
    return 0


def main() -> int:
    """Do what the command line says."""
    if "--child" in sys.argv:
        at = sys.argv.index("--child")
        child(sys.argv[at + 1], sys.argv[at + 3 :])
    from fuzz.targets import TARGETS, shrink

    parser = argparse.ArgumentParser(description="Fuzz decoders and machines.")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(TARGETS)}")
    how_long = parser.add_mutually_exclusive_group()
    how_long.add_argument("--seconds", type=float, default=SECONDS, help="for all together")
    how_long.add_argument("--counted", action="store_true", help="the same each time")
    parser.add_argument("--seed", type=int, default=1, help="of what is drawn (default: 1)")
    parser.add_argument("--save", action="store_true", help="add to the corpus")
    parser.add_argument("--replay", nargs=2, metavar=("TARGET", "HEX"), help="run some bytes once")
    options = parser.parse_args()
    if options.replay:
        return show(options.replay[0], bytes.fromhex(options.replay[1]))
    if importlib.util.find_spec("atheris") is None:
        print("atheris is not here; for CPython 3.11 to 3.13 on Linux: pip install '.[fuzz]'")
        return 2
    targets = options.targets or list(TARGETS)
    unknown = set(targets) - set(TARGETS)
    if unknown:
        parser.error(f"there is no target {', '.join(sorted(unknown))}")
    results = []
    for target in targets:
        share = None if options.counted else options.seconds / len(targets)
        results.append(fuzz(target, share, options.seed, keep=options.save))
        print(results[-1], flush=True)
        for data in results[-1].findings:
            show(target, shrink(target, data))
    total = sum(result.executions for result in results)
    seconds = sum(result.seconds for result in results)
    print(f"together  {total:9,} executions in {seconds:.0f} s")
    return int(any(result.findings or result.failed for result in results))


if __name__ == "__main__":
    sys.exit(main())
