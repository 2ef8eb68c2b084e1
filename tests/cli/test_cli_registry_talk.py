"""What `palaver registry` does with its state, without processes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from palaver import Event, Registry, Snapshot, TakeSnapshot
from palaver_io.cli.registry_command import PlainRegistryOutput, RegistryTalk
from palaver_io.cli.screen import Screen

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def snapshot() -> Snapshot:
    (told,) = Registry(bytes).handle(TakeSnapshot(), 0.0)
    assert isinstance(told, Snapshot)
    return told


def ignore(_: Event) -> None:
    """Be a machine that does nothing."""


def test_that_the_state_is_not_kept_is_told_once_until_it_is_kept_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "folder"
    state = folder / "registry.state"
    talk = RegistryTalk(ignore, PlainRegistryOutput(Screen(), tcp=False), state)
    for _ in range(3):
        talk.take_notice(snapshot())
    assert capsys.readouterr().err.count("can't keep the state") == 1
    assert talk.status == 1
    folder.mkdir()
    for _ in range(3):
        talk.take_notice(snapshot())
    assert capsys.readouterr().err.count("is kept in") == 1
    assert talk.status == 0
    assert state.read_bytes() == snapshot().data
    state.unlink()
    folder.rmdir()
    talk.take_notice(snapshot())
    assert capsys.readouterr().err.count("can't keep the state") == 1
    assert talk.status == 1


def test_people_are_told_addresses_that_they_can_reach(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    own = ["192.0.2.7", "2001:db8::7"]
    monkeypatch.setattr("palaver_io.cli.network.list_local_addresses", lambda: own)
    talk = RegistryTalk(ignore, PlainRegistryOutput(Screen(), tcp=True), None)
    talk.begin(("0.0.0.0", 7171))
    first, come, *_ = capsys.readouterr().err.splitlines()
    assert first == "Registry at 0.0.0.0:7171."
    assert come.endswith(":  palaver peer --registry 192.0.2.7:7171 --name NAME --tcp")
    talk.begin(("127.0.0.1", 7171))
    _, here, elsewhere = capsys.readouterr().err.splitlines()
    assert here.endswith(":  palaver peer --registry 127.0.0.1:7171 --name NAME --tcp")
    assert elsewhere.endswith(":  palaver registry 0.0.0.0:7171 --tcp")
