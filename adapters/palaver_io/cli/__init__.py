"""The command line: `palaver listen`, `palaver call` and `palaver demo`."""

from __future__ import annotations

import sys

from palaver import __version__

from .arguments import DemoOptions, parse_arguments
from .chat_command import ChatCommand
from .demo import run_demo
from .session import run_session
from .status import EXIT_INTERRUPTED, EXIT_USAGE

__all__ = ["main"]


def main(argv: list[str] | None = None) -> int:
    """Run the command line with `argv` (by default the process's own); give the exit status."""
    try:
        options = parse_arguments(sys.argv[1:] if argv is None else argv, __version__)
    except SystemExit as done:
        return done.code if isinstance(done.code, int) else EXIT_USAGE
    try:
        if isinstance(options, DemoOptions):
            return run_demo(options)
        return run_session(ChatCommand(options))
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
