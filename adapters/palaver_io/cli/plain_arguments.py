"""What can be typed to talk to those who have no Palaver."""

from __future__ import annotations

import argparse


def add_plain_options(parser: argparse.ArgumentParser, *, too: bool = False) -> None:
    """Add `--plain`, and with `too` what lets both kinds in."""
    group = parser.add_mutually_exclusive_group()
    group.add_argument(
        "--plain",
        action="store_true",
        help="bare text, for those who have nothing but such as `nc -u` (with --tcp: `nc`): "
        "nothing is promised, neither that it arrives nor who has said it",
    )
    if too:
        group.add_argument(
            "--plain-too",
            action="store_true",
            help="the same port for Palaver and for bare text: whoever uses that is marked "
            '"(plain)", and has no promise',
        )


def check_plain_options(parser: argparse.ArgumentParser, found: argparse.Namespace) -> None:
    """Refuse what makes no sense together. Raises SystemExit."""
    if not getattr(found, "plain", False):
        return
    if getattr(found, "name", ""):
        parser.error("plain text has no names for two: leave --name or --plain out")
    if getattr(found, "backlog", 0):
        parser.error("a group in plain text keeps nothing: leave --backlog or --plain out")
    if found.dead_after is not None:
        parser.error("plain text can't tell who is dead: leave --dead-after or --plain out")
