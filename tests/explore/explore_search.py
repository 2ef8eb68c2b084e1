"""The search: all worlds of a story, breadth first, and whether each of them leads to the goal."""

from __future__ import annotations

from array import array
from collections import deque
from dataclasses import dataclass, field
from time import process_time

from explore_nodes import Broken
from explore_path import known_path
from explore_story import Facts, Story
from explore_worlds import DELIVER, LOSE, REPEAT, World, Worlds


@dataclass
class Report:
    """What was found: the figures do not depend on the machine, but for `seconds`."""

    name: str
    states: int = 0
    transitions: int = 0
    depth: int = 0
    goals: int = 0
    nodes: int = 0
    events: int = 0
    overflows: int = 0
    seconds: float = 0.0
    """Of a processor, so that they say as much on a busy machine."""
    witnessed: dict[str, int] = field(default_factory=dict)
    """Of what must sometimes be so: in how many worlds it was."""

    @property
    def figures(self) -> tuple[int, int]:
        """The numbers that are pinned: states and transitions."""
        return self.states, self.transitions


class Violation(AssertionError):
    """What must hold does not: `steps` lead there from the beginning, and none do sooner."""

    def __init__(self, story: Story, what: str, steps: list[int], lines: list[str]) -> None:
        self.what = what
        self.steps = steps
        told = "\n".join(f"  {number}. {line}" for number, line in enumerate(lines, 1))
        path = ".".join(map(str, steps))
        super().__init__(
            f"{story.name}: {what}\n{told}\n"
            f"again: python tests/explore/run.py {story.name} --replay {path or '-'}"
        )


