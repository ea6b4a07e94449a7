"""The demo's image: Debian, Python with numpy, PyTorch, one training step. Over 1 GB unpacked.

Built once into `<cache>/images/demo-<hash>` as an OCI image layout and used from there; the hash
covers whatever decides its contents. `python -m benchmarks.images.demo` builds it.
"""

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.images import chroot
from benchmarks.images.apt_sources import AptSource, debian_source
from benchmarks.images.layer_tar import LayerTar
from benchmarks.images.oci_layout import OciLayout, layout_manifest
from bootseer.errors import BootseerError, HostError
from tooling.machine import architecture
from tooling.places import REPOSITORY, cache_dir

Say = Callable[[str], None]
"""Told what is being done, one line at a time."""

_TRAIN: Final = REPOSITORY / "examples" / "demo-image" / "train.py"
_RECIPE: Final = "4"  # raised by hand when the way of building changes what is built
_EPOCH: Final = 1_700_000_000
_CREATED: Final = "2023-11-14T22:13:20Z"
_NAME: Final = "demo"

PACKAGES: Final = (
    ("python3 and numpy", ("python3", "python3-numpy", "ca-certificates")),
    ("PyTorch", ("python3-torch",)),
)
"""The middle layers, bottom first: what it is, and Debian's packages in it."""


@dataclass(frozen=True, slots=True)
class DemoImage:
    """A built image. `command` is what a container of it runs; sizes are in bytes."""

    layout: Path
    command: tuple[str, ...]

    def compressed(self) -> int:
        """Return the sum of the layers' blobs."""
        return sum(int(layer["size"]) for layer in layout_manifest(self.layout)["layers"])

    def push(self, reference: str, *, prefix: Sequence[str] = ()) -> None:
        """Copy the image to `host:port/name:tag` over plain HTTP with skopeo.

        `prefix` is what a program must be started with to reach that host (`ip netns exec ...`).
        Raises `HostError` when it fails.
        """
        result = subprocess.run(
            [
                *prefix,
                "skopeo",
                "copy",
                "--quiet",
                "--dest-tls-verify=false",
                f"oci:{self.layout}:{_NAME}",
                f"docker://{reference}",
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode != 0:
            raise HostError(
                f"pushing {reference} failed: {result.stderr.strip()[-300:]}",
                hint="is the registry listening there?",
            )


def demo_image(say: Say = lambda _line: None) -> DemoImage:
    """Return the demo image, built first where this machine does not have it yet (minutes).

    Safe when two ask at once: the second waits. Raises `HostError` where it cannot be built.
    """
    source = debian_source()
    images = cache_dir() / "images"
    images.mkdir(parents=True, exist_ok=True)
    target = images / f"demo-{_hash(source)}"
    command = ("python3", "/opt/train/train.py")
    with _only_one(images / "demo.lock"):
        if not (target / "index.json").exists():
            _build_into(source, target, command, say)
    return DemoImage(target, command)


def _hash(source: AptSource) -> str:
    parts = [_RECIPE, source.suite, architecture(), repr(PACKAGES), _TRAIN.read_text()]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]


@contextlib.contextmanager
def _only_one(lock: Path) -> Iterator[None]:
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _build_into(source: AptSource, target: Path, command: tuple[str, ...], say: Say) -> None:
    if os.geteuid() != 0:
        raise HostError("building the demo image needs root", hint="run it as root once")
    with tempfile.TemporaryDirectory(prefix="build-", dir=target.parent) as temporary:
        scratch = Path(temporary)
        layout = OciLayout(scratch / "layout")
        log = target.with_suffix(".log")
        log.write_bytes(b"")
        for built in _trees(source, scratch, log, say):
            _add_layer(layout, built, say)
        layout.finish(
            name=_NAME,
            architecture=architecture(),
            config={"Env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"], "Cmd": list(command)},
            created=_CREATED,
        )
        shutil.rmtree(target, ignore_errors=True)
        layout.root.rename(target)


@dataclass(frozen=True, slots=True)
class _Tree:
    what: str
    root: Path
    started: float


def _trees(source: AptSource, scratch: Path, log: Path, say: Say) -> Iterator[_Tree]:
    """Build the layers' directories one after the other, bottom first."""
    started = time.time()
    base = scratch / "0"
    say(f"demo image: Debian {source.suite} (debootstrap, about a minute)")
    chroot.debootstrap(source, base, log)
    yield _Tree(f"debootstrap {source.suite}", base, started)
    lowers = [base]
    for what, packages in PACKAGES:
        say(f"demo image: {what} ({', '.join(packages)})")
        started = time.time()
        upper = scratch / str(len(lowers))
        with chroot.step(lowers, upper, scratch):
            chroot.apt_install(scratch / "merged", list(packages), log)
        yield _Tree(f"apt-get install {' '.join(packages)}", upper, started)
        lowers.append(upper)
    started = time.time()
    upper = scratch / str(len(lowers))
    (upper / "opt/train").mkdir(parents=True)
    shutil.copyfile(_TRAIN, upper / "opt/train/train.py")
    yield _Tree("copy train.py", upper, started)


def _add_layer(layout: OciLayout, built: _Tree, say: Say) -> None:
    tar = LayerTar(built.root, chroot.BUILD_LEFTOVERS, clamp=built.started, epoch=_EPOCH)
    layer = layout.add_layer(built.what, tar.write)
    say(
        f"demo image: layer {len(layout.layers)}: {layer.unpacked / 1e6:.0f} MB,"
        f" {layer.size / 1e6:.0f} MB as gzip"
    )


def main() -> int:
    """Build the image and say where it is."""
    try:
        image = demo_image(lambda line: print(line, flush=True))
    except BootseerError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    print(f"{image.layout} ({image.compressed() / 1e6:.0f} MB compressed)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
