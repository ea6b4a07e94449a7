"""A line on a terminal that says how far things are; a few plain lines where there is none."""

import sys
import time
from typing import TextIO

_WIDTH = 24
_EVERY_S = 0.2
_PLAIN_EVERY_S = 30.0


class ProgressLine:
    """Shows one thing at a time. Says nothing where `quiet`."""

    def __init__(self, out: TextIO = sys.stderr, *, quiet: bool = False) -> None:
        self._out, self._quiet = out, quiet
        self._terminal = out.isatty()
        self._what = ""
        self._started = self._shown = 0.0
        self._first = 0

    def show(self, what: str, done: int, count: int, note: str = "") -> None:
        """Show that `done` of `count` is done, at most a few times a second."""
        now = time.monotonic()
        if what != self._what:
            self._what, self._started, self._first, self._shown = what, now, done, now
        every = _EVERY_S if self._terminal else _PLAIN_EVERY_S
        last = done == count and (self._terminal or now - self._started > _PLAIN_EVERY_S)
        if self._quiet or not (last or now - self._shown > every):
            return
        self._shown = now
        rate = (done - self._first) / max(now - self._started, 1e-9)
        text = f"{what} {done}/{count} {rate:.1f}/s {note}".rstrip()
        if self._terminal:
            bar = "#" * (_WIDTH * done // max(count, 1))
            end = "\n" if done == count else ""
            self._out.write(f"\r\x1b[K[{bar:<{_WIDTH}}] {text}{end}")
        else:
            self._out.write(text + "\n")
        self._out.flush()

    def say(self, line: str) -> None:
        """Write a line for good."""
        start = "\r\x1b[K" if self._terminal else ""
        self._out.write(f"{start}{line}\n")
        self._out.flush()
