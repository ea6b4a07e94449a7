import errno
import mmap
import os
import random
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from snapshotter.chunks.descriptor import Descriptor
from snapshotter.chunks.past_cache import PastCache

UNIT = max(4096, mmap.PAGESIZE)
SIZE = 8 * UNIT


@pytest.fixture
def file(tmp_path: Path) -> Iterator[tuple[Path, Descriptor]]:
    path = tmp_path / "data"
    descriptor = Descriptor(os.open(path, os.O_RDWR | os.O_CREAT))
    os.truncate(path, SIZE)
    yield path, descriptor
    descriptor.close()


Made = tuple[Path, Descriptor]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(st.data())
def test_ranges_of_any_kind_are_what_is_read_afterwards(file: Made, data: st.DataObject) -> None:
    path, descriptor = file
    edges = sorted(data.draw(st.sets(st.integers(0, SIZE), max_size=6)) | {0, SIZE})
    wanted = random.Random(len(edges)).randbytes(SIZE)
    past = PastCache(path, descriptor)
    ranges = list(pairwise(edges))
    for start, end in data.draw(st.permutations(ranges)):
        middle = data.draw(st.integers(start, end))
        pieces = [wanted[start:middle], memoryview(wanted)[middle:end]]
        assert past.write(start, pieces) == wanted[start:end]
        assert path.read_bytes()[start:end] == wanted[start:end]
    past.close()
    assert path.read_bytes() == wanted


def test_a_file_system_that_refuses_is_written_the_usual_way(
    file: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, descriptor = file
    plain = os.open

    def refusing(path: Path, flags: int, mode: int = 0o777) -> int:
        if flags & os.O_DIRECT:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        return plain(path, flags, mode)

    monkeypatch.setattr(os, "open", refusing)
    past = PastCache(path, descriptor)
    past.write(0, [b"x" * SIZE])
    past.close()
    assert path.read_bytes() == b"x" * SIZE


def test_a_disk_that_refuses_later_is_written_the_usual_way_and_not_asked_again(
    file: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, descriptor = file
    opening = os.open
    with monkeypatch.context() as any_file_system:
        any_file_system.setattr(os, "open", lambda path, flags: opening(path, flags & ~os.O_DIRECT))
        past = PastCache(path, descriptor)
    assert past._direct is not None
    with past._direct as direct, descriptor as usual:
        plain, asked = os.pwrite, []

        def refusing(number: int, data: memoryview, offset: int) -> int:
            asked.append(number)
            if number == direct:
                raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
            return plain(number, data, offset)

        monkeypatch.setattr(os, "pwrite", refusing)
        past.write(0, [b"x" * 2 * UNIT])
        past.write(2 * UNIT, [b"y" * 2 * UNIT])
        assert asked == [direct, usual, usual]
    past.close()
    assert path.read_bytes()[: 4 * UNIT] == b"x" * 2 * UNIT + b"y" * 2 * UNIT


def test_a_full_disk_is_an_error_however_it_is_written(
    file: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, descriptor = file
    past = PastCache(path, descriptor)

    def full(number: int, data: memoryview, offset: int) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwrite", full)
    for offset, length in ((0, 2 * UNIT), (5, 10)):
        with pytest.raises(OSError, match="space"):
            past.write(offset, [b"x" * length])
    past.close()
