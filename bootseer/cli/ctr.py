"""containerd's own client, `ctr`, as far as commands here need it."""

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bootseer.errors import HostError


@dataclass(frozen=True, slots=True)
class Ctr:
    """One containerd, and the namespace to work in."""

    address: str
    namespace: str
    program: str = "ctr"

    def pull(self, reference: str, snapshotter: str, hosts: Path, *, plain_http: bool) -> None:
        """Pull an image and unpack it with a snapshotter. HostError if that fails."""
        options = ["--snapshotter", snapshotter]
        options += ["--plain-http"] if plain_http else ["--hosts-dir", str(hosts)]
        done = subprocess.run(
            self._command("images", "pull", *options, reference),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            said = " ".join((done.stderr or done.stdout).split()[-40:])
            raise HostError(f"containerd cannot pull {reference}: {said}")

    def run(
        self,
        reference: str,
        name: str,
        command: Sequence[str],
        snapshotter: str,
        labels: Sequence[str],
    ) -> int:
        """Run a container to its end with our own input and output; return its exit code."""
        options = ["--rm", "--snapshotter", snapshotter]
        for label in labels:
            options += ["--snapshotter-label", label]
        return subprocess.run(
            self._command("run", *options, reference, name, *command), check=False
        ).returncode

    def _command(self, *arguments: str) -> list[str]:
        program = shutil.which(self.program)
        if program is None:
            raise HostError(
                f"{self.program}: no such program", hint="it comes with containerd; see --ctr"
            )
        return [program, "--address", self.address, "--namespace", self.namespace, *arguments]
