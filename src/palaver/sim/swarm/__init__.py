"""Runs that draw everything from a seed, and judge what happened by promises.

run = run_seed("duo", 7)
assert not run.violations, run.violations
"""

from .observer import Fact, Observer, facts_of, observe
from .run import ROLES, Run, Summary, run_seed, swarm
from .weather import ALL, FAULTS, Weather, draw_weather
from .world import World

__all__ = [
    "ALL",
    "FAULTS",
    "ROLES",
    "Fact",
    "Observer",
    "Run",
    "Summary",
    "Weather",
    "World",
    "draw_weather",
    "facts_of",
    "observe",
    "run_seed",
    "swarm",
]
