"""What /proc says of processes and their descriptors, and what a close means by that."""

import os
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from fuse_hdfs.mount.openers import (
    Close,
    Descriptor,
    Process,
    close_of,
    is_killed,
    opener,
    parse_descriptor,
    parse_device,
    parse_group,
    parse_start,
)

STAT = "17 (a) R (b) S 1 " + " ".join(str(number) for number in range(5, 52))


def test_the_start_is_found_behind_a_name_that_looks_like_more_words() -> None:
    assert parse_start(f"{STAT} 0") == "22"


def test_only_an_exit_by_a_signal_is_a_death() -> None:
    assert is_killed(f"{STAT} 9")
    assert is_killed(f"{STAT} 139")  # with a core dump
    assert not is_killed(f"{STAT} 0")
    assert not is_killed(f"{STAT} 256")
    assert not is_killed(STAT)


def test_a_descriptor_is_for_writing_by_its_flags() -> None:
    text = "pos:\t0\nflags:\t{}\nmnt_id:\t29\nino:\t77\n"
    assert parse_descriptor(text.format("0100001")) == Descriptor(77, "29", writes=True)
    assert parse_descriptor(text.format("0100002")) == Descriptor(77, "29", writes=True)
    assert parse_descriptor(text.format("0100000")) == Descriptor(77, "29", writes=False)
    assert parse_descriptor(text.format("9")) is None
    assert parse_descriptor("pos:\t0\nflags:\t01\n") is None


def test_the_device_of_a_mount_is_found_by_its_number() -> None:
    text = "29 1 0:26 / /a rw - tmpfs x rw\n290 1 0:27 / /b rw - fuse.x y rw\n"
    assert parse_device(text, "290") == "0:27"
    assert parse_device(text, "2") is None


@given(st.text())
def test_any_text_is_nothing_or_something(text: str) -> None:
    parse_group(text)
    parse_start(text)
    parse_descriptor(text)
    parse_device(text, "1")
    is_killed(text)


def test_a_file_that_is_open_for_writing_elsewhere_is_not_written_yet(tmp_path: Path) -> None:
    process = opener(os.getpid())
    assert process is not None
    with (tmp_path / "file").open("wb") as file:
        found = os.fstat(file.fileno())
        device = f"{os.major(found.st_dev)}:{os.minor(found.st_dev)}"
        mounts = Path("/proc/self/mountinfo").read_text().splitlines()
        # Of some file systems stat(2) says another device than their mount has.
        if any(line.split(" ")[2] == device for line in mounts):
            assert close_of(process, found.st_ino, device) is Close.COPY
        assert close_of(process, found.st_ino, "0:0") is Close.LAST
    assert close_of(process, found.st_ino, device) is Close.LAST


def test_nobody_who_opened_is_known_of_other_pid_namespaces_and_of_numbers_used_again() -> None:
    assert opener(0) is None
    assert opener(1 << 30) is None
    process = opener(os.getpid())
    assert process is not None
    assert close_of(Process(process.number, "1"), 2, "0:1") is Close.LAST
