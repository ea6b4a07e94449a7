"""Images built here: Debian, packages of Debian, files of this project, a layer for each step.

An image is built once into `<cache>/images/<name>-<hash>` as an OCI image layout and used from
there; the hash covers whatever decides its contents.
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
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.images import chroot
from benchmarks.images.apt_sources import AptSource, debian_source
from benchmarks.images.layer_tar import LayerTar
from benchmarks.images.oci_layout import OciLayout, layout_manifest
from bootseer.errors import BootseerError, HostError
from tooling.machine import architecture
from tooling.places import cache_dir

Say = Callable[[str], None]
"""Told what is being done, one line at a time."""

_RECIPE: Final = "4"  # raised by hand when the way of building changes what is built
_EPOCH: Final = 1_700_000_000
_CREATED: Final = "2023-11-14T22:13:20Z"
_PATH: Final = "PATH=/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class Recipe:
    """What an image is made of."""

    name: str
    packages: tuple[tuple[str, tuple[str, ...]], ...]
    """The middle layers, bottom first: what it is, and Debian's packages in it."""
    files: Mapping[str, Path]
    """The top layer: files of this project by their place in the image, without leading slash."""
    command: tuple[str, ...]
    suite: str = ""
    """Debian's release; empty is this machine's."""
    directory: str = ""
    """Where the command runs; empty is the root."""


@dataclass(frozen=True, slots=True)
class BuiltImage:
    """A built image. `command` is what a container of it runs; sizes are in bytes."""

    layout: Path
    command: tuple[str, ...]
    name: str = "demo"

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
                f"oci:{self.layout}:{self.name}",
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


def built_image(recipe: Recipe, say: Say = lambda _line: None) -> BuiltImage:
    """Return the image, built first where this machine does not have it yet (minutes).

    Safe when two ask at once: the second waits. Raises `HostError` where it cannot be built.
    """
    source = debian_source()
    if recipe.suite:
        source = AptSource(source.uri, recipe.suite, source.components)
    images = cache_dir() / "images"
    images.mkdir(parents=True, exist_ok=True)
    target = images / f"{recipe.name}-{_hash(recipe, source)}"
    with _only_one(images / f"{recipe.name}.lock"):
        if not (target / "index.json").exists():
            _build_into(recipe, source, target, say)
    return BuiltImage(target, recipe.command, recipe.name)


def build_and_say(recipe: Recipe, push: str | None = None) -> int:
    """Build an image for a person, push it where asked to; return the exit status."""
    try:
        image = built_image(recipe, lambda line: print(line, flush=True))
        if push:
            image.push(push)
    except BootseerError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    print(f"{image.layout} ({image.compressed() / 1e6:.0f} MB compressed)")
    return 0


def _hash(recipe: Recipe, source: AptSource) -> str:
    parts = [_RECIPE, source.suite, architecture(), repr(recipe.packages)]
    parts += [file.read_text() for file in recipe.files.values()]
    if recipe.directory:
        parts += [*recipe.files, *recipe.command, recipe.directory]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]


@contextlib.contextmanager
def _only_one(lock: Path) -> Iterator[None]:
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _build_into(recipe: Recipe, source: AptSource, target: Path, say: Say) -> None:
    if os.geteuid() != 0:
        raise HostError(f"building the {recipe.name} image needs root", hint="run it as root once")
    with tempfile.TemporaryDirectory(prefix="build-", dir=target.parent) as temporary:
        scratch = Path(temporary)
        layout = OciLayout(scratch / "layout")
        log = target.with_suffix(".log")
        log.write_bytes(b"")
        for built in _trees(recipe, source, scratch, log, say):
            _add_layer(recipe, layout, built, say)
        config: dict[str, object] = {
            "Env": [_PATH],
            "Cmd": list(recipe.command),
        }
        if recipe.directory:
            config["WorkingDir"] = recipe.directory
        layout.finish(
            name=recipe.name, architecture=architecture(), config=config, created=_CREATED
        )
        shutil.rmtree(target, ignore_errors=True)
        layout.root.rename(target)


@dataclass(frozen=True, slots=True)
class _Tree:
    what: str
    root: Path
    started: float


def _trees(
    recipe: Recipe, source: AptSource, scratch: Path, log: Path, say: Say
) -> Iterator[_Tree]:
    """Build the layers' directories one after the other, bottom first."""
    started = time.time()
    base = scratch / "0"
    say(f"{recipe.name} image: Debian {source.suite} (debootstrap, about a minute)")
    chroot.debootstrap(source, base, log)
    yield _Tree(f"debootstrap {source.suite}", base, started)
    lowers = [base]
    for what, packages in recipe.packages:
        say(f"{recipe.name} image: {what} ({', '.join(packages)})")
        started = time.time()
        upper = scratch / str(len(lowers))
        with chroot.step(lowers, upper, scratch):
            chroot.apt_install(scratch / "merged", list(packages), log)
        yield _Tree(f"apt-get install {' '.join(packages)}", upper, started)
        lowers.append(upper)
    started = time.time()
    upper = scratch / str(len(lowers))
    for place, file in recipe.files.items():
        (upper / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, upper / place)
    yield _Tree(f"copy {_what(recipe.files)}", upper, started)


def _what(files: Mapping[str, Path]) -> str:
    first, *others = (Path(place).name for place in files)
    return f"{first} and {len(others)} more" if others else first


def _add_layer(recipe: Recipe, layout: OciLayout, built: _Tree, say: Say) -> None:
    tar = LayerTar(built.root, chroot.BUILD_LEFTOVERS, clamp=built.started, epoch=_EPOCH)
    layer = layout.add_layer(built.what, tar.write)
    say(
        f"{recipe.name} image: layer {len(layout.layers)}: {layer.unpacked / 1e6:.0f} MB,"
        f" {layer.size / 1e6:.0f} MB as gzip"
    )
