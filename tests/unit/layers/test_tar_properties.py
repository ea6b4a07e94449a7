"""Laws of the tar room: Python's own writer is read back, cuts do not matter, anything is safe."""

import contextlib
import io
import posixpath
import stat
import tarfile

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tar_maker import GNU, USTAR, acl, entry, files, header, index, padded, pax, with_checksum

from bootseer.errors import CorruptError
from snapshotter.layers.tar import TarIndexer
from snapshotter.layers.tar.fields import FieldError, decimal, number, pax_time
from snapshotter.layers.tar.resolve import clean
from snapshotter.limits import Limits

FORMATS = {
    "ustar": tarfile.USTAR_FORMAT,
    "gnu": tarfile.GNU_FORMAT,
    "pax": tarfile.PAX_FORMAT,
}

names = st.text(st.sampled_from("abcé.-_ \n"), min_size=1, max_size=12).filter(
    lambda name: name not in (".", "..") and not name.startswith(".wh.")
)
long_names = st.one_of(names, st.just("long" * 40), st.just("n" * 255))
modes = st.integers(0, 0o7777)
owners = st.integers(0, 2**32 - 2)
times = st.integers(0, 2**33)


TYPES = {
    "file": tarfile.REGTYPE, "directory": tarfile.DIRTYPE, "symlink": tarfile.SYMTYPE,
    "link": tarfile.LNKTYPE, "fifo": tarfile.FIFOTYPE, "device": tarfile.CHRTYPE,
}  # fmt: skip


@st.composite
def trees(draw, *, small):
    """Entries of a layer: (path, type, content or target, mode, owner, time), parents first."""
    owner, when = (st.integers(0, 0o777777), st.integers(0, 2**31)) if small else (owners, times)
    directories, made = [""], {}
    for _ in range(draw(st.integers(0, 12))):
        parent = draw(st.sampled_from(directories))
        path = parent + draw(names if small else long_names)
        if path in made or len(path.encode()) > (90 if small else 1000):
            continue
        kind = draw(st.sampled_from(["file", *TYPES]))
        regular = [path for path, (kind, *_) in made.items() if kind == "file"]
        if kind == "link" and not regular:
            continue
        if kind == "directory":
            directories.append(path + "/")
        content = {
            "file": st.binary(max_size=3000),
            "symlink": names if small else st.one_of(names, st.just("t/" * 100)),
            "link": st.sampled_from(regular or [""]),
            "device": st.tuples(st.integers(0, 4095), st.integers(0, 0o777777)),
        }.get(kind, st.none())
        made[path] = kind, draw(content), draw(modes), draw(owner), draw(owner), draw(when)
    return made


def written(tree, form, xattrs=()):
    """The tree as Python's tarfile writes it."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=form, encoding="utf-8") as tar:
        for path, (kind, content, mode, uid, gid, mtime) in tree.items():
            info = tarfile.TarInfo(path)
            info.type, info.mode, info.uid, info.gid, info.mtime = (
                TYPES[kind],
                mode,
                uid,
                gid,
                mtime,
            )
            if form == tarfile.PAX_FORMAT:
                info.pax_headers = {f"SCHILY.xattr.user.{key}": value for key, value in xattrs}
            if kind == "file":
                info.size = len(content)
            elif kind == "device":
                info.devmajor, info.devminor = content
            elif content is not None:
                info.linkname = content
            tar.addfile(info, io.BytesIO(content) if kind == "file" else None)
    return stream.getvalue()


def expected(tree):
    """path -> what the view of the tree must say; a link's header speaks for its target."""
    last = {}
    for path, (kind, content, *rest) in tree.items():
        last[content if kind == "link" else path] = rest
    found = {}
    for path, (kind, content, *_) in tree.items():
        origin = content if kind == "link" else path
        mode, uid, gid, mtime = last[origin]
        found[path.encode()] = tree[origin][0], tree[origin][1], mode, uid, gid, mtime
    return found


FORMAT_BITS = {
    "file": stat.S_IFREG, "directory": stat.S_IFDIR, "symlink": stat.S_IFLNK,
    "fifo": stat.S_IFIFO, "device": stat.S_IFCHR,
}  # fmt: skip


