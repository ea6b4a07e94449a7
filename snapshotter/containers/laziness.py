"""How much of a container's image was fetched, and where from: what people ask of a lazy start.

Race-free: it keeps no state.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol, TypeAlias

from bootseer.errors import NotFoundError
from snapshotter.containers.lookup import ContainerFound
from snapshotter.snapshots.records import Link

Describe: TypeAlias = Callable[[str], Awaitable[dict[str, Any]]]
"""Describes a mounted layer, by the name that links have for it."""


class Snapshots(Protocol):
    """Knows what containers have below them."""

    async def below_container(self, snapshotter: str, namespace: str, key: str) -> list[Link]:
        """Return the layers from the top down. NotFoundError for a snapshot that is not ours."""
        ...


async def laziness(
    container: ContainerFound, snapshots: Snapshots, describe: Describe
) -> dict[str, Any]:
    """Return what `bootseer image lazy` shows."""
    about = {
        "container": container.name,
        "namespace": container.namespace,
        "image": container.image,
        "snapshotter": container.snapshotter,
    }
    try:
        links = await snapshots.below_container(
            container.snapshotter, container.namespace, container.key
        )
    except NotFoundError:
        return about | summed([], ours=False)
    layers = [await _layer(link, describe) for link in links]
    return about | summed(layers, ours=True)


async def _layer(link: Link, describe: Describe) -> dict[str, Any]:
    if link.layer is None:
        return {"served": False}
    return {"served": True, "hot": link.layer != link.pulled} | await describe(link.layer)


def summed(layers: Sequence[dict[str, Any]], *, ours: bool) -> dict[str, Any]:
    """Return layers with what they come to together. Pure.

    *Lazy* is an image of which something was not here when it was mounted: one of its layers is
    served and came, or comes, in pieces.
    """
    served = [one for one in layers if one["served"]]
    fetched: dict[str, int] = {}
    for one in served:
        for source, size in one["fetched"].items():
            fetched[source] = fetched.get(source, 0) + size
    data = sum(one["data_bytes"] for one in served)
    local = sum(one["local_bytes"] for one in served)
    return {
        "ours": ours,
        "lazy": any(not one["unpacked"] for one in served),
        "data_bytes": data,
        "local_bytes": local,
        "fetched_bytes": sum(fetched.values()),
        "fetched": fetched,
        "layers": list(layers),
    }
