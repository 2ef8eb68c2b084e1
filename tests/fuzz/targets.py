"""All that is fuzzed, by name: each takes any bytes and raises if something is wrong."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random

from palaver.wire.packets import DATA_HEADER_SIZE
from palaver.wire.sealing import TAG_SIZE

from .casts import CASTS, FindingError, play
from .decoders import DECODERS
from .forge import MESSAGES, Known, forge_data, forge_handshake, forge_message
from .reader import Reader

CORPUS = Path(__file__).with_name("corpus")

SEEDS = 40
TARGETS = (*DECODERS, *CASTS)


def run(target: str, data: bytes) -> None:
    """Run a target on some bytes. Raises FindingError, which tells the story of a bug."""
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


def draw(target: str, seed: int) -> list[bytes]:
    """Give something to begin with: scripts at random, or valid packets and messages."""
    random = Random(f"{target} {seed}")
    drawn = []
    for _ in range(SEEDS):
        script = bytes(random.choice(_BYTES)(random) for _ in range(random.randrange(20, 200)))
        reader = Reader(script)
        if target in CASTS:
            drawn.append(script)
        elif target == "packet" and random.random() < 0.5:
            drawn.append(forge_handshake(reader, 1 + reader.u8(), "test")[:-TAG_SIZE])
        elif target in {"packet", "frames"}:
            data = forge_data(reader, 1 + reader.u8(), reader.u8())[:-TAG_SIZE]
            drawn.append(data if target == "packet" else data[DATA_HEADER_SIZE:])
        elif target == "message":
            drawn.append(forge_message(reader, reader.pick(list(MESSAGES)), Known()))
        else:
            records = [script[at : at + 9] for at in range(0, len(script), 9)]
            drawn.append(b"\2\3\1\0" + b"".join(b"\0%c%b" % (len(r), r) for r in records))
    return drawn


# Mostly what is an operation, or a small number.
_BYTES: tuple[Callable[[Random], int], ...] = (
    lambda random: random.randrange(256),
    lambda random: random.randrange(23),
    lambda random: random.randrange(4),
)


def shrink(target: str, data: bytes, tries: int = 2000) -> bytes:
    """Give smaller bytes that show the same kind of finding, as far as some tries go."""
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
