"""Nodes that record starts and use what others recorded, and ways to look at what they did."""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from small_image import manifest_digest
from trouble_image import TroubleImage, indexed, publish_indexes, trouble_image
from whole import PLUGIN, LocalRegistry, Whole, bootseer, wait_for

from snapshotter.hot.record import Record
from snapshotter.hotstore.registry import RegistryHotStore
from snapshotter.layers.records import BLOCK
from snapshotter.ports import ImageKey, PublishedPack
from snapshotter.registry.client import RegistryClient

SETTINGS = "fill:\n  rate: 0\nhot:\n  window: 60\n  quiet: 5\n  pack: never\n"
"""Nothing happens but what a test does: no background fill, no packs made by nodes."""
WORKLOAD = "containerd.io/snapshot/bootseer.workload"
RECORD = "containerd.io/snapshot/bootseer.record"
FIRST_HALF = "dd if=/data/big of=/dev/null bs=64k count=32"
"""Reads the first 2 MiB: more than enough for a record worth keeping."""


def hot_image(node: Whole, name: str, *, megabytes: int = 4) -> TroubleImage:
    """Push an image with its indexes published."""
    image = trouble_image(node, name, megabytes=megabytes)
    publish_indexes(node, image)
    return image


def start(node: Whole, image: TroubleImage, script: str, **labels: str) -> str:
    """Run a container to its end; `labels` (workload, record) are its snapshot's."""
    names = {"workload": WORKLOAD, "record": RECORD}
    argv = [f"--snapshotter-label={names[key]}={value}" for key, value in labels.items()]
    name = f"c{np.random.default_rng().integers(1 << 62)}"
    argv = ["run", "--rm", "--snapshotter", PLUGIN, *argv, image.reference, name]
    return node.containerd.ctr(*argv, "sh", "-c", script, seconds=60)


def record_start(node: Whole, image: TroubleImage, script: str = FIRST_HALF, **labels: str) -> None:
    """Start a container that has no record yet, and wait until its record was published."""
    before = len(lines(node, "hot.recorded", image.reference))
    node.pull(image.reference)
    start(node, image, script, **labels)
    wait_for(lambda: len(lines(node, "hot.recorded", image.reference)) > before, "the record")


def make_pack(node: Whole, image: TroubleImage) -> PublishedPack:
    """Make and publish the pack of what is recorded; return it."""
    bootseer("hot", "pack", image.reference, "--config", str(node.daemon.config))
    pack = packed(image)
    assert pack is not None
    return pack


def lines(node: Whole, event: str, *having: str) -> list[str]:
    """Return the daemon's log lines of an event that mention something."""
    every = node.daemon.log().splitlines()
    wanted = re.compile(rf"\b{re.escape(event)}\b(?!\.)")
    return [x for x in every if wanted.search(x) and all(word in x for word in having)]


def courses(node: Whole, image: TroubleImage) -> list[str]:
    """Return how the containers of an image started."""
    found = lines(node, "start.prepared", image.reference)
    return [match[1] for line in found if (match := re.search(r" course=(\w+)", line))]


def stand_ins(node: Whole, image: TroubleImage) -> list[int]:
    """Return how many of their layers the containers of an image got in another form."""
    found = lines(node, "start.prepared", image.reference)
    return [int(match[1]) for line in found if (match := re.search(r" stand_ins=(\d+)", line))]


def hot(node: Whole, image: TroubleImage, workload: str = "") -> dict[str, Any]:
    """Return what `bootseer status` says of the hot blocks of an image; empty if nothing."""
    found = [
        one
        for one in node.daemon.status()["hot"]["images"]
        if (one["image"], one["workload"]) == (image.reference, workload)
    ]
    return found[-1] if found else {}


def wait_prefetched(node: Whole, image: TroubleImage, workload: str = "") -> dict[str, Any]:
    """Wait until the prefetch of an image is over; return what became of it."""

    def is_over() -> bool:
        found = hot(node, image, workload)
        return bool(found) and not found["going_on"]

    wait_for(is_over, "the prefetch to end")
    return hot(node, image, workload)


def recordings(node: Whole) -> list[dict[str, Any]]:
    """Return the recordings that go on."""
    return list(node.daemon.status()["hot"]["recordings"])


def drop_caches() -> None:
    """Empty the page cache."""
    Path("/proc/sys/vm/drop_caches").write_text("1")


def records(image: TroubleImage, workload: str = "") -> list[Record]:
    """Return the records of an image in its registry."""

    async def ask() -> Sequence[Record]:
        async with RegistryClient() as client:
            return await RegistryHotStore(client).records(_key(image), workload)

    return list(asyncio.run(ask()))


def packed(image: TroubleImage, workload: str = "") -> PublishedPack | None:
    """Return the pack of an image in its registry."""

    async def ask() -> PublishedPack | None:
        async with RegistryClient() as client:
            return await RegistryHotStore(client).pack(_key(image), workload)

    return asyncio.run(ask())


def _key(image: TroubleImage) -> ImageKey:
    return ImageKey(image.reference, manifest_digest(image.reference))


@dataclass(frozen=True)
class FileBlocks:
    """Where a file of the data layer lies."""

    first: int
    """Its first block in the data area."""
    count: int


def big_file(registry: LocalRegistry, image: TroubleImage) -> FileBlocks:
    """Return where `/data/big` lies in the data area of its layer."""
    inodes = indexed(registry, image.layers[1]).index.tree.inodes
    row = int(np.argmax(inodes.size))
    return FileBlocks(int(inodes.data[row]) // BLOCK, -(-int(inodes.size[row]) // BLOCK))
