"""Files that a command writes because it was asked to."""

from pathlib import Path

from bootseer.atomic import write_atomic
from bootseer.errors import HostError


def write_output(path: Path, text: str, what: str) -> None:
    """Write a file, whole or not at all; `what` it is, for the error.

    Raises:
        HostError: it cannot be written.
    """
    try:
        write_atomic(path, text.encode(), mode=0o644, durable=False)
    except OSError as error:
        raise HostError(f"the {what} cannot be written: {error}") from error
