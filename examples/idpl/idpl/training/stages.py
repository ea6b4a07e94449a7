"""The stages of the start, told to Bootseer where it is installed, else in plain lines."""

import contextlib
import importlib
import sys
import time
from collections.abc import Callable, Iterator

Stage = Callable[[str], contextlib.AbstractContextManager[object]]
"""What `with stage(name):` takes."""


def find_stage() -> Stage:
    """Return Bootseer's `stage`, or one that writes a line when a stage is over."""
    try:
        module = importlib.import_module("bootseer")
    except ImportError:
        return plain_stage
    found: Stage = getattr(module, "stage", plain_stage)
    return found


@contextlib.contextmanager
def plain_stage(name: str) -> Iterator[None]:
    """Write `<seconds since the epoch> <name> done (<seconds>)` to standard error at the end."""
    started = time.monotonic()
    yield
    took = time.monotonic() - started
    sys.stderr.write(f"{time.time():.3f} {name} done ({took:.2f} s)\n")
    sys.stderr.flush()
