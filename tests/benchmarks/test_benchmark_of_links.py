"""What an idle link takes is what the benchmark of links says, and bounded."""

from __future__ import annotations

import importlib.util
import tracemalloc
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).resolve().parents[2] / "benchmarks" / "link_cost.py"


@pytest.mark.skipif(tracemalloc.is_tracing(), reason="somebody traces memory already")
def test_an_idle_link_takes_four_kilobytes_at_most() -> None:
    spec = importlib.util.spec_from_file_location("link_cost", BENCHMARK)
    assert spec is not None
    assert spec.loader is not None
    benchmark = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(benchmark)
    assert 1000 < benchmark.bytes_per_idle_link(200) <= 4096
