"""What the daemon serves beside snapshots."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from bootseer.config import Config
from bootseer.errors import HostError
from bootseer.metrics.serving import Ready, serve_metrics
from snapshotter.containers.laziness import laziness
from snapshotter.containers.lookup import ContainerLookup
from snapshotter.dependencies.service import Dependencies
from snapshotter.metrics.report import NodeReport
from snapshotter.registry.logins.remembered import RememberedPulls
from snapshotter.service.control import serve_control
from snapshotter.service.dependencies import serve_pods
from snapshotter.service.image_proxy import serve_image_proxy
from snapshotter.serving.files import LayerFiles
from snapshotter.snapshots.core import Snapshotter


@asynccontextmanager
async def serve_sides(
    config: Config,
    report: NodeReport,
    dependencies: Dependencies,
    containers: ContainerLookup | None,
    routes: Sequence[web.RouteDef],
    ready: Ready,
    pulls: RememberedPulls,
) -> AsyncIterator[None]:
    """Serve what is beside snapshots, while the context is open: tell whoever asks what the daemon
    does, mount for root, stand in for the CRI's image service.
    """
    control = config.run_dir / "control.sock"
    async with (
        serve_control(control, report.status, report.metrics, routes, ready),
        serve_pods(config.deps.pods, dependencies, containers),
        serve_metrics(config.metrics.address, report.metrics, ready),
        serve_image_proxy(config.registry.cri, config.containerd, pulls),
    ):
        yield


async def container_report(
    containers: ContainerLookup | None, core: Snapshotter, files: LayerFiles, space: str, name: str
) -> dict[str, Any]:
    """Describe a container. HostError where nobody may be asked for containers."""
    if containers is None:
        raise HostError("containers are not known", hint="set `containerd` in the configuration")
    return await laziness(await containers.found(space, name), core, files.describe_mounted)
