"""The layers of tests, as data: for each area the narrowest tests that should find its bugs.

A layer whose tests are not there, or that has none for an area, is passed over. A pattern is a path
below the root, with wildcards; `select` goes to pytest, but not for the areas in `whole`; `keep`
says which tests are meant.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from .mutant import Area

ROOT = Path(__file__).resolve().parents[2]

FUZZ_LINKS = ("tests/fuzz/test_fuzz_links.py",)
FUZZ_PEOPLE = ("tests/fuzz/test_fuzz_people.py",)
EXPLORE, SWARM = ("tests/explore/test_*.py",), ("tests/sim/test_swarm*.py",)
TWINS = tuple(f"tests/roles/test_{name}.py" for name in ("duo", "twins", "twins_lies"))
MACHINES = ("tests/roles/test_duo_machine.py", "tests/roles/test_twins_machine.py")
PEOPLE = ("tests/roles/test_peer*.py", "tests/roles/test_registry*.py")


@dataclass(frozen=True)
class Layer:
    """Some kind of tests: which, for each area, and what to tell pytest."""

    name: str
    about: str
    tests: dict[Area, tuple[str, ...]]
    select: tuple[str, ...] = ()
    whole: tuple[Area, ...] = ()
    keep: dict[Area, str] = field(default_factory=dict)

    def options(self, area: Area) -> list[str]:
        """Give what to tell pytest for an area."""
        keep = ["-k", self.keep[area]] if area in self.keep else []
        return keep if area in self.whole else [*self.select, *keep]


LAYERS = (
    Layer(
        "unit",
        "a part alone, by examples",
        {
            "wire": ("tests/wire/*.py",),
            "traffic": ("tests/link/parts/*.py",),
            "link": ("tests/link/parts/*.py", "tests/link/test_states.py"),
            "call": ("tests/roles/test_peer_states.py",),
            "registry": ("tests/roles/test_registry_table.py", "tests/wire/test_wire_roles.py"),
            "group": ("tests/roles/test_group_rules.py", "tests/roles/test_group_states.py"),
            "plain": ("tests/wire/test_wire_plain.py",),
        },
        ("-m", "not hypothesis"),
    ),
    Layer(
        "scenario",
        "machines over a wire in virtual time, told step by step",
        {
            "wire": ("tests/link/test_link_violations.py", "tests/roles/test_role.py"),
            "traffic": ("tests/link/test_link_*.py",),
            "link": ("tests/link/test_link_*.py",),
            "call": ("tests/roles/test_peer_calls.py", "tests/roles/test_peer_at_registry.py"),
            "registry": ("tests/roles/test_registry.py", "tests/roles/test_peer_at_registry.py"),
            "group": ("tests/roles/test_group.py", "tests/roles/test_group_contest.py"),
            "duo": TWINS,
            "plain": tuple(
                f"tests/roles/test_plain_{what}.py" for what in ("pair", "relay", "either")
            ),
        },
        ("-m", "not hypothesis"),
    ),
    Layer(
        "properties",
        "what must always hold, searched for by Hypothesis",
        {
            "wire": ("tests/wire/*.py",),
            "traffic": ("tests/link/test_properties.py", "tests/link/parts/*.py"),
            "link": ("tests/link/test_properties.py", "tests/link/parts/*.py"),
            "call": PEOPLE,
            "registry": (*PEOPLE, "tests/wire/test_wire_roles.py"),
            "group": ("tests/roles/test_group_properties.py",),
            "duo": MACHINES,
            "plain": ("tests/roles/test_plain_properties.py", "tests/wire/test_wire_plain.py"),
        },
        ("-m", "hypothesis"),
        whole=("group", "duo", "plain"),
    ),
    Layer(
        "strength",
        "floods, forgeries, bad wires, in virtual time",
        {
            "traffic": ("tests/strength/test_recovery_speed.py",),
            "link": tuple(
                f"tests/strength/test_{what}.py"
                for what in ("busy", "crossing", "floods", "moving")
            ),
            "duo": ("tests/strength/test_crossing.py",),
        },
    ),
    Layer(
        "decoder",
        "the decoder that was written from PROTOCOL.md alone",
        {"wire": ("tests/independent/*.py",)},
    ),
    Layer(
        "fuzz",
        "the corpus of the fuzzers, and scripts that Hypothesis draws",
        {
            "wire": ("tests/fuzz/test_fuzz_decoders.py",),
            "traffic": FUZZ_LINKS,
            "link": FUZZ_LINKS,
            "call": FUZZ_PEOPLE,
            "registry": FUZZ_PEOPLE,
            "group": ("tests/fuzz/test_fuzz_groups.py",),
            "duo": FUZZ_LINKS,
            "plain": ("tests/fuzz/test_fuzz_plain.py",),
        },
    ),
    Layer(
        "explore",
        "all interleavings within bounds, and how many states they have",
        dict.fromkeys(("traffic", "link", "call", "registry", "group"), EXPLORE),
        keep={
            "traffic": "a_cut and (delivery or both or fragments or paused)",
            "link": "a_cut and (handshake or crossed or cookie or close or abort or stranger)",
            "call": "a_cut and call",
            "registry": "a_cut and registry",
            "group": "a_cut and group and not coming",
        },
    ),
    Layer(
        "swarm",
        "many seeds, each with faults of its own",
        dict.fromkeys(("traffic", "link", "call", "registry", "group", "duo"), SWARM),
    ),
)


def files_of(layer: Layer, area: Area, root: Path) -> list[str]:
    """Give the tests of a layer for an area that are there, as paths below the root."""
    found = [path for pattern in layer.tests.get(area, ()) for path in sorted(root.glob(pattern))]
    return list(dict.fromkeys(str(path.relative_to(root)) for path in found))
