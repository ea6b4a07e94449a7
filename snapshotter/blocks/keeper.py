"""The keeper: holds the FUSE connection, so that the server may die at any moment.

A FUSE connection lives while somebody holds its /dev/fuse descriptor. This process does, and
does nothing else: it mounts, starts the server, starts it again when it dies. It imports next to
nothing and allocates next to nothing, so that it has no reason to die itself. Under systemd the
descriptor and the saved INIT request also go to the service manager's descriptor store.

How a server takes the live connection over is told in `takeover`.

One more server waits beside the one that serves (`standby`), so that the next takes over at once.

On SIGHUP the keeper replaces itself by the program that is on disk now (exec: the same process, the
same descriptors), then the server: the new one gets ready beside the old one, which goes on if the
new one fails.

Who reads must not hang for ever. A server that gives no sign of life is killed; when nobody served
for too long, whatever the reason, the connection is aborted.

Race-free because it is one thread that waits for signals, one at a time (`sigtimedwait`; the
signals stay blocked otherwise).
"""

import os
import signal
import sys
import time
from pathlib import Path
from typing import Final

from bootseer import kernel
from bootseer.service_manager import notify
from snapshotter.blocks import lock
from snapshotter.blocks.serverprocess import ServerProcess, reap
from snapshotter.blocks.standby import Standby
from snapshotter.blocks.takeover import LAST_CONFIG

UNSERVED_S: Final = 120.0
"""How long nobody may serve before the connection is given up."""
STANDBY_S: Final = 30.0
"""How long a server serves before the next one is started to wait beside it; 0: none is."""
MAX_DEATHS: Final = 5
"""Servers that may die within `DEATHS_WINDOW_S` before the connection is given up."""
DEATHS_WINDOW_S: Final = 60.0
STOP_S: Final = 15.0
"""How long a server may take to stop before it is killed."""
READY_S: Final = 25.0
"""How long a new server may take until it could serve, before an upgrade is given up."""
LOOK_S: Final = 1.0
"""Seconds between two looks at the server."""
CHECK: Final = "--check"
"""Only argument of a keeper that is to say whether it can be started."""
UNSERVED: Final = "--unserved="
STANDBY: Final = "--standby="
SUCCESSOR: Final = "BOOTSEER_KEEPER"
"""Environment of a keeper that replaced itself: what it holds."""

