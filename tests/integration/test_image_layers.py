"""Overlay marks need a real overlay mount: whiteouts and opaque directories become layer marks."""

import io
import tarfile
from pathlib import Path

import pytest

from benchmarks.images import chroot
from benchmarks.images.layer_tar import LayerTar


@pytest.mark.containers
def test_removed_and_replaced_names_become_whiteouts_and_opaque_marks(tmp_path: Path) -> None:
    lower = tmp_path / "lower"
    for directory in ("etc", "proc", "gone", "replaced"):
        (lower / directory).mkdir(parents=True)
    (lower / "gone/file").touch()
    (lower / "replaced/old").touch()
    (lower / "removed").touch()
    with chroot.step([lower], tmp_path / "upper", tmp_path) as merged:
        (merged / "removed").unlink()
        (merged / "gone/file").unlink()
        (merged / "gone").rmdir()
        (merged / "replaced/old").unlink()
        (merged / "replaced").rmdir()
        (merged / "replaced").mkdir()
        (merged / "replaced/new").write_text("new")
    assert not (tmp_path / "merged/proc").is_mount()
    output = io.BytesIO()
    LayerTar(tmp_path / "upper", chroot.BUILD_LEFTOVERS).write(output)
    output.seek(0)
    with tarfile.open(fileobj=output) as tar:
        names = tar.getnames()
    assert names == [
        "etc",
        ".wh.gone",
        ".wh.removed",
        "replaced",
        "replaced/.wh..wh..opq",
        "replaced/new",
    ]
