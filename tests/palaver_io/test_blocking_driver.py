from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
from io_support import (
    PATIENCE,
    Do,
    Recorder,
    Ring,
    Start,
    Told,
    drivers_that_end,
    leaving_nothing_behind,
)

from palaver import Notice

pytestmark = pytest.mark.smoke


@pytest.fixture(autouse=True)
def _no_leaks() -> Iterator[None]:
    with leaving_nothing_behind():
        yield


@pytest.fixture
def start() -> Iterator[Start]:
    with drivers_that_end() as start:
        yield start


def test_verbs_of_many_threads_are_told_one_at_a_time(start: Start) -> None:
    heard: list[Notice] = []
    inside = threading.Lock()

    def on_notice(notice: Notice) -> None:
        assert inside.acquire(blocking=False)
        heard.append(notice)
        inside.release()

    driver = start(Recorder(), on_notice)

    def work(name: str) -> None:
        for number in range(200):
            assert driver.perform(Do(f"{name} {number}")) == [Told(f"{name} {number}")]

    threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    texts = [notice.text for notice in heard if isinstance(notice, Told)]
    for name in "abcd":
        own = [text for text in texts if text.startswith(name)]
        assert own == [f"{name} {number}" for number in range(200)]


def test_closing_is_idempotent_and_quick(start: Start) -> None:
    driver = start(Recorder(), lambda _: None)
    driver.perform(Ring(time.monotonic() + 3600))
    began = time.monotonic()
    threads = [threading.Thread(target=driver.close) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    driver.close()
    assert time.monotonic() - began < 5.0
    assert not driver.wait_until(lambda: False)


def test_closing_ends_waiting(start: Start) -> None:
    driver = start(Recorder(), lambda _: None)
    timer = threading.Timer(0.02, driver.close)
    timer.start()
    assert not driver.wait_until(lambda: False, PATIENCE)
    timer.join(PATIENCE)
