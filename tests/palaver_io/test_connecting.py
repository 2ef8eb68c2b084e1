from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
from io_support import FAST, ON_LINUX, PATIENCE, has_ipv6, leaving_nothing_behind
from pair_support import Pair, in_thread

from palaver import Reason, UsageError
from palaver_io import (
    ConnectFailed,
    Conversation,
    ConversationLost,
    ConversationOver,
    Listener,
    ListenerClosed,
    NotDelivered,
    connect,
    listen,
    open_udp_socket,
    selecting,
)


@pytest.fixture(autouse=True)
def _no_leaks() -> Iterator[None]:
    with leaving_nothing_behind():
        yield


@pytest.fixture
def pair() -> Iterator[Pair]:
    pair = Pair()
    yield pair
    pair.end()


@pytest.mark.skipif(not has_ipv6(), reason="this host has no ::1")
@pytest.mark.parametrize("host", ["::1", "::"])
def test_over_ipv6(host: str) -> None:
    with listen(host, 0, timing=FAST) as listener:
        for target in ("::1", "127.0.0.1") if host == "::" else ("::1",):
            with connect(target, listener.address[1], timeout=PATIENCE, timing=FAST) as ann:
                bob = listener.accept(PATIENCE)
                assert bob.address[0] == target
                bob.send("hello")
                assert ann.receive(PATIENCE) == "hello"


def test_closing_frees_the_place_for_the_next(pair: Pair) -> None:
    with pytest.raises(ConnectFailed, match="busy") as caught:
        connect(*pair.listener.address, timeout=PATIENCE, timing=FAST)
    assert caught.value.reason == Reason.BUSY
    pair.bob.close()
    with connect(*pair.listener.address, name="Cid", timeout=PATIENCE, timing=FAST):
        assert pair.listener.accept(PATIENCE).peer_name == "Cid"


def test_calling_where_nobody_listens() -> None:
    with open_udp_socket("127.0.0.1", 0) as sock:
        address = sock.getsockname()
    began = time.monotonic()
    with pytest.raises(ConnectFailed) as caught:
        connect(*address, timeout=0.7)
    assert 0.7 <= time.monotonic() - began < 5.0
    assert caught.value.reason == Reason.NO_ANSWER
    assert caught.value.address == address
    assert isinstance(caught.value, OSError)
    if ON_LINUX:
        assert caught.value.unreachable
        assert "nothing listens there" in str(caught.value)


def test_calling_somebody_mute() -> None:
    with open_udp_socket("127.0.0.1", 0) as sock:
        with pytest.raises(ConnectFailed, match=r"no-answer$") as caught:
            connect(*sock.getsockname(), timeout=0.3)
        assert not caught.value.unreachable


@pytest.mark.parametrize(
    ("host", "port", "more"),
    [
        ("0.0.0.0", 1, {}),
        ("127.0.0.1", 0, {}),
        ("127.0.0.1", 65536, {}),
    ],
)
def test_calling_what_can_not_be_called(host: str, port: int, more: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r".+"):
        connect(host, port)


def test_bad_parameters_leave_nothing_open() -> None:
    with pytest.raises(UsageError, match="name"):
        connect("127.0.0.1", 9, name="n" * 65)
    with pytest.raises(UsageError, match="timeout"):
        connect("127.0.0.1", 9, timeout=0)
    with pytest.raises(UsageError, match="max_conversations"):
        listen("127.0.0.1", 0, max_conversations=0)


