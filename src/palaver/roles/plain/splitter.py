"""Texts on a stream: lines, and what is left without a line end (PROTOCOL.md, appendix A)."""

from __future__ import annotations

from collections.abc import Iterator

_TAIL = 4  # bytes: no character of UTF-8 has more


class LineSplitter:
    """Cuts what comes on a stream into texts, and keeps at most `piece` bytes of it."""

    __slots__ = ("_piece", "_rest")

    def __init__(self, piece: int) -> None:
        self._piece = piece
        self._rest = b""

    @property
    def has_rest(self) -> bool:
        """Whether something waits for its line end, or for a pause."""
        return bool(self._rest)

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Give the lines that `data` completes, each with its end, and pieces of what is longer."""
        *lines, rest = (self._rest + data).split(b"\n")
        self._rest = b""
        for line in lines:
            yield from self._pieces(line + b"\n", keep=0)
        *pieces, self._rest = self._pieces(rest, keep=1)
        yield from pieces

    def finish(self) -> bytes:
        """Give what is left, as a text of its own."""
        rest, self._rest = self._rest, b""
        return rest

    def _pieces(self, line: bytes, keep: int) -> Iterator[bytes]:
        """Cut a line into pieces, none of which ends within a character; `keep` gives a last."""
        while len(line) > self._piece:
            end = self._piece
            # Bytes of the form 10xxxxxx continue a character, which needs its beginning.
            for back in range(_TAIL):
                if line[end - back] & 0xC0 != 0x80:
                    end -= back
                    break
            yield line[:end]
            line = line[end:]
        if line or keep:
            yield line

    def clone(self) -> LineSplitter:
        """Give an independent twin."""
        twin = LineSplitter(self._piece)
        twin._rest = self._rest
        return twin

    def key(self) -> bytes:
        """Give the state as a comparable value."""
        return self._rest
