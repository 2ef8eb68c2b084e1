"""Bytes to typed values and back. No state, no time (PROTOCOL.md, sections 3 to 6)."""
