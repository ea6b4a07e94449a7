"""`bootseer deps run` with real pip: the first run installs, every later one restores."""

import contextlib
import os
import pty
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from depsnap_world import DepsWorld, make_pristine, make_wheel, make_world

from bootseer.events.event import Phase
from bootseer.events.reading import read_events


@pytest.fixture(scope="session")
def pristine() -> Path:
    return make_pristine()


@pytest.fixture
def world(tmp_path: Path, pristine: Path) -> DepsWorld:
    return make_world(tmp_path, pristine)


def values(world: DepsWorld) -> str:
    return world.python("import alpha, beta, beta.sub; print(alpha.VALUE, beta.VALUE)")


pytestmark = pytest.mark.containers
WAYS = ["overlay", "user-overlay", "scan"]


@pytest.mark.parametrize("way", WAYS)
def test_the_first_run_installs_and_a_fresh_node_restores(world: DepsWorld, way: str) -> None:
    first = world.install("--capture", way)
    assert first.returncode == 0
    assert "Successfully installed" in first.stdout
    assert "kept" in first.stderr
    assert [head["capture"] for head in world.heads()] == [way.replace("-", " ")]
    assert values(world) == "1 2"
    world.fresh()
    second = world.install("--require-snapshot")
    assert second.returncode == 0
    assert second.stdout == ""
    assert "restored" in second.stderr
    assert values(world) == "1 2"
    assert world.pip("check").returncode == 0
    assert "alpha" in world.pip("list").stdout


def test_where_it_is_in_place_nothing_is_done(world: DepsWorld) -> None:
    world.install()
    assert "already in place" in world.install().stderr
    world.fresh()
    assert "restored" in world.install().stderr
    assert "already in place" in world.install().stderr


def test_times_are_those_of_the_first_node_so_that_compiled_files_are_valid(
    world: DepsWorld,
) -> None:
    world.install()
    source = world.site / "alpha/__init__.py"
    before = source.stat().st_mtime_ns
    world.fresh()
    world.install("--require-snapshot")
    assert source.stat().st_mtime_ns == before
    (compiled,) = source.parent.glob("__pycache__/*.pyc")
    content, when = compiled.read_bytes(), compiled.stat().st_mtime_ns
    assert values(world) == "1 2"
    assert (compiled.read_bytes(), compiled.stat().st_mtime_ns) == (content, when)


def test_what_pip_left_uncompiled_is_compiled_once(world: DepsWorld) -> None:
    world.install(extra=("--no-compile",))
    world.fresh()
    world.install("--require-snapshot", extra=("--no-compile",))
    assert len(list((world.site / "beta").rglob("*.pyc"))) == 2


def test_the_exit_code_is_the_commands_and_a_failure_publishes_nothing(world: DepsWorld) -> None:
    for way in WAYS:
        (world.venv / "left").unlink(missing_ok=True)
        script = f"echo out; echo err >&2; touch {world.venv}/left; exit 7"
        done = world.run("--capture", way, "--", "sh", "-c", script)
        assert done.returncode == 7
        assert done.stdout == "out\n"
        assert "err\n" in done.stderr
        assert (world.venv / "left").exists(), way  # as without us
    assert world.heads() == []


def test_a_command_that_a_signal_ends_has_the_code_that_a_shell_gives(world: DepsWorld) -> None:
    for way in WAYS:
        done = world.run("--capture", way, "--", "sh", "-c", "kill -9 $$")
        assert done.returncode == 137


def test_a_command_that_does_not_exist_has_the_code_that_a_shell_gives(world: DepsWorld) -> None:
    for way in WAYS:
        done = world.run("--capture", way, "--", "no-such-command")
        assert done.returncode == 127
        assert "no-such-command: command not found" in done.stderr


