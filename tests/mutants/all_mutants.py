"""All seeded bugs."""

from __future__ import annotations

from .in_calls import CALLS, REGISTRY
from .in_duos import DUOS
from .in_groups import GROUPS
from .in_links import LINKS
from .in_plain import PLAIN
from .in_traffic import TRAFFIC
from .in_wire import WIRE
from .mutant import Mutant

MUTANTS: tuple[Mutant, ...] = (
    *WIRE,
    *TRAFFIC,
    *LINKS,
    *CALLS,
    *REGISTRY,
    *GROUPS,
    *DUOS,
    *PLAIN,
)
