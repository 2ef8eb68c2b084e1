"""Plain text, as the programs have it that people have already (PROTOCOL.md, appendix A)."""
