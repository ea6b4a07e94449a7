"""Files of torch.save: in which order torch.load reads them, and what is brought ahead of it."""

import io
import zipfile
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuse_hdfs.files.ahead import Ahead
from fuse_hdfs.files.course import Course
from fuse_hdfs.files.order import Order, straight
from fuse_hdfs.files.torch_archive import TAIL, looks_like_archive, order_of

MIB = 1 << 20
UNIT = 4 * MIB


def archive(tensors: Sequence[int], *, compression: int = zipfile.ZIP_STORED) -> bytes:
    """Return a file as torch.save writes it: tensors of these sizes, by their numbers as text."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", compression) as file:
        file.writestr("archive/data.pkl", b"pickle")
        for number in sorted(range(len(tensors)), key=str):
            file.writestr(f"archive/data/{number}", bytes([number % 251]) * tensors[number])
        file.writestr("archive/version", b"3\n")
    return made.getvalue()


def contents(data: bytes, order: Order) -> bytes:
    """Return a file's bytes in the order in which they are read."""
    found = order.stretches(0, len(data))
    return b"".join(data[part.start : part.end] for part in found)


def test_tensors_are_read_by_their_numbers() -> None:
    data = archive([100 + number for number in range(23)])
    order = order_of(len(data), data)
    assert order is not None
    read = contents(data, order)
    assert sorted(read) == sorted(data)
    found = [read.index(bytes([number]) * (100 + number)) for number in range(23)]
    assert found == sorted(found)
    assert read.index(b"pickle") < found[0]
    in_file = [data.index(bytes([number]) * (100 + number)) for number in range(23)]
    assert in_file != sorted(in_file), "or there is nothing to this test"


def test_the_end_of_a_file_is_enough() -> None:
    data = archive([50_000] * 30)
    assert looks_like_archive(data[-100:])
    tail = order_of(len(data), data[-10_000:])
    whole = order_of(len(data), data)
    assert tail is not None
    assert whole is not None
    assert contents(data, tail) == contents(data, whole)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"PK\5\6",
        b"PK\5\6" + bytes(18),
        bytes(1000),
        archive([100]),
        archive([1000] * 20)[:-1],
        archive([1000] * 20)[-500:],
        archive([1000] * 20, compression=zipfile.ZIP_DEFLATED),
    ],
)
def test_what_is_no_file_of_torch_is_read_straight(data: bytes) -> None:
    assert order_of(len(data), data) is None


def test_a_list_that_is_not_all_in_the_end_tells_nothing() -> None:
    data = archive([10] * 200)
    assert order_of(len(data), data[-5000:]) is None


@st.composite
def orders(draw: st.DrawFn) -> Order:
    sizes = draw(st.lists(st.integers(1, 50), min_size=1, max_size=12))
    starts = [sum(sizes[:row]) for row in range(len(sizes))]
    return Order(sum(sizes), starts, draw(st.permutations(range(len(sizes)))))


@given(order=orders())
def test_each_byte_has_a_place_of_its_own(order: Order) -> None:
    places = [order.place(offset) for offset in range(order.size)]
    assert sorted(places) == list(range(order.size))
    assert order.place(order.size) == order.size
    for offset, place in enumerate(places):
        (part,) = order.stretches(place, 1)
        assert (part.place, part.start, part.end) == (place, offset, offset + 1)


@given(order=orders(), place=st.integers(0, 700), length=st.integers(0, 700))
def test_stretches_are_what_is_asked_for_in_order(order: Order, place: int, length: int) -> None:
    found = list(order.stretches(place, length))
    read = [
        (part.place + n, part.start + n) for part in found for n in range(part.end - part.start)
    ]
    assert [one for one, _ in read] == list(range(place, min(place + length, order.size)))
    assert all(order.place(offset) == one for one, offset in read)


def test_a_file_that_is_read_straight_has_its_offsets_for_places() -> None:
    order = straight(100)
    assert [order.place(offset) for offset in (0, 7, 99, 100)] == [0, 7, 99, 100]
    assert [(part.start, part.end) for part in order.stretches(90, 50)] == [(90, 100)]
    assert not list(straight(0).stretches(0, 10))


class Reader:
    """Reads a file as torch.load does, by requests of the kernel; notes what is brought."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.course = Course(len(data), UNIT)
        self.ahead = Ahead(2 * UNIT, 64 * MIB)
        self.brought: list[int] = []

    def begin(self, number: int) -> bool:
        if number not in self.brought:
            self.brought.append(number)
        return True

    async def bytes_at(self, offset: int, length: int) -> bytes:
        return self.data[offset : offset + length]

    async def learn(self) -> None:
        end = len(self.data)
        assert self.course.may_be_told(end)
        await self.course.look(self.data[-4096:], self.bytes_at)
        assert not self.course.may_be_told(end)

    def read(self, start: int, end: int) -> None:
        for offset in range(start, end, MIB):
            self.course.bring(self.ahead, offset, min(MIB, end - offset), self.begin)


async def test_what_is_brought_is_what_torch_reads_next() -> None:
    reader = Reader(archive([9 * MIB] * 12))  # in the file: 0, 1, 10, 11, 2 ...
    await reader.learn()
    start = [reader.data.index(bytes([number]) * 64) for number in range(12)]
    reader.read(0, start[1])
    reader.read(start[1], start[1] + 9 * MIB)

    def units(number: int) -> set[int]:
        return set(range(start[number] // UNIT + 1, (start[number] + 9 * MIB) // UNIT))

    brought = set(reader.brought)
    assert all(units(number) <= brought for number in range(2, 8))
    assert not brought & (units(10) | units(11)), "they lie next, and are read last"


async def test_what_the_kernel_reads_beyond_a_tensor_brings_nothing() -> None:
    reader = Reader(archive([16 * MIB] * 12))
    await reader.learn()
    start = [reader.data.index(bytes([number]) * 64) for number in range(12)]
    reader.read(0, start[0] + 16 * MIB)
    reader.read(start[1], start[1] + 16 * MIB)
    before = list(reader.brought)
    reader.read(start[10], start[10] + 4 * MIB)
    assert reader.brought == before


@pytest.mark.parametrize("last", [0, 10])
async def test_too_little_of_the_end_tells_nothing_yet(last: int) -> None:
    reader = Reader(archive([MIB] * 4))
    await reader.course.look(reader.data[len(reader.data) - last :], reader.bytes_at)
    await reader.learn()


async def test_a_file_that_is_no_archive_is_looked_at_once() -> None:
    reader = Reader(bytes(2 * TAIL))
    await reader.learn()
    reader.read(0, 4 * MIB)


async def test_an_end_that_cannot_be_read_is_no_error_of_who_reads_it() -> None:
    data = archive([MIB] * 4)
    course = Course(len(data), UNIT)

    async def fail(offset: int, length: int) -> bytes:
        raise OSError(5, "no")

    await course.look(data[-4096:], fail)