def test_an_upgrade_of_a_base_package_leaves_no_orphans(world: DepsWorld) -> None:
    world.pip("install", "--no-index", "--find-links", str(world.wheels), "alpha==1.0")
    base = world.home / "base"
    world.venv.rename(base)
    new = {"alpha/__init__.py": b"VALUE = 9\n", "alpha/new.py": b""}
    make_wheel(world.wheels, "alpha", "2.0", new)
    step = ("--", *world.pip_install("alpha==2.0"))
    for way in WAYS:
        upgraded = DepsWorld(world.home, base)
        upgraded.fresh()
        first = upgraded.run("--key-extra", way, "--capture", way, *step)
        assert "kept" in first.stderr, first.stderr
        expected = sorted(path.relative_to(world.venv) for path in world.venv.rglob("alpha*/**/*"))
        upgraded.fresh()
        second = upgraded.run("--key-extra", way, "--require-snapshot", *step)
        assert second.returncode == 0, second.stderr
        found = sorted(path.relative_to(world.venv) for path in world.venv.rglob("alpha*/**/*"))
        assert found == expected
        assert not (world.site / "alpha/data.bin").exists()
        assert not (world.site / "alpha-1.0.dist-info").exists()
        assert upgraded.python("import alpha; print(alpha.VALUE)") == "9"
        assert upgraded.pip("check").returncode == 0
        assert upgraded.pip("uninstall", "-y", "alpha").returncode == 0
        assert not (world.site / "alpha").exists()


def test_a_changed_requirement_is_a_miss_that_says_why(world: DepsWorld) -> None:
    world.install()
    make_wheel(world.wheels, "beta", "2.1", {"beta/__init__.py": b"VALUE = 3\n"})
    (world.home / "requirements.txt").write_text("alpha==1.0\nbeta==2.1\n")
    world.fresh()
    done = world.install()
    assert "requirements.txt line 2 changed: beta==2.0 -> beta==2.1" in done.stderr
    assert world.python("import beta; print(beta.VALUE)") == "3"


def test_one_changed_requirement_stores_one_changed_pack(world: DepsWorld) -> None:
    world.install()
    before = {pack.name for pack in world.packs()}
    make_wheel(world.wheels, "beta", "2.1", {"beta/__init__.py": b"VALUE = 3\n"})
    (world.home / "requirements.txt").write_text("alpha==1.0\nbeta==2.1\n")
    world.fresh()
    world.install()
    new = [pack for pack in world.packs() if pack.name not in before]
    assert len(new) == 1
    assert sum(pack.stat().st_size for pack in new) < 4000


def test_without_a_snapshot_required_is_an_error_and_nothing_runs(world: DepsWorld) -> None:
    done = world.run("--require-snapshot", "--", "touch", str(world.venv / "ran"))
    assert done.returncode == 3
    assert "there is no snapshot of job" in done.stderr
    assert not (world.venv / "ran").exists()


def test_a_step_that_changes_nothing_is_not_kept(world: DepsWorld) -> None:
    done = world.run("--", "sh", "-c", "export A=1")
    assert done.returncode == 0
    assert "changed nothing" in done.stderr
    assert world.heads() == []


def test_the_commands_own_json_option_is_its_own(world: DepsWorld) -> None:
    done = world.run("--", "echo", "--json", "--name", "x")
    assert done.stdout == "--json --name x\n"


def test_a_run_tells_of_its_stages(world: DepsWorld) -> None:
    file = world.home / "events.jsonl"
    told = replace(world, variables={"BOOTSEER_EVENTS": str(file), "RANK": "2"})
    told.install()
    world.fresh()
    told.install()
    events = read_events([file]).events
    ends = [event for event in events if event.phase is Phase.END]
    assert [event.stage for event in ends] == [
        *("deps.key", "deps.find", "deps.wait", "deps.install", "deps.capture", "deps.publish"),
        *("deps.key", "deps.find", "deps.restore"),
    ]
    assert [event.identity for event in events[::2]] == [event.identity for event in ends]
    assert {(event.origin.job, event.origin.rank) for event in events} == {("job", 2)}
    assert ends[3].attributes["code"] == 0
    assert ends[-1].attributes["entries"] == ends[4].attributes["entries"]


def test_on_a_terminal_a_bar_shows_how_far_it_is(world: DepsWorld) -> None:
    def seen() -> str:
        own = world.command("run", "--name", "job", "--", *world.pip_install("alpha"))
        master, slave = pty.openpty()
        with subprocess.Popen(
            own, cwd=world.home, env=world.environment() | {"TERM": "xterm"}, stderr=slave
        ):
            os.close(slave)
            data = b""
            with contextlib.suppress(OSError):  # the other end is closed
                while part := os.read(master, 1 << 16):
                    data += part
        os.close(master)
        return data.decode()

    assert "packing" in seen()
    world.fresh()
    assert "restoring" in seen()
