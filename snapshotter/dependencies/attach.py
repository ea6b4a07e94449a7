"""Mounts a snapshot's image over directories of another process' mount namespace.

Started as a file of its own by `helper.py`, as root; imports nothing of ours. What is asked is a
JSON document on standard input, the answer one on standard output: `{"error": [NUMBER, TEXT]}`
where the kernel refuses, and then nothing is left mounted.

An overlay is made in a mount namespace that only this process has, from directories that were
cloned out of the other's (open_tree), and is then moved into the other's (move_mount). So no path
of one namespace is ever looked up in the other, and nobody sees a half of it. The other process is
known by a descriptor of it (pidfd), which no later process can take the place of. In its namespace
paths are followed without symlinks and magic links (openat2): whoever has that namespace can name
nothing there that is not his.
"""

import contextlib
import ctypes
import errno
import json
import os
import re
import shutil
import signal
import struct
import sys
from pathlib import Path

CLONE_NEWNS = 0x00020000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC = 1, 2, 4, 8
MS_REMOUNT = 0x20
MS_BIND = 0x1000
MS_REC = 0x4000
MS_PRIVATE = 1 << 18
MNT_DETACH = 2
AT_EMPTY_PATH = 0x1000
AT_RECURSIVE = 0x8000
OPEN_TREE_CLONE = 1
F_EMPTY_PATH, T_EMPTY_PATH = 0x4, 0x40
RESOLVE_NO_MAGICLINKS, RESOLVE_NO_SYMLINKS, RESOLVE_BENEATH = 0x02, 0x04, 0x08
SYS_OPEN_TREE, SYS_MOVE_MOUNT, SYS_OPENAT2 = 428, 429, 437
KEPT_FLAGS = MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC
OPTIONS = "redirect_dir=off,metacopy=off,index=off"
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long


def check(result: int, what: str) -> int:
    """Return the result of a call; raise OSError if it failed."""
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def call(number: int, what: str, *words: object) -> int:
    """Make a system call that libc may not know."""
    return check(int(libc.syscall(ctypes.c_long(number), *words)), what)


def mount(source: str, target: str, kind: str, flags: int, options: str) -> None:
    """mount(2)."""
    words = [os.fsencode(word) for word in (source, target, kind)]
    result = libc.mount(*words, ctypes.c_ulong(flags), os.fsencode(options))
    check(result, f"mount {kind or 'flags'} on {target}")


def clone(descriptor: int, flags: int = 0) -> int:
    """Return a mount of its own of what a descriptor is of, attached nowhere."""
    flags |= OPEN_TREE_CLONE | os.O_CLOEXEC | AT_EMPTY_PATH
    return call(
        SYS_OPEN_TREE,
        "open_tree",
        ctypes.c_int(descriptor),
        ctypes.c_char_p(b""),
        ctypes.c_uint(flags),
    )


def move(source: int, target: int, name: str) -> None:
    """Attach a mount to the directory that a descriptor is of."""
    empty = ctypes.c_char_p(b"")
    flags = ctypes.c_uint(F_EMPTY_PATH | T_EMPTY_PATH)
    what = f"mount on {name}"
    call(SYS_MOVE_MOUNT, what, ctypes.c_int(source), empty, ctypes.c_int(target), empty, flags)


def inside(root: int, path: str) -> int:
    """Open a directory below another one; nothing on the way may be a link."""
    how = struct.pack(
        "=QQQ",
        os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC,
        0,
        RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
    )
    name = ctypes.c_char_p(os.fsencode(path))
    size = ctypes.c_size_t(len(how))
    return call(SYS_OPENAT2, f"/{path}", ctypes.c_int(root), name, ctypes.c_char_p(how), size)


