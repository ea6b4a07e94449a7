"""What this machine's kernel tells of reads, and that nothing of a trace is left."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hot_nodes import kernel_tells

from bootseer.doctor.kernel import parse_release
from bootseer.errors import HostError
from snapshotter.watching.events import EVENT, parse
from snapshotter.watching.tracefs import Trace, Tracefs, buffer_kb

pytestmark = pytest.mark.containers
PAGE = 4096


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[Path]:
    """Where a trace of the test's own may be."""
    if parse_release(os.uname().release) < (6, 12):
        pytest.skip("kernels before 6.12 do not trace reads of files")
    assert kernel_tells()
    tracefs = Tracefs(tmp_path, tmp_path, 0)
    found = tracefs.found() / "instances" / f"bootseer-test-{tmp_path.name}-{os.getpid()}"
    yield found
    assert not found.exists(), "a trace was left"
    tracefs.sweep()
    assert not (tmp_path / "tracing").exists()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(bytes(64 * PAGE))
    return path


def reads_of(path: Path) -> str:
    found = path.stat()
    device = os.major(found.st_dev) << 20 | os.minor(found.st_dev)
    return f"s_dev == {device} && i_ino == {found.st_ino}"


def read(path: Path, first: int, count: int = 1) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    os.pread(descriptor, count * PAGE, first * PAGE)
    os.close(descriptor)


def told(trace: Trace) -> set[int]:
    touches = parse(b"".join(iter(trace.read, b""))).touches
    return {t.offset // PAGE + page for t in touches for page in range(t.length // PAGE)}


def test_what_is_asked_of_a_file_is_told_and_nothing_else(
    instance: Path, file: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.write_bytes(bytes(PAGE))
    trace = Trace(instance, reads_of(file))
    try:
        assert told(trace) == set()
        read(other, 0)
        read(file, 5)
        read(file, 20, 4)
        assert told(trace) == {5, 20, 21, 22, 23}
        assert told(trace) == set(), "it is told once"
        descriptor = os.open(file, os.O_RDONLY)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.posix_fadvise(descriptor, 0, 32 * PAGE, os.POSIX_FADV_WILLNEED)
        os.close(descriptor)
        assert told(trace) == set(), "what is read ahead was not asked for"
    finally:
        trace.close()


def test_what_a_killed_process_did_not_hear_is_told_to_the_next(instance: Path, file: Path) -> None:
    killed = Trace(instance, reads_of(file))
    read(file, 7)
    os.close(killed._pipe)  # what the kernel does
    again = Trace(instance, reads_of(file))
    try:
        read(file, 9)
        assert told(again) == {7, 9}
    finally:
        again.close()


def test_a_filter_that_the_kernel_refuses_leaves_nothing(instance: Path) -> None:
    with pytest.raises(HostError, match="cannot trace reads"):
        Trace(instance, "no_such_field == 1")


def test_a_trace_that_was_taken_away_is_an_error_that_is_told(instance: Path, file: Path) -> None:
    trace = Trace(instance, reads_of(file))
    (instance / "events" / EVENT / "enable").write_text("0")
    trace.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        trace.read()


@pytest.mark.parametrize(("processors", "each"), [(2, 1024), (64, 256), (512, 128)])
def test_buffers_take_little_memory_on_large_machines(processors: int, each: int) -> None:
    assert buffer_kb(processors) == each
