"""What programs do with a checkpoint mount: the tests are run on each kind of store.

A test module that wants them imports them and has a fixture `mnt`: an empty directory on a mount
whose units are 64 KiB, four stripes, and whose files up to 128 KiB stay plain.
"""

import ctypes
import errno
import mmap
import os
import random
import stat
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

UNIT = 64 << 10
DATA = random.Random(11).randbytes(3_000_017)


def test_a_file_is_what_was_written(mnt: Path) -> None:
    (mnt / "file").write_bytes(DATA)
    assert (mnt / "file").read_bytes() == DATA
    assert (mnt / "file").stat().st_size == len(DATA)


@pytest.mark.parametrize("size", [0, 1, UNIT, 2 * UNIT, 2 * UNIT + 1, 9 * UNIT, 9 * UNIT - 1])
def test_every_size_at_the_borders_comes_back(mnt: Path, size: int) -> None:
    (mnt / "file").write_bytes(DATA[:size])
    assert (mnt / "file").read_bytes() == DATA[:size]
    assert (mnt / "file").stat().st_size == size


def test_writes_in_any_order_are_all_there(mnt: Path) -> None:
    model = bytearray(DATA)
    (mnt / "file").write_bytes(DATA)
    chance = random.Random(3)
    with (mnt / "file").open("r+b", 0) as file:
        for _ in range(40):
            offset, length = chance.randrange(len(DATA)), chance.choice((1, 4096, 100_000))
            content = chance.randbytes(length)
            os.pwrite(file.fileno(), content, offset)
            model[offset : offset + length] = content
            at = chance.randrange(len(DATA))
            assert os.pread(file.fileno(), 5000, at) == model[at : at + 5000]
        os.fsync(file.fileno())
    assert (mnt / "file").read_bytes() == model


def test_a_write_past_the_end_leaves_zeros(mnt: Path) -> None:
    with (mnt / "file").open("wb", 0) as file:
        file.write(b"begin")
        file.seek(1_000_000)
        file.write(b"end")
    assert (mnt / "file").read_bytes() == b"begin" + bytes(999_995) + b"end"


def test_appending_keeps_what_is_there(mnt: Path) -> None:
    model = b""
    for number in range(7):
        part = DATA[number * 70_001 : (number + 1) * 70_001]
        with (mnt / "file").open("ab") as file:
            file.write(part)
        model += part
        assert (mnt / "file").stat().st_size == len(model)
    assert (mnt / "file").read_bytes() == model


@pytest.mark.parametrize("size", [0, 1, 100_000, 5 * UNIT, 2_999_999, 4_000_000])
def test_a_file_is_cut_and_grown(mnt: Path, size: int) -> None:
    (mnt / "file").write_bytes(DATA)
    os.truncate(mnt / "file", size)
    assert (mnt / "file").read_bytes() == DATA[:size].ljust(size, b"\0")
    os.truncate(mnt / "file", 3_100_000)
    kept = min(size, len(DATA))
    assert (mnt / "file").read_bytes() == (DATA[:kept] + bytes(3_100_000 - kept))[:3_100_000]


