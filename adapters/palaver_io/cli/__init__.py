"""The command line: `palaver listen`, `call`, `registry`, `peer`, `hub`, `join`, `sim`, `demo`."""

from __future__ import annotations

import sys

from palaver import __version__

from .arguments import DemoOptions, parse_arguments
from .chat_command import ChatCommand
from .demo import run_demo
from .group_arguments import HubOptions, JoinOptions
from .hub import HubCommand
from .join import JoinCommand
from .peer_command import PeerCommand
from .people_arguments import PeerOptions, RegistryOptions
from .registry_command import RegistryCommand
from .session import run_session
from .sim_arguments import SimOptions
from .sim_command import run_sim
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
        if isinstance(options, SimOptions):
            return run_sim(options)
        if isinstance(options, HubOptions):
            return run_session(HubCommand(options))
        if isinstance(options, JoinOptions):
            return run_session(JoinCommand(options))
        if isinstance(options, RegistryOptions):
            return run_session(RegistryCommand(options))
        if isinstance(options, PeerOptions):
            return run_session(PeerCommand(options))
        return run_session(ChatCommand(options))
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
