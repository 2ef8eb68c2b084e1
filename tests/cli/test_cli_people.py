"""`palaver registry` and `palaver peer` as real processes, by pipes and at a terminal."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_support import PATIENCE, Process, Processes, running
from test_cli_terminal import sitting_at

from palaver import Registry
from palaver.roles.registry_table import RegistryTable

BAD = ("--loss", "30%", "--dup", "20%")


@pytest.fixture
def processes() -> Iterator[Processes]:
    with running() as found:
        yield found


def without_claims(line: str) -> str:
    """Give what is printed as if the registry had confirmed each name: faults may prevent that."""
    return re.sub("[Ss]omebody who says to be ", "", line)


def see(process: Process, part: str) -> None:
    """Wait until this stands on stderr, confirmed or not."""
    process.wait_for(lambda: part in without_claims("\n".join(process.err)))


def see_out(process: Process, line: str) -> None:
    """Wait until this line stands on stdout, confirmed or not."""
    process.wait_for(lambda: line in map(without_claims, process.out))


class Town:
    """A registry, and the peers there."""

    def __init__(self, processes: Processes, *arguments: str) -> None:
        self.processes = processes
        self.registry, self.address = self.open("127.0.0.1:0", *arguments)

    def open(self, at: str, *arguments: str) -> tuple[Process, str]:
        registry = self.processes.start("registry", at, *arguments)
        if "--json" in arguments:
            return registry, registry.wait_for_event("listening")["address"]
        registry.wait_for_err("Registry at ")
        line = next(line for line in registry.err if line.startswith("Registry at "))
        return registry, line.split()[-1].removesuffix(".")

    def reopen(self, *arguments: str) -> None:
        self.registry.kill()
        self.registry, _ = self.open(self.address, *arguments)

    def start(self, name: str, *arguments: str) -> Process:
        return self.processes.start("peer", "--name", name, "--registry", self.address, *arguments)

    def peer(self, name: str, *arguments: str) -> Process:
        """Start a peer, and wait until it is entered."""
        process = self.start(name, *arguments)
        if "--json" in arguments:
            process.wait_for_event("enlisted")
        else:
            process.wait_for_err(f"You are {name}")
        return process


def test_a_peer_without_any_input_still_learns_that_its_name_is_taken(
    processes: Processes,
) -> None:
    town = Town(processes)
    town.peer("Bob", "--wait")
    second = town.start("Bob")
    second.end_input()
    assert second.finish() == 1
    assert any("taken" in line or "name" in line for line in second.err)
    assert not any("will notice that you have left" in line for line in second.err)


@pytest.mark.smoke
@pytest.mark.parametrize(
    ("driver", "more"),
    [
        ("blocking", ()),
        ("selectors", ()),
        ("asyncio", ()),
        ("blocking", BAD),
        ("selectors", BAD),
        ("asyncio", BAD),
        ("blocking", ("--tcp",)),
        ("selectors", ("--tcp",)),
        ("asyncio", ("--tcp",)),
    ],
)
def test_three_people_and_a_registry_through_every_command(
    processes: Processes, driver: str, more: tuple[str, ...]
) -> None:
    options = ("--driver", driver, *more)
    town = Town(processes, *options)
    ann, bob, cid = (town.peer(name, "--wait", *options) for name in ["Ann", "Bob", "Cid"])
    ann.type("list", "help")
    ann.wait_for(lambda: any(line.split()[:2] == ["3", "Cid"] for line in ann.out))
    see(ann, "make another conversation the current one")
    # Reject, with a reason.
    ann.type("connect bob")
    see(bob, "Ann (id 1, at 127.0.0.1:")
    bob.type("reject ann not before noon")
    see(ann, "bob does not want to talk: not before noon")
    see(bob, "You have turned Ann down: not before noon")
    # Accept; two conversations at a time; the current one.
    ann.type("connect 2")
    bob.wait_for(lambda: sum("calls." in line for line in bob.err) == 2)
    bob.type("accept")
    see(ann, "Connected to Bob (id 2")
    cid.type("connect Ann")
    see(ann, "Cid (id 3, at 127.0.0.1:")
    ann.type("accept Cid", "send to Cid", "use bob", "send to Bob", "use 3", "send Cid again")
    see_out(cid, "Ann: Cid again")
    see_out(bob, "Ann: to Bob")
    bob.type("send  as  it  is ")
    see_out(ann, "Bob:  as  it  is ")
    # Either side ends it.
    ann.type("terminate Bob")
    see(bob, "Ann ended the conversation.")
    see(ann, "You ended the conversation with Bob.")
    cid.type("terminate")
    see(ann, "Cid ended the conversation.")
    # Cancel, and nobody there.
    bob.type("connect Cid")
    see(cid, "Bob (id 2")
    bob.type("terminate Cid")
    see(cid, "Bob has given up.")
    bob.type("connect nobody")
    see(bob, "nobody is inactive")
    # Leaving.
    cid.type("leave")
    assert cid.finish() == 0
    assert "The registry knows that you have left." in cid.err
    assert sum("calls." in line for line in bob.err) == 2  # each call of Ann's rang once
    see(ann, "Cid (id 3) is not here any more.")
    for one, farewell in ((ann, "exit"), (bob, "leave")):
        one.type(farewell)
        assert one.finish() == 1  # a script one of whose calls came to nothing says so
    town.registry.wait_for_out("(nobody is here)")
    town.registry.signal(signal.SIGINT)
    assert town.registry.finish() == 130
    assert cid.out == ["Ann: to Cid", "Ann: Cid again"]


@pytest.mark.parametrize("driver", ["blocking", "selectors", "asyncio"])
def test_scripts_over_a_bad_network_lose_nothing(processes: Processes, driver: str) -> None:
    town = Town(processes, *BAD, "--seed", "1")
    bob = town.peer("Bob", "--accept", "all", "--wait", *BAD, "--seed", "2", "--driver", driver)
    cid = town.peer("Cid", "--accept", "none", "--wait", *BAD, "--seed", "3")
    ann = town.start("Ann", *BAD, "--seed", "4", "--driver", driver)
    lines = [f"line {number}" for number in range(200)]
    # Cid's answer may come late, and who has left does not wait for it.
    ann.type("connect Cid")
    see(ann, "Cid does not want to talk: takes no calls")
    ann.type("connect Bob", *(f"send {line}" for line in lines), "terminate", "leave")
    assert ann.finish(90) == 1
    # What has arrived may still be on its way from there to us.
    bob.wait_for(lambda: len(bob.out) >= len(lines))
    see(cid, "calls.")
    assert [without_claims(line) for line in bob.out] == [f"Ann: {one}" for one in lines]
    assert sum("calls." in line for line in bob.err) == 1
    assert sum("calls." in line for line in cid.err) == 1
    bob.signal(signal.SIGTERM)
    assert bob.finish() == 143


def test_a_script_leaves_at_its_end_when_all_has_arrived(processes: Processes) -> None:
    town = Town(processes)
    bob = town.peer("Bob", "--accept", "all", "--wait")
    ann = town.start("Ann")
    ann.type("connect Bob", "send one", "send two")
    ann.end_input()
    assert ann.finish() == 0
    bob.wait_for_out("Ann: two")
    assert bob.out == ["Ann: one", "Ann: two"]


def test_a_line_that_nobody_can_hear_makes_a_script_fail(processes: Processes) -> None:
    town = Town(processes)
    ann = town.start("Ann")
    ann.type("send hello", "connect Bob", "send anyone?")
    ann.end_input()
    assert ann.finish() == 3
    assert "line 1, 'send hello': there is no conversation" in "\n".join(ann.err)


def test_programs_read_json(processes: Processes) -> None:
    town = Town(processes, "--json")
    ann = town.peer("Ann", "--json", "--wait")
    bob = town.peer("Bob", "--json", "--wait")
    ann.type("connect Bob")
    ringing = bob.wait_for_event("ringing")
    assert (ringing["id"], ringing["name"], ringing["verified"]) == (1, "Ann", True)
    bob.type("accept", "send hi")
    message = ann.wait_for_event("message")
    assert (message["id"], message["number"], message["text"]) == (2, 1, "hi")
    bob.wait_for_event("delivered")
    ann.type("list", "terminate", "leave")
    ended = bob.wait_for_event("ended")
    assert (ended["outcome"], ended["by"]) == ("terminated", "peer")
    assert ann.finish() == 0
    assert [one["name"] for one in ann.events("present")[0]["entries"]] == ["Ann", "Bob"]
    assert ann.events("departed") == [{"event": "departed", "acknowledged": True}]
    town.registry.wait_for_event("gone")
    town.registry.wait_for_event("table", 3)
    rows = town.registry.events("table")
    assert [[row["name"] for row in one["entries"]] for one in rows] == [
        ["Ann"],
        ["Ann", "Bob"],
        ["Bob"],
    ]


# Names


def test_a_programs_events_have_the_names_that_other_commands_have(processes: Processes) -> None:
    town = Town(processes)
    bob = town.peer("Bob", "--accept", "all", "--json")
    ann = town.peer("Ann", "--json")
    ann.type("fly", "connect Bob", "send hi")
    unsent = ann.wait_for_event("unsent")
    assert unsent["line"] == 1
    assert 'there is no command "fly"' in unsent["problem"]
    ann.wait_for_event("delivered")
    ann.type("terminate")
    ann.wait_for_event("ended")
    bob.wait_for_event("ended")
    for one in (ann, bob):
        about = ("calling", "ringing", "opened", "message", "delivered", "ended")
        events = [event for event in one.events() if event["event"] in about]
        assert {event["link"] for event in events} == {1}
        assert not any("call" in event for event in one.events())
    assert not ann.events("refused")


def test_of_two_who_claim_one_name_at_once_one_gets_it(processes: Processes) -> None:
    town = Town(processes)
    both = [town.start("Ann", "--wait") for _ in range(2)]
    town.registry.wait_for_err("Ann is here")
    until = time.monotonic() + PATIENCE
    while all(one._popen.poll() is None for one in both) and time.monotonic() < until:
        time.sleep(0.05)
    (loser,) = [one for one in both if one._popen.poll() is not None]
    (winner,) = [one for one in both if one is not loser]
    assert loser.finish() == 1
    assert "Somebody else has that name: take another, with --name." in loser.err
    winner.wait_for_err("You are Ann")
    winner.type("leave")
    assert winner.finish() == 0


def test_a_client_that_was_killed_gets_its_name_back_within_seconds(processes: Processes) -> None:
    town = Town(processes)
    ann, bob = town.peer("Ann", "--wait"), town.peer("Bob", "--wait")
    ann.kill()
    since = time.monotonic()
    again = town.peer("Ann", "--wait")
    assert time.monotonic() - since < 8
    assert 'You are Ann, with id 3. Type "help" for the commands.' in again.err
    town.registry.wait_for_err("Ann (id 1) is gone without a word.")
    bob.wait_for_err("Ann is here (id 3).")


@pytest.mark.parametrize(
    ("options", "within"), [(("--dead-after", "3"), 6.0), (("--tcp",), 2.0)], ids=["udp", "tcp"]
)
def test_who_vanishes_is_taken_off_and_its_partner_is_told(
    processes: Processes, options: tuple[str, ...], within: float
) -> None:
    town = Town(processes, *options)
    ann, bob, cid = (town.peer(name, "--wait", *options) for name in ("Ann", "Bob", "Cid"))
    ann.type("connect Bob")
    bob.wait_for_err("calls.")
    bob.type("accept", "send hello")
    ann.wait_for_out("Bob: hello")
    bob.kill()
    since = time.monotonic()
    town.registry.wait_for_err("Bob (id 2) is gone without a word.")
    cid.wait_for_err("Bob (id 2) is not here any more.")
    ann.wait_for_err("Bob does not answer any more" if options[0] != "--tcp" else "Bob is gone (")
    # Of datagrams: nothing valid for 3 s while a keepalive waits, which goes out 2 s +- 20 % after
    # the last. A stream says at once that it has ended. (And 2 s for a machine that is busy.)
    assert time.monotonic() - since < within + 2
    town.registry.wait_for(lambda: _last_names(town.registry) == ["Ann", "Cid"])
    ann.type("connect Bob")
    ann.wait_for_err("Bob is inactive")
    ann.type("leave")
    assert ann.finish() != 0


def _last_names(registry: Process) -> list[str]:
    """Give who is in the last table that was printed, by its second column."""
    out = registry.out[:-1] if registry.out[-1:] == [""] else registry.out
    start = max((at for at, line in enumerate(out) if line.startswith("id ")), default=len(out))
    return [line.split()[1] for line in out[start + 1 :]]


# Registries that come back


def test_a_registry_that_comes_back_with_its_state_has_everybody_as_before(
    processes: Processes, tmp_path: Path
) -> None:
    state = str(tmp_path / "registry.state")
    town = Town(processes, "--state", state)
    ann, bob = town.peer("Ann", "--wait"), town.peer("Bob", "--accept", "all", "--wait")
    ann.type("connect Bob", "send before")
    bob.wait_for_out("Ann: before")
    town.reopen("--state", state)
    # The conversation needs no registry; each learns what happened when it next turns there.
    ann.type("send meanwhile")
    bob.wait_for_out("Ann: meanwhile")
    for one in (ann, bob):
        one.type("list")
        one.wait_for_err("The registry is back, and has you as before.")
    rogue = town.start("Cid")
    rogue.type("list", "leave")
    assert rogue.finish() == 0
    assert [line.split()[:2] for line in rogue.out] == [["1", "Ann"], ["2", "Bob"], ["3", "Cid"]]
    ann.type("terminate", "leave")
    assert ann.finish() == 0


def test_a_registry_that_comes_back_without_its_state_gives_new_ids(processes: Processes) -> None:
    town = Town(processes)
    ann, bob = town.peer("Ann", "--wait"), town.peer("Bob", "--wait")
    town.reopen()
    bob.type("list")
    bob.wait_for_err("The registry had forgotten you: your id is 1 now, and not 2.")
    ann.type("list")
    ann.wait_for_err("The registry is away (reset).")
    ann.wait_for_err("The registry had forgotten you: your id is 2 now, and not 1.")


def test_a_state_that_is_damaged_is_not_taken_and_not_touched(
    processes: Processes, tmp_path: Path
) -> None:
    state = tmp_path / "registry.state"
    state.write_bytes(b"junk")
    registry = processes.start("registry", "127.0.0.1:0", "--state", str(state))
    assert registry.finish() == 1
    assert "move it away to begin with an empty table" in "\n".join(registry.err)
    assert state.read_bytes() == b"junk"


@pytest.mark.parametrize("what", ["no such folder", "a folder", "a file for a folder"])
def test_a_state_that_can_not_be_kept_is_told_before_anybody_comes(
    processes: Processes, tmp_path: Path, what: str
) -> None:
    (tmp_path / "file").write_text("")
    state = {
        "no such folder": tmp_path / "nowhere" / "registry.state",
        "a folder": tmp_path,
        "a file for a folder": tmp_path / "file" / "registry.state",
    }[what]
    registry = processes.start("registry", "127.0.0.1:0", "--state", str(state))
    assert registry.finish() == 1
    (problem,) = registry.err
    assert str(state) in problem
    assert "can't" in problem
    assert sorted(tmp_path.iterdir()) == [tmp_path / "file"]


def test_half_a_state_is_not_taken_and_not_touched(processes: Processes, tmp_path: Path) -> None:
    state = tmp_path / "registry.state"
    table = RegistryTable(bytes(32))
    table.enter("Ann", ("127.0.0.1", 4000), 1, 0.0)
    state.write_bytes(table.snapshot()[:-6])
    registry = processes.start("registry", "127.0.0.1:0", "--state", str(state))
    assert registry.finish() == 1
    assert "or it is damaged; move it away" in "\n".join(registry.err)
    assert state.read_bytes() == table.snapshot()[:-6]
    assert list(tmp_path.iterdir()) == [state]


def test_the_state_is_readable_by_its_owner_only_and_never_half_written(
    processes: Processes, tmp_path: Path
) -> None:
    state = tmp_path / "registry.state"
    state.write_bytes(RegistryTable(bytes(32)).snapshot())
    state.chmod(0o644)
    left = tmp_path / "registry.state.part"  # of a run that broke off, or planted
    left.symlink_to(tmp_path / "elsewhere")
    town = Town(processes, "--state", str(state))
    town.peer("Ann", "--wait")
    town.registry.wait_for(lambda: any("Ann" in line for line in town.registry.out))
    town.registry.signal(signal.SIGINT)
    town.registry.finish()
    assert state.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [state]


def test_the_state_is_whole_after_each_change(processes: Processes, tmp_path: Path) -> None:
    state = tmp_path / "registry.state"
    town = Town(processes, "--state", str(state))
    town.peer("Ann", "--wait")
    town.peer("Bob", "--wait")
    town.registry.wait_for(lambda: sum("Bob" in line for line in town.registry.out) == 1)
    town.registry.signal(signal.SIGINT)
    assert town.registry.finish() == 130
    restored = Registry(bytes, snapshot=state.read_bytes())
    assert restored.stats()["kept"] == 2


def test_who_starts_before_the_registry_waits_for_it(processes: Processes) -> None:
    town = Town(processes)
    town.registry.kill()
    ann = town.start("Ann", "--wait")
    ann.wait_for_err("Nothing seems to be at ")
    town.registry, _ = town.open(town.address)
    ann.wait_for_err("You are Ann, with id 1.")


@pytest.mark.parametrize(("lines", "status"), [((), 1), (("connect Bob", "send hi"), 3)])
@pytest.mark.parametrize("more", [(), ("--tcp",), ("--driver", "asyncio")])
def test_a_script_without_a_registry_gives_up(
    processes: Processes, lines: tuple[str, ...], status: int, more: tuple[str, ...]
) -> None:
    town = Town(processes)
    town.registry.kill()
    ann = town.start("Ann", "--timeout", "1", *more)
    ann.type(*lines)
    ann.end_input()
    assert ann.finish() == status
    said = "\n".join(ann.err)
    assert f"no answer from the registry at {town.address} within 1 s" in said
    assert "notice that you have left" not in said
    assert said.count("too late: everything has been ended") == len(lines)


def test_commands_behind_leave_are_told_of(processes: Processes) -> None:
    town = Town(processes)
    ann = town.start("Ann")
    ann.type("list", "leave", "send hi", "list")
    assert ann.finish() == 3
    [told] = [line for line in ann.err if "too late" in line]
    assert "line 3, 'send hi'" in told
    assert "Nor was anything sent that follows it." in ann.err


# A person


def test_two_people_at_terminals(processes: Processes) -> None:
    town = Town(processes)
    register = ("peer", "--registry", town.address, "--name")
    with sitting_at(*register, "Ann") as ann, sitting_at(*register, "Bob") as bob:
        for person, name in ((ann, "Ann"), (bob, "Bob")):
            person.wait_for(f"You are {name}")
            person.wait_for(">", last=True)
        ann.type("connect bob\r")
        bob.wait_for('Type "accept", or "reject" and why.')
        bob.type("acc")
        bob.wait_for("> acc", last=True)
        bob.type("ept\r")
        ann.wait_for("Connected to Bob (id ")
        ann.wait_for("Bob>", last=True)
        ann.type("send how are you?\r")
        bob.wait_for("Ann: how are you?")
        bob.type("blah\r")
        bob.wait_for('there is no command "blah": type "help"')
        bob.type("terminate\r")
        ann.wait_for("Bob ended the conversation.")
        ann.wait_for(">", last=True)
        ann.type("send hello?\r")
        ann.wait_for('there is no conversation: "connect" to somebody first')
        ann.type("leave\r")
        assert ann.popen.wait(PATIENCE) == 0
        assert ann.are_modes_restored()
        bob.popen.send_signal(signal.SIGINT)
        assert bob.popen.wait(PATIENCE) == 130
        bob.wait_for("The registry knows that you have left.")
        assert bob.are_modes_restored()


# Usage


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("peer",), "the following arguments are required: --name"),
        (("peer", "--name", "12"), "a name of digits only would be taken for an id"),
        (("peer", "--name", "a\x1bb"), "printable characters only"),
        (("peer", "--name", "Ann", "--registry", "host:99999"), "the port must be from 0 to 65535"),
        (("peer", "--name", "Ann", "--accept", "some"), "invalid choice"),
        (("peer", "--name", "Ann", "--tcp", "--loss", "10%"), "faults can't be injected into TCP"),
        (("peer", "--name", "Ann", "--registry", "127.0.0.1:0"), "port 0 can't be called"),
        (("peer", "--name", "A", "--timing", "seed003", "--dead-after", "3"), "leave it or --timi"),
        (("registry", "--max", "0"), "it must be from 1 to 65535, not 0"),
        (("registry", "--timing", "fast"), "invalid choice"),
    ],
)
def test_what_makes_no_sense_is_said(
    processes: Processes, arguments: tuple[str, ...], complaint: str
) -> None:
    process = processes.start(*arguments)
    assert process.finish() == 2
    assert complaint in "\n".join(process.err)


def test_a_registry_whose_port_is_taken_says_so(processes: Processes) -> None:
    town = Town(processes)
    other = processes.start("registry", town.address)
    assert other.finish() == 1
    assert "is another `palaver registry` running?" in "\n".join(other.err)
