"""A changed step on the snapshot that it had before: the same outcome, or none of it."""

import subprocess
from pathlib import Path

import pytest
from depsnap_world import DepsWorld, make_pristine, make_wheel, make_world

pytestmark = pytest.mark.containers


@pytest.fixture(scope="module")
def pristine() -> Path:
    return make_pristine()


@pytest.fixture
def world(tmp_path: Path, pristine: Path) -> DepsWorld:
    """A node with a snapshot of alpha 1.0 and beta 2.0, and nothing in place."""
    made = make_world(tmp_path, pristine)
    assert "kept" in made.install().stderr
    make_wheel(made.wheels, "alpha", "1.1", {"alpha/__init__.py": b"VALUE = 11\n"})
    make_wheel(made.wheels, "gamma", "3.0", {"gamma.py": b"VALUE = 3\n"})
    made.fresh()
    return made


def names(world: DepsWorld) -> set[str]:
    """Return the paths in the environment."""
    listed = subprocess.run(
        ["find", ".", "-not", "-path", "./.depsnap*"],
        cwd=world.venv,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(listed.stdout.split())


def want(world: DepsWorld, *lines: str) -> None:
    (world.home / "requirements.txt").write_text("".join(f"{line}\n" for line in lines))


def fresh_names(world: DepsWorld) -> set[str]:
    """Return the paths after the same step without any snapshot."""
    world.fresh()
    done = world.deps("capture", "--name", "other", "--", *world.pip_install("-r", *REQUIREMENTS))
    assert done.returncode == 0, done.stderr
    return names(world)


REQUIREMENTS = ("requirements.txt",)


@pytest.mark.parametrize("way", ["overlay", "user-overlay"])
def test_one_package_more_is_installed_on_what_was_there(world: DepsWorld, way: str) -> None:
    want(world, "alpha==1.0", "beta==2.0", "gamma==3.0")
    done = world.install("--base", "nearest", "--capture", way)
    assert done.returncode == 0
    assert "runs on the snapshot with key" in done.stderr
    assert "dropped" not in done.stderr
    assert "Requirement already satisfied: alpha" in done.stdout
    assert "Successfully installed gamma" in done.stdout
    assert "kept" in done.stderr
    found = names(world)
    world.fresh()
    assert "restored" in world.install("--require-snapshot").stderr
    assert names(world) == found
    assert world.pip("check").returncode == 0
    assert world.python("import alpha, beta, gamma; print(alpha.VALUE, gamma.VALUE)") == "1 3"
    assert fresh_names(world) == found


def test_another_version_leaves_nothing_of_the_old_one(world: DepsWorld) -> None:
    want(world, "alpha==1.1", "beta==2.0")
    done = world.install("--base", "nearest")
    assert "dropped" not in done.stderr
    assert "Successfully uninstalled alpha-1.0" in done.stdout
    found = names(world)
    assert not (world.site / "alpha/data.bin").exists()
    assert fresh_names(world) == found


def test_what_is_not_asked_for_any_more_is_not_kept(world: DepsWorld) -> None:
    want(world, "alpha==1.0")
    done = world.install("--base", "nearest")
    assert done.returncode == 0
    assert "dropped: beta 2.0 would not be there" in done.stderr
    assert not (world.site / "beta").exists()
    found = names(world)
    assert fresh_names(world) == found


def test_a_file_that_no_distribution_owns_is_not_kept(world: DepsWorld, tmp_path: Path) -> None:
    pip = tmp_path / "pip"
    pip.write_text(
        f'#!/bin/sh\n{world.venv}/bin/pip "$@" && [ -e {tmp_path}/on ] || '
        f"touch {world.site}/left.py\n"
    )
    pip.chmod(0o755)
    step = (str(pip), *world.pip_install("-r", "requirements.txt")[1:])
    want(world, "beta==2.0")
    assert "kept" in world.run("--", *step).stderr
    world.fresh()
    (tmp_path / "on").touch()
    want(world, "beta==2.0", "gamma==3.0")
    done = world.run("--base", "nearest", "--", *step)
    assert done.returncode == 0
    assert "left.cpython" in done.stderr
    assert "and 1 more would not be there" in done.stderr
    assert not (world.site / "left.py").exists()
    assert world.python("import gamma; print(gamma.VALUE)") == "3"


def test_a_step_that_fails_on_it_runs_on_the_clean_base(world: DepsWorld) -> None:
    want(world, "alpha==1.0", "missing==1")
    done = world.install("--base", "nearest")
    assert done.returncode != 0
    assert "pip does not say what it would install" in done.stderr
    assert not (world.site / "alpha").exists()


def test_only_pip_can_prove_it(world: DepsWorld) -> None:
    script = f"mkdir -p {world.venv}/made"
    assert "kept" in world.run("--", "sh", "-c", script).stderr
    world.fresh()
    done = world.run("--base", "nearest", "--", "sh", "-c", f"{script}/more")
    assert done.returncode == 0
    assert "only pip can say what it would install" in done.stderr
    assert (world.venv / "made/more").is_dir()


def test_a_scan_cannot_do_it(world: DepsWorld) -> None:
    want(world, "alpha==1.0", "beta==2.0", "gamma==3.0")
    done = world.install("--base", "nearest", "--capture", "scan")
    assert done.returncode == 0
    assert "only an overlay lets the command run on a snapshot" in done.stderr
    assert "Successfully installed alpha-1.0 beta-2.0 gamma-3.0" in done.stdout
