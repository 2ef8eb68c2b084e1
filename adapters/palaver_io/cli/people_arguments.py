"""What can be typed after `palaver registry` and `palaver peer`."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from palaver import Timing
from palaver.sim import Faults
from palaver.wire.names import clean_name
from palaver_io.addresses import DEFAULT_HOST, parse_address

from .argument_types import take_checked, take_count, take_dead_after, take_seconds

if TYPE_CHECKING:
    from .arguments import FaultOptions

REGISTRY_PORT: Final = 7070
TIMINGS: Final = {"default": Timing(), "seed003": Timing.seed003()}

_REGISTRY = f"""\
Keep a table of who is there, so that people who run "palaver peer" find each
other. At every coming and going the table is printed: id, name, address and
since when.

examples:
  palaver registry                            for people at this computer
  palaver registry 0.0.0.0:{REGISTRY_PORT}               ... or at any
  palaver registry --state registry.state     ids and names survive a restart
"""

_PEER = f"""\
Register under a name, see who is there, and talk to them. What you type is a
command:

  list                    who is there
  connect ID or NAME      ask somebody for a conversation
  accept [WHO]            take the call that rings
  reject [WHO] [WHY]      turn it down
  send MESSAGE            say something in the current conversation
  use WHO                 make another conversation the current one
  terminate [WHO]         end a conversation, or your own call
  leave                   end everything, tell the registry, and quit
  help                    this list

Commands that are piped in are obeyed one by one, each when it can be: "send"
waits for a conversation, "accept" for somebody who calls. At their end, when
all has arrived, we leave.

examples:
  palaver peer --name Ann
  palaver peer --name Bob --registry 192.168.1.20:{REGISTRY_PORT}
  palaver peer --name Bot --accept all --wait < /dev/null
"""


@dataclass(frozen=True)
class RegistryOptions:
    """What `palaver registry` was asked for."""

    host: str
    port: int
    state: Path | None
    max_entries: int
    driver: str
    tcp: bool
    fault_options: FaultOptions
    timing: Timing
    json: bool


@dataclass(frozen=True)
class PeerOptions:
    """What `palaver peer` was asked for."""

    name: str
    host: str
    port: int
    accept: str
    driver: str
    tcp: bool
    fault_options: FaultOptions
    timing: Timing
    timeout: float | None
    wait: bool
    json: bool
    verbose: bool


def take_unique_name(text: str) -> str:
    """Take a name that a registry can keep. Raises ArgumentTypeError."""
    return take_checked(clean_name, text)


def take_registry_address(text: str) -> tuple[str, int]:
    """Take HOST:PORT of a registry apart. Raises ArgumentTypeError."""
    try:
        return parse_address(text, port=REGISTRY_PORT)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def add_people_commands(
    commands: Any,  # noqa: ANN401 - argparse has no public name for it
    drivers: tuple[str, ...],
    add_faults: Callable[[argparse.ArgumentParser, Faults], None],
) -> None:
    """Add the two commands to those of the parser."""
    registry = commands.add_parser(
        "registry", help="keep the table of who is there", description=_REGISTRY
    )
    registry.add_argument(
        "address",
        metavar="HOST:PORT",
        nargs="?",
        type=take_registry_address,
        default=(DEFAULT_HOST, REGISTRY_PORT),
        help=f"where to be found (default: {DEFAULT_HOST}:{REGISTRY_PORT}; port 0: any free one)",
    )
    registry.add_argument(
        "--state",
        metavar="FILE",
        type=Path,
        help="keep ids and names in FILE, so that they outlive a restart; it also has the key by "
        "which owners are known, so it is readable by you only. Written when somebody comes or "
        "goes; if many do, about once a second",
    )
    registry.add_argument(
        "--max",
        metavar="N",
        type=take_count,
        default=1024,
        help="refuse more than N at a time (default: 1024)",
    )
    peer = commands.add_parser("peer", help="find people, and talk to them", description=_PEER)
    peer.add_argument(
        "--name", type=take_unique_name, required=True, help="what others find you under"
    )
    peer.add_argument(
        "--registry",
        dest="address",
        metavar="HOST:PORT",
        type=take_registry_address,
        default=(DEFAULT_HOST, REGISTRY_PORT),
        help=f"where people find each other (default: {DEFAULT_HOST}:{REGISTRY_PORT})",
    )
    peer.add_argument(
        "--accept",
        choices=("ask", "all", "none"),
        default="ask",
        help="whether to ask you when somebody calls (the default), or to take all calls, or none",
    )
    peer.add_argument(
        "--timeout",
        metavar="S",
        type=take_seconds,
        help="give up a call that is not answered within S seconds (default: keep trying); a "
        "script waits as long for a registry that does not answer (default: 30 s; with --wait: for "
        "ever)",
    )
    peer.add_argument("--wait", action="store_true", help="at the end of input, stay until Ctrl-C")
    peer.add_argument("-v", "--verbose", action="store_true", help="also tell what was delivered")
    for parser in (registry, peer):
        parser.add_argument(
            "--json", action="store_true", help="print every event as a JSON object on stdout"
        )
        parser.add_argument(
            "--timing",
            choices=sorted(TIMINGS),
            default="default",
            help="seed003: ask for everything exactly every 10 s, to watch it happen",
        )
        parser.add_argument(
            "--dead-after",
            metavar="S",
            type=take_dead_after,
            help="take who has not answered for S seconds for gone (default: 30); below 30 the "
            "other timers shrink in proportion",
        )
        parser.add_argument(
            "--tcp", action="store_true", help="over TCP, not UDP; a registry and all its people"
        )
        parser.add_argument(
            "--driver",
            choices=drivers,
            default=drivers[0],
            help="what waits for the network: a thread (the default), a selector, or an event loop",
        )
        add_faults(parser, Faults())


def read_people_options(
    found: argparse.Namespace, fault_options: FaultOptions, scaled: Timing
) -> RegistryOptions | PeerOptions:
    """Give what was asked for; `scaled` is the default timing as `--dead-after` wants it."""
    host, port = found.address
    timing = scaled if found.timing == "default" else TIMINGS[found.timing]
    if found.command == "registry":
        return RegistryOptions(
            host=host,
            port=port,
            state=found.state,
            max_entries=found.max,
            driver=found.driver,
            tcp=found.tcp,
            fault_options=fault_options,
            timing=timing,
            json=found.json,
        )
    return PeerOptions(
        name=found.name,
        host=host,
        port=port,
        accept=found.accept,
        driver=found.driver,
        tcp=found.tcp,
        fault_options=fault_options,
        timing=timing,
        timeout=found.timeout,
        wait=found.wait,
        json=found.json,
        verbose=found.verbose,
    )
