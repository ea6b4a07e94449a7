"""Work shared out to processes: every piece once, and failures as they were."""

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bootseer.errors import CorruptError, HostError
from depsnap.pool import by_size, shared_out

Work = Callable[[int], int]


def start_of(work: Work) -> Callable[[], "contextlib.AbstractContextManager[Work]"]:
    @contextlib.contextmanager
    def start() -> Iterator[Work]:
        yield work

    return start


def test_every_piece_is_done_once_however_many_processes_there_are(tmp_path: Path) -> None:
    log = os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def work(piece: int) -> int:
        os.write(log, piece.to_bytes(4, "little"))
        return piece * 2

    count = 50_000
    assert shared_out(start_of(work), range(count), 8) == [2 * piece for piece in range(count)]
    os.close(log)
    data = (tmp_path / "log").read_bytes()
    done = sorted(int.from_bytes(data[at : at + 4], "little") for at in range(0, len(data), 4))
    assert done == list(range(count))


@pytest.mark.parametrize("workers", [1, 4])
def test_what_a_process_raises_is_raised(workers: int) -> None:
    def work(piece: int) -> int:
        if piece == 7:
            raise CorruptError("piece seven", hint="look at it")
        return piece

    with pytest.raises(CorruptError, match="piece seven") as caught:
        shared_out(start_of(work), range(100), workers)
    assert caught.value.hint == "look at it"


def test_a_killed_process_is_an_error_of_this_machine() -> None:
    def work(piece: int) -> int:
        if piece == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return piece

    with pytest.raises(HostError, match="signal 9"):
        shared_out(start_of(work), range(50), 3)


@pytest.mark.parametrize("workers", [1, 3])
def test_news_ends_with_all_there_is(workers: int) -> None:
    heard: list[int] = []
    sizes = [3 * number for number in range(40)]
    shared_out(start_of(lambda piece: piece), range(40), workers, by_size(sizes, heard.append))
    assert sum(heard) == sum(sizes)
    assert min(heard) >= 0
