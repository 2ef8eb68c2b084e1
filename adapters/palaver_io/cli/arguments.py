"""What can be typed after `palaver`."""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from typing import Any, NoReturn, TypeAlias

from palaver import Timing
from palaver.sim import NO_FAULTS, Faults
from palaver_io.addresses import DEFAULT_HOST, DEFAULT_PORT

from .argument_types import (
    take_address,
    take_chance,
    take_count,
    take_dead_after,
    take_name,
    take_seconds,
    take_seed,
)
from .fault_options import FaultOptions as FaultOptions  # noqa: PLC0414 - it is had from here
from .group_arguments import (
    HUB_TEXT,
    JOIN_TEXT,
    HubOptions,
    JoinOptions,
    add_hub_arguments,
    add_join_arguments,
    make_hub_options,
    make_join_options,
)
from .people_arguments import (
    PeerOptions,
    RegistryOptions,
    add_people_commands,
    read_people_options,
)
from .plain_arguments import add_plain_options, check_plain_options
from .sim_arguments import (
    SIM_TEXT,
    SimOptions,
    add_sim_arguments,
    check_sim_options,
    make_sim_options,
)
from .status import EXIT_USAGE

DRIVERS = ("blocking", "selectors", "asyncio")

_DESCRIPTION = """\
Talk to one another over a bad network: every line arrives once, in order, or
you are told that it did not.
"""

_EXAMPLES = f"""\
examples:
  palaver demo                      watch 400 messages survive a bad network
  palaver listen                    wait for a call from this computer
  palaver listen 0.0.0.0:{DEFAULT_PORT}      ... or from any computer
  palaver call 192.168.1.20:{DEFAULT_PORT}   call somebody
  palaver call HOST --name Ann      ... with a name, at port {DEFAULT_PORT}
  seq 500 | palaver call HOST       send what a program prints
  palaver registry                  keep the table of who is there
  palaver peer --name Ann           see who is there, and talk to them
  palaver hub                       let a group talk, at port 2209
  palaver join HOST --name Ann      take part in it
  palaver sim                       look for a seed that breaks a promise

"palaver COMMAND --help" tells more about each.

exit status:
  0  all is well: every line that was there was delivered
  1  failure: no answer, busy, name or port taken, cut off, ...
  2  wrong usage
  3  a line was not delivered, or may not have been, or could not be sent
  130, 143, 129  ended by Ctrl-C, SIGTERM or SIGHUP; the other side was told
  141  who read our output has had enough, as in "palaver listen | head -1"
"""

_LISTEN = f"""\
Wait for a call. Each line that you type goes to whoever spoke last; "exit" ends
the conversation for both. Lines piped in are sent as soon as somebody calls; at
their end the other side is told that no more will come, and receiving goes on.

With --max above 1, "@name text" sends a line to that name or address, and
"@@text" one that begins with "@".

examples:
  palaver listen                  reachable from this computer only
  palaver listen 0.0.0.0:{DEFAULT_PORT}    reachable from everywhere, over IPv4
  palaver listen '[::]:{DEFAULT_PORT}'     ... over IPv6, and IPv4 if the system allows
  palaver listen -k --max 5       talk to up to five at a time, until Ctrl-C
  palaver listen --plain-too      also with those who only have "nc -u"
"""

_CALL = f"""\
Call somebody who runs "palaver listen". Each line that you type is sent; "exit"
ends the conversation for both. Lines piped in are sent once the call is
answered; at their end, when all have arrived, the conversation is ended.

examples:
  palaver call 192.168.1.20:{DEFAULT_PORT}
  palaver call '[fe80::1%eth0]:{DEFAULT_PORT}' --name Ann
  palaver call 192.168.1.20:{DEFAULT_PORT} --plain  somebody who only has "nc -u -l"
  palaver call localhost --timeout 5 --wait < questions.txt > answers.txt
"""

_DEMO = """\
Two machines talk over two real sockets of this computer, through a network that
is made bad on purpose: 200 messages each way, one of them as large as a message
can be. A table shows what happened. The exit status is 0 only if every message
arrived exactly once, in order.
"""


