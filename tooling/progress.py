"""Says what takes long: a spinner on a terminal, a plain line at start and end elsewhere.

Everything goes to standard error, so that standard output stays the program's answer.
"""

import contextlib
import sys
import threading
import time
from collections.abc import Iterator
from typing import Final

_FRAMES: Final = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_PLAIN_FRAMES: Final = "|/-\\"
_INTERVAL: Final = 0.1


def say(line: str) -> None:
    """Print one line to standard error."""
    print(line, file=sys.stderr, flush=True)


@contextlib.contextmanager
def doing(what: str) -> Iterator[None]:
    """Show that `what` is going on until the block ends, and how long it took."""
    if not sys.stderr.isatty():
        say(f"{what} ...")
        started = time.monotonic()
        yield
        say(f"{what}: done in {time.monotonic() - started:.0f} s")
        return
    spinner = _Spinner(what)
    thread = threading.Thread(target=spinner.run, daemon=True)
    _spinning.append(spinner)
    thread.start()
    try:
        yield
        spinner.outcome = "done"
    finally:
        spinner.stop.set()
        thread.join()
        _spinning.remove(spinner)


class _Spinner:
    """A line on a terminal, redrawn until `stop`. Of nested ones only the innermost draws."""

    def __init__(self, what: str) -> None:
        self.stop = threading.Event()
        self.outcome = "failed"
        self._what = what

    def run(self) -> None:
        started = time.monotonic()
        utf8 = (sys.stderr.encoding or "").lower().startswith("utf")
        frames = _FRAMES if utf8 else _PLAIN_FRAMES
        turn = 0
        while not self.stop.wait(_INTERVAL):
            seconds = time.monotonic() - started
            if _spinning[-1] is not self:
                continue
            self._draw(f"{frames[turn % len(frames)]} {self._what} {seconds:.0f} s")
            turn += 1
        self._draw(f"{self._what}: {self.outcome} in {time.monotonic() - started:.0f} s\n")

    def _draw(self, text: str) -> None:
        sys.stderr.write(f"\r\x1b[K{text}")
        sys.stderr.flush()


_spinning: list[_Spinner] = []
"""Those under way, outermost first. Only the main thread changes it."""
