"""Files that are there whole or not at all, also after a power cut."""

import os
from pathlib import Path


def write_atomic(
    path: Path, data: bytes | memoryview, *, mode: int = 0o600, durable: bool = True
) -> None:
    """Replace `path` by `data` in one step.

    With `durable` the file and its directory are synced, so that after a crash either the old
    file or the whole new one is found.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if durable:
        sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Make renames and removals inside the directory durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
