"""A tree made from another one that is there: all of it, wherever it lies."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from depsnap.capture.reading import read_entries
from depsnap.restore.columns import Columns, columns_of
from depsnap.restore.linking import EditedError, Source, make_from
from depsnap.restore.making import Destination
from depsnap.tree.entries import Kind

MANY = 1_500
"""So many that processes share the work."""


def below(directory: Path) -> Callable[[str], str]:
    return lambda path: f"{directory}/{path}"


def made(directory: Path) -> Columns:
    """Make a tree whose root directory is the root itself: that has no entry."""
    for number in range(MANY):
        place = directory / f"site-packages/p{number % 40}/sub{number % 3}"
        place.mkdir(parents=True, exist_ok=True)
        (place / f"m{number}.py").write_text(f"{number}\n")
    (directory / "site-packages/one.dist-info").mkdir()
    (directory / "site-packages/one.dist-info/METADATA").write_text("Name: one\n")
    (directory / "top").write_text("top\n")
    (directory / "link").symlink_to("top")
    (directory / "hard").hardlink_to(directory / "top")
    changes = []
    for path in sorted(directory.rglob("*"), key=lambda one: str(one).replace("/", "\0")):
        kind = Kind.NEW if path.is_dir() else Kind.FILE
        changes.append((str(path.relative_to(directory)), kind))
    return columns_of(read_entries(changes, directory.joinpath, lambda *_: None))


def listing(directory: Path) -> dict[str, object]:
    found: dict[str, object] = {}
    for path in directory.rglob("*"):
        status = path.lstat()
        content = (
            None
            if path.is_dir()
            else os.fsencode(path.readlink())
            if (path.is_symlink())
            else path.read_bytes()
        )
        found[str(path.relative_to(directory))] = (status.st_mode, status.st_mtime_ns, content)
    return found


@pytest.mark.parametrize("workers", [1, 3])
def test_everything_is_made_with_its_times(tmp_path: Path, workers: int) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    target.mkdir()
    columns = made(source)
    to = Destination(below(target), os.geteuid(), os.getegid())
    make_from(Source(below(source)), columns, to, workers)
    assert listing(target) == listing(source)
    assert (target / "hard").samefile(target / "top")
    assert not (target / "top").samefile(source / "top"), "what may be rewritten is copied"


def test_an_edited_file_is_noticed_in_whichever_process(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    target.mkdir()
    columns = made(source)
    (source / "site-packages/p7/sub1/m7.py").write_text("edited\n")
    to = Destination(below(target), os.geteuid(), os.getegid())
    with pytest.raises(EditedError):
        make_from(Source(below(source)), columns, to, 3)
