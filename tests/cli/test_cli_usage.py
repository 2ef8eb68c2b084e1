"""What is said at the start, and what can't be started."""

from __future__ import annotations

import signal
import socket

import pytest
from cli_support import running

from palaver import Duo, __version__
from palaver_io.cli import demo, main


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ((), "examples:"),
        (("shout",), "invalid choice: 'shout'"),
        (("call",), "HOST:PORT"),
        (("call", "127.0.0.1:0"), "port 0 can't be called"),
        (("call", "0.0.0.0"), "call 127.0.0.1 here"),
        (("call", "::1"), "[::1]"),
        (("call", "127.0.0.1:http"), "the port must be a number"),
        (("listen", "127.0.0.1:70000"), "from 0 to 65535"),
        (("listen", "--loss", "20"), "did you mean 20%?"),
        (("listen", "--dup", "101%"), "from 0% to 100%"),
        (("listen", "--corrupt", "-0.1"), "from 0 to 1"),
        (("listen", "--reorder", "often"), "not a number"),
        (("listen", "--max", "0"), "from 1 to 65535"),
        (("listen", "--wait"), "unrecognized arguments: --wait"),
        (("call", "127.0.0.1", "--max", "2"), "unrecognized arguments: --max"),
        (("call", "127.0.0.1", "--timeout", "0"), "above 0"),
        (("call", "127.0.0.1", "--dead-after", "nan"), "not a number"),
        (("listen", "--name", "x" * 65), "64 are allowed"),
        (("demo", "--seed", "seven"), "not a whole number"),
    ],
)
def test_wrong_usage_is_explained(arguments: tuple[str, ...], part: str) -> None:
    with running() as processes:
        process = processes.start(*arguments)
        assert process.finish() == 2
        assert part in "\n".join(process.err)
        assert process.out == []


@pytest.mark.smoke
@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (("--version",), f"palaver {__version__}"),
        (("--help",), "palaver demo"),
        (("listen", "--help"), "palaver listen 0.0.0.0:65432"),
        (("call", "--help"), "--timeout S"),
        (("demo", "--help"), "(default: 20%)"),
    ],
)
def test_help_and_version(arguments: tuple[str, ...], part: str) -> None:
    with running() as processes:
        process = processes.start(*arguments, fresh=True)
        assert process.finish() == 0
        assert part in "\n".join(process.out)
        assert process.err == []


@pytest.mark.parametrize(
    "command", ["", "listen", "call", "registry", "peer", "hub", "join", "sim", "demo"]
)
def test_help_fits_on_a_terminal(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert main([*command.split(), "--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) > 10
    assert [line for line in lines if len(line) > 80] == []


@pytest.mark.parametrize(
    "arguments",
    [
        ("listen", "--tcp", "--loss", "10%"),
        ("hub", "--tcp", "--plain", "--dup", "10%"),
        ("join", "127.0.0.1:0", "--name", "Ann"),
        ("call", "127.0.0.1:0"),
        ("peer", "--name", "Ann", "--registry", "127.0.0.1:0"),
        ("registry", "--dead-after", "5", "--timing", "seed003"),
        ("sim", "--calls", "5", "--forged", "3"),
        ("demo", "extra"),
    ],
)
def test_wrong_usage_names_the_command_whose_help_tells_more(
    arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments]) == 2
    problem, advice = capsys.readouterr().err.splitlines()
    assert problem.startswith(f"palaver {arguments[0]}: ")
    assert advice == f"Try: palaver {arguments[0]} --help"


def test_on_the_loopback_it_says_that_others_cannot_reach_it() -> None:
    with running() as processes:
        ann, address = processes.listen()
        port = address.rpartition(":")[2]
        ann.wait_for_err(f"palaver listen 0.0.0.0:{port}")
        ann.wait_for_err(f"palaver call 127.0.0.1:{port}")


def test_on_all_addresses_it_says_what_others_type() -> None:
    with running() as processes:
        ann, address = processes.listen(at="0.0.0.0:0")
        port = address.rpartition(":")[2]
        ann.wait_for(lambda: len(ann.err) >= 2)
        assert f":{port}" in ann.err[1] or "no address" in ann.err[1]
        bob = processes.call(f"127.0.0.1:{port}", "--name", "Bob")
        bob.type("it works")
        ann.wait_for_out("Bob: it works")


def test_json_names_the_port() -> None:
    with running() as processes:
        ann, _ = processes.listen("--json")
        event = ann.wait_for_event("listening")
        assert event["host"] == "127.0.0.1"
        assert event["address"] == f"127.0.0.1:{event['port']}"
        ann.signal(signal.SIGINT)
        assert ann.finish() == 130
        assert ann.err == []


def test_an_address_in_use() -> None:
    with running() as processes:
        _, address = processes.listen()
        second = processes.start("listen", address)
        assert second.finish() == 1
        assert f"{address} is in use" in second.err[0]
        assert "Take another port: palaver listen 127.0.0.1:" in second.err[0]


def test_an_address_of_another_computer() -> None:
    with running() as processes:
        process = processes.start("listen", "192.0.2.77:0")
        assert process.finish() == 1
        assert "is not an address of this computer" in process.err[0]


def test_a_name_that_nobody_has() -> None:
    with running() as processes:
        process = processes.start("call", "nobody.invalid", "--timeout", "1")
        assert process.finish() == 1
        assert "'nobody.invalid' was not found" in process.err[0]


def test_ipv6() -> None:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
            sock.bind(("::1", 0))
    except OSError:
        pytest.skip("no IPv6 here")
    with running() as processes:
        ann, address = processes.listen(at="[::1]:0")
        bob = processes.call(address, "--name", "Bob")
        bob.type("over six")
        ann.wait_for_out("Bob: over six")


def test_faults_tell_their_seed() -> None:
    with running() as processes:
        ann, _ = processes.listen("--loss", "10%")
        ann.wait_for_err("--seed ")


@pytest.mark.smoke
def test_the_demo() -> None:
    with running() as processes:
        shown = processes.start("demo", "--seed", "7", fresh=True)
        assert shown.finish(20.0) == 0
        assert "200 messages each way" in shown.err[0]
        assert "OK: all 400 messages arrived exactly once and in order" in "\n".join(shown.out)
        rows = {" ".join(line.split()[:-2]): line.split()[-2:] for line in shown.out}
        assert rows["messages sent"] == rows["delivered"] == rows["messages received"]
        assert rows["messages sent"] == ["200", "200"]
        for fault in ("dropped", "duplicated", "reordered", "corrupted", "segments sent again"):
            assert all(int(count) > 0 for count in rows[fault]), shown


def test_a_demo_that_cannot_work_says_so_in_time(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo, "_TIME_LIMIT", 0.5)
    assert main(["demo", "--loss", "100%", "--seed", "3"]) == 1
    out = capsys.readouterr().out
    assert "Ann did not hear 200 of 200 messages." in out
    assert "palaver demo --seed 3" in out


def test_a_bug_in_the_machine_is_told_and_ends_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise LookupError("a deliberate mistake")

    monkeypatch.setattr(Duo, "_take", fail)
    assert main(["call", "127.0.0.1"]) == 1
    told = capsys.readouterr().err
    assert told == "palaver: this is a bug in Palaver: LookupError('a deliberate mistake')\n"
