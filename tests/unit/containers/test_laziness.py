"""What is said of a container's image."""

from typing import Any

from bootseer.errors import NotFoundError
from snapshotter.containers.laziness import laziness
from snapshotter.containers.lookup import ContainerFound
from snapshotter.snapshots.records import Link

CONTAINER = ContainerFound("k8s.io", "c", "a/b:1", "bootseer", "key")
LAYERS = {
    "lazy": {"data_bytes": 100, "local_bytes": 25, "fetched": {"demand": 10}, "unpacked": False},
    "hot": {"data_bytes": 10, "local_bytes": 10, "fetched": {"demand": 1}, "unpacked": False},
    "whole": {"data_bytes": 50, "local_bytes": 50, "fetched": {"demand": 0}, "unpacked": True},
}


class Snapshots:
    def __init__(self, *links: Link) -> None:
        self.links = list(links)

    async def below_container(self, snapshotter: str, namespace: str, key: str) -> list[Link]:
        assert (snapshotter, namespace, key) == ("bootseer", "k8s.io", "key")
        if not self.links:
            raise NotFoundError("none")
        return self.links


async def describe(mount: str) -> dict[str, Any]:
    return LAYERS[mount]


async def test_a_layer_that_comes_in_pieces_makes_it_lazy() -> None:
    links = (
        Link(1, "hot", "lazy"),
        Link(2, "whole", "whole"),
        Link(3, "lazy", "lazy"),
        Link(4, None),
    )
    found = await laziness(CONTAINER, Snapshots(*links), describe)
    assert (found["ours"], found["lazy"]) == (True, True)
    assert (found["data_bytes"], found["local_bytes"], found["fetched_bytes"]) == (160, 85, 11)
    assert [one["served"] for one in found["layers"]] == [True, True, True, False]
    assert [one.get("hot") for one in found["layers"]] == [True, False, False, None]


async def test_layers_that_were_downloaded_whole_are_not() -> None:
    found = await laziness(CONTAINER, Snapshots(Link(1, "whole", "whole")), describe)
    assert (found["ours"], found["lazy"]) == (True, False)


async def test_another_plugins_container_is_not_ours() -> None:
    found = await laziness(CONTAINER, Snapshots(), describe)
    assert (found["ours"], found["lazy"], found["layers"]) == (False, False, [])
