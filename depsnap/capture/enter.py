"""Runs a command with overlays over its roots, in a mount namespace of its own.

Started as a file of its own by `overlay.py`; imports nothing of ours. Its argument is a descriptor
with a JSON document, written there. What happens is said on a descriptor that the command does not
get: `refused ERRNO TEXT` where the kernel does not let us, `ready` when the command is about to
start, and `missing ERRNO` behind that where it cannot be started.
"""

import ctypes
import json
import os
import sys
from typing import Any

CLONE_NEWNS = 0x00020000
CLONE_NEWUSER = 0x10000000
MS_BIND = 0x1000
MS_REC = 0x4000
MS_PRIVATE = 1 << 18
libc = ctypes.CDLL(None, use_errno=True)


def check(result: int, what: str) -> None:
    """Raise OSError if a call failed."""
    if result:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def mount(source: str, target: str, kind: str, flags: int, options: str) -> None:
    """mount(2)."""
    words = [os.fsencode(word) for word in (source, target, kind)]
    result = libc.mount(*words, ctypes.c_ulong(flags), os.fsencode(options))
    check(result, f"mount {kind or 'bind'} on {target}")


def enter_namespaces(own_users: bool) -> None:
    """Leave the mount namespace, and with it the user namespace where we are not root."""
    uid, gid = os.geteuid(), os.getegid()
    check(libc.unshare(CLONE_NEWNS | (CLONE_NEWUSER if own_users else 0)), "unshare")
    if own_users:
        for name, text in (
            ("setgroups", "deny"),
            ("uid_map", f"{uid} {uid} 1"),
            ("gid_map", f"{gid} {gid} 1"),
        ):
            with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
                file.write(text)
    mount("none", "/", "", MS_REC | MS_PRIVATE, "")


def mounts_below(root: str) -> list[str]:
    """Return the uppermost mount points strictly below a directory."""
    prefix = root.rstrip("/") + "/"
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        points = [line.split(" ")[4] for line in file]
    plain = [point.encode().decode("unicode_escape") for point in points]
    below = sorted({point for point in plain if point.startswith(prefix) and point != root})
    found: list[str] = []
    for point in below:
        if not (found and point.startswith(found[-1].rstrip("/") + "/")):
            found.append(point)
    return found


def cover(overlay: dict[str, Any], options: str) -> None:
    """Mount an overlay for a root, with the mounts below it back in their places."""
    root, point = overlay["root"], overlay["point"]
    below = {name: os.open(name, os.O_PATH | os.O_CLOEXEC) for name in mounts_below(root)}
    layers = f"lowerdir={root},upperdir={overlay['upper']},workdir={overlay['work']}"
    mount("overlay", point, "overlay", 0, f"{layers},{options}")
    for name, descriptor in below.items():
        inside = point.rstrip("/") + "/" + name[len(root.rstrip("/")) + 1 :]
        mount(f"/proc/self/fd/{descriptor}", inside, "", MS_BIND | MS_REC, "")
        os.close(descriptor)
    # The command must not find what it writes a second time.
    hidden = point.rstrip("/") + overlay["hidden"]
    mount(overlay["empty"], hidden, "", MS_BIND, "")


def main() -> None:
    """Do it; never returns."""
    with os.fdopen(int(sys.argv[1]), "rb") as file:
        asked = json.load(file)
    said = asked["said"]
    os.set_inheritable(said, False)
    try:
        enter_namespaces(asked["own_users"])
        for overlay in asked["overlays"]:
            cover(overlay, asked["options"])
        if asked["chroot"]:
            os.chroot(asked["chroot"])
        os.chdir(asked["cwd"])
    except OSError as error:
        os.write(said, f"refused {error.errno} {error.strerror or error}".encode())
        sys.exit(1)
    os.write(said, b"ready")
    try:
        os.execvpe(asked["command"][0], asked["command"], asked["environment"])  # noqa: S606
    except OSError as error:
        os.write(said, f" missing {error.errno}".encode())
        sys.exit(1)


if __name__ == "__main__":
    main()