def test_a_file_may_be_extended_first_and_filled_then(mnt: Path) -> None:
    descriptor = os.open(mnt / "file", os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    os.ftruncate(descriptor, len(DATA))
    for start in range(0, len(DATA), 300_000):
        os.write(descriptor, DATA[start : start + 300_000])
    os.close(descriptor)
    assert (mnt / "file").read_bytes() == DATA


def test_what_is_open_for_writing_can_be_read_back(mnt: Path) -> None:
    with (mnt / "file").open("w+b", 0) as file:
        file.write(DATA[:1_000_000])
        assert os.pread(file.fileno(), 1000, 500_000) == DATA[500_000:501_000]
        file.write(DATA[1_000_000:])
        assert (mnt / "file").read_bytes() == DATA


def test_opening_anew_empties_and_exclusively_fails(mnt: Path) -> None:
    (mnt / "file").write_bytes(DATA)
    with pytest.raises(FileExistsError):
        os.open(mnt / "file", os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    (mnt / "file").write_bytes(b"short")
    assert (mnt / "file").read_bytes() == b"short"


def test_a_rename_over_a_file_shows_the_old_one_or_the_new(mnt: Path) -> None:
    contents = {bytes([number]) * 200_000 for number in range(4)}
    (mnt / "file").write_bytes(bytes([0]) * 200_000)
    done = threading.Event()
    wrong: list[str] = []

    def look() -> None:
        while not done.is_set():
            try:
                found = (mnt / "file").read_bytes()
            except OSError as error:
                wrong.append(str(error))
            else:
                if found not in contents:
                    wrong.append(f"{len(found)} bytes")

    thread = threading.Thread(target=look)
    thread.start()
    for number in range(1, 4):
        (mnt / "new").write_bytes(bytes([number]) * 200_000)
        (mnt / "new").replace(mnt / "file")
    done.set()
    thread.join()
    assert wrong == []
    assert [path.name for path in mnt.iterdir()] == ["file"]


def test_a_rename_that_may_not_replace_does_not(mnt: Path) -> None:
    (mnt / "a").write_bytes(b"a")
    (mnt / "b").write_bytes(b"b")
    libc = ctypes.CDLL(None, use_errno=True)
    for flags, number in ((1, errno.EEXIST), (2, errno.EINVAL)):
        done = libc.renameat2(-100, bytes(mnt / "a"), -100, bytes(mnt / "b"), flags)
        assert (done, ctypes.get_errno()) == (-1, number)
    assert ((mnt / "a").read_bytes(), (mnt / "b").read_bytes()) == (b"a", b"b")


@pytest.mark.parametrize("size", [5, len(DATA)])
def test_an_unlinked_file_lives_while_it_is_open(mnt: Path, size: int) -> None:
    (mnt / "file").write_bytes(DATA[:size])
    with (mnt / "file").open("r+b", 0) as file:
        (mnt / "file").unlink()
        assert not (mnt / "file").exists()
        assert os.pread(file.fileno(), size, 0) == DATA[:size]
        os.pwrite(file.fileno(), b"more", size)
        assert os.pread(file.fileno(), 100, size - 1) == DATA[size - 1 : size] + b"more"
        (mnt / "file").write_bytes(b"another")
    assert (mnt / "file").read_bytes() == b"another"


def test_a_replaced_file_lives_while_it_is_open(mnt: Path) -> None:
    (mnt / "file").write_bytes(DATA)
    (mnt / "new").write_bytes(b"new")
    with (mnt / "file").open("rb", 0) as file:
        (mnt / "new").replace(mnt / "file")
        assert file.read(len(DATA)) == DATA[: len(DATA)]
    assert (mnt / "file").read_bytes() == b"new"


def test_directories_are_made_listed_moved_and_removed(mnt: Path) -> None:
    (mnt / "a/b/c").mkdir(parents=True)
    (mnt / "a/b/file").write_bytes(DATA)
    with pytest.raises(OSError, match="not empty"):
        (mnt / "a/b").rmdir()
    with pytest.raises(FileExistsError):
        (mnt / "a").mkdir()
    (mnt / "a/b").rename(mnt / "moved")
    assert (mnt / "moved/file").read_bytes() == DATA
    assert sorted(path.name for path in (mnt / "moved").iterdir()) == ["c", "file"]
    (mnt / "moved/c").rmdir()
    with pytest.raises(NotADirectoryError):
        (mnt / "moved/file").rmdir()
    with pytest.raises(FileNotFoundError):
        (mnt / "none/a").write_bytes(b"")


def test_many_files_are_listed_with_their_sizes(mnt: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        for number in range(30):
            pool.submit((mnt / f"{number}").write_bytes, DATA[: number * 10_000])
    with os.scandir(mnt) as entries:
        sizes = {entry.name: entry.stat().st_size for entry in entries}
    assert sizes == {f"{number}": number * 10_000 for number in range(30)}


def test_mode_and_times_are_kept_also_when_a_file_is_changed(mnt: Path) -> None:
    (mnt / "file").write_bytes(DATA)
    (mnt / "file").chmod(0o640)
    os.utime(mnt / "file", ns=(1, 1_600_000_000_000_000_000))
    found = (mnt / "file").stat()
    assert (stat.S_IMODE(found.st_mode), found.st_mtime_ns) == (0o640, 1_600_000_000_000_000_000)
    with (mnt / "file").open("r+b", 0) as file:
        file.write(b"changed")
        os.utime(file.fileno(), ns=(1, 1_700_000_000_000_000_000))
    found = (mnt / "file").stat()
    assert (stat.S_IMODE(found.st_mode), found.st_mtime_ns) == (0o640, 1_700_000_000_000_000_000)
    assert found.st_uid == os.getuid()


def test_extended_attributes_stay_when_a_file_is_changed(mnt: Path) -> None:
    (mnt / "file").write_bytes(DATA)
    for path in (mnt / "file", mnt):
        os.setxattr(path, "user.step", b"1000")
        os.setxattr(path, "user.step", b"2000")
        with pytest.raises(FileExistsError):
            os.setxattr(path, "user.step", b"", os.XATTR_CREATE)
        os.setxattr(path, "user.other", bytes(range(200)))
        os.removexattr(path, "user.other")
        with pytest.raises(OSError, match="No data"):
            os.removexattr(path, "user.other")
        with pytest.raises(OSError, match="No data"):
            os.setxattr(path, "user.other", b"", os.XATTR_REPLACE)
        with pytest.raises(OSError, match="not supported"):
            os.setxattr(path, "trusted.other", b"")
    with (mnt / "file").open("r+b", 0) as file:
        os.setxattr(file.fileno(), "user.open", b"yes")
        file.write(b"changed")
    (mnt / "file").rename(mnt / "moved")
    found = {name: os.getxattr(mnt / "moved", name) for name in os.listxattr(mnt / "moved")}
    assert found == {"user.step": b"2000", "user.open": b"yes"}
    assert os.listxattr(mnt) == ["user.step"]
    with pytest.raises(OSError, match="No data"):
        os.getxattr(mnt / "moved", "security.capability")


def test_a_file_is_read_through_maps(mnt: Path) -> None:
    (mnt / "file").write_bytes(DATA)
    with (mnt / "file").open("rb") as file:
        for access in (mmap.ACCESS_READ, mmap.ACCESS_COPY):
            with mmap.mmap(file.fileno(), 0, access=access) as mapped:
                assert mapped[:] == DATA


def test_arrays_of_numpy_are_saved_loaded_and_mapped(mnt: Path) -> None:
    array = np.arange(400_000, dtype=np.float64)
    np.save(mnt / "array.npy", array)
    assert np.array_equal(np.load(mnt / "array.npy"), array)
    assert np.array_equal(np.load(mnt / "array.npy", mmap_mode="r"), array)
    np.savez(mnt / "arrays.npz", first=array, second=array[::-1])
    with np.load(mnt / "arrays.npz") as loaded:
        assert np.array_equal(loaded["second"], array[::-1])
    mapped = np.memmap(mnt / "map", dtype=np.int64, mode="w+", shape=(300_000,))
    mapped[::7] = 5
    mapped[123_456] = 17
    mapped.flush()
    del mapped
    expected = np.zeros(300_000, dtype=np.int64)
    expected[::7], expected[123_456] = 5, 17
    assert np.array_equal(np.fromfile(mnt / "map", dtype=np.int64), expected)


def test_trees_are_copied_and_packed_by_cp_and_tar(mnt: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "sub").mkdir(parents=True)
    for number, size in enumerate((0, 10, 200_000, 1_500_000)):
        (source / f"sub/{number}").write_bytes(DATA[:size])
        (source / f"sub/{number}").chmod(0o600 + number)
        os.utime(source / f"sub/{number}", (1_650_000_000 + number,) * 2)

    def run(*argv: object) -> None:
        command = [str(word) for word in argv]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")

    run("cp", "-a", source, mnt / "copy")
    run("diff", "-r", source, mnt / "copy")
    run("tar", "-C", source, "-cf", mnt / "tree.tar", ".")
    (mnt / "unpacked").mkdir()
    run("tar", "-C", mnt / "unpacked", "-xf", mnt / "tree.tar")
    run("diff", "-r", source, mnt / "unpacked")
    run("cp", "--sparse=always", source / "sub/3", mnt / "sparse")
    run("cmp", source / "sub/3", mnt / "sparse")
    for number in range(4):
        for tree in ("copy", "unpacked"):
            found = (mnt / f"{tree}/sub/{number}").stat()
            assert stat.S_IMODE(found.st_mode) == 0o600 + number
            assert found.st_mtime == 1_650_000_000 + number


def test_rsync_copies_a_tree_and_brings_changes(mnt: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "sub").mkdir(parents=True)
    for number, size in enumerate((0, 10, 200_000, 1_500_000)):
        (source / f"sub/{number}").write_bytes(DATA[:size])
    (mnt / "copy").mkdir()

    def rsync(*options: str) -> list[str]:
        command = ["rsync", "-a", "--out-format=%n", *options, f"{source}/", f"{mnt}/copy/"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        return [name for name in done.stdout.splitlines() if not name.endswith("/")]

    assert rsync() == [f"sub/{number}" for number in range(4)]
    assert rsync() == []
    assert rsync("--checksum") == []
    with (source / "sub/3").open("r+b") as file:
        file.seek(700_000)
        file.write(b"changed")
    os.utime(source / "sub/3", (1_700_000_000,) * 2)
    assert rsync("--inplace", "--no-whole-file") == ["sub/3"]
    (source / "sub/2").unlink()
    rsync("--delete")
    subprocess.run(["diff", "-r", source, mnt / "copy"], check=True)


@pytest.mark.parametrize("pattern", ["write", "randrw"])
def test_fio_finds_what_it_wrote(mnt: Path, pattern: str) -> None:
    command = ["fio", "--name=job", f"--directory={mnt}", f"--rw={pattern}", "--size=2m"]
    command += ["--bs=16k", "--verify=crc32c", "--verify_fatal=1", "--numjobs=2", "--fsync=100"]
    command += ["--verify_state_save=0"]  # else a file in the working directory
    for engine in ("psync", "mmap"):
        argv = [*command, f"--ioengine={engine}", "--output-format=terse"]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_an_owner_stays_when_a_file_is_changed(mnt: Path) -> None:
    (mnt / "file").write_bytes(DATA)
    os.chown(mnt / "file", 1, 1)
    with (mnt / "file").open("r+b", 0) as file:
        file.write(b"changed")
    found = (mnt / "file").stat()
    assert (found.st_uid, found.st_gid) == (1, 1)


def test_several_processes_map_one_file_and_share_what_they_write(mnt: Path) -> None:
    size = 20 * UNIT
    (mnt / "map").write_bytes(bytes(size))
    program = (
        "import mmap, sys; number = int(sys.argv[2])\n"
        "with open(sys.argv[1], 'r+b') as file, mmap.mmap(file.fileno(), 0) as mapped:\n"
        "    for at in range(number, len(mapped), 5000): mapped[at] = number + 1\n"
        "    mapped.flush()\n"
    )
    argv = [sys.executable, "-c", program, str(mnt / "map")]
    children = [subprocess.Popen([*argv, str(number)]) for number in range(3)]
    assert [child.wait(60) for child in children] == [0, 0, 0]
    expected = bytearray(size)
    for number in range(3):
        expected[number::5000] = bytes([number + 1]) * len(expected[number::5000])
    assert (mnt / "map").read_bytes() == expected


def test_what_hdfs_has_not_is_refused(mnt: Path) -> None:
    (mnt / "file").write_bytes(b"data")
    with pytest.raises(OSError, match="not supported"):
        (mnt / "link").symlink_to("file")
    with pytest.raises(OSError, match="not supported"):
        (mnt / "hard").hardlink_to(mnt / "file")
    with pytest.raises(OSError, match="too long"):
        (mnt / ("x" * 256)).write_bytes(b"")


def test_several_readers_and_a_writer_of_another_file(mnt: Path) -> None:
    (mnt / "read").write_bytes(DATA)
    found: list[bool] = []

    def read() -> None:
        with (mnt / "read").open("rb", 0) as file:
            chance = random.Random(threading.get_ident())
            for _ in range(40):
                at = chance.randrange(len(DATA))
                found.append(os.pread(file.fileno(), 70_000, at) == DATA[at : at + 70_000])

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    (mnt / "written").write_bytes(DATA[::-1])
    for thread in threads:
        thread.join()
    assert len(found) == 160
    assert all(found)
    assert (mnt / "written").read_bytes() == DATA[::-1]


def test_who_reads_or_maps_a_file_sees_what_others_only_write(mnt: Path) -> None:
    (mnt / "file").write_bytes(DATA)
    expected = bytearray(DATA)
    with (
        (mnt / "file").open("rb", 0) as file,
        (mnt / "file").open("r+b", 0) as same,
        mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as mapped,
    ):
        assert mapped[:] == DATA
        writer = os.open(mnt / "file", os.O_WRONLY)
        for at in (0, 5 * UNIT + 1, len(DATA) - 3):
            os.pwrite(writer, b"new", at)
            expected[at : at + 3] = b"new"
            assert os.pread(file.fileno(), len(DATA), 0) == expected
            assert os.pread(same.fileno(), 3, at) == b"new"
            assert mapped[:] == expected
        os.close(writer)
    assert (mnt / "file").read_bytes() == expected


def test_who_follows_a_file_that_grows_reads_nothing_but_what_was_appended(mnt: Path) -> None:
    done = threading.Event()

    def append() -> None:
        with (mnt / "log").open("ab", 0) as file:
            for start in range(0, 300_000, 1000):
                file.write(DATA[start : start + 1000])
        done.set()

    (mnt / "log").touch()
    writing = threading.Thread(target=append)
    found = bytearray()
    with (mnt / "log").open("rb", 0) as file:
        writing.start()
        while not done.is_set() or len(found) < 300_000:
            found += file.read(1 << 20)
            assert found == DATA[: len(found)]
    writing.join()
    assert len(found) == 300_000


def test_there_is_room(mnt: Path) -> None:
    found = os.statvfs(mnt)
    assert 0 < found.f_bavail <= found.f_blocks
