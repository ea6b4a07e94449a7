"""How a registry client behaves: frozen, checked once, pickled to workers."""

from dataclasses import dataclass, field, replace

from snapshotter.limits import DEFAULT, Limits
from snapshotter.registry.breaker import BreakerPolicy
from snapshotter.registry.credentials import Anonymous, CredentialSource
from snapshotter.registry.hosts import HostOptions, HostsDirectory
from snapshotter.registry.retry import RetryPolicy


@dataclass(frozen=True, slots=True)
class Timeouts:
    """No wait for a registry is longer than these allow. Seconds."""

    connect: float = 10.0
    """TCP and TLS."""
    stall: float = 20.0
    """Silence in the middle of an answer."""
    request: float = 60.0
    """From asking to the header of the answer, waiting for a free connection included; and a
    small object as a whole."""
    slowest: float = 64 * 1024
    """Bytes per second: an answer that drips more slowly than this has stalled."""

    def transfer(self, size: int) -> float:
        """Return the time within which `size` bytes must be there."""
        return self.request + size / self.slowest


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """Everything a `RegistryClient` is made of."""

    hosts: HostsDirectory = field(default_factory=HostsDirectory)
    credentials: CredentialSource = field(default_factory=Anonymous)
    timeouts: Timeouts = field(default_factory=Timeouts)
    retries: RetryPolicy = field(default_factory=RetryPolicy)
    breaker: BreakerPolicy = field(default_factory=BreakerPolicy)
    limits: Limits = DEFAULT
    connections: int = 32
    """Connections to one host at a time."""
    streams: int = 8
    """Whole blobs that are streamed at a time, so that short reads find a free connection."""
    environment_proxy: bool = True
    """Go through the proxy that `https_proxy`, `http_proxy` and `no_proxy` name."""
    endpoint_pause: float = 30.0
    """Seconds for which an endpoint that could not be reached is asked last."""
    mirror_memory: float = 60.0
    """Seconds for which an endpoint that did badly about a blob (lacks it, say) is asked last
    about it. A start reads a blob in hundreds of parts; a mirror may have got it a minute later."""
    redirect_memory: float = 300.0
    """Seconds for which the address that a blob was redirected to is used again. If it is
    refused earlier, the registry is asked anew."""
    settle: float = 1.0
    """Seconds after which a list of referrers that we wrote is looked at again: others may have
    written at the same time."""
    user_agent: str = "bootseer"

    def with_plain_http(self, registry: str) -> "ClientSettings":
        """Return the same settings, but a registry is spoken to in plain HTTP."""
        options = {**self.hosts.options, registry: HostOptions(plain_http=True)}
        return replace(self, hosts=replace(self.hosts, options=options))
