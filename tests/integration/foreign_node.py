"""What tests of images in other snapshotters' formats do with a node, and see of it."""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from image_trees import mounted_image
from tree_facts import Facts, facts_of
from whole import Whole, wait_for

from snapshotter.registry.client import RegistryClient
from snapshotter.registry.reference import Reference, parse_reference
from tests.image_maker import MadeImage, MadeLayer, push_image
from tests.registry_fixture import ALONE

SETTINGS = "fill: {rate: 0}\nhot: {record: never}\n"
"""Nothing is fetched but what somebody reads."""


def with_registry(
    node: Whole, name: str, work: Callable[[RegistryClient, Reference], Awaitable[MadeImage]]
) -> tuple[str, MadeImage]:
    """Do something about a repository; return how clients name its image, and the image."""
    reference = f"{node.registry.host}/{name}:latest"

    async def doing() -> MadeImage:
        async with RegistryClient(ALONE) as client:
            return await work(client, parse_reference(reference))

    return reference, asyncio.run(doing())


def push(node: Whole, name: str, layers: Sequence[MadeLayer], *, docker: bool = False) -> str:
    """Push an image of these layers and return its reference."""
    return with_registry(
        node, name, lambda client, target: push_image(client, target, layers, docker=docker)
    )[0]


def how(node: Whole, layer: MadeLayer) -> list[str]:
    """Return how a layer came to be provided, each time."""
    every = node.daemon.log().splitlines()
    lines = [line for line in every if "layer.provided" in line and layer.digest in line]
    return [found[1] for line in lines if (found := re.search(r" how=(\w+)", line))]


def served(node: Whole, layer: MadeLayer) -> dict[str, object]:
    """Return what the daemon says of a layer that is open."""
    (found,) = (one for one in node.daemon.status()["layers"] if one["digest"] == layer.digest)
    return dict(found)


def record(node: Whole, layer: MadeLayer) -> dict[str, object]:
    """Return what the daemon keeps of a layer."""
    every = [json.loads(path.read_text()) for path in node.daemon.root.glob("l/*/layer.json")]
    (found,) = (one for one in every if one["layer_digest"] == layer.digest)
    return dict(found)


def read_wholly(node: Whole, reference: str) -> dict[str, Facts]:
    """Read every file of an image."""
    with mounted_image(node, reference) as tree:
        return facts_of(tree)


def pulled_wholly(node: Whole, reference: str) -> dict[str, Facts]:
    """Pull an image as containerd does by itself, and read every file."""
    node.containerd.pull(reference)
    with mounted_image(node, reference, "overlayfs") as tree:
        return facts_of(tree)


def verify_alone(node: Whole, name: str, layers: Sequence[MadeLayer]) -> None:
    """Read all of each layer in an image of its own, where no other layer hides anything of it; see
    that the check of the whole passes."""
    for number, layer in enumerate(layers):
        alone = push(node, f"{name}-{number}", [layer])
        node.pull(alone)
        read_wholly(node, alone)
        wait_for(partial(checked, node, layer), f"the check of layer {number}")
        assert record(node, layer)["poisoned"] == ""
        assert record(node, layer)["merkle_root"]


def checked(node: Whole, layer: MadeLayer) -> bool:
    """Say whether a layer was checked, one way or the other."""
    found = record(node, layer)
    return bool(found["local"] or found["poisoned"])
