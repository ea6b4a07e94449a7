"""What pip would install where nothing is installed, by its own word."""

import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from typing import Final

from bootseer.documents import parse_document
from bootseer.errors import BootseerError, CorruptError
from depsnap.key.installers import Installer, installer_of
from depsnap.nearest.proof import Distribution, distribution

_MOST: Final = 64 << 20
_DISTRIBUTIONS: Final = 100_000


class NotProvenError(BootseerError):
    """It cannot be proved that an earlier snapshot leaves nothing behind."""


def would_install(
    command: Sequence[str], cwd: Path, environment: Mapping[str, str], patience: float
) -> set[Distribution]:
    """Return what a pip command would install here. Nothing is changed.

    Raises:
        NotProvenError: it is not pip's, or an old pip's, or does not end within `patience` seconds.
    """
    words = list(command)
    if installer_of(words) is not Installer.PIP or PurePath(words[0]).name == "uv":
        raise NotProvenError("only pip can say what it would install")
    if "install" not in words:
        raise NotProvenError("the command does not install")
    at = words.index("install") + 1
    with tempfile.TemporaryDirectory(prefix="depsnap-") as directory:
        report = Path(directory, "report.json")
        asked = [*words[:at], "--dry-run", "--quiet", "--report", str(report), *words[at:]]
        try:
            done = subprocess.run(
                asked,
                cwd=cwd,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=patience,
                check=False,
            )
            if done.returncode:
                raise NotProvenError("pip does not say what it would install")
            return parse_report(report.read_bytes())
        except (OSError, subprocess.TimeoutExpired) as error:
            raise NotProvenError("pip does not say what it would install") from error
        except CorruptError as error:
            raise NotProvenError(error.message) from error


def parse_report(data: bytes) -> set[Distribution]:
    """Return what a report of pip says would be installed. CorruptError if it is none."""
    root = parse_document(data, "pip's report", _MOST)
    found = set()
    for one in root.required("install").items(_DISTRIBUTIONS):
        metadata = one.required("metadata")
        found.add(
            distribution(metadata.required("name").string(), metadata.required("version").string())
        )
    return found
