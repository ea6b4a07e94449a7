"""An image's tree as containers get it, mounted read-only: by whichever snapshotter."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from whole import PLUGIN, Whole

_numbers = itertools.count()
"""containerd remembers a mount by its target for a while after it is gone: each has its own."""


@contextmanager
def mounted_image(node: Whole, reference: str, snapshotter: str = PLUGIN) -> Iterator[Path]:
    """Mount an image that was pulled with this snapshotter, and give where."""
    target = node.directory / f"tree-{snapshotter}-{next(_numbers)}"
    target.mkdir()
    options = ["--snapshotter", snapshotter]
    node.containerd.ctr("images", "mount", *options, reference, str(target))
    try:
        yield target
    finally:
        node.containerd.ctr("images", "unmount", "--rm", *options, str(target))
        target.rmdir()
