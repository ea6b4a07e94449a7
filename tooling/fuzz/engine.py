"""Drives one target with atheris until its time is over: run by `tooling.fuzz.command`.

    python -m tooling.fuzz.engine TARGET CORPUS [an option or file of libFuzzer]...

libFuzzer bounds the memory as it looks once a second; the kernel does so at once, which shows in
Python as a MemoryError, with the input that made it.
"""

import importlib
import resource
import sys
from collections.abc import Sequence
from typing import Final, NoReturn

import atheris

from tooling.fuzz.target import Target

MEMORY: Final = 512 << 20
"""Bytes that a parser may have, with Python and everything that is imported."""
_OURS: Final = ["bootseer", "depsnap", "fuse_hdfs", "snapshotter", "tomllib"]


def main() -> None:
    """Run; libFuzzer ends the process."""
    name, *rest = sys.argv[1:]
    with atheris.instrument_imports(include=_OURS):
        targets = importlib.import_module("tooling.fuzz.targets")
    fuzz(targets.TARGETS[name], rest)


def fuzz(target: Target, options: Sequence[str]) -> NoReturn:
    """Fuzz a target with options of libFuzzer, within its memory; libFuzzer ends the process."""
    target.seeds()  # what targets make once and keep is not counted as new for the first input
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    limits = [f"-rss_limit_mb={MEMORY >> 20}", "-timeout=20", f"-max_len={target.largest}"]
    atheris.Setup([sys.argv[0], *limits, *options], target.run)
    atheris.Fuzz()
    raise AssertionError("libFuzzer returned")


if __name__ == "__main__":
    main()
