"""A server as its keeper sees it: a process, a channel and signs of life. Stdlib only.

The channel is one end of a socket pair. The server says on it that it could serve; the keeper then
writes the kernel's INIT request into it, and with that the connection is the server's (see
`takeover`). A pipe tells that the server is alive: its event loop writes a byte every second.
"""

import os
import select
import signal
import socket
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from snapshotter.blocks.takeover import READY, Handover


@dataclass(slots=True)
class ServerProcess:
    """One server. What it holds is closed with it."""

    pid: int
    channel: socket.socket
    beats: int
    """Descriptor of the pipe's end to read from."""
    heard: float
    """When there was a sign of life last, in seconds of `time.monotonic`."""
    serves: bool = False
    """Whether there ever was one: it comes once the connection is the server's."""
    ended: bool = False
    """Its process id may be another process' by now."""

    @classmethod
    def start(
        cls, command: Sequence[str], device: int, kept: int, *, fresh: bool
    ) -> "ServerProcess":
        """Start a server that gets ready and waits for its turn. OSError if that is impossible."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        reading, writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            handover = Handover(theirs.fileno(), device, fresh, kept, writing)
            environment = {k: v for k, v in os.environ.items() if not k.startswith("LISTEN_")}
            for number in handover.descriptors:
                os.set_inheritable(number, True)
            argv = [*command, "--handover", str(handover), "--keeper", str(os.getpid())]
            pid = os.posix_spawn(argv[0], argv, environment, setsigmask=[])
        except BaseException:
            ours.close()
            os.close(reading)
            raise
        finally:
            os.set_inheritable(device, False)
            os.set_inheritable(kept, False)
            theirs.close()
            os.close(writing)
        return cls(pid, ours, reading, time.monotonic())

    @property
    def descriptors(self) -> tuple[int, int]:
        """Channel and pipe, as `adopt` takes them."""
        return self.channel.fileno(), self.beats

    @classmethod
    def adopt(cls, pid: int, channel: int, beats: int) -> "ServerProcess":
        """Return a server that this process started before it replaced itself."""
        for number in (channel, beats):
            os.set_inheritable(number, False)
        found = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET, fileno=channel)
        return cls(pid, found, beats, time.monotonic(), serves=True)

    def is_ready(self, seconds: float) -> bool:
        """Wait until it could serve; False if it ends before, or takes longer."""
        readable, _, _ = select.select([self.channel], [], [], seconds)
        return bool(readable) and self.channel.recv(len(READY)) == READY

    def give(self, init: bytes) -> None:
        """Let it have the connection. If it is dead, that is told by SIGCHLD."""
        with suppress(OSError):
            self.channel.send(init)

    def lives(self) -> bool:
        """Say whether it runs. If it has ended it is collected, here if not before."""
        try:
            return os.waitpid(self.pid, os.WNOHANG)[0] == 0
        except ChildProcessError:
            return False

    def silent_s(self) -> float:
        """Return for how long there was no sign of life, in seconds."""
        with suppress(BlockingIOError):
            while os.read(self.beats, 4096):
                self.heard = time.monotonic()
                self.serves = True
        return time.monotonic() - self.heard

    def stop(self, seconds: float) -> bool:
        """Ask it to stop and wait; kill it if it does not. Return whether it stopped by itself."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGTERM)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if reap(self.pid) is not None:
                self.close()
                return True
            signal.sigtimedwait((signal.SIGCHLD,), 0.2)
        self.kill()
        return False

    def kill(self) -> None:
        """Kill it and wait."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        with suppress(ChildProcessError):
            os.waitpid(self.pid, 0)
        self.close()

    def quit(self) -> None:
        """Kill it, if it has not ended, and wait for nothing."""
        if not self.ended:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    def close(self) -> None:
        """Close what belongs to it: it has ended."""
        self.ended = True
        self.channel.close()
        os.close(self.beats)


def reap(pid: int) -> int | None:
    """Collect dead children; return the status of `pid` if it is among them."""
    found = None
    while True:
        try:
            dead, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return found
        if dead == 0:
            return found
        if dead == pid:
            found = status
