"""The document describes what is stored: a reader written from it finds what was there."""

import os
import py_compile
import shutil
from pathlib import Path

from snapshot_reader import read_snapshot

from depsnap.key.compose import KeyRequest
from depsnap.runs.run import run
from depsnap.runs.settings import Job, Settings
from depsnap.snapshots.places import Place

MAKE = """
set -e; mkdir d; echo a > d/a; ln d/a d/b; ln -s a d/l; : > d/empty
head -c 9000000 /dev/urandom > d/big; cp d/big d/same
truncate -s 5M d/holes; printf x | dd of=d/holes bs=1 seek=4000000 conv=notrunc status=none
cp source.pyc d/compiled.pyc; setfattr -n user.x -v y d/a; rm gone
"""


def job(root: Path, store: Path) -> Job:
    step = KeyRequest(("bash", "-c", MAKE), root, {"PATH": os.environ["PATH"]}, (str(root),))
    return Job("job", step, Settings(Place(f"file://{store}"), workers=2, capture=("scan",)))


def before(root: Path) -> None:
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    (root / "gone").touch()
    (root / "source.py").write_text("x = 1\n")
    py_compile.compile(str(root / "source.py"), str(root / "source.pyc"))


def test_a_reader_written_from_the_document_finds_what_was_there(tmp_path: Path) -> None:
    root, store = tmp_path / "root", tmp_path / "store"
    before(root)
    said: list[str] = []
    assert run(job(root, store), said.append).how == "captured", said
    head, entries = read_snapshot(store, "job")
    assert head["roots"] == [str(root)]
    assert head["entries"] == len(entries)
    inside = str(root)[1:]
    kinds = {path[len(inside) :]: entry["kind"] for path, entry in entries.items()}
    assert kinds["/d"] == "n"
    assert kinds["/gone"] == "x"
    assert kinds["/d/b"] == "h"
    for name in ("a", "empty", "big", "same", "holes", "compiled.pyc"):
        entry, path = entries[f"{inside}/d/{name}"], root / "d" / name
        assert entry["content"] == path.read_bytes(), name
        assert entry["mtimes"] == path.stat().st_mtime_ns
    assert entries[f"{inside}/d/big"]["packed"] == entries[f"{inside}/d/same"]["packed"]
    assert entries[f"{inside}/d/compiled.pyc"]["stamps"] == int(
        (root / "source.py").stat().st_mtime
    )
    assert entries[f"{inside}/d/a"]["xattrs"] == {"user.x": b"y"}


def test_packs_do_not_depend_on_when_something_was_installed(tmp_path: Path) -> None:
    root = tmp_path / "root"
    packs = []
    for number, when in enumerate((10**9, 10**9 + 77)):
        store = tmp_path / f"store{number}"
        before(root)
        os.utime(root / "source.py", (when, when))
        py_compile.compile(str(root / "source.py"), str(root / "source.pyc"))
        shutil.copy(Path(__file__), root / "same")
        run(job_of_copy(root, store), lambda _line: None)
        packs.append({path.name for path in store.glob("packs/*/*")})
    assert len(packs[0]) == 1
    assert packs[0] == packs[1]


def job_of_copy(root: Path, store: Path) -> Job:
    script = f"mkdir {root}/d; cp {root}/same {root}/source.pyc {root}/d/"
    step = KeyRequest(("sh", "-c", script), root, {"PATH": os.environ["PATH"]}, (str(root),))
    return Job("job", step, Settings(Place(f"file://{store}"), capture=("scan",)))