@dataclass(frozen=True)
class ChatOptions:
    """What `palaver listen` and `palaver call` were asked for."""

    is_caller: bool
    host: str
    port: int
    name: str
    driver: str
    tcp: bool
    fault_options: FaultOptions
    timing: Timing
    json: bool
    verbose: bool
    keep_open: bool
    max_conversations: int
    timeout: float | None
    wait: bool
    plain: bool = False
    """Bare text, and nothing of Palaver."""
    plain_too: bool = False
    """Bare text as well, on the same port."""


@dataclass(frozen=True)
class DemoOptions:
    """What `palaver demo` was asked for."""

    fault_options: FaultOptions


Options: TypeAlias = (
    ChatOptions
    | DemoOptions
    | HubOptions
    | JoinOptions
    | RegistryOptions
    | PeerOptions
    | SimOptions
)


def parse_arguments(arguments: list[str], version: str) -> Options:
    """Take the command line apart. Raises SystemExit: 0 after --help, 2 for wrong usage."""
    parser = _make_parser(version)
    if not arguments:
        parser.print_help(sys.stderr)
        parser.exit(EXIT_USAGE)
    found, surplus = parser.parse_known_args(arguments)
    parser = found.parser  # the command's own: it knows better where help is
    if surplus:
        parser.error(f"unrecognized arguments: {' '.join(surplus)}")
    if found.command == "sim":
        check_sim_options(parser, found)
        return make_sim_options(found)
    faults = Faults(
        loss=found.loss, duplicate=found.dup, reorder=found.reorder, corrupt=found.corrupt
    )
    fault_options = FaultOptions(faults, found.seed)
    if found.command == "demo":
        return DemoOptions(fault_options)
    if found.tcp and faults != NO_FAULTS:
        parser.error("faults can't be injected into TCP, which would repair them: leave one out")
    if found.command in {"registry", "peer"}:
        return _make_people_options(parser, found, fault_options)
    check_plain_options(parser, found)
    if found.command in {"hub", "join"}:
        return _make_group_options(parser, found, fault_options)
    is_caller = found.command == "call"
    host, port = found.address
    if is_caller and port == 0:
        parser.error("port 0 can't be called: type the port that `palaver listen` has shown")
    return ChatOptions(
        is_caller=is_caller,
        host=host,
        port=port,
        name=found.name,
        driver=found.driver,
        tcp=found.tcp,
        fault_options=fault_options,
        timing=_scale_timing(found.dead_after),
        json=found.json,
        verbose=found.verbose,
        keep_open=not is_caller and found.keep_open,
        max_conversations=1 if is_caller else found.max,
        timeout=found.timeout if is_caller else None,
        wait=is_caller and found.wait,
        plain=found.plain,
        plain_too=not is_caller and found.plain_too,
    )


def _make_people_options(
    parser: argparse.ArgumentParser, found: argparse.Namespace, fault_options: FaultOptions
) -> RegistryOptions | PeerOptions:
    if found.command == "peer" and found.address[1] == 0:
        parser.error("port 0 can't be called: type the port that `palaver registry` has shown")
    if found.dead_after is not None and found.timing != "default":
        parser.error("--dead-after changes the default timing: leave it or --timing out")
    return read_people_options(found, fault_options, _scale_timing(found.dead_after))


def _make_group_options(
    parser: argparse.ArgumentParser, found: argparse.Namespace, fault_options: FaultOptions
) -> HubOptions | JoinOptions:
    if found.command == "join" and found.address[1] == 0:
        parser.error("port 0 can't be called: type the port that `palaver hub` has shown")
    make = make_hub_options if found.command == "hub" else make_join_options
    return make(
        found,
        driver=found.driver,
        tcp=found.tcp,
        fault_options=fault_options,
        timing=_scale_timing(found.dead_after),
        json=found.json,
        verbose=found.verbose,
    )


def _scale_timing(dead_after: float | None) -> Timing:
    """Let a peer be dead after that many seconds; what leads up to it gets no later for it."""
    usual = Timing()
    if dead_after is None:
        return usual
    scale = min(1.0, dead_after / usual.dead_peer)
    return Timing(
        dead_peer=dead_after,
        overdue=usual.overdue * scale,
        keepalive=usual.keepalive * scale,
        probe_cap=max(usual.probe_cap * scale, usual.probe_floor),
    )


