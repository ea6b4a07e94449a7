"""The stages of the start: plain lines, and Bootseer's events where it is installed."""

import contextlib
import importlib
import sys
import time
from collections.abc import Callable, Iterator

Stage = Callable[[str], contextlib.AbstractContextManager[object]]
"""What `with stage(name):` takes."""


def find_stage() -> Stage:
    """Return what writes a line when a stage is over, and tells Bootseer where it is installed."""
    try:
        module = importlib.import_module("bootseer")
    except ImportError:
        return plain_stage
    theirs: Stage = getattr(module, "stage", no_stage)

    @contextlib.contextmanager
    def both(name: str) -> Iterator[None]:
        with theirs(name), plain_stage(name):
            yield

    return both


@contextlib.contextmanager
def plain_stage(name: str) -> Iterator[None]:
    """Write `<seconds since the epoch> <name> done (<seconds>)` to standard error at the end."""
    started = time.monotonic()
    yield
    took = time.monotonic() - started
    sys.stderr.write(f"{time.time():.3f} {name} done ({took:.2f} s)\n")
    sys.stderr.flush()


def no_stage(name: str) -> contextlib.AbstractContextManager[object]:
    """Say nothing: for runs whose start nobody measures."""
    return contextlib.nullcontext()
