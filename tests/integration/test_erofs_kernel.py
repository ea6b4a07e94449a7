"""The kernel mounts what we wrote and shows the tree that we meant."""

# ruff: noqa: PTH115, PTH208 (pathlib has no bytes paths)

import os
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from bootseer.errors import HostError, UsageError
from snapshotter.erofs.build import build
from snapshotter.erofs.mount import (
    backing_dev,
    bdi_directory,
    mount_erofs,
    supports_file_backed,
    umount,
)
from snapshotter.erofs.options import TRUSTED_OPAQUE, Options, uuid_of
from snapshotter.layers.records import BLOCK, InodeFlag, Tree
from tests.layer_strategies import (
    Node,
    data_area,
    data_size,
    directory,
    make_tree,
    numbers_of,
    regular,
    roots,
    symlink,
    walk,
    whiteout,
)

pytestmark = pytest.mark.containers
OPTIONS = Options(uuid_of("sha256:0"))


@pytest.fixture(scope="module")
def room(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("erofs")


@contextmanager
def mounted(
    root: Node, room: Path, *, via_loop: bool = False
) -> Iterator[tuple[Path, Tree, bytes]]:
    """Write the image of `root` and mount it: (mount point, tree, data area)."""
    tree = make_tree(root)
    content = data_area(data_size(tree))
    meta, device, target = room / "meta.erofs", room / "data", room / "mnt"
    target.mkdir(exist_ok=True)
    meta.unlink(missing_ok=True)
    device.unlink(missing_ok=True)
    meta.write_bytes(build(tree, len(content) // BLOCK, OPTIONS))
    device.write_bytes(content)
    mount_erofs(meta, target, device if content else None, via_loop=via_loop)
    try:
        yield target, tree, content
    finally:
        umount(target)


def check_mount(root: Node, target: Path, tree: Tree, content: bytes) -> None:
    numbers = numbers_of(root)
    inos: dict[int, int] = {}
    for path, node in walk(root):
        where = os.fsencode(target) + path
        found = os.lstat(where)
        number = numbers[id(node)]
        assert inos.setdefault(number, found.st_ino) == found.st_ino
        check_stat(found, node, int(tree.inodes.nlink[number]))
        check_xattrs(where, node)
        start = int(tree.inodes.data[number])
        check_content(where, node, content[start : start + node.size])
    assert len(set(inos.values())) == len(inos)


def check_stat(found: os.stat_result, node: Node, nlink: int) -> None:
    assert found.st_mode == node.mode
    assert (found.st_uid, found.st_gid) == (node.uid, node.gid)
    assert found.st_mtime_ns == node.mtime[0] * 10**9 + node.mtime[1]
    assert found.st_nlink == nlink
    if stat.S_ISCHR(node.mode) or stat.S_ISBLK(node.mode):
        major, minor = node.rdev >> 8 & 0xFFF, node.rdev & 0xFF | node.rdev >> 12 & 0xFFF00
        assert (os.major(found.st_rdev), os.minor(found.st_rdev)) == (major, minor)


def check_xattrs(where: bytes, node: Node) -> None:
    want = dict(node.xattrs)
    if node.flags & InodeFlag.OPAQUE:
        want[TRUSTED_OPAQUE] = b"y"
    listed = os.listxattr(where, follow_symlinks=False)
    assert sorted(map(os.fsencode, listed)) == sorted(want)
    for name, value in want.items():
        # POSIX ACLs are checked and rebuilt by the kernel, the rest comes back as it is.
        assert os.getxattr(where, name, follow_symlinks=False) == value


def check_content(where: bytes, node: Node, content: bytes) -> None:
    if stat.S_ISDIR(node.mode):
        with os.scandir(where) as entries:
            kinds = {entry.name: entry.stat(follow_symlinks=False).st_mode for entry in entries}
        assert kinds == {name: child.mode for name, child in node.children.items()}
        assert os.listdir(where) == sorted(node.children)
    elif stat.S_ISLNK(node.mode):
        assert os.readlink(where) == node.target
    elif stat.S_ISREG(node.mode):
        assert Path(os.fsdecode(where)).read_bytes() == content


def everything() -> Node:
    """One of each kind, and what is large."""
    shared = regular(3 * BLOCK + 1, mtime=(1_700_000_000, 999_999_999))
    capability = (b"security.capability", bytes.fromhex("0100000202000000000000000000000000000000"))
    acl = bytes.fromhex(
        "02000000 01000700ffffffff 04000500ffffffff 10000500ffffffff 20000500ffffffff"
    )
    deep = directory({b"end": regular(1)})
    for _ in range(300):
        deep = directory({b"d": deep})
    return directory(
        {
            b"setuid": regular(10, mode=stat.S_IFREG | 0o6755, xattrs=(capability,)),
            b"setuid2": regular(11, xattrs=(capability,)),
            b"link1": shared,
            b"sub": directory({b"link2": shared, b"\xff\xfe\x80": regular(1)}, mode=0o41777),
            b"n" * 255: regular(BLOCK),
            b"empty": regular(),
            b"large": regular(5 << 20),
            b"gone": whiteout(),
            b"opaque": directory({b"in": regular(2)}, flags=InodeFlag.OPAQUE),
            b"null": Node(mode=stat.S_IFCHR | 0o666, rdev=1 << 8 | 3),
            b"disk": Node(mode=stat.S_IFBLK | 0o600, rdev=0xFFF << 8 | 0xFFF00 << 12 | 0xFF),
            b"fifo": Node(mode=stat.S_IFIFO | 0o644),
            b"socket": Node(mode=stat.S_IFSOCK | 0o755, uid=2**32 - 2, gid=70_000),
            b"sym": symlink(b"../else/where"),
            b"long": symlink(b"l" * 4095),
            b"acl": regular(1, xattrs=((b"system.posix_acl_access", acl),)),
            b"xattrs": regular(1, xattrs=((b"user.large", b"v" * 50_000), (b"user.z", b""))),
            b"xlink": symlink(b"x" * 100, xattrs=((b"security.x", b"v" * 6000),)),
            b"xdir": directory({b"f": regular()}, xattrs=((b"trusted.x", b"v" * 4096),)),
            b"many": directory({b"%x" % (i * 7919): regular(i % 3) for i in range(20_000)}),
            b"deep": deep,
            b"-": regular(),
            b"..a": regular(),
        }
    )


@pytest.mark.parametrize("via_loop", [False, True], ids=["file", "loop"])
def test_every_kind_of_entry_is_as_it_was_written(room, via_loop):
    root = everything()
    with mounted(root, room, via_loop=via_loop) as (target, tree, content):
        check_mount(root, target, tree, content)
        major, _ = backing_dev(target)
        assert major == (7 if via_loop else 0)
        assert int((bdi_directory(target) / "read_ahead_kb").read_text()) >= 0


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(root=roots())
def test_any_tree_is_as_it_was_written(room, root):
    with mounted(root, room) as (target, tree, content):
        check_mount(root, target, tree, content)
        fsck(room / "meta.erofs", room / "data" if content else None)


def test_a_directory_of_100_000_names_is_listed_and_searched(room):
    root = directory({b"name-%d" % i: regular() for i in range(100_000)})
    with mounted(root, room) as (target, _, _):
        assert os.listdir(os.fsencode(target)) == sorted(root.children)
        assert all((target / f"name-{i}").exists() for i in range(0, 100_000, 101))
        assert not (target / "name-100000").exists()


def fsck(image: Path, device: Path | None, *options: str) -> None:
    devices = [f"--device={device}"] if device else []
    done = subprocess.run(
        ["fsck.erofs", *devices, *options, image],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_fsck_finds_nothing_to_complain_about(room, tmp_path):
    root = everything()
    with mounted(root, room) as (_, tree, content):
        device, flat, out = room / "data", tmp_path / "flat", tmp_path / "out"
        fsck(room / "meta.erofs", device)
        # fsck.erofs 1.5 reads unified addresses from the image itself, so give it both in one file.
        flat.write_bytes((room / "meta.erofs").read_bytes() + content)
        fsck(flat, device, f"--extract={out}")
        for name in (b"setuid", b"link1", b"sub/link2", b"large", b"many/1eef"):
            number = _inode_at(root, name)
            start, size = int(tree.inodes.data[number]), int(tree.inodes.size[number])
            assert (
                Path(os.fsdecode(os.fsencode(out) + b"/" + name)).read_bytes()
                == (content[start : start + size])
            )
        assert (out / "long").readlink() == Path("l" * 4095)


def _inode_at(root: Node, path: bytes) -> int:
    numbers = numbers_of(root)
    for name in path.split(b"/"):
        root = root.children[name]
    return numbers[id(root)]


def test_an_overlay_on_top_honours_whiteouts_and_opaque_directories(room, tmp_path):
    lower = tmp_path / "lower"
    for name in ("gone", "kept", "opaque/hidden"):
        (lower / name).parent.mkdir(parents=True, exist_ok=True)
        (lower / name).write_text("lower")
    root = directory(
        {b"gone": whiteout(), b"opaque": directory({b"new": regular(1)}, flags=InodeFlag.OPAQUE)}
    )
    merged = tmp_path / "merged"
    merged.mkdir()
    with mounted(root, room) as (target, _, _):
        subprocess.run(
            ["mount", "-t", "overlay", "overlay", "-o", f"lowerdir={target}:{lower}", merged],
            check=True,
        )
        try:
            assert sorted(os.listdir(merged)) == ["kept", "opaque"]
            assert os.listdir(merged / "opaque") == ["new"]
        finally:
            umount(merged)


def test_the_probe_mounts_and_leaves_nothing_behind(room):
    before = sorted(room.iterdir())
    assert supports_file_backed(room) is True
    assert str(room) not in Path("/proc/mounts").read_text()
    assert sorted(room.iterdir()) == before


def test_loop_devices_are_free_again_after_umount(room):
    with mounted(directory({b"f": regular(1)}), room, via_loop=True):
        assert str(room) in _loop_files()
    assert str(room) not in _loop_files()


def _loop_files() -> str:
    files = Path("/sys/block").glob("loop*/loop/backing_file")
    return "".join(file.read_text() for file in files)


@pytest.mark.parametrize("via_loop", [False, True], ids=["file", "loop"])
def test_a_file_that_is_no_image_is_refused_with_a_reason(room, via_loop):
    (room / "bad").write_bytes(bytes(2 * BLOCK))
    (room / "mnt").mkdir(exist_ok=True)
    with pytest.raises(HostError, match="cannot mount"):
        mount_erofs(room / "bad", room / "mnt", None, via_loop=via_loop)


def test_unmounting_what_is_not_mounted_is_an_error(room):
    (room / "mnt").mkdir(exist_ok=True)
    with pytest.raises(HostError, match="nothing is mounted"):
        umount(room / "mnt")


def test_a_device_path_that_would_change_the_mount_options_is_refused(room):
    with pytest.raises(UsageError, match="commas"):
        mount_erofs(room / "meta.erofs", room / "mnt", room / "a,b")


def test_a_lazy_umount_lets_an_open_file_finish(room):
    root = directory({b"f": regular(BLOCK)})
    meta, device, target = room / "meta.erofs", room / "data", room / "mnt"
    target.mkdir(exist_ok=True)
    meta.write_bytes(build(make_tree(root), 1, OPTIONS))
    device.write_bytes(data_area(BLOCK))
    mount_erofs(meta, target, device)
    with (target / "f").open("rb") as file:
        with pytest.raises(HostError, match="in use"):
            umount(target)
        umount(target, lazy=True)
        assert file.read() == data_area(BLOCK)
