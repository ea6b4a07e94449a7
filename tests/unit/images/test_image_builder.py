"""Building images: apt's formats, overlay marks to layer marks, the layout's digests."""

import hashlib
import io
import json
import os
import tarfile
import zlib
from pathlib import Path

import pytest

from benchmarks.images.apt_sources import (
    AptSource,
    choose,
    machine_sources,
    parse_deb822,
    parse_one_line,
)
from benchmarks.images.layer_tar import LayerTar
from benchmarks.images.oci_layout import OciLayout, layout_manifest
from bootseer.errors import HostError

DEB822 = """\
# a comment
Types: deb deb-src
URIs: http://mirror.test/debian/
# another
Suites: bookworm bookworm-updates
Components: main
 contrib
Signed-By: /usr/share/keyrings/a.gpg

Types: deb
Enabled: no
URIs: http://off.test/debian
Suites: bookworm
Components: main

Types: deb-src
URIs: http://source.test/debian
Suites: bookworm
Components: main
"""

ONE_LINE = """\
# deb http://comment.test/debian bookworm main
deb [signed-by=/a.gpg arch=amd64] http://mirror.test/debian bookworm main contrib # why
deb-src http://mirror.test/debian bookworm main
"""


def test_deb822_sources_are_read() -> None:
    assert list(parse_deb822(DEB822)) == [
        AptSource("http://mirror.test/debian", "bookworm", ("main", "contrib")),
        AptSource("http://mirror.test/debian", "bookworm-updates", ("main", "contrib")),
    ]


def test_one_line_sources_are_read() -> None:
    assert list(parse_one_line(ONE_LINE)) == [
        AptSource("http://mirror.test/debian", "bookworm", ("main", "contrib"))
    ]


def test_both_formats_are_found_below_etc_apt(tmp_path: Path) -> None:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list").write_text(ONE_LINE)
    (tmp_path / "sources.list.d/debian.sources").write_text(DEB822)
    (tmp_path / "sources.list.d/ignored.save").write_text(ONE_LINE)
    assert len(machine_sources(tmp_path)) == 3


def test_the_release_itself_is_chosen_not_its_updates() -> None:
    updates = AptSource("http://a.test", "bookworm-updates", ("main",))
    release = AptSource("http://b.test", "bookworm", ("main", "contrib"))
    assert choose([updates, release], "bookworm") == AptSource(
        "http://b.test", "bookworm", ("main",)
    )
    with pytest.raises(HostError, match="trixie"):
        choose([updates, release], "trixie")


def _members(layer: LayerTar) -> dict[str, tarfile.TarInfo]:
    output = io.BytesIO()
    layer.write(output)
    output.seek(0)
    with tarfile.open(fileobj=output) as tar:
        return {member.name: member for member in tar}


def test_tree_becomes_a_layer_with_links_modes_and_times(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir(mode=0o750)
    (tmp_path / "d/file").write_bytes(b"content")
    (tmp_path / "d/file").chmod(0o4755)
    os.utime(tmp_path / "d/file", (1000, 1000))
    os.link(tmp_path / "d/file", tmp_path / "d/link")
    (tmp_path / "symlink").symlink_to("d/file")
    os.mkfifo(tmp_path / "fifo")
    members = _members(LayerTar(tmp_path, clamp=5000, epoch=7))
    assert list(members) == ["d", "d/file", "d/link", "fifo", "symlink"]
    assert members["d/file"].mode == 0o4755
    assert members["d/file"].mtime == 1000
    assert members["d"].mtime == 7
    assert members["d/link"].islnk()
    assert members["d/link"].linkname == "d/file"
    assert members["symlink"].linkname == "d/file"
    assert members["fifo"].isfifo()


def test_leftovers_of_the_build_stay_out(tmp_path: Path) -> None:
    (tmp_path / "tmp").mkdir()
    (tmp_path / "tmp/junk").touch()
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/hosts").touch()
    (tmp_path / "etc/kept").touch()
    layer = LayerTar(tmp_path, frozenset({"tmp", "etc/hosts"}))
    assert list(_members(layer)) == ["etc", "etc/kept", "tmp"]


def test_equal_trees_give_equal_layers(tmp_path: Path) -> None:
    digests = set()
    for name in ("one", "two"):
        root = tmp_path / name
        root.mkdir()
        (root / "file").write_text("same")
        output = io.BytesIO()
        LayerTar(root, clamp=0, epoch=9).write(output)
        digests.add(hashlib.sha256(output.getvalue()).hexdigest())
    assert len(digests) == 1


def test_layout_names_its_blobs_by_their_digests(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/file").write_bytes(b"x" * 100_000)
    layout = OciLayout(tmp_path / "layout")
    layer = layout.add_layer("test", LayerTar(tmp_path / "tree").write)
    layout.finish(name="n", architecture="amd64", config={"Cmd": ["true"]}, created="now")
    for blob in (tmp_path / "layout/blobs/sha256").iterdir():
        assert hashlib.sha256(blob.read_bytes()).hexdigest() == blob.name
    manifest = layout_manifest(tmp_path / "layout")
    assert manifest["layers"][0]["digest"] == layer.digest
    assert layer.unpacked == 100_000
    blobs = tmp_path / "layout/blobs/sha256"
    blob = (blobs / layer.digest.removeprefix("sha256:")).read_bytes()
    tar = zlib.decompress(blob, wbits=31)
    assert layer.diff_id == f"sha256:{hashlib.sha256(tar).hexdigest()}"
    config = json.loads((blobs / manifest["config"]["digest"].removeprefix("sha256:")).read_text())
    assert config["rootfs"]["diff_ids"] == [layer.diff_id]


def test_directory_that_is_no_layout_is_named(tmp_path: Path) -> None:
    with pytest.raises(HostError, match=str(tmp_path)):
        layout_manifest(tmp_path)
