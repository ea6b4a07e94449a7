"""A registry that is far away: its link as fast as before, every request later by a fixed time.

The kernel's own means (netem) is missing on many machines, so a proxy in the registry's namespace
does it; it talks to the registry over loopback, and to the node over the link of limited speed.
"""

import contextlib
import sys
from collections.abc import Iterator
from typing import Final

from benchmarks.lab.netns import REGISTRY_ADDRESS, Network
from benchmarks.lab.registry import Registry
from benchmarks.lab.service import service
from tooling.places import REPOSITORY

_FIRST_PORT: Final = 5001


@contextlib.contextmanager
def delayed(network: Network, registry: Registry, milliseconds: float) -> Iterator[Registry]:
    """Give the registry as it is seen from afar: each request is held back so long before it gets
    there. What it has is the same, its host and its log of requests are its own.

    With 0 it is the registry itself. Raises `HostError`.
    """
    if not milliseconds:
        yield registry
        return
    host = f"{REGISTRY_ADDRESS}:{_FIRST_PORT + round(milliseconds)}"
    module = "benchmarks.lab.delaying_proxy"
    argv = [sys.executable, "-m", module, host, registry.host, str(milliseconds)]
    log = registry.running.log.with_name(f"delay-{milliseconds:g}.log")
    environment = {"PYTHONPATH": str(REPOSITORY)}
    with service("delay", network.in_registry(argv), log, env=environment) as running:
        running.wait_until(lambda: "listening on" in log.read_text(errors="replace"))
        yield Registry(host, running, registry.storage)
