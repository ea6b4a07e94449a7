"""After which restores the linker's cache is made anew."""

import pytest

from depsnap.restore.libraries import concern_linker
from depsnap.tree.entries import Entry, Kind


@pytest.mark.parametrize(
    ("path", "concerns"),
    [
        ("usr/local/lib/libx.so.1", True),
        ("usr/lib/x86_64-linux-gnu/libx.so", True),
        ("lib64/libx.so.6", True),
        ("etc/ld.so.conf.d/cuda.conf", True),
        ("usr/local/lib/python3.11/site-packages/numpy/core.so", False),
        ("venv/lib/libx.so", False),
        ("usr/local/bin/tool", False),
    ],
)
def test_libraries_where_the_linker_looks_concern_it(path: str, concerns: bool) -> None:
    assert concern_linker([Entry(path, Kind.FILE)]) is concerns
    assert concern_linker([Entry(path, Kind.DELETED)]) is concerns
    assert not concern_linker([Entry(path, Kind.KEPT)])
