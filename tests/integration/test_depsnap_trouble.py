"""Whatever is wrong with a snapshot or its store, the command runs and the start goes on."""

import hashlib
import socket
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from depsnap_world import StepWorld, make_step_world

from depsnap.snapshots.head import decode_head, encode_head
from depsnap.swap.workplace import Workplace
from depsnap.tree.entries import Entry, Kind, Tree
from depsnap.tree.table import table_of
from depsnap.tree.tree_format import encode_table

pytestmark = pytest.mark.containers


@pytest.fixture
def world(tmp_path: Path) -> StepWorld:
    return make_step_world(tmp_path)


def changed(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def longer(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"x")


def as_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGE = [changed, truncated, emptied, Path.unlink, as_directory]


@pytest.mark.parametrize("folder", ["packs", "trees", "snapshots"])
@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_said_and_the_command_runs_and_the_next_restores(
    world: StepWorld, folder: str, damage: Callable[[Path], None]
) -> None:
    assert world.step().returncode == 0
    damage(world.only(folder))
    world.fresh()
    second = world.step()
    assert second.returncode == 0, second.stderr
    assert world.runs() == 2
    assert world.in_place()
    world.fresh()
    third = world.step()
    assert third.returncode == 0
    assert world.in_place()
    if damage is not as_directory:  # that, only an operator can repair
        assert world.runs() == 2, third.stderr


def test_a_changed_letter_in_what_is_for_people_is_damage_too(world: StepWorld) -> None:
    world.step()
    head = world.only("snapshots")
    data = head.read_bytes()
    at = data.index(b'"capture": "') + len(b'"capture": "')
    head.write_bytes(data[:at] + bytes((data[at] ^ 1,)) + data[at + 1 :])
    world.fresh()
    assert "no snapshot" in world.step().stderr
    assert world.runs() == 2
    assert world.in_place()


@pytest.mark.parametrize("folder", ["packs", "trees", "snapshots"])
def test_damage_is_an_error_for_who_requires_a_snapshot(world: StepWorld, folder: str) -> None:
    world.step()
    changed(world.only(folder))
    world.fresh()
    done = world.step("--require-snapshot")
    assert done.returncode in (3, 5)
    assert "error:" in done.stderr
    assert world.runs() == 1
    assert list(world.root.glob("package*")) == []


def published(world: StepWorld, entries: Callable[[Path], list[Entry]]) -> None:
    """Put another tree into the only snapshot, right in everything but what it says."""
    head_file, tree_file = world.only("snapshots"), world.only("trees")
    head = decode_head(head_file.read_bytes())
    data = encode_table(table_of(Tree(entries(world.root), ())))
    digest = hashlib.sha256(data).hexdigest()
    tree_file.with_name(digest).write_bytes(data)
    head_file.write_bytes(encode_head(replace(head, tree=digest, tree_size=len(data))))


def above(root: Path) -> list[Entry]:
    parts = str(root).strip("/").split("/")
    return [Entry("/".join(parts[: n + 1]), Kind.KEPT) for n in range(len(parts))]


HOSTILE = {
    "dots": lambda root: [*above(root), Entry(f"{str(root)[1:]}/../evil", Kind.FILE)],
    "absolute": lambda root: [*above(root), Entry("/evil", Kind.FILE)],
    "outside": lambda root: [*above(root), Entry(f"{str(root.parent)[1:]}/zevil", Kind.FILE)],
    "through a link": lambda root: [
        *above(root),
        Entry(f"{str(root)[1:]}/link", Kind.SYMLINK, target=".."),
        Entry(f"{str(root)[1:]}/link/evil", Kind.FILE),
    ],
    "link to outside": lambda root: [
        *above(root),
        Entry(f"{str(root)[1:]}/evil", Kind.HARDLINK, target="etc/passwd"),
    ],
    "twice": lambda root: [*above(root), *[Entry(f"{str(root)[1:]}/evil", Kind.FILE)] * 2],
    "contents from nowhere": lambda root: [
        *above(root),
        Entry(f"{str(root)[1:]}/evil", Kind.FILE, size=5, pack=7),
    ],
}


@pytest.mark.parametrize("how", HOSTILE)
def test_a_hostile_tree_touches_nothing_and_the_command_runs(world: StepWorld, how: str) -> None:
    world.step()
    published(world, HOSTILE[how])
    world.fresh()
    done = world.step()
    assert done.returncode == 0
    assert "cannot be" in done.stderr
    assert world.runs() == 2
    assert world.in_place()
    assert list(world.home.rglob("*evil*")) == []


def test_a_device_node_is_not_made(world: StepWorld) -> None:
    world.step()

    def entries(root: Path) -> list[Entry]:
        return [*above(root), Entry(f"{str(root)[1:]}/evil", "b")]  # type: ignore[arg-type]

    published(world, entries)
    world.fresh()
    assert world.step().returncode == 0
    assert world.in_place()
    assert not (world.root / "evil").exists()


def test_names_that_differ_by_case_only_are_two_names(world: StepWorld) -> None:
    script = 'mkdir -p "$1"/package; echo 1 > "$1"/package/Name; echo 2 > "$1"/package/name'
    step = ("--root", str(world.root), "--", "sh", "-c", script, "sh", str(world.root))
    world.run(*step)
    world.fresh()
    assert world.run("--require-snapshot", *step).returncode == 0
    assert [one.name for one in sorted((world.root / "package").iterdir())] == ["Name", "name"]


@pytest.mark.parametrize("address", ["file:///proc/none", "http://x", "webhdfs://127.0.0.1:1/x"])
def test_a_store_that_cannot_be_reached_is_said_and_the_command_runs(
    world: StepWorld, address: str
) -> None:
    done = world.step("--store", address)
    assert done.returncode == 0
    assert world.runs() == 1
    assert world.in_place()
    assert len([line for line in done.stderr.splitlines() if "bootseer deps:" in line]) <= 3


def test_a_store_that_never_answers_is_given_up(world: StepWorld) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        config = world.home / "config.yaml"
        config.write_text("deps: {timeout: 1}")
        address = f"webhdfs://127.0.0.1:{port}/x"
        done = world.step("--store", address, "--config", str(config))
    assert done.returncode == 0
    assert "the store cannot be read" in done.stderr
    assert world.in_place()


def test_a_store_that_is_read_only_is_read_and_not_written(world: StepWorld) -> None:
    world.step()
    subprocess.run(["mount", "--bind", world.store, world.store], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", world.store], check=True)
        world.fresh()
        assert "restored" in world.step().stderr
        world.fresh()
        done = world.step("--key-extra", "other")
        assert done.returncode == 0
        assert "no snapshot is made" in done.stderr
        assert world.in_place()
    finally:
        subprocess.run(["umount", world.store], check=True)


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system that a package does not fit on."""
    point = tmp_path / "small"
    point.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", point], check=True)
    yield point
    subprocess.run(["umount", "-l", point], check=True)


def test_a_full_store_is_said_and_the_start_goes_on(world: StepWorld, small: Path) -> None:
    done = world.step("--store", f"file://{small}")
    assert done.returncode == 0
    assert "No space left" in done.stderr
    assert world.in_place()
    assert world.step("--store", f"file://{small}").returncode == 0


def test_a_full_disk_while_restoring_leaves_what_was_there(world: StepWorld, small: Path) -> None:
    # Captured while there was room, restored where there is none.
    subprocess.run(["mount", "-o", "remount,size=20m", small], check=True)
    assert "kept" in world.step(root=small).stderr
    subprocess.run(["rm", "-rf", small / "package", small / ".depsnap"], check=True)
    (small / "before").write_text("kept")
    subprocess.run(["mount", "-o", "remount,size=2m", small], check=True)
    done = world.step("--require-snapshot", root=small)
    assert done.returncode == 6
    assert "No space left" in done.stderr
    assert sorted(one.name for one in small.iterdir()) == [".depsnap", "before"]
    assert world.runs() == 1


def test_a_target_that_cannot_be_written_is_said_and_the_command_runs(world: StepWorld) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", world.root], check=True)
    try:
        done = world.run("--root", str(world.root), "--", "sh", "-c", "echo ran; exit 3")
    finally:
        subprocess.run(["umount", world.root], check=True)
    assert (done.returncode, done.stdout) == (3, "ran\n")
    assert "Read-only file system" in done.stderr


def test_a_snapshot_of_other_directories_is_not_restored(world: StepWorld) -> None:
    world.step()
    head_file = world.only("snapshots")
    head = decode_head(head_file.read_bytes())
    head_file.write_bytes(encode_head(replace(head, roots=("/var/tmp", str(world.root)))))
    world.fresh()
    done = world.step()
    assert "the snapshot is of /var/tmp" in done.stderr
    assert world.runs() == 2
    assert world.in_place()


def test_a_killed_restore_is_undone_or_finished_by_the_next_start(world: StepWorld) -> None:
    world.step()
    world.fresh()
    dead = Workplace((world.root,), "dead")
    (dead.new(world.root) / "package").mkdir(parents=True)
    dead.old(world.root).mkdir()
    done = world.step()
    assert "killed process" in done.stderr
    assert "restored" in done.stderr
    assert world.in_place()
    assert not list((world.root / ".depsnap/work").iterdir())


def test_credentials_are_not_published(world: StepWorld) -> None:
    for name, content in (
        (".netrc", "machine x login y password z"),
        ("pip.conf", "[global]\nindex-url = https://me:secret@host/simple\n"),
        ("x-1.0.dist-info/direct_url.json", '{"url": "https://user:pw@host/x.whl"}'),
        (".git-credentials", "https://a:b@c"),
        ("etc/shadow", "root:*:1:0:::::\nme:$y$j9T$abc$def:1:0:::::"),
    ):
        world.fresh()
        target = world.root / name
        script = f"mkdir -p {target.parent}; cat > {target} <<'E'\n{content}\nE\n"
        done = world.run("--root", str(world.root), "--", "sh", "-c", script)
        assert done.returncode == 0
        assert f"{name} holds credentials" in done.stderr
        assert target.exists()
    assert world.heads() == []
    assert world.packs() == []


def test_secrets_of_the_command_are_not_stored(world: StepWorld) -> None:
    world.step("--key-extra", "https://me:hunter2@host/")
    command = ["sh", "-c", f"echo x > {world.root}/x", "--token=hunter2", "--password", "hunter2"]
    world.run("--root", str(world.root), "--", *command)
    found = [path for path in world.store.rglob("*") if path.is_file()]
    assert len(found) > 3
    assert not any(b"hunter2" in path.read_bytes() for path in found)
