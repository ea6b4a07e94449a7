"""Everything that a file system can hold comes back as it was, whichever way it was captured."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from depsnap_world import StepWorld, make_step_world

pytestmark = pytest.mark.containers

WAYS = ["overlay", "user-overlay", "scan"]
ROOT_ONLY = {"overlay", "scan"}
"""Ways in which the step may give files away: a user namespace has one user."""


@pytest.fixture
def world(tmp_path: Path) -> StepWorld:
    return make_step_world(tmp_path)


def kept(world: StepWorld, way: str, script: str) -> "subprocess.CompletedProcess[str]":
    """Run a script in the root, and capture it."""
    done = world.run("--root", str(world.root), "--capture", way, "--", *step(world, script))
    assert "kept" in done.stderr, done.stderr
    assert way.replace("-", " ") == world.heads()[-1]["capture"], done.stderr
    return done


def restored(world: StepWorld, way: str, script: str) -> "subprocess.CompletedProcess[str]":
    """Restore what the script did, without running it."""
    options = ("--root", str(world.root), "--require-snapshot")
    done = world.run(*options, "--", *step(world, script))
    assert done.returncode == 0, done.stderr
    assert "restored" in done.stderr, way
    return done


def step(world: StepWorld, script: str) -> tuple[str, ...]:
    return ("bash", "-c", f"set -e; cd {world.root}; {script}")


def look(root: Path) -> dict[str, object]:
    """Return all that can be seen of a directory, but for our own."""
    found: dict[str, object] = {}
    for path in sorted(root.rglob("*")):
        if ".depsnap" in path.parts:
            continue
        status = path.lstat()
        facts: list[object] = [oct(status.st_mode), status.st_uid, status.st_gid]
        if stat.S_ISREG(status.st_mode):
            facts += [status.st_size, status.st_mtime_ns, path.read_bytes()[:4096]]
            facts += [(name, os.getxattr(path, name)) for name in sorted(os.listxattr(path))]
        elif stat.S_ISLNK(status.st_mode):
            facts += [str(path.readlink()), status.st_mtime_ns]
        found[str(path.relative_to(root))] = facts
    return found


EVERYTHING = """
mkdir -p d/e; echo a > d/a; chmod 4751 d/a; echo b > d/e/b; chmod 600 d/e/b
ln -s ../nowhere d/dangling; ln -s a d/link; : > d/empty
touch -d '2001-02-03 04:05:06.789012345' d/a; touch -h -d '2011-02-03 04:05:06.123' d/link
touch -d '1960-01-01 00:00:00' d/empty; mkdir d/hollow; chmod 1777 d/hollow
setfattr -n user.note -v hello d/a; printf 'ä' > 'd/ä ö'; printf x > $'d/\\xff\\n'
umask 077; echo private > d/private
"""


@pytest.mark.parametrize("way", WAYS)
def test_modes_times_links_names_and_attributes_come_back(world: StepWorld, way: str) -> None:
    kept(world, way, EVERYTHING)
    before = look(world.root)
    world.fresh()
    restored(world, way, EVERYTHING)
    assert look(world.root) == before
    assert before["d/a"][0] == "0o104751"  # type: ignore[index]


@pytest.mark.parametrize("way", sorted(ROOT_ONLY))
def test_owners_come_back(world: StepWorld, way: str) -> None:
    script = "echo a > a; chown 1234:4321 a; mkdir d; chown 77 d; ln -s x l; chown -h 5 l"
    kept(world, way, script)
    before = look(world.root)
    world.fresh()
    restored(world, way, script)
    assert look(world.root) == before


@pytest.mark.parametrize("way", WAYS)
def test_hard_links_inside_stay_and_those_that_leave_become_files(
    world: StepWorld, way: str
) -> None:
    outside = world.home / "cache"
    outside.write_text("shared")
    script = f"echo x > a; ln a b; mkdir d; ln a d/c; ln {outside} out || cp {outside} out"
    kept(world, way, script)
    world.fresh()
    restored(world, way, script)
    assert len({(world.root / name).stat().st_ino for name in ("a", "b", "d/c")}) == 1
    assert not (world.root / "out").samefile(outside)
    assert (world.root / "out").read_text() == "shared"


@pytest.mark.parametrize("way", WAYS)
def test_sparse_files_stay_sparse(world: StepWorld, way: str) -> None:
    script = (
        "truncate -s 1G holes; printf data | dd of=holes bs=1 seek=500000000 conv=notrunc;"
        "truncate -s 300M hollow; truncate -s 40K small; printf x >> small"
    )
    kept(world, way, script)
    world.fresh()
    restored(world, way, script)
    holes = world.root / "holes"
    assert (holes.stat().st_size, (world.root / "hollow").stat().st_size) == (1 << 30, 300 << 20)
    assert holes.stat().st_blocks * 512 < 1 << 20
    with holes.open("rb") as file:
        file.seek(500_000_000 - 2)
        assert file.read(8) == b"\0\0data\0\0"
    assert (world.root / "small").read_bytes() == bytes(40 << 10) + b"x"


def base(world: StepWorld) -> None:
    """Make what the image has."""
    world.fresh()
    for name in ("p/old", "p/same", "p/sub/x", "q/a", "r", "s/t/u"):
        path = world.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
        os.utime(path, ns=(10**18, 10**18))
    (world.root / "big").write_bytes(bytes(5_000_000))


@pytest.mark.parametrize("way", WAYS)
def test_deletions_and_replacements_come_back(world: StepWorld, way: str) -> None:
    script = (
        "rm p/old; echo new > p/new; rm -r q; mkdir q; echo b > q/b; rm r; mkdir r; echo c > r/c;"
        "rm -r s; echo s > s; rm -rf p/sub"
    )
    base(world)
    kept(world, way, script)
    before = {name: facts for name, facts in look(world.root).items() if name != "big"}
    assert "q/a" not in before
    base(world)
    restored(world, way, script)
    assert {name: facts for name, facts in look(world.root).items() if name != "big"} == before


@pytest.mark.parametrize("way", ["overlay", "user-overlay"])
def test_what_is_only_touched_on_the_way_is_not_kept(world: StepWorld, way: str) -> None:
    base(world)
    kept(world, way, "mode=$(stat -c %a big); chmod 600 big; chmod $mode big; echo x > x")
    assert world.heads()[-1]["size"] == 2


@pytest.mark.parametrize("way", WAYS)
def test_caches_sockets_pipes_and_our_own_are_not_kept(world: StepWorld, way: str) -> None:
    script = (
        "mkdir -p .cache/pip d; echo c > .cache/pip/x; mkfifo d/pipe; echo keep > d/keep;"
        "echo own > $PIP_CACHE_DIR/wheel;"
        "python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"d/s\")'"
    )
    (world.root / "wheels").mkdir()
    world = StepWorld(world.home, world.pristine, {"PIP_CACHE_DIR": str(world.root / "wheels")})
    kept(world, way, script)
    assert (world.root / ".cache/pip/x").exists(), "as without us"
    assert stat.S_ISFIFO((world.root / "d/pipe").lstat().st_mode)
    world.fresh()
    (world.root / "wheels").mkdir()
    restored(world, way, script)
    assert sorted(look(world.root)) == ["d", "d/keep", "wheels"]


def test_what_is_written_outside_of_the_roots_is_named(world: StepWorld) -> None:
    world = StepWorld(world.home, world.pristine, {"HOME": str(world.home)})
    for way in WAYS:
        script = f"mkdir -p ~/.local/bin; echo {way} > ~/.local/bin/tool; echo {way} > x"
        done = world.run("--root", str(world.root), "--capture", way, "--", *step(world, script))
        assert f"changed {world.home}/.local/bin/tool outside of the roots" in done.stderr
    done = world.run("--root", str(world.root), "--", *step(world, "echo y > y"))
    assert "kept" in done.stderr
    assert "outside of the roots" not in done.stderr


@pytest.mark.parametrize("way", WAYS)
def test_what_the_command_leaves_running_is_waited_for(world: StepWorld, way: str) -> None:
    script = "(sleep 0.3; echo late > late) > /dev/null 2>&1 & echo early > early"
    kept(world, way, script)
    world.fresh()
    restored(world, way, script)
    assert (world.root / "late").read_text() == "late\n"


def test_the_umask_of_who_restores_does_not_matter(world: StepWorld) -> None:
    kept(world, "overlay", EVERYTHING)
    before = look(world.root)
    world.fresh()
    masked = ("sh", "-c", 'umask 077; exec "$@"', "sh")
    options = ("--root", str(world.root), "--require-snapshot")
    for _ in range(3):  # from the store, and from what the node has kept
        world.fresh()
        words = ("run", "--name", "job", *options, "--", *step(world, EVERYTHING))
        assert world.deps_as(masked, *words).returncode == 0
        assert look(world.root) == before


def test_several_roots_are_one_snapshot(world: StepWorld) -> None:
    other = world.home / "other"
    other.mkdir()
    script = f"echo a > a; echo b > {other}/b"
    options = ("--root", str(world.root), "--root", str(other))
    for way in WAYS:
        world.fresh()
        (other / "b").unlink(missing_ok=True)
        extra = ("--key-extra", way)
        done = world.run(*options, *extra, "--capture", way, "--", *step(world, script))
        assert "kept" in done.stderr
        world.fresh()
        (other / "b").unlink()
        done = world.run(*options, *extra, "--require-snapshot", "--", *step(world, script))
        assert done.returncode == 0, done.stderr
        assert (world.root / "a").read_text() + (other / "b").read_text() == "a\nb\n"


def test_who_is_not_root_owns_what_it_restores_without_privileges(world: StepWorld) -> None:
    script = "echo a > a; chown 1234 a; chmod 4755 a; echo b > b"
    options = ("--root", str(world.root), "--python", sys.executable)
    assert "kept" in world.run(*options, "--", *step(world, script)).stderr
    world.fresh()
    for path in (world.home, world.root, world.store):
        subprocess.run(["chmod", "-R", "a+rwX", path], check=True)
    # It may read everything, or it could not read this Python.
    reads = ("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search")
    user = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *reads)
    as_user = StepWorld(world.home, world.pristine, {"HOME": str(world.home)})
    done = as_user.deps_as(user, "run", "--name", "job", *options, "--", *step(world, script))
    assert done.returncode == 0, done.stderr
    assert "restored" in done.stderr, done.stderr
    assert "lost set-ID bits" in done.stderr
    status = (world.root / "a").stat()
    assert (status.st_uid, stat.S_IMODE(status.st_mode)) == (65534, 0o755)


def test_names_that_only_look_alike_stay_apart(world: StepWorld) -> None:
    composed, decomposed = "caf\u00e9", "cafe\u0301"
    names = (composed, decomposed, "Readme", "README", "readme")
    script = " ".join(f"echo {number} > '{name}';" for number, name in enumerate(names))
    kept(world, "overlay", script)
    world.fresh()
    restored(world, "overlay", script)
    found = {path.name: path.read_text().strip() for path in world.root.glob("[!.]*")}
    assert found == {name: str(number) for number, name in enumerate(names)}
