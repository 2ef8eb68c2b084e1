"""`palaver registry --state FILE`: kept by one, told of once, and at the start if it can't be."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_support import Processes, running

from palaver import Snapshot
from palaver.roles.registry_table import RegistryTable
from palaver_io.cli import state_file
from palaver_io.cli.registry_command import JsonRegistryOutput, RegistryTalk
from palaver_io.cli.screen import Screen
from palaver_io.cli.state_file import StateFile

EMPTY = RegistryTable(bytes(32)).snapshot()


@pytest.fixture
def processes() -> Iterator[Processes]:
    with running() as found:
        yield found


@pytest.mark.parametrize("more", [(), ("--json",)])
def test_a_state_that_can_not_be_kept_is_told_at_the_start_and_once(
    processes: Processes, tmp_path: Path, more: tuple[str, ...]
) -> None:
    state = tmp_path / "nowhere" / "registry.state"
    registry = processes.start("registry", "127.0.0.1:0", "--state", str(state), *more)
    assert registry.finish() == 1
    assert registry.out == []
    assert registry.err == [f"palaver: can't keep the state in {state}: No such file or directory"]


@pytest.mark.parametrize("kind", ["folder", "pipe"])
def test_a_state_that_is_no_file_is_told_at_the_start(
    processes: Processes, tmp_path: Path, kind: str
) -> None:
    state = tmp_path / "state"
    state.mkdir() if kind == "folder" else os.mkfifo(state)
    registry = processes.start("registry", "127.0.0.1:0", "--state", str(state))
    assert registry.finish() == 1
    assert registry.err == [f"palaver: can't keep the state in {state}: it is not a regular file"]


def test_two_registries_do_not_keep_one_file(processes: Processes, tmp_path: Path) -> None:
    state = tmp_path / "state"
    first = processes.start("registry", "127.0.0.1:0", "--state", str(state))
    first.wait_for_err("Registry at ")
    before = state.read_bytes()
    second = processes.start("registry", "127.0.0.1:0", "--state", str(state))
    assert second.finish() == 1
    assert second.err == [
        f"palaver: can't keep the state in {state}: another `palaver registry` keeps its own there"
    ]
    assert state.read_bytes() == before
    first.kill()
    third = processes.start("registry", "127.0.0.1:0", "--state", str(state))
    third.wait_for_err("Registry at ")


def test_a_port_that_is_taken_leaves_no_state_behind(processes: Processes, tmp_path: Path) -> None:
    first = processes.start("registry", "127.0.0.1:0")
    first.wait_for_err("Registry at ")
    address = first.err[0].split()[-1].removesuffix(".")
    second = processes.start("registry", address, "--state", str(tmp_path / "state"))
    assert second.finish() == 1
    assert list(tmp_path.iterdir()) == []


# The file


def test_what_was_written_is_there_for_the_next(tmp_path: Path) -> None:
    file = StateFile(tmp_path / "state")
    assert file.take() is None
    file.write(b"one")
    file.write(b"two")
    file.close()
    assert StateFile(tmp_path / "state").take() == b"two"
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o600


@pytest.mark.parametrize("wrote", [False, True])
def test_who_comes_second_gets_nothing_until_the_first_is_done(tmp_path: Path, wrote: bool) -> None:
    (tmp_path / "state").write_bytes(b"before")
    first, second = StateFile(tmp_path / "state"), StateFile(tmp_path / "state")
    first.take()
    if wrote:
        first.write(b"after")
    with pytest.raises(BlockingIOError):
        second.take()
    with pytest.raises(BlockingIOError):
        second.write(b"mine")
    first.close()
    assert second.take() == (b"after" if wrote else b"before")


def test_of_two_that_began_without_a_file_the_second_to_write_is_refused(tmp_path: Path) -> None:
    first, second = StateFile(tmp_path / "state"), StateFile(tmp_path / "state")
    assert first.take() is second.take() is None
    first.write(b"first")
    with pytest.raises(BlockingIOError):
        second.write(b"second")
    assert (tmp_path / "state").read_bytes() == b"first"


def test_what_was_replaced_before_it_was_locked_is_read_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "state"
    path.write_bytes(b"old")
    lock = state_file._lock

    def replace_and_lock(descriptor: int) -> None:
        if path.read_bytes() == b"old":
            path.unlink()
            path.write_bytes(b"new")
        lock(descriptor)

    monkeypatch.setattr(state_file, "_lock", replace_and_lock)
    file = StateFile(path)
    assert file.take() == b"new"
    with pytest.raises(BlockingIOError):
        StateFile(path).take()
    file.close()


def test_what_a_link_points_to_is_replaced_and_not_the_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    link = tmp_path / "state"
    link.symlink_to(tmp_path / "disk" / "real")
    file = StateFile(link)
    file.write(b"data")
    assert link.is_symlink()
    assert (tmp_path / "disk" / "real").read_bytes() == b"data"


def test_a_disk_that_is_full_leaves_what_was_there_and_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = StateFile(tmp_path / "state")
    file.write(b"before")

    def fail(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", fail)
        with pytest.raises(OSError, match="No space"):
            file.write(b"after")
    assert [one.name for one in tmp_path.iterdir()] == ["state"]
    assert (tmp_path / "state").read_bytes() == b"before"
    file.write(b"after")
    assert (tmp_path / "state").read_bytes() == b"after"


def test_killed_between_writing_and_renaming_there_is_what_was_before(tmp_path: Path) -> None:
    state = tmp_path / "state"
    before = StateFile(state)
    before.write(EMPTY)
    before.close()
    code = (
        "import os, pathlib, sys\n"
        "from palaver_io.cli.state_file import StateFile\n"
        "pathlib.Path.replace = lambda *_: os.kill(os.getpid(), 9)\n"
        "StateFile(pathlib.Path(sys.argv[1])).write(b'half')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(state)],
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.returncode == -9
    assert (tmp_path / "state.part").read_bytes() == b"half"
    after = StateFile(state)
    assert after.take() == EMPTY
    after.write(b"next")
    assert [one.name for one in tmp_path.iterdir()] == ["state"]


# What people are told


class Failing(StateFile):
    """A file on a disk that is full from time to time."""

    is_full = False

    def write(self, data: bytes) -> None:
        if self.is_full:
            raise OSError(errno.ENOSPC, "No space left on device")
        super().write(data)


def test_a_state_that_can_not_be_kept_any_more_is_told_once_until_it_can(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = Failing(tmp_path / "state")
    talk = RegistryTalk(lambda _: None, JsonRegistryOutput(Screen()), file)
    talk.take_notice(Snapshot(b"one"))
    assert (talk.status, capsys.readouterr().err) == (0, "")
    file.is_full = True
    talk.take_notice(Snapshot(b"two"))
    talk.take_notice(Snapshot(b"three"))
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 1
    assert "No space left on device; what changes now is lost in a restart" in told[0]
    assert talk.status == 1
    file.is_full = False
    talk.take_notice(Snapshot(b"four"))
    talk.take_notice(Snapshot(b"five"))
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert talk.status == 0
    assert file.path.read_bytes() == b"five"
