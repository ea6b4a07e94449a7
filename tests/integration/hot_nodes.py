"""Nodes that record starts and use what others recorded, and ways to look at what they did."""

import asyncio
import json
import os
import re
import subprocess
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from small_image import manifest_digest
from trouble_image import TroubleImage, publish_indexes, trouble_image
from whole import PLUGIN, Whole, bootseer, wait_for

from bootseer.doctor.findings import State
from bootseer.doctor.host import check_watching
from snapshotter.erofs.cachestat import pages_seen
from snapshotter.hot.record import Record
from snapshotter.hotstore.registry import RegistryHotStore
from snapshotter.ports import ImageKey, PublishedPack
from snapshotter.registry.client import RegistryClient
from snapshotter.starts.labels import RECORD, WORKLOAD
from tests.registry_fixture import ALONE

SETTINGS = "fill:\n  rate: 0\nhot:\n  window: 60\n  quiet: 5\n  pack: never\n  layout: hot\n"
"""Nothing happens but what a test does: no background fill, no packs made by nodes. Records alone
fill hot areas, too."""
FIRST_HALF = "dd if=/data/big of=/dev/null bs=64k count=32 2>/dev/null"
"""Reads the first 2 MiB: more than enough for a record worth keeping."""


def hot_image(node: Whole, name: str, *, megabytes: int = 3) -> TroubleImage:
    """Push an image with its indexes published."""
    image = trouble_image(node, name, megabytes=megabytes)
    publish_indexes(node, image)
    return image


def _command(node: Whole, image: TroubleImage, script: str, labels: dict[str, str]) -> list[str]:
    names = {"workload": WORKLOAD, "record": RECORD}
    told = [f"--snapshotter-label={names[key]}={value}" for key, value in labels.items()]
    argv = ["run", "--rm", "--snapshotter", PLUGIN, *told, image.reference, uuid.uuid4().hex]
    return [*argv, "sh", "-c", script]


def start(node: Whole, image: TroubleImage, script: str, **labels: str) -> str:
    """Run a container to its end; `labels` (workload, record) are its snapshot's."""
    return node.containerd.ctr(*_command(node, image, script, labels), seconds=60)


class Held:
    """A container that has begun and waits; to be used in a `with` block."""

    def __init__(self, node: Whole, image: TroubleImage, script: str, **labels: str) -> None:
        """`script` runs to each `wait` in it and waits there for `go`."""
        script = script.replace("wait", "echo held; read go")
        command = node.containerd.ctr_command(*_command(node, image, script, labels))
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        self._process = subprocess.Popen(command, text=True, **pipes)  # type: ignore[call-overload]

    def __enter__(self) -> "Held":
        self.until_held()
        return self

    def __exit__(self, *error: object) -> None:
        if self._process.poll() is None:
            self._process.communicate("go\n" * 9, timeout=60)

    def until_held(self) -> None:
        """Return when the container waits."""
        before = []
        for line in self._process.stdout:
            if line == "held\n":
                return
            before.append(line)
        raise AssertionError(f"the container ended: {before}")

    def go(self) -> None:
        """Let the container run to its next `wait`."""
        self._process.stdin.write("go\n")
        self._process.stdin.flush()
        self.until_held()

    def finish(self) -> str:
        """Let the container run to its end; return what it printed since it was held."""
        output, _ = self._process.communicate("go\n" * 9, timeout=60)
        assert self._process.returncode == 0, output
        return str(output)


def kernel_tells() -> bool:
    """Say whether the kernel tells what is read."""
    return check_watching().state is State.OK


def record_start(node: Whole, image: TroubleImage, script: str = FIRST_HALF, **labels: str) -> None:
    """Run a container whose start is recorded, and wait until its record was published."""
    start(node, image, script, **labels)
    wait_recorded(node, image)


def wait_recorded(node: Whole, image: TroubleImage) -> None:
    """Wait until no start of an image is being recorded any more."""

    def is_over() -> bool:
        going_on = node.daemon.status()["hot"]["recordings"]
        return all(one["image"] != image.reference for one in going_on)

    wait_for(is_over, "the recording to end", 60)


def make_pack(node: Whole, image: TroubleImage) -> PublishedPack:
    """Make and publish the pack of what is recorded; return it."""
    bootseer("hot", "pack", image.reference, "--config", str(node.daemon.config))

    async def ask() -> PublishedPack | None:
        async with RegistryClient(ALONE) as client:
            return await RegistryHotStore(client).pack(_key(image), "")

    pack = asyncio.run(ask())
    assert pack is not None
    return pack


def records(image: TroubleImage, workload: str = "") -> list[Record]:
    """Return the records of an image in its registry."""

    async def ask() -> Sequence[Record]:
        async with RegistryClient(ALONE) as client:
            return await RegistryHotStore(client).records(_key(image), workload)

    return list(asyncio.run(ask()))


def _key(image: TroubleImage) -> ImageKey:
    return ImageKey(image.reference, manifest_digest(image.reference))


def lines(node: Whole, event: str, *having: str) -> list[str]:
    """Return the daemon's log lines of an event that mention something."""
    wanted = re.compile(rf"\b{re.escape(event)}\b(?![.])")
    every = node.daemon.log().splitlines()
    return [line for line in every if wanted.search(line) and all(word in line for word in having)]


def _told(node: Whole, image: TroubleImage, field: str) -> list[str]:
    found = lines(node, "start.prepared", image.reference)
    return [match[1] for line in found if (match := re.search(rf" {field}=(\w+)", line))]


def courses(node: Whole, image: TroubleImage) -> list[str]:
    """Return how the containers of an image started, one after the other."""
    return _told(node, image, "course")


def stand_ins(node: Whole, image: TroubleImage) -> list[int]:
    """Return how many of its layers each container of an image got in another form."""
    return [int(number) for number in _told(node, image, "stand_ins")]


def hot(node: Whole, image: TroubleImage, workload: str = "") -> dict[str, Any]:
    """Return what `bootseer status` says of the hot blocks of an image; empty if nothing."""
    wanted = (image.reference, workload)
    for one in node.daemon.status()["hot"]["images"]:
        if (one["image"], one["workload"]) == wanted:
            return dict(one)
    return {}


def wait_prefetched(node: Whole, image: TroubleImage, workload: str = "") -> dict[str, Any]:
    """Wait until the prefetch of an image is over; return what became of it, if that is known."""
    wait_for(lambda: not hot(node, image, workload).get("going_on"), "the prefetch to end")
    return hot(node, image, workload)


def hot_directories(node: Whole, image: TroubleImage) -> list[Path]:
    """Return the directories of an image's hot areas."""
    layers = node.daemon.root / "l"
    found = []
    for path in layers.glob("*/h*/area.json"):
        if json.loads(path.read_bytes()).get("reference") == image.reference:
            found.append(path.parent)
    return found


def in_page_cache(node: Whole, area: Path) -> bool:
    """Say whether all of a hot area's block file is in the page cache."""
    path = node.daemon.root / "blocks" / (area.parent.name + area.name)
    number = os.open(path, os.O_RDONLY)
    try:
        size = os.fstat(number).st_size
        return pages_seen(number, 0, size) == -(-size // 4096)
    finally:
        os.close(number)


def drop_caches() -> None:
    """Empty the page cache."""
    Path("/proc/sys/vm/drop_caches").write_text("1")
