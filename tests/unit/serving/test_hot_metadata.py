"""The metadata of a hot layout: one file for each way in which the layer may be mounted."""

from pathlib import Path

import numpy as np
import pytest

from depsnap.tree.entries import Entry, Frame, Kind, Pack, Tree
from depsnap.tree.table import table_of
from snapshotter.dependencies.image import image_of
from snapshotter.layers.format import encode
from snapshotter.limits import DEFAULT
from snapshotter.serving.materialise import materialise_hot


@pytest.mark.parametrize("two_faced", [False, True])
def test_a_layer_that_is_never_a_bottom_one_has_one_face(tmp_path: Path, two_faced: bool) -> None:
    entries = (
        Entry("r", Kind.KEPT, 0o755),
        Entry("r/file", Kind.FILE, 0o644, size=9000, pack=0),
        Entry("r/gone", Kind.DELETED),
    )
    pack = Pack("4" * 64, "alpha 1.0", False, (Frame(100, 9000, "5" * 64),))
    index = image_of(table_of(Tree(entries, (pack,))), f"sha256:{'5' * 64}").index
    (tmp_path / "index").write_bytes(encode(index))
    np.array([1], dtype="<i8").tofile(tmp_path / "blocks")
    made = tmp_path / "made"
    made.mkdir()
    materialise_hot(tmp_path / "index", tmp_path / "blocks", made, DEFAULT, two_faced=two_faced)
    faces = ["bottom.erofs", "meta.erofs"] if two_faced else ["meta.erofs"]
    assert sorted(path.name for path in made.iterdir()) == faces
