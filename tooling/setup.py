"""Gives this machine what a purpose needs: `scripts/setup --for test|demo|bench|fuzz`.

Does nothing, quickly, where all is there. Two at once wait for each other.
"""

import argparse
import sys
from pathlib import Path
from typing import Final

from tooling import containerd, debian, hadoop, uv, virtualenv
from tooling.collector import COLLECTOR
from tooling.layer_maker import LAYER_MAKER
from tooling.locking import only_one
from tooling.nerdctl import NERDCTL
from tooling.places import cache_dir
from tooling.progress import say
from tooling.runc import RUNC
from tooling.running import SetupError

LOCKS: Final = {
    "test": ("run", "dev"),
    "bench": ("run", "dev"),
    "demo": ("run",),
    "fuzz": ("run", "fuzz"),
}
"""The lock files that make up a purpose's environment."""

_OLDEST_PYTHON: Final = (3, 11)


def set_up(purpose: str) -> Path:
    """Return the environment for `purpose` with everything around it in place.

    Raises `SetupError` with what to do.
    """
    if sys.version_info < _OLDEST_PYTHON:
        raise SetupError(f"Python 3.11 or newer is needed, this is {sys.version.split()[0]}")
    debian.add_sbin_to_path()
    with only_one(cache_dir() / "setup.lock"):
        if lacking := debian.missing(purpose):
            debian.install(lacking, cache_dir() / "logs" / "apt.log")
        venv = virtualenv.environment(LOCKS[purpose])
        if purpose != "fuzz":
            containerd.ensure()
        if purpose == "test":
            hadoop.ensure()
            uv.install()
            COLLECTOR.ensure()
            LAYER_MAKER.ensure()
            NERDCTL.ensure()
            RUNC.ensure()
    return venv


def main() -> int:
    """Run the command line; return its exit status."""
    parser = argparse.ArgumentParser(prog="scripts/setup", description=__doc__)
    parser.add_argument("--for", dest="purpose", choices=sorted(LOCKS), default="test")
    parser.add_argument(
        "--print-venv",
        action="store_true",
        help="print the environment's path, and nothing else, to standard output",
    )
    arguments = parser.parse_args()
    try:
        venv = set_up(arguments.purpose)
    except SetupError as error:
        say(f"error: {error}")
        return 6
    except KeyboardInterrupt:
        say("interrupted; run it again to go on")
        return 130
    if arguments.print_venv:
        print(venv)
    else:
        say(f"ready for {arguments.purpose}: Python environment {venv}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