class Spaces:
    """The two namespaces: that of the other process, and one of our own."""

    def __init__(self, process: int, number: int) -> None:
        """`process`: a pidfd; `number`: its number, believed only while it lives."""
        self.process = process
        self.root = os.open(f"/proc/{number}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        self.proc = os.open("/proc", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        signal.pidfd_send_signal(process, 0)  # so that was its root and nobody else's
        check(libc.unshare(CLONE_NEWNS), "unshare")
        mount("none", "/", "", MS_REC | MS_PRIVATE, "")
        self.own = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)

    def enter_other(self) -> None:
        """Be where the other process is."""
        check(libc.setns(self.process, CLONE_NEWNS), "setns")
        os.fchdir(self.root)
        os.chroot(".")

    def enter_own(self) -> None:
        """Be in our own."""
        check(libc.setns(self.own, CLONE_NEWNS), "setns")

    def mounts(self) -> "list[tuple[str, str, str]]":
        """Return point, kind and source of all mounts where we are, in their order."""
        descriptor = os.open("self/mountinfo", os.O_RDONLY | os.O_CLOEXEC, dir_fd=self.proc)
        with os.fdopen(descriptor, encoding="utf-8", errors="surrogateescape") as file:
            return [parse_mount(line) for line in file]


def parse_mount(line: str) -> "tuple[str, str, str]":
    """Parse a line of mountinfo."""
    fields = line.rstrip("\n").split(" ")
    end = fields.index("-", 6)
    return plain(fields[4]), fields[end + 1], plain(fields[end + 2])


def plain(text: str) -> str:
    """Return a path of mountinfo without its escapes."""
    return re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), text)


