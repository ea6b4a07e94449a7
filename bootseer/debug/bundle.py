"""Writes a bundle: parts, each without secrets, in a `tar.gz` that only its owner may read."""

import io
import os
import tarfile
import time
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from bootseer.config import Config
from bootseer.debug.parts import Part, text_of
from bootseer.debug.redaction import (
    cleaned,
    secrets_of_docker,
    secrets_of_environment,
    secrets_of_hosts,
)


def known_secrets(config: Config) -> set[str]:
    """Return what this node's configuration of registries, and our own environment, keep secret."""
    found = set(secrets_of_environment(os.environ.items()))
    for data in _read([config.registry.docker_config]):
        found.update(secrets_of_docker(data))
    for data in _read(sorted(config.registry.config_path.glob("*/hosts.toml"))):
        found.update(secrets_of_hosts(data.decode(errors="replace")))
    return found


def write_bundle(path: Path, parts: Sequence[Part], secrets: Collection[str]) -> None:
    """Write the parts to a new file. FileExistsError if there is one."""
    now = int(time.time())
    name = path.name.removesuffix(".gz").removesuffix(".tar")
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file, tarfile.open(fileobj=file, mode="w:gz") as archive:
        for part, make in parts:
            content = cleaned(text_of(make), secrets).encode(errors="replace")
            entry = tarfile.TarInfo(f"{name}/{part}")
            entry.size, entry.mtime, entry.mode = len(content), now, 0o600
            archive.addfile(entry, io.BytesIO(content))


def _read(paths: Sequence[Path]) -> Iterator[bytes]:
    for path in paths:
        try:
            yield path.read_bytes()
        except OSError:
            continue
