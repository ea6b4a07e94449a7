"""nginx with the configuration that we give away, in front of a registry."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.lab.access_log import Request, parse
from benchmarks.lab.service import Service, service
from bootseer.errors import HostError
from tooling.places import REPOSITORY

SNIPPET: Final = REPOSITORY / "config/nginx/registry-cache.conf"


@dataclass(frozen=True, slots=True)
class NginxCache:
    """A cache that can be stopped and started again; what it has kept stays."""

    host: str
    directory: Path
    enter: Sequence[str] = ()
    """What comes before a command so that it runs where the cache is."""

    @contextmanager
    def running(self) -> Iterator[Service]:
        """Run it during the block. Raises `HostError`."""
        config = self.directory / "nginx.conf"
        (self.directory / "pid").unlink(missing_ok=True)
        argv = [*self.enter, "nginx", "-p", str(self.directory), "-c", str(config), "-e", "stderr"]
        with service("nginx", argv, self.directory / "log") as nginx:
            nginx.wait_until((self.directory / "pid").exists)
            yield nginx

    def requests(self) -> list[Request]:
        """Return every request answered so far."""
        log = self.directory / "access.log"
        return list(parse(log.read_text().splitlines())) if log.exists() else []

    def kept(self) -> list[Path]:
        """Return the files that hold what is kept."""
        return [path for path in (self.directory / "cache").rglob("*") if path.is_file()]


def nginx_cache(directory: Path, registry: str, host: str, enter: Sequence[str] = ()) -> NginxCache:
    """Configure a cache of a registry that listens on `host`, its files below `directory`.

    Raises `HostError` without nginx.
    """
    if shutil.which("nginx") is None:
        raise HostError("nginx is not installed", hint="scripts/setup --for test")
    directory.mkdir(parents=True)
    text = SNIPPET.read_text()
    for ours, theirs in {
        "registry.example:5000": registry,
        "listen 8080": f"listen {host}",
        "/var/cache/nginx/registry": str(directory / "cache"),
    }.items():
        assert ours in text
        text = text.replace(ours, theirs)
    (directory / "snippet.conf").write_text(text)
    places = "".join(
        f"{name}_temp_path {directory}/{name};\n"
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (directory / "nginx.conf").write_text(
        f"daemon off;\nuser root;\npid {directory}/pid;\nworker_processes 1;\n"
        "events {}\nhttp {\n"
        f"access_log {directory}/access.log combined;\n{places}"
        f"include {directory}/snippet.conf;\n}}\n"
    )
    return NginxCache(host, directory, enter)
