"""What lines of the kernel's trace say, and that nothing in them breaks the parser."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snapshotter.watching.events import Heard, Touch, is_understood, parse

LINE = (
    b"          python3-4242    [001] .....  1234.567890: mm_filemap_get_pages: "
    b"dev=0:53 ino=4001000000000abc ofs=8192-12287\n"
)


def line(at: str = "1.000000", inode: int = 7, first: int = 0, last: int = 4095) -> bytes:
    text = f" sh-1 [000] ..... {at}: mm_filemap_get_pages: dev=0:9 ino={inode:x} ofs={first}-{last}"
    return text.encode() + b"\n"


def test_a_line_says_when_which_file_and_which_bytes() -> None:
    touch = Touch(1234.56789, 0x4001000000000ABC, 8192, 4096)
    assert parse(LINE) == Heard((touch,), 0)


def test_lines_keep_their_order_and_other_lines_are_passed_over() -> None:
    lines = [
        line(first=4096, last=8191),
        b" sh-1 [000] ..... 1.0: sched_switch: prev=1\n",
        b"\n",
        line(inode=8),
    ]
    assert [(t.inode, t.offset) for t in parse(b"".join(lines)).touches] == [(7, 4096), (8, 0)]


def test_what_there_was_no_room_for_is_counted() -> None:
    lines = b"CPU:1 [LOST 300 EVENTS]\n" + line() + b"CPU:0 [LOST 4 EVENTS]\n"
    heard = parse(lines)
    assert (len(heard.touches), heard.lost) == (1, 304)


@pytest.mark.parametrize(
    "said",
    [
        LINE[:-1],
        line(first=8192, last=4095),
        LINE.replace(b"ofs=8192", b"ofs=-8192"),
        LINE.replace(b"4001000000000abc", b"1" * 17),
        LINE.replace(b"12287", b"1" * 19),
        LINE.replace(b"1234.567890", b"soon"),
    ],
)
def test_what_makes_no_sense_is_passed_over(said: bytes) -> None:
    assert parse(said) == Heard((), 0)


def test_the_name_of_a_process_changes_nothing() -> None:
    name = b"a [LOST 9 EVENTS] b: mm_filemap_get_pages: dev=0:1 ino=1 ofs=0-1"
    assert parse(LINE.replace(b"python3", name)) == parse(LINE)


@given(st.lists(st.tuples(*[st.integers(0, 2**60)] * 2, st.integers(1, 2**24))))
def test_what_was_written_is_read(rows: list[tuple[int, int, int]]) -> None:
    fits = [(inode, first % 10**15, size) for inode, first, size in rows]
    lines = b"".join(line(inode=i, first=a, last=a + n - 1) for i, a, n in fits)
    assert [(t.inode, t.offset, t.length) for t in parse(lines).touches] == fits


@given(st.lists(st.one_of(st.binary(max_size=40), st.sampled_from([LINE, LINE[:60], LINE[60:]]))))
def test_any_bytes_are_parsed(pieces: list[bytes]) -> None:
    heard = parse(b"".join(pieces))
    assert all(touch.length > 0 and touch.offset >= 0 for touch in heard.touches)
    assert heard.lost >= 0


def test_only_a_description_that_is_known_is_understood() -> None:
    known = 'name: x\nformat:\n\nprint fmt: "dev=%d:%d ino=%lx ofs=%lld-%lld", 1, 2, 3\n'
    assert is_understood(known)
    assert not is_understood(known.replace("ofs=", "max_ofs="))
    assert not is_understood("")