def test_without_a_thread_nothing_is_left_open(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", fail)
        with pytest.raises(RuntimeError, match="can't start"):
            connect("127.0.0.1", 9)


def test_an_interrupted_call_leaves_nothing_open(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> bool:
        raise KeyboardInterrupt

    with open_udp_socket("127.0.0.1", 0) as sock, monkeypatch.context() as patch:
        patch.setattr("palaver_io.blocking.ConditionBell.wait_for", interrupt)
        with pytest.raises(KeyboardInterrupt):
            connect(*sock.getsockname(), timing=FAST)


def test_a_listener_of_many() -> None:
    with listen("127.0.0.1", 0, name="Hub", max_conversations=10, timing=FAST) as listener:

        def serve(conversation: Conversation) -> None:
            for text in conversation:
                conversation.send(f"{conversation.peer_name} said {text}")

        def take_all() -> None:
            threads = [in_thread(serve, conversation) for conversation in listener]
            for thread in threads:
                thread.join(PATIENCE)

        taker = in_thread(take_all)
        callers = [
            connect(*listener.address, name=f"C{n}", timeout=PATIENCE, timing=FAST)
            for n in range(10)
        ]
        for number, caller in enumerate(callers):
            caller.send(f"hi {number}")
        for number, caller in enumerate(callers):
            assert caller.receive(PATIENCE) == f"C{number} said hi {number}"
        listener.close()
        taker.join(PATIENCE)
        for caller in callers:
            with pytest.raises(ConversationOver):
                caller.receive(PATIENCE)
            caller.close()
        with pytest.raises(ListenerClosed):
            listener.accept()


def test_serve_runs_a_thread_for_each_conversation(monkeypatch: pytest.MonkeyPatch) -> None:
    complaints: list[threading.ExceptHookArgs] = []
    monkeypatch.setattr(threading, "excepthook", complaints.append)

    def talk(conversation: Conversation) -> None:
        for text in conversation:
            if text == "fail":
                raise ZeroDivisionError
            conversation.send(f"{text}, {conversation.peer_name}")

    with listen("127.0.0.1", 0, max_conversations=5, timing=FAST) as listener:
        serving = in_thread(listener.serve, talk)
        callers = [
            connect(*listener.address, name=f"C{n}", timeout=PATIENCE, timing=FAST)
            for n in range(4)
        ]
        for caller in callers:
            caller.send("hi")
        for number, caller in enumerate(callers):
            assert caller.receive(PATIENCE) == f"hi, C{number}"
        callers[0].send("fail")
        with pytest.raises(ConversationLost):
            callers[0].receive(PATIENCE)
        callers[1].abort()
        callers[2].close()
        listener.close()
        with pytest.raises(ConversationOver):
            callers[3].receive(PATIENCE)
        serving.join(PATIENCE)
        assert not serving.is_alive()
        for caller in callers:
            caller.close()
    assert [one.exc_type for one in complaints] == [ZeroDivisionError]


def test_one_thread_can_not_serve_several() -> None:
    with (
        selecting.listen("127.0.0.1", 0, timing=FAST) as listener,
        pytest.raises(UsageError, match="one thread can't serve several"),
    ):
        listener.serve(print)


def test_what_was_said_before_accepting_is_kept() -> None:
    with listen("127.0.0.1", 0, timing=FAST) as listener:
        with connect(*listener.address, timeout=PATIENCE, timing=FAST) as ann:
            ann.send("early")
        conversation = listener.accept(PATIENCE)
        assert list(conversation) == ["early"]


def test_callers_whom_nobody_accepts_are_sent_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("palaver_io.station._UNACCEPTED", 2)
    with listen("127.0.0.1", 0, timing=FAST, max_conversations=9) as listener:
        callers = [connect(*listener.address, timeout=PATIENCE, timing=FAST) for _ in range(2)]
        with pytest.raises(ConnectFailed, match="shutting-down"):
            connect(*listener.address, timeout=PATIENCE, timing=FAST)
        listener.accept(PATIENCE)
        callers.append(connect(*listener.address, timeout=PATIENCE, timing=FAST))
        for caller in callers:
            caller.close()


def test_a_listener_left_by_an_exception_aborts_its_conversations() -> None:
    def take_and_fail(listener: Listener) -> None:
        with listener:
            listener.accept(PATIENCE)
            raise KeyError

    listener = listen("127.0.0.1", 0, timing=FAST)
    with connect(*listener.address, timeout=PATIENCE, timing=FAST) as ann:
        with pytest.raises(KeyError):
            take_and_fail(listener)
        with pytest.raises(ConversationLost, match="aborted"):
            ann.receive(PATIENCE)


def test_a_closing_listener_tells_what_was_lost() -> None:
    pair = Pair()
    pair.ann._dialogue.station.driver.close()
    number = pair.bob.send("lost")
    with pytest.raises(NotDelivered) as caught:
        pair.listener.close(0.05)
    assert caught.value.messages == [(number, "lost")]
    pair.listener.close()
    pair.end()