def compare(tree, view):
    wanted = expected(tree)
    assert set(view) == {b"", *wanted}
    for path, (kind, content, mode, uid, gid, mtime) in wanted.items():
        file = view[path]
        bits = 0o777 if kind == "symlink" else mode
        assert file.mode == FORMAT_BITS[kind] | bits
        assert (file.uid, file.gid, file.mtime) == (uid, gid, (mtime, 0))
        assert file.content == (content if kind == "file" else b"")
        assert file.target == (content.encode() if kind == "symlink" else b"")
        if kind == "device":
            major, minor = content
            assert file.rdev == minor & 0xFF | major << 8 | (minor & ~0xFF) << 12


@pytest.mark.parametrize("form", FORMATS)
@given(tree=trees(small=True))
def test_what_tarfile_writes_is_read_back(form, tree):
    compare(tree, files(written(tree, FORMATS[form])))


@pytest.mark.parametrize("form", ["gnu", "pax"])
@given(tree=trees(small=False))
def test_large_numbers_and_long_names_are_read_back(form, tree):
    compare(tree, files(written(tree, FORMATS[form])))


@given(
    tree=trees(small=False),
    xattrs=st.dictionaries(st.sampled_from("abc"), st.text("xyzé", max_size=20)),
)
def test_xattrs_are_read_back(tree, xattrs):
    stream = written(tree, tarfile.PAX_FORMAT, xattrs.items())
    stored = {f"user.{key}".encode(): value.encode() for key, value in xattrs.items()}
    for path, file in files(stream).items():
        takes = stat.S_ISREG(file.mode) or stat.S_ISDIR(file.mode)
        assert file.xattrs == (stored if takes and path else {})


def outcome(stream, piece=None):
    """Everything that an index says, or that it was refused.

    Which of two errors comes first depends on the cut: headers of a piece are read together.
    """
    limits = Limits(path_steps=100_000, sparse_zeros=1 << 20)
    try:
        tree, extents, data = index(stream, piece, limits)
    except CorruptError:
        return "refused"
    columns = [getattr(tree.inodes, name) for name in tree.inodes.__slots__]
    columns += [tree.parent, tree.child, tree.name_end, extents.data, extents.tar, extents.length]
    whole = [column.tolist() for column in columns]
    return whole, tree.names, tree.targets, tree.xattr_sets, data


@given(tree=trees(small=False), piece=st.integers(1, 1500))
def test_cuts_do_not_matter(tree, piece):
    stream = written(tree, tarfile.PAX_FORMAT)
    assert outcome(stream, piece) == outcome(stream)


# Entries that meet in a handful of names, so that they replace, hide and follow one another.
few = st.sampled_from(
    [b"a", b"b", b"d/", b"d/a", b"d/e/f", b"l", b"l/a", b"l/../b", b".wh.a", b"d/.wh.a", b"./",
     b"d/.wh..wh..opq", b"d/e/.wh..wh..opq", b".wh.d", b"../d", b"/l/e", b".wh..", b"d/l/a"]
)  # fmt: skip
targets = st.sampled_from([b"a", b"d", b"/d/e", b"../b", b"l", b"", b"l/a", b"d/../l", b"nowhere"])
odd_numbers = st.sampled_from(
    [0, 1, 0o7777, b"\xff" * 8, b"\x80" + b"\xff" * 7, b"nonsense", b"   12 \0\0", bytes(8)]
)
kinds = st.sampled_from([bytes([flag]) for flag in b"0000512222113467gZ\0"])
ACL = acl((1, 7, 0), (2, 6, 5), (4, 5, 0), (16, 7, 0), (32, 5, 0))
records = st.lists(
    st.tuples(
        st.sampled_from(
            [b"path", b"linkpath", b"size", b"uid", b"mtime", b"GNU.sparse.map",
             b"GNU.sparse.major",
             b"GNU.sparse.minor", b"GNU.sparse.numblocks", b"GNU.sparse.size",
             b"GNU.sparse.offset", b"GNU.sparse.numbytes", b"SCHILY.xattr.user.x",
             b"SCHILY.xattr.security.capability", b"SCHILY.xattr.system.posix_acl_default"]
        ),
        st.sampled_from([b"", b"0", b"1", b"2", b"-1", b"1.5", b"0,1", b"d/a", b"100", ACL]),
    ),
    max_size=4,
)  # fmt: skip


