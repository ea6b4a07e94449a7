"""nginx in front of a test's registry."""

from pathlib import Path

from whole import free_port

from benchmarks.lab import nginx_cache as lab
from benchmarks.lab.nginx_cache import NginxCache

__all__ = ["NginxCache", "nginx_cache"]


def nginx_cache(directory: Path, registry: str) -> NginxCache:
    """Configure a cache of a registry, with all its files below `directory`."""
    return lab.nginx_cache(directory, registry, f"127.0.0.1:{free_port()}")