def _make_parser(version: str) -> argparse.ArgumentParser:
    parser = _Parser(prog="palaver", description=_DESCRIPTION, epilog=_EXAMPLES)
    parser.add_argument("--version", action="version", version=f"palaver {version}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    listen = commands.add_parser("listen", help="wait for a call", description=_LISTEN)
    listen.add_argument(
        "address",
        metavar="HOST:PORT",
        nargs="?",
        type=take_address,
        default=(DEFAULT_HOST, DEFAULT_PORT),
        help=f"where to listen (default: {DEFAULT_HOST}:{DEFAULT_PORT}; port 0: any free one)",
    )
    listen.add_argument(
        "-k", "--keep-open", action="store_true", help="wait for the next call after each"
    )
    listen.add_argument(
        "--max",
        metavar="N",
        type=take_count,
        default=1,
        help="talk to up to N at a time (default: 1)",
    )
    add_plain_options(listen, too=True)
    _add_chat_options(listen)
    call = commands.add_parser("call", help="call somebody who listens", description=_CALL)
    call.add_argument(
        "address",
        metavar="HOST:PORT",
        type=take_address,
        help=f"whom to call (default port: {DEFAULT_PORT})",
    )
    call.add_argument(
        "--timeout",
        metavar="S",
        type=take_seconds,
        help="give up if there is no answer within S seconds (default: keep trying)",
    )
    call.add_argument(
        "--wait",
        action="store_true",
        help="at the end of input, go on receiving until the other side is done too",
    )
    add_plain_options(call)
    _add_chat_options(call)
    add_people_commands(commands, DRIVERS, _add_fault_options)
    hub = commands.add_parser("hub", help="let a group talk", description=HUB_TEXT)
    add_hub_arguments(hub)
    add_plain_options(hub, too=True)
    _add_common_options(hub)
    join = commands.add_parser("join", help="take part in a group", description=JOIN_TEXT)
    add_join_arguments(join)
    _add_common_options(join)
    sim = commands.add_parser("sim", help="try it all in virtual time", description=SIM_TEXT)
    add_sim_arguments(sim)
    demo = commands.add_parser("demo", help="show what it can do", description=_DEMO)
    _add_fault_options(demo, Faults(loss=0.2, duplicate=0.1, reorder=0.1, corrupt=0.01))
    for command in commands.choices.values():
        command.set_defaults(parser=command)
    return parser


def _add_chat_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--name",
        type=take_name,
        default="",
        help="what the other side sees instead of your address",
    )
    _add_common_options(parser)


def _add_common_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--json", action="store_true", help="print every event as a JSON object on stdout"
    )
    parser.add_argument("-v", "--verbose", action="store_true", help="also tell what was delivered")
    parser.add_argument(
        "--dead-after",
        metavar="S",
        type=take_dead_after,
        help="end the conversation if nothing comes back for S seconds (default: 30); below 30 "
        "the other timers shrink in proportion",
    )
    parser.add_argument(
        "--tcp", action="store_true", help="over TCP, not UDP; both sides must agree on that"
    )
    parser.add_argument(
        "--driver",
        choices=DRIVERS,
        default=DRIVERS[0],
        help="what waits for the network: a thread (the default), a selector, or an event loop",
    )
    _add_fault_options(parser, Faults())


def _add_fault_options(parser: argparse.ArgumentParser, usual: Faults) -> None:
    group = parser.add_argument_group(
        "faults", "Chances, such as 0.2 or 20%, that something happens to a datagram we send."
    )
    for option, default, what in (
        ("--loss", usual.loss, "it is dropped"),
        ("--dup", usual.duplicate, "it is sent twice"),
        ("--reorder", usual.reorder, "it is held back, so that others overtake it"),
        ("--corrupt", usual.corrupt, "some of its bits are flipped"),
    ):
        group.add_argument(
            option,
            metavar="P",
            type=take_chance,
            default=default,
            help=f"{what} (default: {default * 100:g}%%)",
        )
    group.add_argument(
        "--seed", metavar="N", type=take_seed, help="make the same decisions as another run"
    )


class _Parser(argparse.ArgumentParser):
    """Keeps the line breaks of its texts, takes no abbreviations, and says where help is."""

    def __init__(self, **options: Any) -> None:  # noqa: ANN401 - as argparse has them
        options["formatter_class"] = argparse.RawDescriptionHelpFormatter
        super().__init__(allow_abbrev=False, **options)

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and how to find out what is right, in two lines; exit with 2."""
        self.exit(EXIT_USAGE, f"{self.prog}: {message}\nTry: {self.prog} --help\n")
