"""`scripts/fuzz`: fuzz one target for some time, or run one input.

    scripts/fuzz --list
    scripts/fuzz TARGET --seconds 600
    scripts/fuzz TARGET --replay FILE

What was learned is kept for the next time, in the cache or the directory BOOTSEER_FUZZ. An input
that breaks the target is left there too; put it into tests/fuzz/TARGET/, where a test runs it from
then on.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tooling.fuzz.target import Target, found_file
from tooling.fuzz.targets import TARGETS
from tooling.places import cache_dir

_ONE_PROCESS: Final = 60
"""Seconds of one process. Instrumented code leaks some kilobytes an input with atheris 3.0 (the
same inputs without it: nothing), which after minutes would be taken for what a parser holds."""


def main() -> int:
    """Run the command line; return its exit status: 1 if an input broke the target."""
    parser = argparse.ArgumentParser(
        prog="scripts/fuzz", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("target", nargs="?", choices=sorted(TARGETS), metavar="TARGET")
    parser.add_argument("--list", action="store_true", help="list the targets")
    parser.add_argument("--seconds", type=int, default=60, help="for how long (default: 60)")
    parser.add_argument("--replay", type=Path, metavar="FILE", help="run this input, nothing else")
    arguments = parser.parse_args()
    if arguments.list or arguments.target is None:
        for name, target in sorted(TARGETS.items()):
            print(f"{name:20} {(target.run.__doc__ or '').splitlines()[0]}")
        return 0
    target = TARGETS[arguments.target]
    if arguments.replay:
        target.run(arguments.replay.read_bytes())
        return 0
    return _fuzz(target, arguments.seconds)


def _fuzz(target: Target, seconds: int) -> int:
    place = Path(os.environ.get("BOOTSEER_FUZZ") or cache_dir() / "fuzz") / target.name
    corpus, broken = place / "corpus", place / "broken"
    for directory in (corpus, broken):
        directory.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(target.seeds()):
        (corpus / f"seed-{number}").write_bytes(seed)
    for part in _parts(seconds):
        options = [f"-max_total_time={part}", f"-artifact_prefix={broken}/", "-print_final_stats=1"]
        argv = [sys.executable, "-m", "tooling.fuzz.engine", target.name, *options, str(corpus)]
        environment = os.environ | {"PYTHONHASHSEED": "0"}
        if subprocess.run(argv, check=False, env=environment).returncode:
            print(f"\nkeep the input above as {found_file(target.name, 'WHAT-IT-BREAKS')}")
            return 1
    return 0


def _parts(seconds: int) -> Iterator[int]:
    """Yield for how long each process runs, one after the other."""
    for begin in range(0, seconds, _ONE_PROCESS):
        yield min(_ONE_PROCESS, seconds - begin)


if __name__ == "__main__":
    sys.exit(main())
