"""A file that is whole at any moment, that nobody else may read, and that one process keeps."""

from __future__ import annotations

import os
import stat
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

_TRIES: Final = 8  # to get hold of a file that is being replaced


class StateFile:
    """The file at `path`, from `take` on kept by this process and no other, until `close`.

    It is locked where the system has `flock`; elsewhere nothing keeps others off.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        # Where the data is: what a link points to is replaced, and not the link.
        self._place = Path(os.path.realpath(path))
        self._held: int | None = None

    def take(self) -> bytes | None:
        """Give what is there, None if there is no file, and keep others off.

        Raises OSError; BlockingIOError if another process keeps it.
        """
        self.close()
        for _ in range(_TRIES):
            try:
                descriptor = os.open(self._place, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
            except FileNotFoundError:
                return None
            try:
                if self._is_current(descriptor):
                    data = _read(descriptor)
                    self._hold(descriptor)
                    return data
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)
        raise BlockingIOError(0, "it is being replaced all the time")

    def write(self, data: bytes) -> None:
        """Put `data` there, readable by its owner only. Raises OSError, as `take` does.

        After a crash, even of the whole computer, there is what was there before, or all of `data`.
        """
        if self._held is None:
            self.take()
        part = self._place.with_name(f"{self._place.name}.part")
        part.unlink(missing_ok=True)
        # Made anew, so that it is nobody else's and no link to elsewhere.
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            _lock(descriptor)
            with os.fdopen(descriptor, "wb", closefd=False) as file:
                file.write(data)
                file.flush()
                os.fsync(descriptor)
            if sys.platform == "win32":  # what is open can't be replaced there
                os.close(descriptor)
                part.replace(self._place)
                return
            part.replace(self._place)
        except BaseException:
            with suppress(OSError):
                os.close(descriptor)
            with suppress(OSError):
                part.unlink()
            raise
        self.close()
        self._hold(descriptor)
        _settle(self._place.parent)

    def close(self) -> None:
        """Let others have it."""
        held, self._held = self._held, None
        if held is not None:
            os.close(held)

    def _is_current(self, descriptor: int) -> bool:
        """Lock an open file; tell whether it was not replaced before that. Raises OSError."""
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(0, "it is not a regular file")
        _lock(descriptor)
        try:
            return os.path.samestat(found, self._place.stat())
        except FileNotFoundError:
            return False

    def _hold(self, descriptor: int) -> None:
        if sys.platform == "win32":
            os.close(descriptor)
        else:
            self._held = descriptor


def _read(descriptor: int) -> bytes:
    with os.fdopen(descriptor, "rb", closefd=False) as file:
        return file.read()


def _lock(descriptor: int) -> None:
    """Keep others off, where that can be. Raises BlockingIOError if another process was first."""
    if sys.platform == "win32":
        return
    import fcntl  # noqa: PLC0415 - there is none on Windows

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError:  # a file system without locks
        return


def _settle(folder: Path) -> None:
    """Have the new name of a file survive a crash, where folders can be opened at all."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
