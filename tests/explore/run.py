"""Explore the real machines: all interleavings of delivery, loss, duplication, reordering and time.

    python tests/explore/run.py                    all stories, two at a time
    python tests/explore/run.py --cut              their cuts, as the tests run them
    python tests/explore/run.py call close         some stories
    python tests/explore/run.py call --replay 0.2.1

Each line gives a story's distinct states and transitions, how deep the search went, and in how many
states the goal is reached; then in how many states it was so what must sometimes be so. A story
that does not hold prints the shortest way to what went wrong, and makes the exit status 1.
"""

from __future__ import annotations

import argparse
import sys
from multiprocessing import Pool
from pathlib import Path

_HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(_HERE), str(_HERE.parents[1] / "src")]

from explore_catalogue import CUTS, NAMES, PINNED, make  # noqa: E402
from explore_nodes import Broken  # noqa: E402
from explore_path import known_path  # noqa: E402
from explore_search import Report, explore  # noqa: E402
from explore_worlds import Worlds  # noqa: E402


def run_one(order: tuple[str, bool]) -> tuple[str, Report | str]:
    """Explore one story; give its report, or what went wrong."""
    name, cut = order
    try:
        return name, explore(make(name, cut=cut))
    except AssertionError as broken:
        return name, str(broken)


def line_of(report: Report) -> str:
    """Give a report as a line of the table."""
    rate = report.transitions / max(report.seconds, 1e-9)
    seen = " ".join(f"{what}={count:,}" for what, count in sorted(report.witnessed.items()))
    return (
        f"{report.name:16}{report.states:11,}{report.transitions:13,}{report.depth:7}"
        f"{report.goals:11,}{report.nodes:9,}{report.events:10,}"
        f"{report.seconds:8.1f}{rate:10,.0f}  {seen}"
    )


HEADING = (
    f"{'story':16}{'states':>11}{'transitions':>13}{'depth':>7}{'goals':>11}{'machines':>9}"
    f"{'events':>10}{'cpu s':>8}{'per s':>10}  sometimes"
)


def run_all(names: list[str], *, cut: bool, jobs: int) -> bool:
    """Explore stories, some at a time, and print what was found; tell whether all holds."""
    total, failed = Report("together"), []
    sys.stdout.write(HEADING + "\n")
    pinned = CUTS if cut else PINNED
    # The longest first, so that all cores have something to do until the end.
    names = sorted(names, key=lambda name: -pinned.get(name, (0, 0))[1])
    with Pool(jobs, maxtasksperchild=1) as pool:
        for name, found in pool.imap_unordered(run_one, [(name, cut) for name in names]):
            if isinstance(found, str):
                failed.append(name)
                sys.stdout.write(found + "\n")
                continue
            sys.stdout.write(line_of(found) + "\n")
            if name in pinned and pinned[name] != found.figures:
                failed.append(name)
                sys.stdout.write(f"{name}: {pinned[name]} states and transitions were pinned\n")
            sys.stdout.flush()
            for figure in ("states", "transitions", "goals", "nodes", "events", "seconds"):
                setattr(total, figure, getattr(total, figure) + getattr(found, figure))
            total.depth = max(total.depth, found.depth)
    sys.stdout.write(line_of(total) + "\n")
    if failed:
        sys.stdout.write(f"does not hold: {', '.join(failed)}\n")
    return not failed


def replay(name: str, path: str, *, cut: bool) -> None:
    """Take a way again, and print what happens: also what the programs remember then."""
    with known_path():
        worlds = Worlds(make(name, cut=cut))
        world = worlds.first
        for choice in [] if path == "-" else map(int, path.split(".")):
            step = list(worlds.steps(world))[choice]
            sys.stdout.write(f"{worlds.describe(world, step)}\n")
            try:
                world = worlds.follow(world, step)
            except Broken as broken:
                sys.stdout.write(f"{broken}\n")
                return
        for address, fact in zip(worlds.places, worlds.facts(world), strict=True):
            sys.stdout.write(f"{address[0]}: {fact.memory}\n    {fact.view}\n")
        sys.stdout.write("from here:\n")
        for choice, step in enumerate(worlds.steps(world)):
            sys.stdout.write(f"  {choice}. {worlds.describe(world, step)}\n")


def main() -> int:
    """Take the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("stories", nargs="*", metavar="story", help=", ".join(NAMES))
    parser.add_argument("--cut", action="store_true", help="the small form of each story")
    parser.add_argument("--jobs", type=int, default=2, help="processes at a time (default 2)")
    parser.add_argument("--replay", metavar="PATH", help="choices, as a violation prints them")
    arguments = parser.parse_args()
    names = arguments.stories or list(CUTS if arguments.cut else NAMES)
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        parser.error(f"no such story: {', '.join(unknown)}; there are {', '.join(NAMES)}")
    if arguments.replay is not None:
        replay(names[0], arguments.replay, cut=arguments.cut)
        return 0
    return 0 if run_all(names, cut=arguments.cut, jobs=arguments.jobs) else 1


if __name__ == "__main__":
    sys.exit(main())
