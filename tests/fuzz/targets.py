"""All that is fuzzed, by name: each takes any bytes and raises if something is wrong."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from .casts import CASTS, FindingError, play
from .decoders import DECODERS

CORPUS = Path(__file__).with_name("corpus")

TARGETS = (*DECODERS, *CASTS)


def run(target: str, data: bytes) -> None:
    """Run a target on some bytes. Raises FindingError, which tells the story, if that shows a bug."""
    if target in CASTS:
        play(target, data)
        return
    try:
        DECODERS[target](data)
    except Exception as exc:
        raise FindingError(target, data, [f"{target}: {data.hex()}"], exc) from exc


def runner(target: str) -> Callable[[bytes], None]:
    """Give what runs a target on bytes."""
    return partial(run, target)


def load(target: str) -> list[bytes]:
    """Give the corpus of a target: one entry on each line of its file, in hexadecimal."""
    path = CORPUS / f"{target}.hex"
    return [bytes.fromhex(line) for line in path.read_text().split("\n")[:-1]]


def save(target: str, entries: list[bytes]) -> None:
    """Put entries into the corpus of a target, instead of what was there."""
    lines = sorted({entry.hex() for entry in entries}, key=lambda line: (len(line), line))
    (CORPUS / f"{target}.hex").write_text("".join(f"{line}\n" for line in lines))


def shrink(target: str, data: bytes, tries: int = 2000) -> bytes:
    """Give smaller bytes that show the same kind of finding, as far as it is found in some tries."""
    kind = finding_of(target, data)
    if kind is None:
        return data
    size = max(1, len(data) // 2)
    while size and tries > 0:
        at = 0
        while at < len(data) and tries > 0:
            smaller = data[:at] + data[at + size :]
            tries -= 1
            if finding_of(target, smaller) == kind:
                data = smaller
            else:
                at += size
        size //= 2
    return data


def finding_of(target: str, data: bytes) -> str | None:
    """Give what kind of finding bytes show: the error and the words before any figures; or None."""
    try:
        run(target, data)
    except FindingError as exc:
        words = str(exc.cause).split(":")[0]
        return f"{type(exc.cause).__name__} {words[:40]}"
    return None
