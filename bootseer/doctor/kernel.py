"""Checks of the kernel: version, FUSE, EROFS, overlayfs. Pure rules over what was read."""

import os
import re
from pathlib import Path
from typing import Final

from bootseer.doctor.findings import Finding, State

FILE_BACKED: Final = (6, 12)
RESEND: Final = (6, 9)
OLDEST: Final = (5, 15)


def parse_release(release: str) -> tuple[int, int]:
    """Return (major, minor) of a kernel release; (0, 0) if it has none."""
    found = re.match(r"(\d+)\.(\d+)", release)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def judge_release(release: str) -> Finding:
    """Say what a kernel of this release can and cannot do."""
    version = parse_release(release)
    if version < OLDEST:
        mend = "use Linux 6.12 or newer (5.15 is the oldest that can work)"
        return Finding("kernel", State.FAIL, release, mend)
    lacks = []
    if version < RESEND:
        lacks.append("reads in flight when the server dies hang until it is aborted (6.9)")
    if version < FILE_BACKED:
        lacks.append("EROFS needs loop devices (6.12)")
    if lacks:
        mend = "works; Linux 6.12 or newer does better: " + "; ".join(lacks)
        return Finding("kernel", State.WARN, release, mend)
    return Finding("kernel", State.OK, release)


def judge_filesystem(name: str, listed: str, why: str) -> Finding:
    """Say whether a file system type is in the text of /proc/filesystems."""
    if any(line.split()[-1] == name for line in listed.splitlines() if line.split()):
        return Finding(name, State.OK, "in the kernel")
    return Finding(
        name, State.FAIL, f"not in /proc/filesystems; {why}", f"modprobe {name}, or another kernel"
    )


def check_kernel() -> list[Finding]:
    """Look at the running kernel."""
    listed = Path("/proc/filesystems").read_text()
    return [
        judge_release(os.uname().release),
        judge_filesystem("erofs", listed, "layers are mounted as EROFS"),
        judge_filesystem("overlay", listed, "containers' roots are overlays of layers"),
        judge_filesystem("fuse", listed, "missing blocks are served over FUSE"),
        _device(Path("/dev/fuse")),
    ]


def _device(path: Path) -> Finding:
    if not path.is_char_device():
        return Finding(str(path), State.FAIL, "missing", "modprobe fuse; is /dev complete?")
    if not os.access(path, os.R_OK | os.W_OK):
        return Finding(str(path), State.FAIL, "not accessible", "run as root")
    return Finding(str(path), State.OK, "accessible")
