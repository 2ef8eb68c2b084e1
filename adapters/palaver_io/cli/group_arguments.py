"""What can be typed after `palaver hub` and `palaver join`."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import Final

from palaver import Timing
from palaver.roles.group.events import LOBBY
from palaver.wire.group import MAX_ROOM
from palaver.wire.names import shown_name
from palaver_io.addresses import DEFAULT_HOST, parse_address

from .argument_types import take_checked, take_count, take_seconds
from .fault_options import FaultOptions

HUB_PORT: Final = 2209
MOST_BACKLOG: Final = 1000

HUB_TEXT: Final = f"""\
Relay what members say: everybody who has joined a room hears everybody else in
it, in one order for all. What is said is printed, too. Rooms come into being
when somebody joins them.

examples:
  palaver hub                  reachable from this computer only, at port {HUB_PORT}
  palaver hub 0.0.0.0          reachable from everywhere, over IPv4
  palaver hub --backlog 20     newcomers may ask for the last 20 posts
  palaver hub --plain-too      also for those who only have "nc -u"
"""

JOIN_TEXT: Final = f"""\
Join a room of a "palaver hub". Each line that you type goes to all others in
the room; "exit" leaves. When the connection is lost it is made anew, and what
was missed is told. Lines piped in are sent at once; when the hub has all of
them, the room is left.

examples:
  palaver join --name Ann
  palaver join 192.168.1.20 --name Ann --room garden --backlog 20
  palaver join HOST:{HUB_PORT} --name Bot --wait < lines.txt > heard.txt
"""


@dataclass(frozen=True)
class HubOptions:
    """What `palaver hub` was asked for."""

    host: str
    port: int
    backlog: int
    driver: str
    tcp: bool
    fault_options: FaultOptions
    timing: Timing
    json: bool
    verbose: bool
    plain: bool = False
    """Bare text, and nothing of Palaver."""
    plain_too: bool = False
    """Bare text as well, on the same port."""


@dataclass(frozen=True)
class JoinOptions:
    """What `palaver join` was asked for."""

    host: str
    port: int
    name: str
    room: str
    backlog: int
    timeout: float | None
    wait: bool
    driver: str
    tcp: bool
    fault_options: FaultOptions
    timing: Timing
    json: bool
    verbose: bool


def take_hub_address(text: str) -> tuple[str, int]:
    """Take HOST:PORT apart. Raises ArgumentTypeError."""
    try:
        return parse_address(text, port=HUB_PORT)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def take_member_name(text: str) -> str:
    """Take a name that a hub can keep. Raises ArgumentTypeError."""
    return take_checked(shown_name, text)


def take_room(text: str) -> str:
    """Take the name of a room that a hub can make. Raises ArgumentTypeError."""
    return take_checked(lambda name: shown_name(name, MAX_ROOM), text)


def take_backlog(text: str) -> int:
    """Take a number of posts. Raises ArgumentTypeError."""
    if text.strip() == "0":
        return 0
    number = take_count(text)
    if number > MOST_BACKLOG:
        raise argparse.ArgumentTypeError(f"at most {MOST_BACKLOG} posts are kept, not {number}")
    return number


def add_hub_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what only `palaver hub` has."""
    parser.add_argument(
        "address",
        metavar="HOST:PORT",
        nargs="?",
        type=take_hub_address,
        default=(DEFAULT_HOST, HUB_PORT),
        help=f"where to listen (default: {DEFAULT_HOST}:{HUB_PORT}; port 0: any free one)",
    )
    parser.add_argument(
        "--backlog",
        metavar="N",
        type=take_backlog,
        default=0,
        help="give newcomers who ask for it up to N of the last posts (default: none)",
    )


def add_join_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what only `palaver join` has."""
    parser.add_argument(
        "address",
        metavar="HOST:PORT",
        nargs="?",
        type=take_hub_address,
        default=(DEFAULT_HOST, HUB_PORT),
        help=f"where the hub is (default: {DEFAULT_HOST}:{HUB_PORT})",
    )
    parser.add_argument(
        "--name", type=take_member_name, required=True, help="what the others call you"
    )
    parser.add_argument(
        "--room", type=take_room, default=LOBBY, help=f"the room to join (default: {LOBBY})"
    )
    parser.add_argument(
        "--backlog",
        metavar="N",
        type=take_backlog,
        default=0,
        help="ask for up to N of the last posts (default: none)",
    )
    parser.add_argument(
        "--timeout",
        metavar="S",
        type=take_seconds,
        help="give up if there is no answer within S seconds (default: keep trying)",
    )
    parser.add_argument(
        "--wait", action="store_true", help="at the end of input, stay and go on listening"
    )


def make_hub_options(found: argparse.Namespace, **common: object) -> HubOptions:
    """Give the options that were found."""
    host, port = found.address
    return HubOptions(
        host=host,
        port=port,
        backlog=found.backlog,
        plain=found.plain,
        plain_too=found.plain_too,
        **common,  # type: ignore[arg-type]
    )


def make_join_options(found: argparse.Namespace, **common: object) -> JoinOptions:
    """Give the options that were found."""
    host, port = found.address
    return JoinOptions(
        host=host,
        port=port,
        name=found.name,
        room=found.room,
        backlog=found.backlog,
        timeout=found.timeout,
        wait=found.wait,
        **common,  # type: ignore[arg-type]
    )