class Search:
    """One exploration. After `run`, its report; a Violation if anything does not hold."""

    def __init__(self, story: Story, most: int = 10_000_000) -> None:
        """Explore `story`; more than `most` states are an error."""
        self.story = story
        self.most = most
        self.report = Report(story.name)
        self._worlds = Worlds(story)
        self._index: dict[bytes, int] = {}
        # By state: where it was first come from, by which step, and in how many.
        self._parents = array("I")
        self._steps = array("Q")
        self._depths = array("H")
        self._goals = bytearray()
        # All transitions.
        self._sources = array("I")
        self._targets = array("I")
        # By facts: whether they are the goal, and what they witness.
        self._judged: dict[Facts, tuple[bool, tuple[str, ...]]] = {}
        # Of how many worlds that are taken for others one is doubted; 0 for none.
        self.doubts = 0
        self._hits = 0
        self._firsts: list[World] = []
        self._doubted: list[tuple[int, World]] = []

    def run(self) -> Report:
        """Explore, check, and give the figures. Raises Violation."""
        began = process_time()
        self._explore()
        self._check_goal()
        report, nodes = self.report, self._worlds.nodes
        report.states, report.transitions = len(self._parents), len(self._sources)
        report.depth, report.goals = self._depths[-1], sum(self._goals)
        report.nodes, report.events = len(nodes.all), nodes.events
        report.overflows = self._worlds.overflows
        report.seconds = process_time() - began
        missing = sorted(self.story.sometimes - report.witnessed.keys())
        if missing:
            raise AssertionError(f"{self.story.name}: never was it so: {', '.join(missing)}")
        return report

    def _explore(self) -> None:
        worlds, index = self._worlds, self._index
        first = worlds.first
        frontier = deque([first])
        index[worlds.key(first)] = 0
        self._enter(first, 0, 0, 0)
        here = 0
        while frontier:
            world = frontier.popleft()
            for step, after in worlds.successors(world):
                if isinstance(after, Broken):
                    raise self._violation(str(after), here, step)
                key = worlds.key(after)
                there = index.get(key)
                if there is None:
                    there = index[key] = len(index)
                    self._enter(after, here, step, self._depths[here] + 1)
                    if there >= self.most:
                        raise AssertionError(f"{self.story.name}: more than {self.most} states")
                    frontier.append(after)
                elif self.doubts:
                    self._doubt(there, after)
                self._sources.append(here)
                self._targets.append(there)
            here += 1

    def _enter(self, world: World, parent: int, step: int, depth: int) -> None:
        if self.doubts:
            self._firsts.append(world)
        facts = self._worlds.facts(world)
        judged = self._judged.get(facts)
        self._parents.append(parent)
        self._steps.append(step)
        self._depths.append(depth)
        if judged is None:
            try:
                self.story.check(facts)
            except AssertionError as broken:
                raise self._violation(str(broken), len(self._parents) - 1) from None
            judged = self.story.is_goal(facts), tuple(self.story.witnessed(facts))
            self._judged[facts] = judged
        is_goal, witnessed = judged
        self._goals.append(is_goal)
        for what in witnessed:
            self.report.witnessed[what] = self.report.witnessed.get(what, 0) + 1

    # Worlds with one key

    def _doubt(self, known: int, other: World) -> None:
        self._hits += self._firsts[known] != other
        if self._hits == self.doubts:
            self._hits = 0
            self._doubted.append((known, other))

    def audit(self) -> int:
        """See that worlds that were taken for others could do what those could, and no more.

        Gives how many that were. AssertionError if a key does not tell all that matters.
        """
        worlds = self._worlds
        for known, other in self._doubted:
            first = self._firsts[known]
            assert worlds.facts(first) == worlds.facts(other), "what is known differs"
            ways = [self._ways(world) for world in (first, other)]
            if ways[0] != ways[1]:
                way = self._way(known)
                told = "\n".join(tell(worlds, way)[1])
                raise AssertionError(f"two worlds with one key part, the first is after\n{told}")
        return len(self._doubted)

    def _ways(self, world: World) -> set[tuple[int, bytes]]:
        """Give what can happen in a world: the kinds of steps, and where they lead."""
        worlds = self._worlds
        return {
            (step >> 32, b"" if isinstance(after, Broken) else worlds.key(after))
            for step, after in worlds.successors(world)
        }

    def _way(self, state: int) -> list[int]:
        steps: list[int] = []
        while state:
            steps.insert(0, self._steps[state])
            state = self._parents[state]
        return steps

    # From every state the goal can be reached

    def _check_goal(self) -> None:
        reached = bytearray(self._goals)
        states = len(reached)
        # Where the transitions into each state begin, in one array sorted by target.
        begins = array("I", bytes(4 * (states + 1)))
        for target in self._targets:
            begins[target + 1] += 1
        for state in range(states):
            begins[state + 1] += begins[state]
        into = array("I", bytes(4 * len(self._targets)))
        fill = array("I", begins)
        for source, target in zip(self._sources, self._targets, strict=True):
            into[fill[target]] = source
            fill[target] += 1
        frontier = [state for state in range(states) if reached[state]]
        while frontier:
            state = frontier.pop()
            for at in range(begins[state], begins[state + 1]):
                source = into[at]
                if not reached[source]:
                    reached[source] = 1
                    frontier.append(source)
        stuck = reached.find(0)
        if stuck >= 0:
            raise self._violation("from here the goal can't be reached any more", stuck)

    # Telling

    def _violation(self, what: str, state: int, last: int | None = None) -> Violation:
        steps = [*self._way(state), *([] if last is None else [last])]
        choices, lines = tell(self._worlds, steps)
        return Violation(self.story, what, choices, lines)


def tell(worlds: Worlds, steps: list[int]) -> tuple[list[int], list[str]]:
    """Give steps as choices among those possible, and as lines for people.

    The choices are those of worlds that have seen nothing else: datagrams have other numbers there.
    """
    fresh = Worlds(worlds.story)
    world, choices, lines = fresh.first, [], []
    for known in steps:
        step = _translate(known, worlds, fresh)
        choices.append(list(fresh.steps(world)).index(step))
        lines.append(fresh.describe(world, step))
        try:
            world = fresh.follow(world, step)
        except Broken:
            break
    return choices, lines


def _translate(step: int, worlds: Worlds, fresh: Worlds) -> int:
    kind, what = step >> 32, step & 0xFFFFFFFF
    if kind not in {DELIVER, REPEAT, LOSE}:
        return step
    flight = worlds.catalogue.flights[what]
    return kind << 32 | fresh.catalogue.enter(flight.source, flight.destination, flight.data)


def explore(story: Story) -> Report:
    """Explore a story on a known path. Raises Violation."""
    with known_path():
        return Search(story).run()
