"""nginx with the configuration that we give away, in front of a test's registry."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from whole import free_port

from benchmarks.lab.access_log import Request, parse
from benchmarks.lab.service import Service, service
from tooling.places import REPOSITORY

SNIPPET = REPOSITORY / "config/nginx/registry-cache.conf"


@dataclass
class NginxCache:
    """A cache that can be stopped and started again; what it has kept stays."""

    host: str
    directory: Path

    @contextmanager
    def running(self) -> Iterator[Service]:
        """Run it during the block."""
        config = self.directory / "nginx.conf"
        (self.directory / "pid").unlink(missing_ok=True)
        argv = ["nginx", "-p", str(self.directory), "-c", str(config), "-e", "stderr"]
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


def nginx_cache(directory: Path, registry: str) -> NginxCache:
    """Configure a cache of a registry, with all its files below `directory`."""
    assert shutil.which("nginx"), "nginx is not installed: scripts/setup --for test"
    directory.mkdir(parents=True)
    made = NginxCache(f"127.0.0.1:{free_port()}", directory)
    text = SNIPPET.read_text()
    for ours, theirs in {
        "registry.example:5000": registry,
        "listen 8080": f"listen {made.host}",
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
    return made
