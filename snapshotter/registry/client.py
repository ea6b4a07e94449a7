"""The registry client: distribution specification v1.1 over aiohttp. Builds the graph of its parts.

async with RegistryClient(settings) as client:
    raw = await client.manifests.get(parse_reference("docker.io/library/alpine"))
"""

from snapshotter.registry.blobs import Blobs
from snapshotter.registry.calls import Calls
from snapshotter.registry.manifests import Manifests
from snapshotter.registry.referrers import Referrers
from snapshotter.registry.settings import ClientSettings
from snapshotter.registry.statistics import Statistics
from snapshotter.registry.transport import Transport
from snapshotter.registry.uploads import Uploads


class RegistryClient:
    """Talks to any number of registries; one event loop's, usable inside its context only.

    Every method of its parts raises `NotFoundError` where the registry does not have the object,
    `RemoteError` where it fails or refuses, `CorruptError` where verified bytes are not what they
    should be, `UsageError` where our own configuration cannot work. All retry by themselves, and
    none waits longer than `ClientSettings.timeouts` allow.
    """

    manifests: Manifests
    blobs: Blobs
    uploads: Uploads
    referrers: Referrers
    statistics: Statistics

    def __init__(self, settings: ClientSettings | None = None) -> None:
        self.settings = settings or ClientSettings()
        self.statistics = Statistics()
        limits = self.settings.limits
        calls = Calls(self.settings, self.statistics)
        self._transport = Transport(self.settings, self.statistics)
        self.manifests = Manifests(self._transport, calls, limits)
        self.blobs = Blobs(self._transport, calls, self.settings, self.statistics)
        self.uploads = Uploads(self._transport, calls, limits)
        self.referrers = Referrers(self._transport, calls, self.manifests, self.settings)

    async def __aenter__(self) -> "RegistryClient":
        await self._transport.__aenter__()
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self._transport.__aexit__(*exception)
