"""Layers with everything that a tar can say and a file system can hold."""

import io
import struct
import tarfile
from collections.abc import Iterator
from typing import Any

from tests.image_maker import file_member, tar_of

CAPABILITY = struct.pack("<IIIII", 0x02000001, 1 << 10, 0, 0, 0)
"""cap_net_bind_service, effective and permitted (`struct vfs_cap_data`)."""
TIME = 1_700_000_000
_SECRET = b"\x00\x01\xff\xfe"

IMPLICIT = ("implicit", "implicit/directories", "implicit/directories/deep")
"""Directories that no entry is of: a full pull gives them its own time."""

Member = tuple[tarfile.TarInfo, bytes]


def entry(name: str, kind: bytes, **fields: Any) -> Member:
    """Return a member without contents."""
    return file_member(name, type=kind, mtime=TIME, **fields)


def file(name: str, data: bytes, **fields: Any) -> Member:
    """Return a regular file with a time of its own."""
    return file_member(name, data, **{"mode": 0o644, "mtime": TIME, **fields})


def directory(name: str, **fields: Any) -> Member:
    """Return a directory."""
    return entry(name, tarfile.DIRTYPE, **{"mode": 0o755, **fields})


def xattrs(**values: bytes) -> dict[str, str]:
    """Return PAX headers of extended attributes; `__` in a name stands for a dot."""
    return {
        f"SCHILY.xattr.{name.replace('__', '.')}": value.decode("utf-8", "surrogateescape")
        for name, value in values.items()
    }


def lower() -> bytes:
    """Return the first layer: one of everything that JSON can say too."""
    return tar_of([*_kinds(), *_modes(), *_contents(), *_names(), *_hidden()])


def upper() -> bytes:
    """Return the second layer: it hides, replaces and adds to the first."""
    return tar_of(
        [
            file(".wh.gone", b""),
            directory("hidden"),
            file("hidden/.wh.one", b""),
            directory("opaque"),
            file("opaque/.wh..wh..opq", b""),
            file("opaque/new", b"new"),
            directory("merged", mode=0o700, uid=7),
            file("merged/added", b"added"),
            file("was-directory", b"a file now"),
            directory("was-file"),
            file("was-file/inside", b"inside"),
            entry("was-link", tarfile.DIRTYPE, mode=0o755),
            file("replaced", b"by the second layer" * 500),
            file("implicit/directories/deep/file", b"without entries of their own"),
        ]
    )


def _kinds() -> Iterator[Member]:
    yield directory("./")
    yield directory("kinds")
    yield file("kinds/file", b"content")
    yield file("kinds/empty", b"")
    yield entry("kinds/symlink", tarfile.SYMTYPE, linkname="file")
    yield entry("kinds/dangling", tarfile.SYMTYPE, linkname="/no/such/" + "x" * 200)
    yield entry("kinds/hardlink", tarfile.LNKTYPE, linkname="kinds/file", mode=0o644)
    yield entry("kinds/fifo", tarfile.FIFOTYPE, mode=0o600)
    yield entry("kinds/null", tarfile.CHRTYPE, mode=0o666, devmajor=1, devminor=3)
    yield entry("kinds/block", tarfile.BLKTYPE, mode=0o660, devmajor=259, devminor=300)


def _modes() -> Iterator[Member]:
    yield directory("modes", mode=0o1777)
    yield file("modes/setuid", b"#!", mode=0o4755)
    yield file("modes/setgid", b"#!", mode=0o2755, uid=1000, gid=2000)
    yield file("modes/none", b"secret", mode=0)
    yield file("modes/large-ids", b"ids", uid=4_000_000_000, gid=3_000_000_000)
    yield directory("modes/sticky-group", mode=0o2770, gid=50)
    yield file(
        "modes/capable", b"\x7fELF", mode=0o755, pax_headers=xattrs(security__capability=CAPABILITY)
    )
    yield file(
        "modes/tagged",
        b"x",
        pax_headers=xattrs(user__one=b"1", user__two=_SECRET, user__long=b"y" * 500),
    )
    yield entry(
        "modes/tagged-directory",
        tarfile.DIRTYPE,
        mode=0o755,
        pax_headers=xattrs(user__on=b"directory"),
    )
    yield file("modes/early", b"", mtime=0)
    yield file("modes/late", b"", mtime=4_200_000_000)


def _contents() -> Iterator[Member]:
    yield directory("contents")
    for size in (1, 511, 512, 513, 4095, 4096, 4097, 70_000, 3_000_001):
        yield file(f"contents/{size}", _bytes(size))
    yield file("contents/zeros", bytes(1 << 20))
    yield file("contents/holes", bytes(1 << 20) + b"middle" + bytes(1 << 20) + b"end")


def _bytes(size: int) -> bytes:
    return (b"%d " % size * (size // 2 + 1))[:size]


def _names() -> Iterator[Member]:
    yield directory("names")
    yield file("names/" + "n" * 255, b"longest")
    yield file("names/ünïcödé €", b"unicode")
    yield file("names/with space\nand newline", b"odd")
    yield file("names/..dots", b"dots")
    path = "names"
    for depth in range(60):
        path += f"/level-{depth:02d}-" + "d" * 20
        yield directory(path, mode=0o750 + depth % 8)
    yield file(f"{path}/bottom", b"deep")


def _hidden() -> Iterator[Member]:
    yield file("gone", b"hidden by the second layer")
    yield directory("hidden")
    yield file("hidden/one", b"hidden")
    yield file("hidden/two", b"not hidden")
    yield directory("opaque", mode=0o711)
    yield file("opaque/old", b"hidden")
    yield directory("merged")
    yield file("merged/kept", b"kept")
    yield directory("was-directory")
    yield file("was-directory/inside", b"hidden")
    yield file("was-file", b"replaced by a directory")
    yield entry("was-link", tarfile.SYMTYPE, linkname="merged")
    yield file("replaced", b"by the second layer")


def fractions() -> bytes:
    """Return a layer with times that are no whole seconds."""
    times = ("1700000000.123456789", "1700000000.5", "1.999999999", "0.25")
    return tar_of([file(f"time-{text}", b"x", pax_headers={"mtime": text}) for text in times])


def duplicates() -> bytes:
    """Return a layer with names that are there twice: the last counts."""
    return tar_of(
        [
            file("twice", b"first " * 1000, mode=0o600),
            file("twice", b"second, which counts"),
            directory("was-directory"),
            file("was-directory/inside", b"gone with it"),
            file("was-directory", b"a file"),
            file("linked", b"contents"),
            entry("link", tarfile.LNKTYPE, linkname="linked", mode=0o644),
            file("linked", b"others; the link keeps the first"),
        ]
    )


def beyond_json() -> bytes:
    """Return a layer that a table of contents in JSON cannot describe."""
    output = io.BytesIO()
    with tarfile.open(
        fileobj=output,
        mode="w",
        format=tarfile.PAX_FORMAT,
        encoding="utf-8",
        errors="surrogateescape",
    ) as tar:
        for member, data in _beyond():
            tar.addfile(member, io.BytesIO(data))
    return output.getvalue()


def _beyond() -> Iterator[Member]:
    yield directory("beyond")
    yield file("beyond/" + b"latin-\xe4\xff".decode("utf-8", "surrogateescape"), b"no UTF-8")
