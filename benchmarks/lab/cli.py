"""The `bootseer` command of this repository, run where a prefix says (a namespace of the lab)."""

import subprocess
import sys
from collections.abc import Sequence

from bootseer.errors import HostError


def bootseer(prefix: Sequence[str], *arguments: str) -> str:
    """Run the command, return its standard output. HostError with what it said."""
    argv = [*prefix, sys.executable, "-m", "bootseer", *arguments]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        what = " ".join(arguments)
        raise HostError(f"bootseer {what} failed: {done.stderr.strip()[-600:]}")
    return done.stdout
