"""A small image of busybox and made-up layers, pushed to a test's registry."""

import hashlib
import json
import random
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from whole import Whole, bootseer

from benchmarks.images.layer_tar import LayerTar
from benchmarks.images.oci_layout import OciLayout

APPLETS = ("cat", "sh", "sleep", "sha256sum", "find", "sort", "xargs", "ls", "dd", "stat", "wc")


@dataclass(frozen=True)
class SmallImage:
    """An image in a registry, and what a container of it must see."""

    reference: str
    layers: list[str]
    """Digests, bottom first."""
    sizes: list[int]
    """Compressed bytes of each."""
    contents: dict[str, str]
    """Path in the container -> SHA-256, for every file of the data layer."""
    big: str
    """Path of a file that is larger than several chunks."""


def text(seed: int, size: int) -> bytes:
    """Return bytes that gzip halves, like those of programs."""
    chance = random.Random(seed)
    words = [chance.randbytes(chance.randrange(3, 9)) for _ in range(4096)]
    found = b"".join(chance.choices(words, k=size // 5 + 1))
    return found[:size]


def base_tree(directory: Path) -> Path:
    """Make a tree with busybox and its applets."""
    (directory / "bin").mkdir(parents=True)
    for name in ("dev", "proc", "sys", "tmp", "etc"):
        (directory / name).mkdir()
    busybox = shutil.which("busybox")
    assert busybox is not None
    shutil.copyfile(busybox, directory / "bin/busybox")
    (directory / "bin/busybox").chmod(0o755)
    for name in APPLETS:
        (directory / "bin" / name).symlink_to("busybox")
    return directory


def data_tree(directory: Path, megabytes: int = 24) -> dict[str, str]:
    """Make a tree of many files of many sizes; return their digests by path in the container."""
    chance = random.Random(5)
    digests = {}
    files = [megabytes << 19] + [int(2 ** chance.uniform(0, 18)) for _ in range(megabytes * 12)]
    for number, size in enumerate(files):
        path = directory / "data" / str(number % 7) / f"file-{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        content = text(number, size)
        path.write_bytes(content)
        digests[f"/{path.relative_to(directory)}"] = hashlib.sha256(content).hexdigest()
    return digests


def top_tree(directory: Path) -> Path:
    """Make a small last layer."""
    (directory / "etc").mkdir(parents=True)
    (directory / "etc/greeting").write_text("hello\n")
    return directory


def layout_of_two_layers(directory: Path) -> str:
    """Make an image of busybox and 2 MB of files as an OCI layout; return how skopeo names it."""
    base = base_tree(directory / "base")
    data_tree(directory / "data", megabytes=2)
    layout = OciLayout(directory / "layout")
    for tree in (base, directory / "data"):
        layout.add_layer(tree.name, LayerTar(tree).write)
    config = {"Cmd": ["/bin/ls"], "Env": ["PATH=/bin"]}
    layout.finish(name="small", architecture="amd64", config=config, created="2026-01-01T00:00:00Z")
    return f"oci:{layout.root}:small"


def push(layout: Path, reference: str) -> None:
    """Copy an OCI layout into a registry that speaks plain HTTP."""
    target = ["--dest-tls-verify=false", f"oci:{layout}:small", f"docker://{reference}"]
    subprocess.run(["skopeo", "copy", "--quiet", *target], check=True)


def small_image(
    directory: Path,
    host: str,
    name: str = "small:latest",
    labels: Mapping[str, str] | None = None,
) -> SmallImage:
    """Build the image below `directory` and push it to the registry `host`."""
    base = base_tree(directory / "base")
    contents = data_tree(directory / "data")
    top = top_tree(directory / "top")
    layout = OciLayout(directory / "layout")
    layers = [layout.add_layer(t.name, LayerTar(t).write) for t in (base, directory / "data", top)]
    config: dict[str, Any] = {"Cmd": ["/bin/cat", "/etc/greeting"], "Env": ["PATH=/bin"]}
    config |= {"Labels": dict(labels)} if labels else {}
    layout.finish(name="small", architecture="amd64", config=config, created="2026-01-01T00:00:00Z")
    push(layout.root, f"{host}/{name}")
    return SmallImage(
        f"{host}/{name}",
        [layer.digest for layer in layers],
        [layer.size for layer in layers],
        contents,
        "/data/0/file-0",
    )


def indexed_image(node: Whole) -> SmallImage:
    """Build the image, push it to a node's registry, and publish its index."""
    made = small_image(node.directory / "image", node.registry.host)
    bootseer("image", "index", made.reference, "--config", str(node.daemon.config))
    return made


def manifest_digest(reference: str) -> str:
    """Return the digest of an image's manifest in a registry."""
    command = ["skopeo", "inspect", "--tls-verify=false", f"docker://{reference}"]
    found = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    return str(json.loads(found)["Digest"])
