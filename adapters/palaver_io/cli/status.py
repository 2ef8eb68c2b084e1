"""The exit statuses of the command line."""

from __future__ import annotations

from typing import Final

EXIT_OK: Final = 0
EXIT_FAILURE: Final = 1
"""No answer, refused, busy, cut off, address in use, ..."""
EXIT_USAGE: Final = 2
EXIT_UNDELIVERED: Final = 3
"""A line was not delivered, or could not be sent."""
EXIT_SIGNAL: Final = 128
"""Plus the number of the signal: 130 for Ctrl-C."""
EXIT_INTERRUPTED: Final = 130
EXIT_UNREAD: Final = 141
"""Nobody reads our output any more: what a shell says of a program that SIGPIPE has ended."""
