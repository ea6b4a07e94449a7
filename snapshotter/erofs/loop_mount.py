"""Helper process: mount an EROFS image through loop devices, then go.

    python -m snapshotter.erofs.loop_mount META TARGET [DEVICE...]

A process of its own because it opens the data area (see `mount`). A failure is one line on
standard error and an exit code other than 0.
"""

import sys
from contextlib import ExitStack
from pathlib import Path

from bootseer.errors import BootseerError
from snapshotter.erofs.loop import loop_device
from snapshotter.erofs.syscall import mount_image


def main(arguments: list[str]) -> int:
    """Mount and return the exit code."""
    meta, target, *devices = map(Path, arguments)
    try:
        with ExitStack() as stack:
            nodes = [stack.enter_context(loop_device(file)) for file in (meta, *devices)]
            mount_image(nodes[0], target, *nodes[1:])
    except BootseerError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
