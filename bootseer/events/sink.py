"""Where events go: appended to a file, a line each, by a thread that nobody waits for.

A file that is missing, full, not writable or on a file system that hangs costs events and never
time: what the thread has not taken is dropped beyond a number, and counted. The file is opened for
each batch, so that it may be moved away, and come back.

Race-free: events go through a queue. Everything else belongs to the thread, but for the number of
events that were dropped, under a lock. Before a fork the thread ends (a child would inherit its
locks); the next event starts another.
"""

import atexit
import contextlib
import logging
import os
import queue
import threading
import weakref
from dataclasses import replace
from pathlib import Path
from typing import Final

from bootseer.events.event import Event
from bootseer.events.line import encode

log = logging.getLogger(__name__)

_PENDING: Final = 1024
"""Events that wait to be written at most."""
_BATCH: Final = 64
_PATIENCE_S: Final = 0.1
"""Seconds that a process which ends, or forks, waits for an event to be written."""
_ROUNDS: Final = 10
"""How often it does so while they are."""
_FLAGS: Final = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY


class FileSink:
    """Appends events to one file, or in a directory to one of its own for each node and user."""

    def __init__(self, path: Path, node: str) -> None:
        """`path` is a directory if there is one; else a file, made if its directory is there."""
        self._path = path
        self._own = f"{node.replace('/', '_') or 'node'}-{os.geteuid()}.jsonl"
        self._queue: queue.Queue[Event | None] = queue.Queue(_PENDING)
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._counting = threading.Lock()
        self._lost = 0
        self._warned = False
        self._torn = False
        self._written = 0
        self._hangs = False
        _sinks.add(self)

    def put(self, event: Event) -> None:
        """Have an event written, sooner or later. Never waits, never raises."""
        try:
            self._queue.put_nowait(event)
        except queue.Full:
            self._drop(1, "it does not take them fast enough")
            return
        with self._starting:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._write, name="events", daemon=True)
                self._thread.start()

    def rest(self) -> None:
        """Wait until all is written, a short time at most, and end the thread."""
        thread = self._thread
        if thread is None or not thread.is_alive():
            return
        with contextlib.suppress(queue.Full):
            # A full queue has room soon, if the thread runs at all.
            self._queue.put(None, not self._hangs, _PATIENCE_S)
        for _ in range(0 if self._hangs else _ROUNDS):
            before = self._written
            thread.join(_PATIENCE_S)
            if not thread.is_alive():
                return
            self._hangs = self._written == before  # to have waited once was enough
            if self._hangs:
                return

    def forked(self) -> None:
        """In the child of a fork: begin anew, what waits is written by the parent."""
        self._queue = queue.Queue(_PENDING)
        self._thread = None
        self._starting = threading.Lock()
        self._counting = threading.Lock()

    def _write(self) -> None:
        """Write what comes, until told to rest."""
        resting = False
        while not resting:
            batch = []
            event = self._queue.get()
            while event is not None:
                batch.append(event)
                if len(batch) == _BATCH or self._queue.empty():
                    break
                event = self._queue.get()
            resting = event is None
            try:
                self._append(batch)
            except OSError as error:
                self._drop(len(batch), error.strerror or str(error))

    def _append(self, batch: list[Event]) -> None:
        """Append lines, each by one write; raise OSError at the first that is not written whole."""
        if not batch:
            return
        try:
            descriptor = os.open(self._path, _FLAGS, 0o644)
        except IsADirectoryError:
            # Others may write there too: not through a link of theirs.
            descriptor = os.open(self._path / self._own, _FLAGS | os.O_NOFOLLOW, 0o644)
        try:
            while batch:
                lost = self._lost
                line = encode(replace(batch[0], lost=lost) if lost else batch[0])
                if self._torn:  # the rest of an earlier line is missing
                    line = b"\n" + line
                written = os.write(descriptor, line)
                self._torn = written < len(line)
                if self._torn:
                    raise OSError(0, "it does not take whole lines")
                batch.pop(0)
                self._written += 1
                with self._counting:
                    self._lost -= lost  # the line says it
        finally:
            os.close(descriptor)

    def _drop(self, count: int, reason: str) -> None:
        with self._counting:
            self._lost += count
            warned, self._warned = self._warned, True
        if not warned:
            fields = {"path": str(self._path), "reason": reason}
            log.warning("events.dropped", extra={"fields": fields})


def rest_all() -> None:
    """Wait a short time until all that was put anywhere is written."""
    for sink in list(_sinks):
        sink.rest()


def _forked() -> None:
    for sink in list(_sinks):
        sink.forked()


_sinks: Final[weakref.WeakSet[FileSink]] = weakref.WeakSet()
os.register_at_fork(before=rest_all, after_in_child=_forked)
atexit.register(rest_all)
