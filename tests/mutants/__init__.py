"""Seeded bugs, and the command that shows which layer of tests finds each (see `run.py`)."""
