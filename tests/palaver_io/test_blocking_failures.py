from __future__ import annotations

import queue
import threading
from collections.abc import Iterator

import pytest
from io_support import (
    PATIENCE,
    Break,
    Do,
    Recorder,
    Start,
    drivers_that_end,
    leaving_nothing_behind,
)

from palaver import Notice, UsageError
from palaver_io import BlockingDriver, DriverFailed, UdpPort, open_udp_socket

pytestmark = pytest.mark.smoke


@pytest.fixture(autouse=True)
def _no_leaks() -> Iterator[None]:
    with leaving_nothing_behind():
        yield


@pytest.fixture
def start() -> Iterator[Start]:
    with drivers_that_end() as start:
        yield start


def test_an_exception_in_the_thread_reaches_the_next_verb(start: Start) -> None:
    failures: queue.Queue[BaseException] = queue.Queue()
    driver = start(Recorder(), lambda _: None, on_failure=failures.put)
    driver.perform(Break(at_tick=True))
    assert isinstance(failures.get(timeout=PATIENCE), ZeroDivisionError)
    for _ in range(2):
        with pytest.raises(DriverFailed, match="a bug") as caught:
            driver.perform(Do("a"))
        assert isinstance(caught.value.__cause__, ZeroDivisionError)
    driver.close()


def test_an_exception_in_the_thread_reaches_close(start: Start) -> None:
    failed = threading.Event()
    driver = start(Recorder(), lambda _: None, on_failure=lambda _: failed.set())
    driver.perform(Break(at_tick=True))
    assert failed.wait(PATIENCE)
    with pytest.raises(DriverFailed, match="a bug"):
        driver.close()
    driver.close()


def test_a_failure_does_not_hide_another_exception() -> None:
    def fail_twice() -> None:
        failed = threading.Event()
        sock = open_udp_socket("127.0.0.1", 0)
        with BlockingDriver(
            Recorder(), UdpPort(sock), print, on_failure=lambda _: failed.set()
        ) as driver:
            driver.perform(Break(at_tick=True))
            assert failed.wait(PATIENCE)
            raise KeyError

    with pytest.raises(KeyError):
        fail_twice()


def test_an_exception_in_a_verb_stops_the_driver(start: Start) -> None:
    driver = start(Recorder(), lambda _: None)
    with pytest.raises(DriverFailed, match="a bug"):
        driver.perform(Break())
    with pytest.raises(DriverFailed, match="a bug"):
        driver.wait_until(lambda: False)
    driver.close()


def test_an_exception_in_the_deadline_stops_the_driver(start: Start) -> None:
    class Odd(Recorder):
        @property
        def deadline(self) -> float | None:
            if self.events:
                raise ZeroDivisionError("a bug")
            return None

    driver = start(Odd(), lambda _: None)
    with pytest.raises(DriverFailed, match="a bug"):
        driver.perform(Do("a"))


def test_an_exception_in_on_notice_stops_the_driver(start: Start) -> None:
    def on_notice(notice: Notice) -> None:
        raise UsageError("callbacks must not")

    driver = start(Recorder(), on_notice)
    with pytest.raises(DriverFailed, match="callbacks must not"):
        driver.perform(Do("a"))


def test_a_failure_that_nobody_is_told_of_is_shown(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: queue.Queue[threading.ExceptHookArgs] = queue.Queue()
    monkeypatch.setattr(threading, "excepthook", shown.put)
    driver = start(Recorder(), lambda _: None)
    driver.perform(Break(at_tick=True))
    assert shown.get(timeout=PATIENCE).exc_type is ZeroDivisionError


def test_a_driver_that_can_not_start_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", fail)
    with pytest.raises(RuntimeError, match="can't start"):
        BlockingDriver(Recorder(), UdpPort(open_udp_socket("127.0.0.1", 0)), lambda _: None)
