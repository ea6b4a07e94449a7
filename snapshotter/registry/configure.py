"""From the configuration file's `registry` section to the client's settings. Pure."""

from bootseer.config import Registry
from snapshotter.registry.credentials import DockerConfig
from snapshotter.registry.hosts import HostOptions, HostsDirectory
from snapshotter.registry.settings import ClientSettings, Timeouts


def client_settings(registry: Registry) -> ClientSettings:
    """Return how a client behaves under this configuration."""
    plain = {host: HostOptions(plain_http=True) for host in registry.plain_http}
    return ClientSettings(
        hosts=HostsDirectory(plain, (registry.config_path,)),
        credentials=DockerConfig(registry.docker_config),
        timeouts=Timeouts(
            connect=registry.connect_timeout,
            stall=registry.read_timeout,
            request=2 * registry.read_timeout,
        ),
    )