_SIGNALS: Final = (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_STORE_FIRST: Final = 3  # sd_listen_fds(3): passed descriptors start here


def say(event: str, **fields: object) -> None:
    """Write one line to stderr (the keeper does without the logging module)."""
    rest = " ".join(f"{key}={value}" for key, value in fields.items())
    sys.stderr.write(f"{time.strftime('%Y-%m-%dT%H:%M:%S')} keeper.{event} {rest}\n")
    sys.stderr.flush()


class Keeper:
    """One FUSE connection and the server on it."""

    _server: ServerProcess

    def __init__(
        self,
        root: Path,
        command: list[str],
        unserved_s: float = UNSERVED_S,
        standby_s: float = STANDBY_S,
    ) -> None:
        """`root` is the daemon's directory; `command` starts a server on it (see `takeover`)."""
        self._root = root
        self._mount = root / "blocks"
        self._command = command
        self._device = -1
        self._init = b""
        self._kept = os.memfd_create("kept", os.MFD_CLOEXEC)
        self._fresh = True
        self._stored = False
        self._lock = -1
        self._deaths: list[float] = []
        self._unserved_s = unserved_s
        self._served = time.monotonic()
        self._standby = Standby(self._new_server, standby_s)

    def run(self) -> int:
        """Serve until told to stop; return the exit code."""
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        if state := os.environ.pop(SUCCESSOR, ""):
            self._server = self._succeed(state)
            self._upgrade()
            return self._finish(self._supervise())
        try:
            self._lock = lock.take(self._root)  # held until this process ends
        except BlockingIOError:
            say("refused", root=self._root, reason="another daemon uses this root directory")
            return os.EX_CONFIG
        except OSError as error:  # a full disk is no reason not to serve what is on it
            say("no_lock", root=self._root, reason=error)
        self._open()
        self._start()
        return self._finish(self._supervise())

    def _finish(self, code: int) -> int:
        self._standby.drop()
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
        self._standby.drop()
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
        while True:
            caught = signal.sigtimedwait(_SIGNALS, LOOK_S)
            if caught is None:
                if not self._look_after():
                    return 1
            elif caught.si_signo == signal.SIGCHLD:
                status = reap(self._server.pid)
                if status is None:
                    continue
                self._server.silent_s()
                self._server.close()
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
                self._start(f"--last={self._root / LAST_CONFIG}")
            elif caught.si_signo == signal.SIGHUP:
                self._replace_self()
                self._upgrade()
            else:
                say("stopping", signal=caught.si_signo)
                self._stop()
                return 0

    def _look_after(self) -> bool:
        """Kill a server that gives no sign of life; False once nobody served for too long."""
        silent = self._server.silent_s()
        if self._server.serves:
            self._served = max(self._served, self._server.heard)
        if silent > self._unserved_s / 2:
            say("server_silent", pid=self._server.pid, seconds=round(silent))
            self._server.quit()
        if self._server.serves and (pid := self._standby.look()):
            say("standby_ready", pid=pid)
        return self._is_served()

    def _is_served(self) -> bool:
        """Give the connection up if nobody served for too long; say whether we go on."""
        if (unserved := time.monotonic() - self._served) < self._unserved_s:
            return True
        self._give_up(unserved_s=round(unserved))
        return False

    def _may_restart(self) -> bool:
        """Count a death; give the connection up when there are too many."""
        if self._server.serves:
            self._served = max(self._served, self._server.heard)
        now = time.monotonic()
        self._deaths = [t for t in self._deaths if now - t < DEATHS_WINDOW_S] + [now]
        if len(self._deaths) > MAX_DEATHS:
            self._give_up(deaths=len(self._deaths), window_s=DEATHS_WINDOW_S)
            return False
        return self._is_served()

    def _give_up(self, **why: object) -> None:
        say("giving_up", **why)
        kernel.abort(kernel.connection_directory(self._mount))
        self._server.quit()

    def _pause(self) -> bool:
        """Wait before the next start, longer each time; False if told to stop meanwhile."""
        seconds = 0.0 if len(self._deaths) == 1 else 0.2 * 2 ** len(self._deaths)
        caught = signal.sigtimedwait((signal.SIGTERM, signal.SIGINT), seconds)
        if caught is not None:
            say("stopping", signal=caught.si_signo)
        return caught is None

    def _new_server(self, *more: str) -> ServerProcess:
        command = [*self._command, *more]
        return ServerProcess.start(command, self._device, self._kept, fresh=self._fresh)

    def _start(self, *more: str) -> None:
        """Start a server, or let the one that waits go on; it finds the INIT request waiting, as if
        it were the first. `more`: arguments for one that is started."""
        self._server = self._standby.take() or self._new_server(*more)
        self._server.give(self._init)
        self._fresh = False
        self._standby.postpone()
        say("server_started", pid=self._server.pid)

    def _stop(self) -> None:
        pid = self._server.pid
        if not self._server.stop(STOP_S):
            say("server_killed", pid=pid, after_s=STOP_S)

    def _upgrade(self) -> None:
        """Put a new server in the place of the one that serves; that one goes on if it fails."""
        new = self._new_server()
        if not new.is_ready(READY_S):
            new.kill()
            say("upgrade_refused", pid=self._server.pid, reason="the new server does not start")
            return
        say("upgrade", old=self._server.pid, new=new.pid)
        self._stop()
        self._standby.drop()
        self._standby.postpone()
        self._server = new
        new.give(self._init)
        self._served = new.heard = time.monotonic()
        say("server_started", pid=new.pid)

    def _replace_self(self) -> None:
        """Go on as the program that is on disk now, if that one can be started at all."""
        own = [sys.executable, "-m", "snapshotter.blocks.keeper"]
        probe = os.posix_spawn(own[0], [*own, CHECK], os.environ, setsigmask=[])
        if os.waitpid(probe, 0)[1]:
            say("keeper_kept", reason="the new program does not start")
            return
        self._standby.drop()
        memory = os.memfd_create("fuse-init")
        os.write(memory, self._init)
        server = self._server
        held = (self._device, self._kept, memory, self._lock, *server.descriptors)
        for number in held:
            if number >= 0:
                os.set_inheritable(number, True)
        words = (*held, server.pid, int(self._stored))
        environment = os.environ | {SUCCESSOR: ":".join(map(str, words))}
        try:
            os.execve(own[0], [*own, *sys.argv[1:]], environment)  # noqa: S606  our own program
        except OSError as error:
            say("keeper_kept", reason=error)
        os.close(memory)
        for number in (self._device, self._kept, self._lock, *server.descriptors):
            if number >= 0:
                os.set_inheritable(number, False)

    def _succeed(self, state: str) -> ServerProcess:
        """Take over what the program held that this one replaced."""
        device, kept, memory, held, channel, beats, pid, stored = map(int, state.split(":"))
        os.close(self._kept)
        for number in (device, kept, held):
            if number >= 0:
                os.set_inheritable(number, False)
        self._device, self._kept, self._lock = device, kept, held
        self._fresh, self._stored = False, bool(stored)
        self._init = os.pread(memory, 1 << 16, 0)
        os.close(memory)
        say("keeper_replaced", pid=os.getpid(), server=pid)
        return ServerProcess.adopt(pid, channel, beats)

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


def main() -> int:
    """`python -m snapshotter.blocks.keeper [--unserved=S] [--standby=S] ROOT COMMAND...`: hold
    ROOT/blocks, run COMMAND; give up when nobody served for S seconds."""
    arguments = sys.argv[1:]
    if arguments == [CHECK]:
        return 0
    bounds = {UNSERVED: UNSERVED_S, STANDBY: STANDBY_S}
    for option in bounds:
        if arguments[0].startswith(option):
            bounds[option] = float(arguments.pop(0).removeprefix(option))
    return Keeper(Path(arguments[0]), arguments[1:], bounds[UNSERVED], bounds[STANDBY]).run()


if __name__ == "__main__":
    sys.exit(main())
