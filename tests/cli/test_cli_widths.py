"""What stands on a terminal of 80 columns without being cut within a word."""

from __future__ import annotations

import pytest

from palaver_io.cli.group_network import hint_at_hub
from palaver_io.cli.network import hint_at_listening
from palaver_io.cli.plain_network import hint_at_plain


@pytest.mark.smoke
@pytest.mark.parametrize("tcp", [False, True])
def test_hints_for_this_computer_fit_in_a_line(*, tcp: bool) -> None:
    address = ("127.0.0.1", 65432)
    hints = [
        line
        for hint in (hint_at_listening, hint_at_hub, hint_at_plain)
        for line in hint(address, tcp=tcp)
    ]
    assert len(hints) >= 5
    assert [line for line in hints if len(line) > 80] == []
