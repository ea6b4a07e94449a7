"""What the daemon stands on: its root directory, and what the kernel can do there."""

import errno
from pathlib import Path

from bootseer import kernel
from bootseer.config import Config
from bootseer.errors import HostError
from snapshotter.erofs.probe import supports_file_backed
from snapshotter.serving.layout import Layout
from snapshotter.serving.mounts import set_read_ahead


def made_layout(root: Path) -> Layout:
    """Return the layout of a root directory, which is made if it is not there."""
    layout = Layout(root)
    layout.layers.mkdir(parents=True, exist_ok=True, mode=0o711)
    return layout


def needs_loop(config: Config) -> bool:
    """Say whether loop devices go under EROFS mounts. HostError if EROFS cannot work at all."""
    wanted = config.snapshotter.mount
    if wanted == "loop":
        return True
    works = probe(config.root)
    if wanted == "file" and not works:
        raise HostError(
            f"EROFS cannot be mounted from files in {config.root} (Linux before 6.12, or a tmpfs)",
            hint="set `snapshotter.mount` to auto or loop, or `root` to a directory on disk",
        )
    return not works


def probe(root: Path) -> bool:
    """Try to mount EROFS from a file in `root`; elsewhere if that disk is full."""
    try:
        return supports_file_backed(root)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise HostError(f"{root} cannot be used: {error}") from error
        return supports_file_backed()


def set_fuse_read_ahead(layout: Layout, kilobytes: int) -> None:
    """Set the FUSE mount's read-ahead: it matters to loop devices and to whoever reads directly."""
    minor = kernel.connection_directory(layout.blocks).name
    set_read_ahead(Path(f"/sys/class/bdi/0:{minor}"), kilobytes)
