"""A real systemd as PID 1 of namespaces of its own: runs the unit that is shipped.

And nothing else: it shares the host's files and network, and what a system does at boot, such as
emptying /tmp, would be done to them. So it finds no units but those made here; what belongs to
`systemd-tmpfiles` is hidden from it all the same. Mounts made in it are seen in it alone: whoever
is to see them is started by `Systemd.command`.
"""

import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from whole import wait_for

from benchmarks.lab.service import Service, service

UNIT: Final = "bootseer-snapshotter.service"
_SHIPPED: Final = Path(__file__).resolve().parents[2] / "config/systemd" / UNIT
_INSTALLED: Final = "/opt/bootseer/bin/bootseer"
_CONFIG: Final = "/etc/bootseer/bootseer.yaml"
_STUBS: Final = ("sysinit.target", "basic.target", "shutdown.target", "lab.target")
"""What every unit wants of a system, and what systemd is to reach: nothing."""
_BOOT: Final = """
set -e
mount --make-rprivate /
mount -t tmpfs tmpfs /run
for hidden in /usr/lib/tmpfiles.d /etc/tmpfiles.d /usr/lib/systemd/system-generators \\
    /usr/lib/systemd/system /etc/systemd/system; do
  if [ -d $hidden ]; then mount -t tmpfs tmpfs $hidden; fi
done
for program in $(which -a systemd-tmpfiles); do mount --bind /dev/null $program; done
if ! [ -e /sys/fs/cgroup/cgroup.controllers ]; then
  mount -t tmpfs tmpfs /sys/fs/cgroup
  mkdir /sys/fs/cgroup/systemd
  mount -t cgroup -o none,name=systemd cgroup /sys/fs/cgroup/systemd
fi
export container=lab SYSTEMD_UNIT_PATH={directory}
exec /lib/systemd/systemd --system --unit=lab.target --log-target=console --show-status=no
"""


@dataclass(frozen=True)
class Systemd:
    """A running service manager."""

    pid: int
    """Of its PID 1, as it is seen outside."""

    def command(self, *argv: str) -> list[str]:
        """Return the command line that runs something in its namespaces."""
        return ["nsenter", "-t", str(self.pid), "-m", "-p", "-i", "-u", "-C", *argv]

    def ctl(self, *arguments: str) -> str:
        """Run `systemctl`."""
        argv = self.command("systemctl", *arguments)
        done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, f"systemctl {arguments}: {done.stderr}"
        return done.stdout

    def main_pid(self) -> int:
        """Return the main process of the unit, as it is numbered inside."""
        return int(self.ctl("show", "-p", "MainPID", "--value", UNIT))

    def fds_stored(self) -> int:
        """Return how many descriptors of the unit the manager keeps."""
        return int(self.ctl("show", "-p", "NFileDescriptorStore", "--value", UNIT))


@contextmanager
def systemd(directory: Path, config: Path, log: Path) -> Iterator[Systemd]:
    """Run systemd with the shipped unit, for this configuration, during the block."""
    directory.mkdir()
    for stub in _STUBS:
        (directory / stub).write_text("[Unit]\nDefaultDependencies=no\n")
    (directory / UNIT).write_text(_unit(config, log))
    boot = directory / "boot"
    boot.write_text(_BOOT.format(directory=directory))
    namespaces = ["--mount", "--mount-proc", "--ipc", "--uts", "--cgroup"]
    argv = ["unshare", "--fork", "--pid", "--kill-child", *namespaces, "sh", str(boot)]
    with service("systemd", argv, directory / "log") as running:
        manager = Systemd(_child(running))
        wait_for(lambda: _is_up(manager), f"systemd: {running.tail()}")
        yield manager


def _unit(config: Path, log: Path) -> str:
    """Return the shipped unit with this interpreter and this configuration."""
    ours = " ".join(map(shlex.quote, [sys.executable, "-m", "bootseer"]))
    path = ":".join(filter(None, sys.path))
    text = _SHIPPED.read_text().replace(_INSTALLED, ours).replace(_CONFIG, str(config))
    more = f"Environment=PYTHONPATH={path}\nStandardOutput=append:{log}\nStandardError=inherit\n"
    return text.replace("[Service]\n", f"[Service]\n{more}")


def _child(running: Service) -> int:
    children = Path(f"/proc/{running.process.pid}/task/{running.process.pid}/children")
    wait_for(children.read_text, "systemd to start")
    return int(children.read_text().split()[0])


def _is_up(manager: Systemd) -> bool:
    argv: Sequence[str] = manager.command("systemctl", "list-units")
    return subprocess.run(argv, capture_output=True, check=False).returncode == 0