@st.composite
def odd_streams(draw):
    parts = []
    for _ in range(draw(st.integers(1, 10))):
        what = draw(st.sampled_from(["entry", "entry", "entry", "pax", "long", "odd", "zeros"]))
        if what == "pax":
            parts.append(pax(*draw(records), kind=draw(st.sampled_from([b"x", b"x", b"g"]))))
        elif what == "long":
            kind = draw(st.sampled_from([b"L", b"K"]))
            parts.append(entry(b"x", draw(st.one_of(few, targets)), kind))
        elif what == "zeros" and draw(st.integers(0, 5)) == 0:
            parts.append(bytes(512))
        else:
            data = draw(st.binary(max_size=600))
            odd = what == "odd"
            parts.append(
                entry(
                    draw(few), data, draw(kinds), link=draw(targets),
                    magic=draw(st.sampled_from([USTAR, GNU, bytes(8)])) if odd else USTAR,
                    mode=draw(odd_numbers) if odd else 0o644,
                    uid=draw(odd_numbers) if odd else 0,
                )
            )  # fmt: skip
    stream = b"".join(parts)
    return stream[: draw(st.integers(0, len(stream)))] if draw(st.booleans()) else stream


@given(stream=odd_streams(), piece=st.integers(1, 700))
@example(
    stream=pax((b"GNU.sparse.major", b"1"), (b"GNU.sparse.minor", b"0")) + header(b"a"), piece=1
)
@example(stream=entry(b"x", b"", b"L") + header(b"a"), piece=512)
def test_odd_entries_give_a_lawful_tree_or_a_corrupt_error(stream, piece):
    assert outcome(stream, piece) == outcome(stream)


@given(stream=odd_streams(), damage=st.lists(st.tuples(st.integers(0), st.integers(0, 255))))
def test_damaged_headers_raise_only_corrupt_errors(stream, damage):
    damaged = bytearray(stream)
    for at, value in damage:
        if damaged:
            damaged[at % len(damaged)] = value
    # Check sums are made right again, or nearly all damage would end there.
    for at in range(0, len(damaged) - 511, 512):
        if any(damaged[at : at + 512]):
            damaged[at : at + 512] = with_checksum(bytes(damaged[at : at + 512]))
    outcome(bytes(damaged))


@given(stream=st.binary(max_size=3000))
@example(stream=padded(b"\x1f\x8b"))
def test_noise_raises_only_corrupt_errors(stream):
    with contextlib.suppress(CorruptError):
        index(stream)


@given(block=st.binary(min_size=345, max_size=345))
def test_noise_in_a_header_with_a_right_check_sum(block):
    with contextlib.suppress(CorruptError):
        index(with_checksum(block + bytes(167)))


@given(stream=odd_streams())
def test_memory_views_are_read_like_bytes(stream):
    def fed(piece):
        try:
            return TarIndexer().feed(piece)
        except CorruptError as error:
            return str(error)

    assert fed(memoryview(stream)) == fed(stream)


@given(value=st.integers(-(2**63), 2**63 - 1))
def test_decimal_reads_every_64_bit_number(value):
    assert decimal(b"%d" % value) == value
    sign = b"\xff" if value < 0 else b"\0"
    field = bytearray(4 * sign + value.to_bytes(8, "big", signed=True))
    field[0] |= 0x80
    assert number(bytes(field)) == value


@given(text=st.binary(max_size=30))
def test_numbers_and_times_read_or_raise_a_field_error(text):
    for parse in (decimal, pax_time):
        with contextlib.suppress(FieldError):
            parse(text)
    if text:
        with contextlib.suppress(FieldError):
            number(text)


@given(path=st.lists(st.sampled_from([b"a", b"bc", b".", b"..", b""]), max_size=12).map(b"/".join))
def test_clean_is_what_posixpath_says(path):
    wanted = posixpath.normpath(path or b".")
    assert clean(path) == (wanted[1:] if wanted.startswith(b"//") else wanted)
    assert clean(clean(path)) == clean(path)
