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
from tooling.node import containerd_files, layouts, program
from tooling.node.files import File, Outcome, Tree
from tooling.node.layouts import Layout
from tooling.places import REPOSITORY, cache_dir
from tooling.progress import say
from tooling.running import SetupError, run_logged
from tooling.versions import parse_version

UNIT: Final = "bootseer-snapshotter.service"
_CONFIG: Final = REPOSITORY / "config"
_STATE: Final = ("/var/lib/bootseer", "/run/bootseer")


class Bootstrap:
    """One run over one tree. `live` means this machine itself: its services are managed too.

    Not `whole`: only what containerd reads and the settings; something else runs the daemon.
    """

    def __init__(
        self, tree: Tree, layout: Layout, *, major: int, platform: str, whole: bool = True
    ) -> None:
        self.tree = tree
        self.live = tree.root == Path("/") and not tree.dry
        self._layout = layout
        self._major = major
        self._platform = platform
        self._whole = whole
        self._changed: set[str] = set()

    def files(self) -> list[File]:
        """Return the files that are Bootseer's own."""
        settings = _read("bootseer.yaml")
        usual = layouts.plain(self._major)
        for value in ("socket", "certs"):
            settings = settings.replace(getattr(usual, value), getattr(self._layout, value))
        made = [File("/etc/bootseer/bootseer.yaml", settings, keep=True)]
        if self._whole:
            unit = File(f"/etc/systemd/system/{UNIT}", _read(f"systemd/{UNIT}"))
            made = [program.LAUNCHER, program.COMMAND, *made, unit]
        return made

    def containerd_files(self) -> list[File]:
        """Return containerd's files as they should be. Raises `SetupError`."""
        layout, major = self._layout, self._major
        main = self.tree.read(layout.main)
        template = _read("containerd/2.x.toml" if major >= 2 else "containerd/1.x.toml")
        text = containerd_files.drop_in(
            template, main, layout, platform=self._platform, major=major
        )
        return [File(layout.drop_in, text), *self._with_import(main)]

    def _with_import(self, main: str | None) -> list[File]:
        """Return the file that imports the drop-in, where it has to be written."""
        if self._layout.template is None:
            text = containerd_files.with_import(main, self._layout, major=self._major)
            return [self._edited(text)]
        before = self.tree.read(self._layout.template)
        after = containerd_files.template_with_import(before, main, self._layout)
        return [] if after is None else [self._edited(after)]

    def _edited(self, text: str) -> File:
        """Return the file that the import is in, with `text` and the mode that it has."""
        there = self.tree.at(self._layout.edited)
        if there.is_symlink():
            raise SetupError(f"{there} is a symbolic link: make it a file, then run this again")
        mode = there.stat().st_mode & 0o777 if there.exists() else 0o644
        return File(self._layout.edited, text, mode)

    def install(self) -> None:
        """Install or upgrade. Raises `SetupError` before anything changed where it can."""
        wanted = [*self.files(), *self.containerd_files()]
        if self._whole:
            self._tell(f"{program.HOME}/current", program.install(self.tree))
        for file in wanted:
            self._tell(file.path, self.tree.put(file))
        if self.live:
            self._start_services()

    def uninstall(self) -> None:
        """Remove what `install` made. Raises `SetupError` while layers are mounted."""
        self._refuse_while_in_use()
        if self.live and self._whole and _systemd():
            with contextlib.suppress(SetupError):  # it may never have been installed whole
                _run(["systemctl", "disable", "--now", UNIT])
        if self.live:
            for path in _mounted():  # the connection, which ended with the service
                _run(["umount", "--lazy", path])
        self._tell(self._layout.drop_in, self.tree.remove(File(self._layout.drop_in, "")))
        self._remove_import()
        for file in self.files():
            self._tell(file.path, self.tree.remove(file))
        if self._whole:
            self._tell(program.HOME, program.remove(self.tree))
        if self.live and _systemd():
            _run(["systemctl", "daemon-reload"])
            self._restart_containerd()
        say(f"state is left in place: {', '.join(_STATE)} (remove it when you need it no more)")

    def _remove_import(self) -> None:
        there = self.tree.read(self._layout.edited)
        if there is None:
            return
        text = containerd_files.without_import(there, self._layout)
        file = self._edited(there if text is None else text)
        outcome = self.tree.remove(file) if text is None else self.tree.put(file)
        self._tell(self._layout.edited, outcome)

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
        if not self._whole:
            self._restart_containerd()
            return
        _run(["systemctl", "daemon-reload"])
        _run(["systemctl", "enable", UNIT])
        ours = {f"{program.HOME}/current", f"/etc/systemd/system/{UNIT}"}
        _run(["systemctl", "restart" if self._changed & ours else "start", UNIT])
        self._restart_containerd()

    def _restart_containerd(self) -> None:
        if self._changed & {self._layout.drop_in, self._layout.edited}:
            say("  restarting containerd (containers go on running)")
            for service in self._layout.services:
                if _known(service):
                    _run(["systemctl", "try-restart", service])


def _read(name: str) -> str:
    return (_CONFIG / name).read_text()


def _systemd() -> bool:
    return Path("/run/systemd/system").is_dir()


def _run(argv: list[str]) -> None:
    run_logged(argv, cache_dir() / "logs" / "bootstrap.log", what=" ".join(argv))


def _known(service: str) -> bool:
    argv = ["systemctl", "cat", service]
    return subprocess.run(argv, capture_output=True, check=False).returncode == 0


def containerd_major(tree: Tree, layout: Layout) -> int:
    """Return the major version of the node's containerd. Raises `SetupError`."""
    own = layout.program and tree.at(layout.program)
    found = str(own) if own and own.exists() else shutil.which("containerd")
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
    parser.add_argument(
        "--layout",
        choices=("auto", *layouts.LAYOUTS),
        default="auto",
        help="whose containerd it is; auto: k3s or RKE2 where their directories are",
    )
    parser.add_argument(
        "--only-containerd",
        action="store_true",
        help="only what containerd reads, and the settings: something else runs the daemon",
    )
    return parser.parse_args()


def bootstrap(arguments: argparse.Namespace) -> int:
    """Do what the command line says; return the exit status. Raises `SetupError`."""
    root = arguments.root.resolve()
    if root == Path("/") and os.geteuid() != 0 and not arguments.dry_run:
        raise SetupError("installing on this machine needs root")
    run = _bootstrap(arguments, Tree(root, dry=arguments.dry_run))
    if arguments.uninstall:
        run.uninstall()
        return 0
    whole = not arguments.only_containerd
    if whole and not arguments.dry_run and (lacking := debian.missing("node")):
        debian.install(lacking, cache_dir() / "logs" / "apt.log")
    run.install()
    if not run.live or not whole:
        return 0
    return subprocess.run([f"{program.HOME}/bin/bootseer", "doctor"], check=False).returncode


def _bootstrap(arguments: argparse.Namespace, tree: Tree) -> Bootstrap:
    name = arguments.layout
    if name == "auto":
        name = layouts.found(lambda path: tree.at(path).is_dir())
    make = layouts.LAYOUTS[name]
    major = arguments.containerd or containerd_major(tree, make(2))
    return Bootstrap(
        tree,
        make(major),
        major=major,
        platform=platform(),
        whole=not arguments.only_containerd,
    )


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
