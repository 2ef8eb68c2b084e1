"""What fuzzing has found, as the smallest script of each; and that it can find something at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from fuzz.casts import CASTS, FindingError, play
from fuzz.decoders import DECODERS
from fuzz.happenings import OPERATIONS
from fuzz.reader import EDGES, Reader
from fuzz.targets import TARGETS, draw, finding_of, load, run, shrink
from fuzz.world import SPOOFED, SUBJECT, Flight, World
from palaver import (
    Action,
    CallEnded,
    Calling,
    CallOpened,
    CameIn,
    Closed,
    ConversationOpened,
    Datagram,
    Delivered,
    Endpoint,
    Enlisted,
    Entered,
    Event,
    Gone,
    Interrupted,
    Joined,
    MemberCame,
    MemberWent,
    Missed,
    Notice,
    Opened,
    Overdue,
    Pause,
    PlainOpened,
    PostHeard,
    PostRelayed,
    PostTaken,
    Received,
    Registry,
    RegistryAway,
    Ringing,
    Said,
    Sent,
    Stalled,
    StillDialing,
    Tick,
    Transmit,
    Undelivered,
    Unheard,
    UsageError,
)
from palaver.wire.packets import Reset
from palaver.wire.sealing import CLEAR

FOUND = {
    "a hub took note of a pause that it refused": ("hub", "03fc3203"),
    "a registry began to count for those it keeps names for, with a command that it refused": (
        "registry",
        "01030301",
    ),
    "a registry asks for a sign of life on a link that its program has finished": (
        "registry",
        "16ad020f01010a290001fd1952ca12020401161211af0165027f000e00031300f26ef5038d52ff",
    ),
    "a program that asks who is there above an id that none can have": (
        "registry",
        "04060003160d11049a4cff",
    ),
    "the word exit, said like any other text, went beyond what an address had earned": (
        "plain",
        "0100000000090001040900010409000104090001010e04090001010e0409000101",
    ),
    "what came behind the word exit was kept for a program that had paused, without a bound": (
        "plain",
        "010000000009000503000002000002000002000002",
    ),
    "a stream that a relay had ended counted as blocked for ever": ("plain", "040000000100000311"),
}


@pytest.mark.parametrize(("target", "script"), FOUND.values(), ids=FOUND)
def test_what_was_found_is_mended(target: str, script: str) -> None:
    run(target, bytes.fromhex(script))


def test_a_hub_does_not_remember_pauses_of_links_that_are_gone() -> None:
    world = play("hub", b"")
    hub = world.cast.subject
    for link in (1, 2, 99):
        for _ in range(2):
            with suppress(UsageError):
                hub.handle(Pause(link), world.now)
    assert len(hub.paused) <= 1  # type: ignore[attr-defined]


SOMETIMES: dict[str, tuple[type[Notice], ...]] = {
    "endpoint": (Opened, Received, Delivered, Undelivered, Overdue, Closed),
    "stream": (Opened, Received, Delivered, Undelivered, Closed),
    "duo": (ConversationOpened, Said, Delivered, Undelivered, Closed),
    "registry": (Joined, Gone),
    "peer": (Enlisted, Calling, Ringing, CallOpened, CallEnded, RegistryAway),
    "hub": (MemberCame, PostRelayed, MemberWent),
    "member": (Entered, CameIn, PostHeard, PostTaken, Undelivered, Interrupted, Closed),
    "plain": (
        *(PlainOpened, Said, Sent, Stalled, Missed, Unheard, StillDialing, Undelivered, Closed),
        *(ConversationOpened, MemberCame, PostRelayed, MemberWent),
    ),
}


@pytest.mark.parametrize("target", SOMETIMES)
def test_the_corpus_leads_to_what_matters(target: str) -> None:
    told = {type(notice) for entry in load(target) for notice in play(target, entry).told}
    assert not set(SOMETIMES[target]) - told


@pytest.mark.parametrize("target", TARGETS)
def test_no_bytes_at_all_are_a_script_too(target: str) -> None:
    run(target, b"")


@pytest.mark.parametrize("target", CASTS)
def test_a_script_does_the_same_each_time(target: str) -> None:
    script = bytes(range(120))
    assert play(target, script).story == play(target, script).story


def test_a_reader_gives_its_choices_and_then_the_first_ones() -> None:
    reader = Reader(bytes((7, 255, 3)) + b"xyz")
    assert (reader.u8(), reader.number(), reader.pick("abc"), reader.take(2)) == (
        7,
        EDGES[-1],
        "a",
        b"xy",
    )
    assert (reader.is_empty, reader.rest(), reader.is_empty) == (False, b"z", True)
    assert (reader.u8(), reader.number(), reader.pick("abc"), reader.take(2)) == (0, 0, "a", b"")


# A fuzzer that finds nothing proves something only if it would have found it.


@contextmanager
def broken(kind: type[Endpoint], method: str, action: Callable[..., object]) -> Iterator[None]:
    """Put another method in the place of one, for a while."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kind, method, action)
        yield


def test_a_machine_that_raises_for_what_a_peer_does_is_found_and_the_script_shrinks() -> None:
    handle = Endpoint.handle

    def raises(self: Endpoint, event: Event, now: float) -> list[Action]:
        if isinstance(event, Datagram) and event.data[:1] == b"\xfd":
            raise KeyError("no such link")
        return handle(self, event, now)

    with broken(Endpoint, "handle", raises):
        script = next(one for one in draw("endpoint", 1) if finding_of("endpoint", one))
        small = shrink("endpoint", script)
        assert len(small) < len(script)
        with pytest.raises(FindingError, match="no such link") as raised:
            run("endpoint", small)
        assert f"--replay endpoint {small.hex()}" in str(raised.value)
    run("endpoint", small)


def test_a_timer_that_stands_still_is_found() -> None:
    handle = Endpoint.handle

    def stands(self: Endpoint, event: Event, now: float) -> list[Action]:
        return [] if isinstance(event, Tick) else handle(self, event, now)

    script = draw("endpoint", 1)[0]
    with (
        broken(Endpoint, "handle", stands),
        pytest.raises(FindingError, match=r"after the tick|stands still"),
    ):
        run("endpoint", script)


def test_a_clone_that_shares_something_is_found() -> None:
    with broken(Endpoint, "clone", lambda self: self):
        found = [finding_of("endpoint", one) for one in draw("endpoint", 1)]
    assert any("twin" in one for one in found if one)


def test_more_bytes_than_came_to_an_address_that_proved_nothing_are_found() -> None:
    world = World(CASTS["endpoint"](Reader(b"")), Reader(b""))
    answer = Transmit(CLEAR.seal(Reset(1, 1).encode()), SPOOFED[0])
    world.arrive(Flight(bytes(20), SPOOFED[0], SUBJECT))
    world.perform(answer)
    with pytest.raises(AssertionError, match="more went there"):
        world.perform(answer)


def test_every_operation_and_every_decoder_is_a_target_of_something() -> None:
    assert len(OPERATIONS) <= 256
    assert set(TARGETS) == set(CASTS) | set(DECODERS)
    assert isinstance(play("registry", b"").cast.subject, Registry)
