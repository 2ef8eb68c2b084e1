"""How many half-open links there may be, in all and per host."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palaver.link.halfopen import HalfOpen
from palaver.link.hosts import host_of
from palaver.timing import Limits

LIMITS = Limits(half_open=4, half_open_per_host=2)


@pytest.mark.spec("L-11")
def test_a_host_may_have_so_many_whatever_its_ports() -> None:
    half_open = HalfOpen(LIMITS)
    for link in (1, 2):
        assert half_open.has_room(("192.0.2.1", link))
        half_open.add(link, ("192.0.2.1", link), proved=False)
    assert not half_open.has_room(("192.0.2.1", 3))
    assert half_open.has_room(("192.0.2.2", 1))


@pytest.mark.spec("L-11")
def test_all_hosts_together_may_have_so_many() -> None:
    half_open = HalfOpen(LIMITS)
    for link in range(4):
        assert half_open.has_room((f"host-{link}", 1))
        half_open.add(link, (f"host-{link}", 1), proved=False)
    assert not half_open.has_room(("host-9", 1))
    assert len(half_open) == 4


def test_what_is_discarded_makes_room_and_may_be_discarded_again() -> None:
    half_open = HalfOpen(LIMITS)
    half_open.add(1, ("a", 1), proved=False)
    half_open.add(2, ("a", 2), proved=False)
    half_open.discard(7)
    half_open.discard(1)
    half_open.discard(1)
    assert len(half_open) == 1
    assert half_open.has_room(("a", 1))
    half_open.add(3, ("a", 1), proved=False)
    assert not half_open.has_room(("a", 1))


@given(st.lists(st.tuples(st.integers(0, 6), st.sampled_from("abc")), max_size=60))
def test_the_counts_are_those_of_the_links_that_are_there(script: list[tuple[int, str]]) -> None:
    half_open = HalfOpen(LIMITS)
    there: dict[int, str] = {}
    for link, host in script:
        per_host = list(there.values()).count(host)
        assert half_open.has_room((host, 1)) == (len(there) < 4 and per_host < 2)
        if link in there:
            half_open.discard(link)
            del there[link]
        elif half_open.has_room((host, 1)):
            half_open.add(link, (host, 1), proved=False)
            there[link] = host
        assert len(half_open) == len(there)


@pytest.mark.spec("H-17")
def test_a_proved_caller_takes_the_place_of_the_oldest_that_is_not_proved() -> None:
    half_open = HalfOpen(LIMITS)
    for link, proved in ((1, True), (2, False), (3, False), (4, True)):
        half_open.add(link, (f"host-{link}", 1), proved=proved)
    assert half_open.links() == [1, 2, 3, 4]
    assert half_open.place_for(("new", 1)) == 2
    half_open.discard(2)
    half_open.add(5, ("new", 1), proved=True)
    assert half_open.place_for(("other", 1)) == 3
    half_open.discard(3)
    half_open.add(6, ("other", 1), proved=True)
    assert half_open.place_for(("last", 1)) is None


@pytest.mark.spec("H-17")
def test_a_proved_caller_of_a_host_with_all_its_places_takes_one_of_these() -> None:
    half_open = HalfOpen(LIMITS)
    for link, host in ((1, "other"), (2, "crowded"), (3, "crowded")):
        half_open.add(link, (host, link), proved=False)
    assert half_open.place_for(("crowded", 9)) == 2
    half_open.discard(2)
    half_open.add(4, ("crowded", 9), proved=True)
    assert half_open.place_for(("crowded", 9)) == 3
    half_open.discard(3)
    half_open.add(5, ("crowded", 9), proved=True)
    assert half_open.place_for(("crowded", 9)) is None


# What is one host


@pytest.mark.spec("L-11")
@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2::2"),
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff"),
        ("2001:db8:1:2:3:4:5:6", "2001:DB8:1:2::"),
        ("2001:0db8:0001:0002::1", "2001:db8:1:2::9"),
        ("2001:db8::1", "2001:db8:0:0:5::1"),
        ("::1", "::2"),
        ("::", "0:0:0:0:1:2:3:4"),
        ("1::8", "1:0:0:0:1::"),
        ("fe80::1%eth0", "fe80::2%eth0"),
        ("fe80::1%eth0.100", "fe80::2%eth0.100"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("::FFFF:192.0.2.1", "192.0.2.1"),
    ],
)
def test_addresses_of_one_64_or_of_one_ipv4_host_are_one_host(one: str, other: str) -> None:
    assert host_of((one, 1)) == host_of((other, 2))


@pytest.mark.spec("L-11")
@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:3::1"),
        ("2001:db8:1:2::1", "2001:db8:12::1"),
        ("2001:db8::1:2:3:4:5", "2001:db8::2:2:3:4:5"),
        ("::1", "1::"),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2"),
        ("192.0.2.1", "192.0.2.2"),
        ("192.0.2.1", "192.0.2.11"),
        ("node-7", "node-8"),
        ("unix:a", "unix:b"),
    ],
)
def test_other_addresses_are_other_hosts(one: str, other: str) -> None:
    assert host_of((one, 1)) != host_of((other, 1))


@given(st.text(":.%0aF", max_size=24) | st.text(max_size=10))
def test_any_text_can_be_an_address(host: str) -> None:
    assert host_of((host, 1)) == host_of((host, 2))
