"""`palaver peer`: what it brings to a session."""

from __future__ import annotations

import os
from collections.abc import Callable

from palaver import Address, Event, Heard, Notice, Peer
from palaver_io.addresses import local_host_towards, resolve_peer
from palaver_io.opening import open_caller, open_listener
from palaver_io.port import Port

from .peer_output import JsonPeerOutput, PeerOutput, PlainPeerOutput
from .peer_policy import PeerPolicy
from .peer_talk import PeerTalk
from .people_arguments import PeerOptions
from .screen import Screen
from .session import CannotStartError
from .status import EXIT_USAGE


class PeerCommand:
    """One run of `palaver peer`."""

    messages: tuple[type[Notice], ...] = (Heard,)

    def __init__(self, options: PeerOptions) -> None:
        self.options = options
        self._machine: Peer | None = None
        self._output: PeerOutput | None = None

    @property
    def machine(self) -> Peer:
        """What the driver runs; made by `open_port`."""
        assert self._machine is not None
        return self._machine

    def make_output(self, screen: Screen, *, numbered: bool) -> PeerOutput:
        """Make what tells people or programs; `numbered`: lines are known by their numbers."""
        self._output = (
            JsonPeerOutput(screen)
            if self.options.json
            else PlainPeerOutput(screen, verbose=self.options.verbose, numbered=numbered)
        )
        return self._output

    def open_port(self) -> Port:
        """Open the socket, and look up the registry. Raises CannotStartError."""
        options = self.options
        try:
            registry = resolve_peer(options.host, options.port)
            if options.tcp:
                # Where the registry sees us: only who can reach that can call.
                port = open_listener(local_host_towards(registry), 0, tcp=True)
            else:
                port = open_caller(registry, tcp=False)
            self._machine = self._make_machine(registry, port)
            return port  # noqa: TRY300
        except ValueError as error:
            raise CannotStartError(str(error), EXIT_USAGE) from error
        except OSError as error:
            raise CannotStartError(error.strerror or str(error)) from error

    def make_talk(self, perform: Callable[[Event], object], *, is_interactive: bool) -> PeerTalk:
        """Make what gives meaning; called after `make_output`."""
        assert self._output is not None
        options = self.options
        policy = PeerPolicy(
            registry=self.machine.client.address,
            name=options.name,
            accept=options.accept,
            timeout=options.timeout,
            wait=options.wait,
            is_interactive=is_interactive,
        )
        return PeerTalk(perform, self._output, policy)

    def _make_machine(self, registry: Address, port: Port) -> Peer:
        options = self.options
        return Peer(
            os.urandom,
            name=options.name,
            registry=registry,
            port=port.address[1] if options.tcp else 0,
            streams=options.tcp,
            timing=options.timing,
        )
