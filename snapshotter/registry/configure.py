"""From the configuration file's `registry` section to the client's settings. Pure."""

from pathlib import Path

from bootseer.config import Registry
from snapshotter.registry.credentials import CredentialSource, InOrder
from snapshotter.registry.hosts import HostOptions, HostsDirectory
from snapshotter.registry.logins.docker import DockerConfig
from snapshotter.registry.logins.kubelet import KubeletPlugins
from snapshotter.registry.settings import ClientSettings, Timeouts


def client_settings(registry: Registry, *first: CredentialSource) -> ClientSettings:
    """Return how a client behaves under this configuration.

    `first`: who is asked for credentials before those whom the configuration names.
    """
    plain = {host: HostOptions(plain_http=True) for host in registry.plain_http}
    return ClientSettings(
        hosts=HostsDirectory(plain, (registry.config_path,)),
        credentials=InOrder((*first, *_sources(registry))),
        timeouts=Timeouts(
            connect=registry.connect_timeout,
            stall=registry.read_timeout,
            request=2 * registry.read_timeout,
        ),
    )


def _sources(registry: Registry) -> list[CredentialSource]:
    sources: list[CredentialSource] = [DockerConfig(registry.docker_config)]
    if registry.kubelet_config:
        plugins = KubeletPlugins(Path(registry.kubelet_config), registry.kubelet_plugins)
        sources.append(plugins)
    return sources
