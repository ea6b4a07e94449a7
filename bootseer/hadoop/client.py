"""What this machine says of its cluster and of us: `HADOOP_CONF_DIR`, `HADOOP_USER_NAME`."""

import os
import pwd
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bootseer.errors import CorruptError, UsageError
from bootseer.hadoop.site import SITE_BYTES, Property, Site, merge, parse_site

_FILES: Final = ("core-site.xml", "hdfs-site.xml")


@dataclass(frozen=True, slots=True)
class HadoopClient:
    """Who we are for a cluster, and what is configured of it."""

    user: str
    """Who we are, unless an address or a ticket says it."""
    site: Site = field(default_factory=Site)


def read_client(
    environment: Mapping[str, str], directory: Path | None = None, user: str | None = None
) -> HadoopClient:
    """Return what the environment says; `directory` and `user` go before `HADOOP_CONF_DIR` and
    `HADOOP_USER_NAME`.

    Raises:
        UsageError: the directory or a file in it cannot be read, or is no configuration.
    """
    named = environment.get("HADOOP_CONF_DIR")
    place = directory or (Path(named) if named else None)
    name = user or environment.get("HADOOP_USER_NAME") or _own_name()
    if place is None:
        return HadoopClient(name, Site({}, environment))
    if not place.is_dir():
        raise UsageError(f"HADOOP_CONF_DIR: {place} is no directory")
    files = [place / file for file in _FILES]
    return HadoopClient(
        name, merge([_properties(file) for file in files if file.exists()], environment)
    )


def _properties(path: Path) -> tuple[Property, ...]:
    try:
        with path.open("rb") as file:
            return parse_site(file.read(SITE_BYTES + 1))
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error
    except CorruptError as error:
        raise UsageError(f"{path}: {error.message}") from error


def _own_name() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())
