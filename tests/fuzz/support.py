"""What the tests of the fuzzers share: they run without atheris."""

from __future__ import annotations

from hypothesis import strategies as st

from .targets import load, run

# Scripts as Hypothesis likes them: a list of short pieces, which shrinks piece by piece.
scripts = st.lists(
    st.binary(min_size=1, max_size=8) | st.lists(st.integers(0, 22), max_size=6).map(bytes),
    min_size=8,
    max_size=50,
).map(b"".join)


def replay(target: str) -> None:
    """Run the whole corpus of a target."""
    entries = load(target)
    assert entries, f"{target} has no corpus"
    for entry in entries:
        run(target, entry)
