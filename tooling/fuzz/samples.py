"""Small layers of every kind, for seeds."""

import gzip
import io
import tarfile
from collections.abc import Iterator
from typing import Final

import zstandard

_TIME: Final = 1_700_000_000
_BLOCKS: Final = (b"", b"hello\n", b"0123456789abcdef" * 700)
SKIPPABLE: Final = b"\x5a\x2a\x4d\x18" + (5).to_bytes(4, "little") + b"hello"


def tar(form: int = tarfile.PAX_FORMAT) -> bytes:
    """Return a layer with an entry of every type that containerd takes."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for name in ("d", "d/" + "long" * 20):
            _add(archive, name, tarfile.DIRTYPE, mode=0o755)
        for number, content in enumerate(_BLOCKS):
            _add(archive, f"d/file-{number}", content=content, pax={"SCHILY.xattr.user.a": "1"})
        _add(archive, "d/" + "n" * 150, content=b"x", pax={"mtime": "1700000000.123456789"})
        _add(archive, "link", tarfile.SYMTYPE, target="d/file-1")
        _add(archive, "hard", tarfile.LNKTYPE, target="d/file-1")
        _add(archive, "null", tarfile.CHRTYPE, device=(1, 3))
        _add(archive, "pipe", tarfile.FIFOTYPE)
        _add(archive, "d/.wh.gone")
        _add(archive, "d/.wh..wh..opq")
        _add(archive, "d/file-1", content=b"again")
    return out.getvalue()


def sparse_tars() -> Iterator[bytes]:
    """Yield layers with one sparse file, in each of GNU tar's PAX formats."""
    whole = {"GNU.sparse.size": "9000", "GNU.sparse.numblocks": "2"}
    pairs = "0,4,8192,3"
    yield _one_file(b"abcdefg", whole | {"GNU.sparse.map": pairs})
    front = b"2\n0\n4\n8192\n3\n".ljust(512, b"\0")
    named = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "9000"}
    yield _one_file(front + b"abcdefg", named | {"GNU.sparse.name": "sparse"})


def _one_file(content: bytes, pax: dict[str, str]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        _add(archive, "sparse", content=content, pax=pax)
    return out.getvalue()


def tars() -> list[bytes]:
    """Return layers in every format of tar."""
    forms = (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT)
    return [*(tar(form) for form in forms), *sparse_tars(), bytes(1024), b""]


def gzips() -> list[bytes]:
    """Return layers of one gzip member, of several, of nothing, and with a header that tells."""
    whole = tar()
    members = b"".join(
        gzip.compress(whole[at : at + 3000], 6, mtime=0) for at in range(0, len(whole), 3000)
    )
    stored = gzip.compress(whole, 0, mtime=0)
    named = io.BytesIO()
    with gzip.GzipFile("name", "wb", 9, named, mtime=1) as file:
        file.write(whole)
    return [gzip.compress(whole, mtime=0), members, stored, named.getvalue(), gzip.compress(b"")]


def zstds() -> list[bytes]:
    """Return layers of one zstd frame, of several, with check sums, and with skippable frames."""
    whole = tar()
    plain = zstandard.ZstdCompressor(level=3)
    checked = zstandard.ZstdCompressor(level=19, write_checksum=True)
    unsized = zstandard.ZstdCompressor(write_content_size=False)
    frames = [checked.compress(whole[at : at + 3000]) for at in range(0, len(whole), 3000)]
    return [
        plain.compress(whole),
        b"".join(frames),
        SKIPPABLE + SKIPPABLE.join(frames) + SKIPPABLE,
        unsized.compress(whole),
        plain.compress(b""),
    ]


def _add(
    archive: tarfile.TarFile,
    name: str,
    kind: bytes = tarfile.REGTYPE,
    *,
    content: bytes = b"",
    mode: int = 0o644,
    target: str = "",
    device: tuple[int, int] = (0, 0),
    pax: dict[str, str] | None = None,
) -> None:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode, entry.mtime, entry.size = kind, mode, _TIME, len(content)
    entry.linkname, (entry.devmajor, entry.devminor) = target, device
    entry.pax_headers = pax or {}
    archive.addfile(entry, io.BytesIO(content))
