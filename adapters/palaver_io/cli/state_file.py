"""A file that is whole at any moment, and that nobody else may read."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


def write_whole(path: Path, data: bytes) -> None:
    """Put `data` into the file at `path`, readable by its owner only. Raises OSError.

    After a crash, even of the whole computer, there is what was there before, or all of `data`.
    """
    part = path.with_name(f"{path.name}.part")
    part.unlink(missing_ok=True)
    # Made anew, so that it is nobody else's and no link to elsewhere.
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(descriptor)
    part.replace(path)
    _settle(path.parent)


def _settle(folder: Path) -> None:
    """Have the new name of a file survive a crash, where folders can be opened at all."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
