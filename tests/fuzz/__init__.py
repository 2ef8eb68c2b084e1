"""Fuzzing: bytes for the decoders, and scripts of events for whole machines (see `run.py`)."""
