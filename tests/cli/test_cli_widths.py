"""What stands on a terminal of 80 columns without being cut within a word."""

from __future__ import annotations

import pytest

from palaver_io.cli.network import HUB, LISTEN, REGISTRY, hint_at
from palaver_io.cli.plain_network import hint_at_plain


@pytest.mark.smoke
@pytest.mark.parametrize("tcp", [False, True])
def test_hints_for_this_computer_fit_in_a_line(*, tcp: bool) -> None:
    address = ("127.0.0.1", 65432)
    hints = [line for one in (LISTEN, HUB, REGISTRY) for line in hint_at(one, address, tcp=tcp)]
    hints += hint_at_plain(address, tcp=tcp)
    assert len(hints) >= 7
    assert [line for line in hints if len(line) > 80] == []
