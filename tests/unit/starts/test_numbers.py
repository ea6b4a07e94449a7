"""Numbers of hot areas and recordings: each is given out once."""

from pathlib import Path

import pytest

from snapshotter.blocks.names import MOST_NUMBER
from snapshotter.starts.numbers import Numbers, numbers_on_disk


def test_numbers_go_on_where_an_earlier_server_ended(tmp_path: Path) -> None:
    path = tmp_path / "numbers"
    numbers = Numbers(path)
    assert [numbers.take() for _ in range(3)] == [1, 2, 3]
    assert Numbers(path).take() == 4


def test_after_the_largest_they_begin_again(tmp_path: Path) -> None:
    path = tmp_path / "numbers"
    path.write_text(f"{MOST_NUMBER - 1}\n")
    numbers = Numbers(path)
    assert [numbers.take() for _ in range(3)] == [MOST_NUMBER, 1, 2]
    path.write_text(f"{MOST_NUMBER}\n")
    assert Numbers(path).take() == 1


@pytest.mark.parametrize("content", [None, b"", b"seven", b"\xff\xfe"])
def test_without_a_usable_file_they_go_on_behind_those_on_disk(
    tmp_path: Path, content: bytes | None
) -> None:
    layers = tmp_path / "l"
    for name in ("0" * 12 + "/h7", "1" * 12 + "/r19", "2" * 12 + "/h0", "new-1/h99", "x"):
        (layers / name).mkdir(parents=True)
    if content is not None:
        (tmp_path / "numbers").write_bytes(content)
    assert Numbers(tmp_path / "numbers", numbers_on_disk(layers)).take() == 20


def test_a_number_that_the_disk_does_not_take_is_not_given_out(tmp_path: Path) -> None:
    numbers = Numbers(tmp_path / "missing/numbers")
    with pytest.raises(OSError, match="No such file"):
        numbers.take()
    (tmp_path / "missing").mkdir()
    assert numbers.take() == 1
