"""Lying indexes are remembered, boundedly, across restarts."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snapshotter.serving import poison
from snapshotter.serving.poison import FILE, Poisoned


def digest(number: int) -> str:
    return f"sha256:{number:064x}"


def test_a_verdict_outlives_the_server(tmp_path: Path) -> None:
    Poisoned(tmp_path).add(digest(1), "it describes another\nfile tree")
    again = Poisoned(tmp_path)
    assert again.verdict(digest(1)) == "it describes another file tree"
    assert again.verdict(digest(2)) == ""


def test_the_newest_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(poison, "_MOST", 3)
    known = Poisoned(tmp_path)
    for number in (1, 2, 3, 1, 4):
        known.add(digest(number), "why")
    for found in (known, Poisoned(tmp_path)):
        assert [bool(found.verdict(digest(n))) for n in range(1, 5)] == [True, False, True, True]


def test_an_index_without_a_reason_is_still_remembered(tmp_path: Path) -> None:
    Poisoned(tmp_path).add(digest(1), " \n ")
    assert Poisoned(tmp_path).verdict(digest(1))


@given(data=st.binary(max_size=300), verdict=st.text(max_size=300))
def test_a_damaged_file_costs_only_its_damaged_lines(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, verdict: str
) -> None:
    root = tmp_path_factory.mktemp("root")
    (root / FILE).write_bytes(f"{digest(7)} why\n".encode() + data)
    known = Poisoned(root)
    assert known.verdict(digest(7)) == "why"
    known.add(digest(8), verdict)
    assert Poisoned(root).verdict(digest(8)) == known.verdict(digest(8)) != ""


def test_a_disk_that_takes_nothing_costs_the_memory_at_a_restart_only(tmp_path: Path) -> None:
    known = Poisoned(tmp_path / "gone")
    known.add(digest(1), "why")
    assert known.verdict(digest(1)) == "why"
