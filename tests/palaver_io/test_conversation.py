from __future__ import annotations

from collections.abc import Iterator

import pytest
from io_support import PATIENCE, leaving_nothing_behind
from pair_support import Pair, in_thread

from palaver import UsageError


@pytest.fixture(autouse=True)
def _no_leaks() -> Iterator[None]:
    with leaving_nothing_behind():
        yield


@pytest.fixture
def pair() -> Iterator[Pair]:
    pair = Pair()
    yield pair
    pair.end()


@pytest.mark.smoke
def test_talking_both_ways(pair: Pair) -> None:
    ann, bob = pair.ann, pair.bob
    assert (ann.peer_name, bob.peer_name) == ("Bob", "Ann")
    assert ann.address == pair.listener.address
    assert bob.address[0] == "127.0.0.1"
    numbers = [ann.send(f"to Bob {number}") for number in range(20)]
    assert numbers == sorted(set(numbers))
    for number in range(20):
        assert bob.receive(PATIENCE) == f"to Bob {number}"
        bob.send(f"to Ann {number}")
    assert [ann.receive(PATIENCE) for _ in range(20)] == [f"to Ann {n}" for n in range(20)]
    ann.flush(PATIENCE)
    bob.flush(PATIENCE)
    assert ann.closed is None
    assert ann.undelivered == []
    assert "Bob" in repr(ann)
    assert "open" in repr(ann)


def test_texts_of_every_size(pair: Pair) -> None:
    texts = ["", "x" * 60000, "ünïcödé ☃", "y" * 65535]
    for text in texts:
        pair.ann.send(text)
    assert [pair.bob.receive(PATIENCE) for _ in texts] == texts


@pytest.mark.parametrize("text", ["z" * 65536, "\ud800"])
def test_a_text_that_can_not_be_sent(pair: Pair, text: str) -> None:
    with pytest.raises(UsageError):
        pair.ann.send(text)
    pair.ann.send("but this can")
    assert pair.bob.receive(PATIENCE) == "but this can"
    pair.ann.flush(PATIENCE)


def test_bytes_are_no_text_and_harm_nobody(pair: Pair) -> None:
    with pytest.raises(UsageError, match="has to be a str, not bytes"):
        pair.ann.send(b"hello")  # type: ignore[arg-type] # which is what is tried
    pair.ann.send("hello")
    assert pair.bob.receive(PATIENCE) == "hello"
    pair.ann.flush(PATIENCE)


def test_two_threads_send_at_once(pair: Pair) -> None:
    def work(name: str) -> None:
        for number in range(200):
            pair.ann.send(f"{name} {number}")

    threads = [in_thread(work, name) for name in ("one", "two")]
    texts = [pair.bob.receive(PATIENCE) for _ in range(400)]
    for thread in threads:
        thread.join(PATIENCE)
    for name in ("one", "two"):
        own = [text for text in texts if text.startswith(name)]
        assert own == [f"{name} {number}" for number in range(200)]


def test_two_threads_receive_at_once(pair: Pair) -> None:
    heard: tuple[list[str], list[str]] = ([], [])
    threads = [in_thread(part.extend, pair.bob) for part in heard]
    for number in range(100):
        pair.ann.send(f"{number:03}")
    pair.ann.finish()
    for thread in threads:
        thread.join(PATIENCE)
    assert sorted(heard[0] + heard[1]) == [f"{number:03}" for number in range(100)]
    assert list(heard[0]) == sorted(heard[0])


def test_timeouts(pair: Pair) -> None:
    with pytest.raises(TimeoutError, match="no message from Bob"):
        pair.ann.receive(0.01)
    with pytest.raises(TimeoutError):
        pair.ann.receive(0)
    with pytest.raises(TimeoutError, match="nobody has called"):
        pair.listener.accept(0.01)
