"""Running other programs: their output goes to a log, its end into the error."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

_TAIL_LINES = 15


class SetupError(Exception):
    """This machine could not be given what is needed. The message says what to do."""


def run_logged(
    argv: Sequence[str], log: Path, *, what: str, env: Mapping[str, str] | None = None
) -> None:
    """Run a program to its end, its output in the file `log`.

    Raises `SetupError` naming `what`, with the end of the output, when it fails or is missing.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    try:
        with log.open("wb") as output:
            result = subprocess.run(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=None if env is None else {**os.environ, **env},
                check=False,
            )
    except OSError as error:
        raise SetupError(f"{what} failed: cannot run {argv[0]}: {error.strerror}") from error
    if result.returncode != 0:
        lines = log.read_text(errors="replace").splitlines()[-_TAIL_LINES:]
        tail = "\n".join(f"  | {line}" for line in lines)
        raise SetupError(
            f"{what} failed: {argv[0]} exited with {result.returncode}\n{tail}\n"
            f"The whole output is in {log}."
        )
