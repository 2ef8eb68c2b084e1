"""Everyone hears everyone: a hub, and members of its rooms (PROTOCOL.md, section 6.6)."""
