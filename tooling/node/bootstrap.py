"""Install Bootseer on this node, or remove it: `scripts/bootstrap-node`.

Changes only what differs, so it can be run any number of times; ends with `bootseer doctor`.
"""

import argparse
import contextlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from tooling import debian
from tooling.locking import only_one
from tooling.machine import platform
from tooling.node import containerd_files, program
from tooling.node.files import File, Outcome, Tree
from tooling.places import REPOSITORY, cache_dir
from tooling.progress import say
from tooling.running import SetupError, run_logged
from tooling.versions import parse_version

UNIT: Final = "bootseer-snapshotter.service"
_CONFIG: Final = REPOSITORY / "config"
_STATE: Final = ("/var/lib/bootseer", "/run/bootseer")


class Bootstrap:
    """One run over one tree. `live` means this machine itself: its services are managed too."""

    def __init__(self, tree: Tree, *, major: int, platform: str) -> None:
        self.tree = tree
        self.live = tree.root == Path("/") and not tree.dry
        self._major = major
        self._platform = platform
        self._changed: set[str] = set()

    def files(self) -> list[File]:
        """Return the files that are Bootseer's own."""
        return [
            program.LAUNCHER,
            program.COMMAND,
            File("/etc/bootseer/bootseer.yaml", _read("bootseer.yaml"), keep=True),
            File(f"/etc/systemd/system/{UNIT}", _read(f"systemd/{UNIT}")),
        ]

    def containerd_files(self) -> list[File]:
        """Return containerd's files as they should be. Raises `SetupError`."""
        main = self.tree.read(containerd_files.MAIN)
        template = _read("containerd/2.x.toml" if self._major >= 2 else "containerd/1.x.toml")
        text = containerd_files.drop_in(template, main, platform=self._platform, major=self._major)
        return [
            File(containerd_files.DROP_IN, text),
            self._main_file(containerd_files.with_import(main, major=self._major)),
        ]

    def _main_file(self, text: str) -> File:
        """Return containerd's main file with `text` and the mode that it has."""
        there = self.tree.at(containerd_files.MAIN)
        if there.is_symlink():
            raise SetupError(f"{there} is a symbolic link: make it a file, then run this again")
        mode = there.stat().st_mode & 0o777 if there.exists() else 0o644
        return File(containerd_files.MAIN, text, mode)

    def install(self) -> None:
        """Install or upgrade. Raises `SetupError` before anything changed where it can."""
        wanted = [*self.files(), *self.containerd_files()]
        self._tell(f"{program.HOME}/current", program.install(self.tree))
        for file in wanted:
            self._tell(file.path, self.tree.put(file))
        if self.live:
            self._start_services()

    def uninstall(self) -> None:
        """Remove what `install` made. Raises `SetupError` while layers are mounted."""
        self._refuse_while_in_use()
        if self.live and _systemd():
            with contextlib.suppress(SetupError):  # it may never have been installed whole
                _run(["systemctl", "disable", "--now", UNIT])
        if self.live:
            for path in _mounted():  # the connection, which ended with the service
                _run(["umount", "--lazy", path])
        self._tell(containerd_files.DROP_IN, self.tree.remove(File(containerd_files.DROP_IN, "")))
        self._remove_import()
        for file in self.files():
            self._tell(file.path, self.tree.remove(file))
        self._tell(program.HOME, program.remove(self.tree))
        if self.live and _systemd():
            _run(["systemctl", "daemon-reload"])
            self._restart_containerd()
        say(f"state is left in place: {', '.join(_STATE)} (remove it when you need it no more)")

    def _remove_import(self) -> None:
        main = self.tree.read(containerd_files.MAIN)
        if main is None:
            return
        text = containerd_files.without_import(main)
        file = self._main_file(main if text is None else text)
        outcome = self.tree.remove(file) if text is None else self.tree.put(file)
        self._tell(containerd_files.MAIN, outcome)

    def _refuse_while_in_use(self) -> None:
        if not self.live:
            return
        used = _mounted()
        if any("/l/" in path for path in used):
            raise SetupError(
                f"{len(used)} mounts of Bootseer are in use, for example {used[-1]}: remove the"
                " containers and images that use the snapshotter bootseer first"
            )

    def _tell(self, path: str, outcome: Outcome) -> None:
        if outcome in {"written", "removed"}:
            self._changed.add(path)
        would = "would be " if self.tree.dry and outcome in {"written", "removed"} else ""
        why = " (edited here)" if outcome == "kept" else ""
        say(f"  {would}{outcome:9} {path}{why}")

    def _start_services(self) -> None:
        if not _systemd():
            say(f"no systemd here: start `{program.HOME}/bin/bootseer snapshotter serve` yourself")
            return
        _run(["systemctl", "daemon-reload"])
        _run(["systemctl", "enable", UNIT])
        ours = {f"{program.HOME}/current", f"/etc/systemd/system/{UNIT}"}
        _run(["systemctl", "restart" if self._changed & ours else "start", UNIT])
        self._restart_containerd()

    def _restart_containerd(self) -> None:
        if self._changed & {containerd_files.DROP_IN, containerd_files.MAIN}:
            say("  restarting containerd (containers go on running)")
            _run(["systemctl", "try-restart", "containerd.service"])


