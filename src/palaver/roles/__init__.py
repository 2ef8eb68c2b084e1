"""What people do with links (PROTOCOL.md, sections 6.3 and on)."""
