"""What `palaver registry` tells people of how others come, without processes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from palaver_io.cli.registry_command import PlainRegistryOutput
from palaver_io.cli.screen import Screen

if TYPE_CHECKING:
    import pytest


def test_people_are_told_addresses_that_they_can_reach(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    own = ["192.0.2.7", "2001:db8::7"]
    monkeypatch.setattr("palaver_io.cli.network.list_local_addresses", lambda: own)
    output = PlainRegistryOutput(Screen(), tcp=True)
    output.serving("0.0.0.0", 7171, "0.0.0.0:7171")
    first, come, *_ = capsys.readouterr().err.splitlines()
    assert first == "Registry at 0.0.0.0:7171."
    assert come.endswith(":  palaver peer --registry 192.0.2.7:7171 --name NAME --tcp")
    output.serving("127.0.0.1", 7171, "127.0.0.1:7171")
    _, here, elsewhere = capsys.readouterr().err.splitlines()
    assert here.endswith(":  palaver peer --registry 127.0.0.1:7171 --name NAME --tcp")
    assert elsewhere.endswith(":  palaver registry 0.0.0.0:7171 --tcp")