def _read(name: str) -> str:
    return (_CONFIG / name).read_text()


def _systemd() -> bool:
    return Path("/run/systemd/system").is_dir()


def _run(argv: list[str]) -> None:
    run_logged(argv, cache_dir() / "logs" / "bootstrap.log", what=" ".join(argv))


def containerd_major() -> int:
    """Return the major version of the node's containerd. Raises `SetupError`."""
    found = shutil.which("containerd")
    if found is None:
        raise SetupError("no containerd here; install it, or name its version: --containerd 2")
    answer = subprocess.run([found, "--version"], capture_output=True, text=True, check=False)
    version = parse_version(answer.stdout)
    if version is None:
        raise SetupError(f"{found} --version says nothing: {answer.stderr.strip()}")
    return version[0]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bootstrap-node", description=__doc__)
    parser.add_argument("--uninstall", action="store_true", help="remove it again")
    parser.add_argument("--dry-run", action="store_true", help="say what would change")
    parser.add_argument(
        "--root", type=Path, default=Path("/"), help="another root directory (no services)"
    )
    parser.add_argument(
        "--containerd", type=int, choices=(1, 2), help="its major version, if not this machine's"
    )
    return parser.parse_args()


def bootstrap(arguments: argparse.Namespace) -> int:
    """Do what the command line says; return the exit status. Raises `SetupError`."""
    root = arguments.root.resolve()
    if root == Path("/") and os.geteuid() != 0 and not arguments.dry_run:
        raise SetupError("installing on this machine needs root")
    major = arguments.containerd or containerd_major()
    run = Bootstrap(Tree(root, dry=arguments.dry_run), major=major, platform=platform())
    if arguments.uninstall:
        run.uninstall()
        return 0
    if not arguments.dry_run and (lacking := debian.missing("node")):
        debian.install(lacking, cache_dir() / "logs" / "apt.log")
    run.install()
    if not run.live:
        return 0
    return subprocess.run([f"{program.HOME}/bin/bootseer", "doctor"], check=False).returncode


def _mounted() -> list[str]:
    """Return what is mounted below the directories of our state."""
    table = Path("/proc/self/mountinfo").read_text(errors="replace")
    mounts = [line.split(" ")[4] for line in table.splitlines()]
    return [path for path in mounts if path.startswith(tuple(f"{one}/" for one in _STATE))]


def main() -> int:
    """Run the command line; return its exit status."""
    arguments = _arguments()
    debian.add_sbin_to_path()
    try:
        with only_one(cache_dir() / "setup.lock"):
            return bootstrap(arguments)
    except SetupError as error:
        say(f"error: {error}")
        return 6
    except KeyboardInterrupt:
        say("interrupted; run it again to go on")
        return 130


if __name__ == "__main__":
    sys.exit(main())
