"""The layers of tests, as data: for each area the narrowest tests that should find its bugs.

A layer whose tests are not there, or that has none for an area, is passed over. A pattern is a path
below the root, with wildcards; `select` goes to pytest.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .mutant import Area

ROOT = Path(__file__).resolve().parents[2]

LINK_STRENGTH = (
    "tests/strength/test_busy.py",
    "tests/strength/test_crossing.py",
    "tests/strength/test_floods.py",
    "tests/strength/test_moving.py",
    "tests/strength/test_recovery_speed.py",
)
PEOPLE = ("tests/roles/test_peer*.py", "tests/roles/test_registry*.py")


@dataclass(frozen=True)
class Layer:
    """Some kind of tests: which, for each area, and what to tell pytest."""

    name: str
    about: str
    tests: dict[Area, tuple[str, ...]]
    select: tuple[str, ...] = ()


LAYERS = (
    Layer(
        "unit",
        "a part alone, by examples",
        {
            "wire": ("tests/wire/*.py",),
            "link": ("tests/link/parts/*.py", "tests/link/test_states.py"),
            "call": ("tests/roles/test_peer_states.py",),
            "registry": ("tests/roles/test_registry_table.py", "tests/wire/test_wire_roles.py"),
            "group": ("tests/roles/test_group_rules.py", "tests/roles/test_group_states.py"),
        },
        ("-m", "not hypothesis"),
    ),
    Layer(
        "scenario",
        "machines over a wire in virtual time, told step by step",
        {
            "wire": ("tests/link/test_link_violations.py", "tests/roles/test_role.py"),
            "link": ("tests/link/test_link_*.py",),
            "call": ("tests/roles/test_peer_calls.py", "tests/roles/test_peer_at_registry.py"),
            "registry": ("tests/roles/test_registry.py", "tests/roles/test_peer_at_registry.py"),
            "group": ("tests/roles/test_group.py",),
        },
        ("-m", "not hypothesis"),
    ),
    Layer(
        "properties",
        "what must always hold, searched for by Hypothesis",
        {
            "wire": ("tests/wire/*.py",),
            "link": ("tests/link/*.py", "tests/link/parts/*.py", "tests/roles/test_duo_machine.py"),
            "call": PEOPLE,
            "registry": (*PEOPLE, "tests/wire/test_wire_roles.py"),
            "group": ("tests/roles/test_group*.py",),
        },
        ("-m", "hypothesis"),
    ),
    Layer(
        "strength",
        "floods, forgeries, bad wires, in virtual time",
        {"link": LINK_STRENGTH},
    ),
    Layer(
        "decoder",
        "the decoder that was written from PROTOCOL.md alone",
        {"wire": ("tests/independent/*.py",), "link": ("tests/independent/*.py",)},
    ),
    Layer(
        "fuzz",
        "the corpus of the fuzzers, and scripts that Hypothesis draws",
        {
            "wire": ("tests/fuzz/test_fuzz_corpus.py", "tests/fuzz/test_fuzz_scripts.py"),
            "link": ("tests/fuzz/test_fuzz_corpus.py", "tests/fuzz/test_fuzz_scripts.py"),
            "call": ("tests/fuzz/test_fuzz_corpus.py", "tests/fuzz/test_fuzz_scripts.py"),
            "registry": ("tests/fuzz/test_fuzz_corpus.py", "tests/fuzz/test_fuzz_scripts.py"),
            "group": ("tests/fuzz/test_fuzz_corpus.py", "tests/fuzz/test_fuzz_scripts.py"),
        },
    ),
    Layer(
        "explore",
        "all interleavings within bounds",
        {
            "link": ("tests/explore/test_*link*.py",),
            "call": ("tests/explore/test_*call*.py",),
            "registry": ("tests/explore/test_*registry*.py",),
            "group": ("tests/explore/test_*group*.py",),
        },
    ),
    Layer(
        "swarm",
        "many seeds, each with faults of its own",
        {
            "link": ("tests/sim/test_swarm*.py",),
            "call": ("tests/sim/test_swarm*.py",),
            "registry": ("tests/sim/test_swarm*.py",),
            "group": ("tests/sim/test_swarm*.py",),
        },
    ),
)


def files_of(layer: Layer, area: Area, root: Path) -> list[str]:
    """Give the tests of a layer for an area that are there, as paths below the root."""
    found = [path for pattern in layer.tests.get(area, ()) for path in sorted(root.glob(pattern))]
    return list(dict.fromkeys(str(path.relative_to(root)) for path in found))