class Point:
    """One directory that is covered."""

    def __init__(self, path: str, number: int, asked: "dict[str, str]") -> None:
        self.path = path
        self.place = f"{asked['area']}/{number}"
        self.image = f"{asked['image']}/{path}"
        self.source = asked["source"]
        self.target = self.lower = self.overlay = -1
        self.flags = 0
        self.below: list[tuple[str, int]] = []
        self.there = self.done = False

    def look(self, spaces: Spaces) -> None:
        """Clone what is there: the directory, and mounts below it."""
        mounts = spaces.mounts()
        full = f"/{self.path}"
        on_it = [(kind, source) for point, kind, source in mounts if point == full]
        self.there = on_it[-1:] == [("overlay", self.source)]
        if self.there:
            return
        self.target = inside(spaces.root, self.path)
        self.flags = os.fstatvfs(self.target).f_flag & KEPT_FLAGS | MS_NODEV
        self.lower = clone(self.target)
        for point in uppermost([point for point, _, _ in mounts], full):
            descriptor = inside(spaces.root, point[1:])
            self.below.append((point[1:], clone(descriptor, AT_RECURSIVE)))

    def make(self) -> None:
        """Make the overlay, attached nowhere."""
        names = {name: f"{self.place}/{name}" for name in ("image", "lower", "merged")}
        for path in [*names.values(), f"{self.place}/upper", f"{self.place}/work"]:
            Path(path).mkdir(mode=0o700, parents=True, exist_ok=True)
        image = clone(os.open(self.image, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
        for source, name in ((image, "image"), (self.lower, "lower")):
            move(source, os.open(names[name], os.O_PATH | os.O_CLOEXEC), names[name])
        os.chdir(self.place)  # paths without characters that options would have to escape
        like(Path("image").stat(), Path("upper"))
        layers = "lowerdir=image:lower,upperdir=upper,workdir=work"
        mount(self.source, "merged", "overlay", 0, f"{layers},{OPTIONS}")
        mount("none", "merged", "", MS_REMOUNT | MS_BIND | self.flags, "")
        self.overlay = clone(os.open("merged", os.O_PATH | os.O_CLOEXEC))
        os.chdir("/")

    def attach(self, spaces: Spaces) -> None:
        """Cover the directory, and put the mounts below it back."""
        move(self.overlay, self.target, f"/{self.path}")
        self.done = True
        for path, descriptor in self.below:
            move(descriptor, inside(spaces.root, path), f"/{path}")


def like(status: os.stat_result, path: Path) -> None:
    """Give the upper directory owner and mode of what it is over: they are what is seen."""
    os.chown(path, status.st_uid, status.st_gid)
    path.chmod(status.st_mode & 0o7777)


def uppermost(points: "list[str]", directory: str) -> "list[str]":
    """Return the mount points strictly below a directory, without those below others."""
    found: list[str] = []
    for point in sorted({one for one in points if one.startswith(directory.rstrip("/") + "/")}):
        if not (found and point.startswith(found[-1] + "/")):
            found.append(point)
    return found


def detach(path: str, *, lazy: bool) -> None:
    """Unmount what is on a directory of the namespace that we are in."""
    flags = MNT_DETACH if lazy else 0
    check(libc.umount2(os.fsencode(f"/{path}"), ctypes.c_int(flags)), f"unmount /{path}")


def do_mount(asked: "dict[str, object]") -> "dict[str, object]":
    """Cover directories; what is covered by this very image already is left alone."""
    options = str(asked["tmpfs"])
    if options:
        mount("bootseer", str(asked["area"]), "tmpfs", MS_NOSUID | MS_NODEV, options)
    spaces = Spaces(int(str(asked["process"])), int(str(asked["number"])))
    words = {name: str(asked[name]) for name in ("area", "image", "source")}
    paths: list[str] = list(asked["points"])  # type: ignore[call-overload]
    points = [Point(path, number, words) for number, path in enumerate(paths)]
    spaces.enter_other()
    for point in points:
        point.look(spaces)
    new = [point for point in points if not point.there]
    spaces.enter_own()
    for point in new:
        point.make()
    spaces.enter_other()
    try:
        for point in new:
            point.attach(spaces)
    except OSError:
        for point in new:
            if point.done:
                with contextlib.suppress(OSError):
                    detach(point.path, lazy=True)
        raise
    return {"mounted": [point.path for point in new]}


def do_unmount(asked: "dict[str, object]") -> "dict[str, object]":
    """Uncover directories on which an overlay of ours is uppermost."""
    spaces = Spaces(int(str(asked["process"])), int(str(asked["number"])))
    prefix = str(asked["source"])
    paths: list[str] = list(asked["points"])  # type: ignore[call-overload]
    spaces.enter_other()
    found: list[str] = []
    for path in paths:
        on_it = [(kind, source) for point, kind, source in spaces.mounts() if point == f"/{path}"]
        if on_it and on_it[-1][0] == "overlay" and on_it[-1][1].startswith(prefix):
            detach(path, lazy=False)
            found.append(path)
    return {"unmounted": found}


def do_probe(asked: "dict[str, object]") -> "dict[str, object]":
    """Say which areas no overlay uses any more, in whichever namespace: the kernel knows.

    It refuses a second overlay on an upper directory that one is using, if that one is to have an
    index; an index that is there afterwards shows that it would have refused.
    """
    check(libc.unshare(CLONE_NEWNS), "unshare")
    mount("none", "/", "", MS_REC | MS_PRIVATE, "")
    areas: list[str] = list(asked["areas"])  # type: ignore[call-overload]
    unused = []
    for area in areas:
        with contextlib.suppress(OSError):  # who knows: it is looked at again
            if is_unused(area):
                unused.append(area)
    return {"unused": unused}


def is_unused(area: str) -> bool:
    """Say whether none of an area's upper directories is used by an overlay."""
    for place in Path(area).iterdir():
        if not (place / "work").is_dir():
            continue  # it was never mounted
        os.chdir(place)
        try:
            layers = "lowerdir=lower,upperdir=upper,workdir=work"
            mount("bootseer-probe", "merged", "overlay", 0, f"{layers},index=on,redirect_dir=off")
        except OSError as error:
            if error.errno == errno.EBUSY:
                return False
            raise
        finally:
            os.chdir("/")
        sure = (place / "work/index").is_dir()
        check(libc.umount2(os.fsencode(place / "merged"), 0), "unmount")
        if not sure:
            return False
        shutil.rmtree(place / "work/index", ignore_errors=True)
    return True


def main() -> None:
    """Do what is asked; nothing, if whoever started us has changed his mind."""
    document = sys.stdin.read()
    if not document:
        return
    asked = json.loads(document)
    work = {"mount": do_mount, "unmount": do_unmount, "probe": do_probe}[asked["do"]]
    try:
        answer = work(asked)
    except OSError as error:
        answer = {"error": [error.errno, error.strerror or str(error)]}
    sys.stdout.write(json.dumps(answer))


if __name__ == "__main__":
    main()
