"""Descriptors that are closed with their last user."""

import os
from pathlib import Path

import pytest

from snapshotter.chunks.descriptor import Descriptor


def opened(path: Path) -> Descriptor:
    path.write_bytes(b"content")
    return Descriptor(os.open(path, os.O_RDONLY))


def is_open(number: int) -> bool:
    return Path(f"/proc/self/fd/{number}").exists()


def test_a_descriptor_nobody_uses_is_closed_at_once_and_gives_errors(tmp_path: Path) -> None:
    descriptor = opened(tmp_path / "f")
    with descriptor as number:
        assert os.pread(number, 7, 0) == b"content"
    assert is_open(number)
    descriptor.close()
    assert not is_open(number)
    with pytest.raises(OSError, match="Bad file descriptor"), descriptor:
        pass


def test_a_descriptor_in_use_is_closed_with_its_last_user(tmp_path: Path) -> None:
    descriptor = opened(tmp_path / "f")
    with descriptor as number:
        with descriptor:
            descriptor.close()
        assert os.pread(number, 7, 0) == b"content"
        with pytest.raises(OSError, match="Bad file descriptor"), descriptor:
            pass
    assert not is_open(number)


def test_closing_twice_closes_nobody_elses_file(tmp_path: Path) -> None:
    descriptor = opened(tmp_path / "f")
    descriptor.close()
    with (tmp_path / "f").open("rb") as other:
        descriptor.close()
        assert other.read() == b"content"
