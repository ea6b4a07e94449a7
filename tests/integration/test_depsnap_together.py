"""Ranks of a node, and nodes, that start at once: one installs, the others get its result."""

import subprocess
import sys
from pathlib import Path

import pytest
from depsnap_world import REPOSITORY, StepWorld, make_step_world

pytestmark = pytest.mark.containers

SLOW = '\nsleep 2; echo ran >> "$2/runs"\n'


@pytest.fixture
def world(tmp_path: Path) -> StepWorld:
    made = make_step_world(tmp_path)
    script = tmp_path / "install.sh"
    script.write_text(script.read_text().replace('\necho ran >> "$2/runs"\n', SLOW))
    return made


def started(world: StepWorld, node: str = "") -> "subprocess.Popen[str]":
    """Start the step; with a node's name, with a root of its own at the same path."""
    code = "from bootseer.cli.main import main; main()"
    code = f"import sys; sys.path.insert(0, {str(REPOSITORY)!r}); {code}"
    store = ("--store", f"file://{world.store}")
    command = [sys.executable, "-c", code, "deps", "run", "--name", "job", *store, *world.words()]
    if node:
        own = world.home / node
        own.mkdir()
        script = f'mount --bind {own} {world.root} && exec "$@"'
        command = ["unshare", "-m", "sh", "-c", script, "sh", *command]
    return subprocess.Popen(
        command,
        cwd=world.home,
        env=world.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def said(processes: "list[subprocess.Popen[str]]") -> list[str]:
    """Wait for all; return what each said."""
    outputs = [process.communicate(timeout=120)[1] for process in processes]
    assert [process.returncode for process in processes] == [0] * len(processes), outputs
    return outputs


def test_of_the_ranks_of_a_node_one_installs(world: StepWorld) -> None:
    outputs = said([started(world) for _ in range(3)])
    assert world.runs() == 1
    assert sum("kept" in output for output in outputs) == 1
    assert sum("already in place" in output for output in outputs) == 2
    assert world.in_place()


def test_of_the_ranks_of_a_node_one_restores(world: StepWorld) -> None:
    world.step()
    world.fresh()
    outputs = said([started(world) for _ in range(3)])
    assert world.runs() == 1
    assert sum("restored" in output for output in outputs) == 1
    assert sum("already in place" in output for output in outputs) == 2


def test_of_two_nodes_one_installs_and_the_other_restores(world: StepWorld) -> None:
    outputs = said([started(world, "one"), started(world, "two")])
    assert world.runs() == 1
    assert sum("kept" in output for output in outputs) == 1
    assert sum("waiting for its snapshot" in output for output in outputs) == 1
    assert sum("restored" in output for output in outputs) == 1
    for node in ("one", "two"):
        assert (world.home / node / "package/a").read_text() == "VALUE\n"
    assert list(world.store.glob("leases/*/*/*")) == []


def test_a_killed_rank_leaves_the_lock_to_the_next(world: StepWorld) -> None:
    first = started(world)
    while world.root.stat().st_nlink == 2:  # until it works there
        assert first.poll() is None
    first.kill()
    first.communicate()
    assert "kept" in said([started(world)])[0]
    assert world.in_place()


def test_a_step_that_is_not_pinned_is_run_again_by_one_while_others_use_what_there_is(
    world: StepWorld,
) -> None:
    config = world.home / "config.yaml"
    config.write_text("deps: {fresh: 0}")
    assert "kept" in world.step("--config", str(config)).stderr
    made = (world.root / "package/sub/b").read_text()
    lease = world.store / "leases/job" / str(world.heads()[0]["key"])
    lease.mkdir(parents=True, exist_ok=True)
    (lease / "000001").write_text("{}")  # somebody runs it again at this moment
    world.fresh()
    assert "restored" in world.step().stderr
    assert (world.root / "package/sub/b").read_text() == made
    (lease / "000001").unlink()
    world.fresh()
    assert "kept" in world.step().stderr
    assert world.runs() == 2
    newest = (world.root / "package/sub/b").read_text()
    world.fresh()
    assert "restored" in world.step().stderr, "the new one is fresh for a day"
    assert (world.root / "package/sub/b").read_text() == newest
