"""A node restores a second environment by links to the first, and nobody's edit gets into it."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from depsnap_world import DepsWorld, make_pristine, make_step_world, make_world

pytestmark = pytest.mark.containers


@pytest.fixture(scope="module")
def pristine() -> Path:
    return make_pristine()


@pytest.fixture
def world(tmp_path: Path, pristine: Path) -> DepsWorld:
    made = make_world(tmp_path, pristine)
    assert "kept" in made.install().stderr
    made.fresh()
    assert "restored" in made.install().stderr
    return made


def restored(world: DepsWorld) -> str:
    """Restore into a fresh environment, the other one staying; return what was said."""
    world.venv.rename(world.home / f"other{len(list(world.home.iterdir()))}")
    world.fresh()
    done = world.install("--require-snapshot")
    assert done.returncode == 0, done.stderr
    return done.stderr


def kept(world: DepsWorld) -> Path:
    """Return the tree that the node keeps."""
    (tree,) = (world.home / "cache-home/bootseer/deps").iterdir()
    return tree / "files" / str(world.venv)[1:]


def test_a_second_environment_is_linked_and_works(world: DepsWorld) -> None:
    source = world.site / "alpha/__init__.py"
    inode = source.stat().st_ino
    assert "from what this node has" in restored(world)
    assert source.stat().st_ino == inode
    assert world.python("import alpha, beta; print(alpha.VALUE, beta.VALUE)") == "1 2"
    assert world.pip("check").returncode == 0
    assert world.pip("uninstall", "-y", "alpha").returncode == 0
    assert "from what this node has" in restored(world)
    assert world.python("import alpha; print(alpha.VALUE)") == "1"


def test_what_installers_rewrite_is_copied(world: DepsWorld) -> None:
    restored(world)
    for path in world.site.glob("*.dist-info/*"):
        assert path.stat().st_nlink == 1, path
    assert (world.site / "alpha/data.bin").stat().st_nlink > 1


EDITS = {
    "contents": lambda path: path.write_bytes(b"VALUE = 666\n"),
    "contents of the same size": lambda path: path.write_bytes(b"VALUE = 6\n"),
    "mode": lambda path: path.chmod(0o600),
    "owner": lambda path: os.chown(path, 1234, 1234),
    "time": lambda path: os.utime(path, (1, 1)),
}


@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_of_an_installed_file_does_not_get_into_the_next(
    world: DepsWorld, edit: str
) -> None:
    EDITS[edit](world.site / "alpha/__init__.py")
    assert "from what this node has" not in restored(world)
    assert world.python("import alpha; print(alpha.VALUE)") == "1"
    assert (world.site / "alpha/__init__.py").stat().st_mode & 0o777 == 0o644
    assert "from what this node has" in restored(world), "it is kept anew"


def test_a_tree_with_a_file_missing_is_not_used(world: DepsWorld) -> None:
    (kept(world) / world.site.relative_to(world.venv) / "beta/sub/__init__.py").unlink()
    assert "from what this node has" not in restored(world)
    assert (world.site / "beta/sub/__init__.py").exists()


def test_a_cache_on_another_file_system_is_no_trouble(world: DepsWorld) -> None:
    point = world.home / "elsewhere"
    point.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", point], check=True)
    try:
        other = DepsWorld(world.home, world.pristine, {"XDG_CACHE_HOME": str(point)})
        for _ in range(2):
            other.fresh()
            done = other.install()
            assert "restored" in done.stderr
            assert "from what this node has" not in done.stderr
        assert list((point / "bootseer/deps").iterdir()) == []
    finally:
        subprocess.run(["umount", point], check=True)


@pytest.fixture
def sharing(tmp_path: Path) -> Iterator[Path]:
    """A file system whose files can share blocks."""
    image, point = tmp_path / "image", tmp_path / "xfs"
    with image.open("wb") as file:
        file.truncate(400 << 20)
    make = ["mkfs.xfs", "-q", "-m", "reflink=1", str(image)]
    subprocess.run(make, check=True, capture_output=True)
    point.mkdir()
    subprocess.run(["mount", "-o", "loop", image, point], check=True)
    yield point
    subprocess.run(["umount", "-l", point], check=True)


def test_where_files_can_share_blocks_a_second_environment_has_files_of_its_own(
    sharing: Path, pristine: Path
) -> None:
    world = make_world(sharing, pristine)
    world.install()
    world.fresh()
    assert "restored" in world.install().stderr
    source = world.site / "alpha/__init__.py"
    status = source.stat()
    source.write_bytes(b"VALUE = 6\n")
    os.utime(source, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert "from what this node has" in restored(world)
    assert world.python("import alpha, beta; print(alpha.VALUE, beta.VALUE)") == "1 2"
    large = world.site / "alpha/data.bin"
    assert large.stat().st_nlink == 1
    mapped = subprocess.run(["filefrag", "-v", large], capture_output=True, text=True, check=True)
    assert "shared" in mapped.stdout


def test_no_more_than_some_trees_are_kept(tmp_path: Path) -> None:
    steps = make_step_world(tmp_path)
    for number in range(6):
        for said in ("kept", "restored"):
            steps.fresh()
            assert said in steps.step("--key-extra", str(number)).stderr
    assert len(list((tmp_path / "cache-home/bootseer/deps").iterdir())) == 4
    steps.fresh()
    assert "from what this node has" in steps.step("--key-extra", "5").stderr
    assert steps.in_place()
