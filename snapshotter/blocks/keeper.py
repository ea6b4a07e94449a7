"""The keeper: holds the FUSE connection, so that the server may die at any moment.

A FUSE connection lives while somebody holds its /dev/fuse descriptor. This process does, and
does nothing else: it mounts, starts the server, starts it again when it dies. It imports next to
nothing and allocates next to nothing, so that it has no reason to die itself. Under systemd the
descriptor and the saved INIT request also go to the service manager's descriptor store.

How a server takes the live connection over is told in `takeover`.

Race-free because it is one thread that waits for signals, one at a time (`sigtimedwait`; the
signals stay blocked otherwise).
"""

import os
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Final

from bootseer import kernel
from bootseer.service_manager import notify
from snapshotter.blocks import lock

MAX_DEATHS: Final = 5
"""Servers that may die within `DEATHS_WINDOW_S` before the connection is given up."""
DEATHS_WINDOW_S: Final = 60.0
STOP_S: Final = 15.0
"""How long a server may take to stop before it is killed."""

_SIGNALS: Final = (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_STORE_FIRST: Final = 3  # sd_listen_fds(3): passed descriptors start here


def say(event: str, **fields: object) -> None:
    """Write one line to stderr (the keeper does without the logging module)."""
    rest = " ".join(f"{key}={value}" for key, value in fields.items())
    sys.stderr.write(f"{time.strftime('%Y-%m-%dT%H:%M:%S')} keeper.{event} {rest}\n")
    sys.stderr.flush()


class Keeper:
    """One FUSE connection and the server on it."""

    def __init__(self, root: Path, command: list[str]) -> None:
        """`root` is the daemon's directory; `command` starts a server on it (see `takeover`)."""
        self._root = root
        self._mount = root / "blocks"
        self._command = command
        self._device = -1
        self._init = b""
        self._kept = os.memfd_create("kept", os.MFD_CLOEXEC)
        self._fresh = True
        self._stored = False
        self._deaths: list[float] = []

    def run(self) -> int:
        """Serve until told to stop; return the exit code."""
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        try:
            lock.take(self._root)  # held until this process ends
        except BlockingIOError:
            say("refused", root=self._root, reason="another daemon uses this root directory")
            return os.EX_CONFIG
        except OSError as error:  # a full disk is no reason not to serve what is on it
            say("no_lock", root=self._root, reason=error)
        self._open()
        code = self._supervise()
        self._close(code)
        return code

    def _open(self) -> None:
        if self._inherit():
            say("connection_inherited", mount=self._mount)
            return
        while kernel.unmount(str(self._mount), lazy=True):
            say("dead_connection_unmounted", mount=self._mount)
        self._mount.mkdir(parents=True, exist_ok=True)
        self._device, self._init = kernel.open_fuse(self._mount)
        self._stored = self._store()
        say("connection_opened", mount=self._mount, stored=self._stored)

    def _reopen(self) -> None:
        """Open a new connection: the kernel gave up the one that we hold."""
        self._forget_stored()
        os.close(self._device)
        self._fresh = True
        self._open()

    def _inherit(self) -> bool:
        """Take the descriptors back from the service manager's store, if they are whole."""
        if os.environ.pop("LISTEN_PID", "") != str(os.getpid()):
            return False
        names = os.environ.get("LISTEN_FDNAMES", "").split(":")
        found = {name: _STORE_FIRST + i for i, name in enumerate(names)}
        for descriptor in found.values():
            os.set_inheritable(descriptor, False)
        if not {"fuse", "fuse-init"} <= found.keys():
            return False
        self._device = found["fuse"]
        self._init = os.pread(found["fuse-init"], 1 << 16, 0)
        self._fresh, self._stored = False, True
        return bool(self._init)

    def _store(self) -> bool:
        """Hand the descriptors to the service manager (sd_notify(3), FDSTORE)."""
        memory = os.memfd_create("fuse-init", os.MFD_CLOEXEC)
        os.write(memory, self._init)
        done = [notify("FDSTORE=1\nFDNAME=fuse\nFDPOLL=0", self._device)]
        done.append(notify("FDSTORE=1\nFDNAME=fuse-init", memory))
        os.close(memory)
        return all(done)

    def _supervise(self) -> int:
        server = self._start()
        while True:
            caught = signal.sigwaitinfo(_SIGNALS).si_signo
            if caught == signal.SIGCHLD:
                status = reap(server)
                if status is None:
                    continue
                code = os.waitstatus_to_exitcode(status)
                if code == os.EX_CONFIG:
                    return code
                say("server_died", status=code)
                if not self._may_restart():
                    return 1
                if not self._pause():
                    return 0
                if code == os.EX_UNAVAILABLE:
                    self._reopen()
                server = self._start()
            elif caught == signal.SIGHUP:
                say("upgrade", pid=server)
                stop(server)
                server = self._start()
            else:
                say("stopping", signal=caught)
                stop(server)
                return 0

    def _may_restart(self) -> bool:
        """Count a death; give the connection up when there are too many."""
        now = time.monotonic()
        self._deaths = [t for t in self._deaths if now - t < DEATHS_WINDOW_S] + [now]
        if len(self._deaths) > MAX_DEATHS:
            say("giving_up", deaths=len(self._deaths), window_s=DEATHS_WINDOW_S)
            kernel.abort(kernel.connection_directory(self._mount))
            return False
        return True

    def _pause(self) -> bool:
        """Wait before the next start, longer each time; False if told to stop meanwhile."""
        seconds = 0.0 if len(self._deaths) == 1 else 0.2 * 2 ** len(self._deaths)
        caught = signal.sigtimedwait((signal.SIGTERM, signal.SIGINT), seconds)
        if caught is not None:
            say("stopping", signal=caught.si_signo)
        return caught is None

    def _start(self) -> int:
        """Start a server that finds the INIT request waiting, as if it were the first."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with ours, theirs:
            ours.send(self._init)
            os.set_inheritable(self._device, True)
            os.set_inheritable(theirs.fileno(), True)
            os.set_inheritable(self._kept, True)
            state = "fresh" if self._fresh else "live"
            handover = f"{theirs.fileno()}:{self._device}:{state}:{self._kept}"
            command = [*self._command, "--handover", handover]
            environment = {k: v for k, v in os.environ.items() if not k.startswith("LISTEN_")}
            server = os.posix_spawn(command[0], command, environment, setsigmask=[])
            os.set_inheritable(self._device, False)
            os.set_inheritable(self._kept, False)
        self._fresh = False
        say("server_started", pid=server)
        return server

    def _close(self, code: int) -> None:
        """Leave nothing mounted, unless the store keeps the connection for the next keeper."""
        if self._stored and code == 0:
            return
        self._forget_stored()
        for point in kernel.mounts_below(self._root / "l"):
            if not kernel.unmount(point):
                say("mount_busy", path=point)
        for point in kernel.mounts_below(self._root / "d"):
            kernel.unmount(point, lazy=True)
        kernel.unmount(str(self._mount), lazy=True)
        os.close(self._device)

    def _forget_stored(self) -> None:
        if self._stored:
            notify("FDSTOREREMOVE=1\nFDNAME=fuse")
            notify("FDSTOREREMOVE=1\nFDNAME=fuse-init")
            self._stored = False


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


def stop(pid: int) -> None:
    """Ask a server to stop, wait, and kill it if it does not."""
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_S
    while time.monotonic() < deadline:
        if reap(pid) is not None:
            return
        signal.sigtimedwait((signal.SIGCHLD,), 0.2)
    say("server_killed", pid=pid, after_s=STOP_S)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def main() -> int:
    """`python -m snapshotter.blocks.keeper ROOT COMMAND...`: hold ROOT/blocks, run COMMAND."""
    return Keeper(Path(sys.argv[1]), sys.argv[2:]).run()


if __name__ == "__main__":
    sys.exit(main())
