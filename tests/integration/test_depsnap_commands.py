"""`bootseer deps`: what its commands show and remove, for people and as JSON."""

import json
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
from depsnap_world import StepWorld, make_step_world

from depsnap.snapshots.head import decode_head, encode_head

pytestmark = pytest.mark.containers


@pytest.fixture
def world(tmp_path: Path) -> StepWorld:
    return make_step_world(tmp_path)


def about(world: StepWorld, verb: str, *options: str) -> list[str]:
    return [verb, "--name", "job", *options, *world.words()]


def document(world: StepWorld, *arguments: str) -> dict[str, object]:
    done = world.deps(*arguments)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_key_names_its_ingredients(world: StepWorld) -> None:
    found = document(world, *about(world, "key", "--json", "--key-extra", "salt"))
    names = [one["name"] for one in found["ingredients"]]
    script = str(world.home / "install.sh")
    assert names[:3] == ["schema", "command", script]
    assert {"interpreter", "installed", "machine", "roots", "environment", "extra"} <= set(names)
    assert found["roots"] == [str(world.root)]
    shown = world.deps(*about(world, "key", "--key-extra", "salt"))
    assert shown.stdout.splitlines()[0] == found["key"]


def test_a_difference_is_explained_in_words(world: StepWorld) -> None:
    assert world.deps(*about(world, "explain")).returncode == 3
    world.step()
    assert "nothing differs" in world.deps(*about(world, "explain")).stdout
    script = world.home / "install.sh"
    script.write_text(script.read_text().replace("echo VALUE", "echo OTHER"))
    found = world.deps(*about(world, "explain")).stdout
    assert "install.sh line 3 changed: echo VALUE" in found
    assert "-> echo OTHER" in found
    differences = document(world, *about(world, "explain", "--json"))["differences"]
    assert len(differences) == 1


def test_snapshots_are_listed_and_shown(world: StepWorld) -> None:
    assert world.deps("ls").stdout.count("\n") == 1
    world.step()
    (row,) = document(world, "ls", "--json")
    assert (row["name"], row["generation"]) == ("job", 1)
    assert row["key"][:12] in world.deps("ls", "job").stdout
    assert document(world, "ls", "other", "--json") == []
    shown = document(world, "show", "job", row["key"][:6], "--json", "--files")
    assert {one["path"] for one in shown["files"]} >= {f"{world.root}/package/large"}
    assert shown["command"][0] == "bash"
    text = world.deps("show", "job", "--files").stdout
    assert "package/sub/b" in text
    assert world.deps("show", "nobody").returncode == 3
    assert world.deps("show", "job", "ab").returncode == 2


def test_capture_makes_a_newer_generation_and_restore_takes_it(world: StepWorld) -> None:
    world.step()
    world.fresh()
    done = world.deps(*about(world, "capture"))
    assert done.returncode == 0, done.stderr
    assert [head["generation"] for head in document(world, "ls", "--json")] == [1, 2]
    made = (world.root / "package/sub/b").read_text()
    world.fresh()
    assert world.deps(*about(world, "restore")).returncode == 0
    assert (world.root / "package/sub/b").read_text() == made
    assert world.runs() == 2


def test_a_dry_run_of_restore_changes_nothing(world: StepWorld) -> None:
    world.step()
    world.fresh()
    done = world.deps(*about(world, "restore", "--dry-run"))
    assert done.stdout == f"place {world.root}/package\n"
    found = document(world, *about(world, "restore", "--dry-run", "--json"))
    assert found["steps"] == [["place", f"{world.root}/package"]]
    assert list(world.root.iterdir()) == []


def test_restore_never_runs_the_command(world: StepWorld) -> None:
    assert world.deps(*about(world, "restore")).returncode == 3
    assert world.runs() == 0


def test_verify_reads_everything_and_drops_what_is_damaged(world: StepWorld) -> None:
    world.step()
    assert "1 snapshots, 0 damaged objects" in world.deps("verify", "job").stdout
    pack = world.only("packs")
    pack.write_bytes(pack.read_bytes()[:-1] + b"\0")
    done = world.deps("verify", "job")
    assert done.returncode == 5
    assert f"damaged: packs/{pack.parent.name}/{pack.name}" in done.stdout
    assert pack.exists()
    done = world.deps("verify", "job", "--drop", "--json")
    assert json.loads(done.stdout)["dropped"]
    assert not pack.exists()


def test_rm_and_gc_remove_what_nothing_names(world: StepWorld) -> None:
    world.step()
    world.deps("run", "--name", "other", *world.words()[:2], "--key-extra", "x", *world.words()[2:])
    world.fresh()
    world.deps("run", "--name", "other", *world.words())
    packs = len(world.packs())
    assert packs >= 3
    dry = document(world, "rm", "job", "--dry-run", "--json")
    assert len(dry["removed"]) == 1
    assert len(world.heads()) == 3
    assert world.deps("rm", "job").returncode == 0
    assert len(world.heads()) == 2
    assert document(world, "gc", "--json")["removed"] == []  # within the grace
    dry = document(world, "gc", "--grace", "0", "--dry-run", "--json")
    assert dry["bytes"] > 1_000_000
    assert len(world.packs()) == packs
    done = document(world, "gc", "--grace", "0", "--json")
    assert done["removed"] == dry["removed"]
    assert len(world.packs()) < packs
    assert world.deps("verify", "other").returncode == 0


def test_gc_removes_older_generations_and_old_snapshots(world: StepWorld) -> None:
    world.step()
    world.fresh()
    world.deps(*about(world, "capture"))
    assert len(document(world, "gc", "--grace", "0", "--json")["removed"]) >= 3
    assert [head["generation"] for head in document(world, "ls", "--json")] == [2]
    world.fresh()
    assert "restored" in world.step().stderr
    document(world, "gc", "--grace", "0", "--older-than", "0", "--json")
    assert [path for path in world.store.rglob("*") if path.is_file()] == []


def made_long_ago(world: StepWorld) -> None:
    """Let all snapshots be ten days old."""
    for file in world.store.glob("snapshots/*/*/*"):
        head = decode_head(file.read_bytes())
        file.write_bytes(encode_head(replace(head, created=head.created - 864_000)))


def test_gc_keeps_what_was_used_not_long_ago(world: StepWorld) -> None:
    world.step()
    world.fresh()
    world.deps("run", "--name", "other", *world.words())
    made_long_ago(world)
    for _ in range(2):
        world.fresh()
        assert "restored" in world.step().stderr
    (use,) = world.store.glob("used/*/*/*/*")
    assert use.relative_to(world.store / "used").parts[0] == "job"
    document(world, "gc", "--unused-for", "5", "--grace", "0", "--json")
    assert [head["name"] for head in document(world, "ls", "--json")] == ["job"]
    document(world, "gc", "--unused-for", "0", "--grace", "0", "--json")
    assert [path for path in world.store.rglob("*") if path.is_file()] == []


def as_if_of_version(head: Path, version: int) -> None:
    """Let a snapshot have been made by another version of bootseer."""
    described = json.loads(head.read_bytes().partition(b"\n")[2]) | {"version": version}
    text = json.dumps(described).encode()
    head.write_bytes(sha256(text).hexdigest().encode() + b"\n" + text)


def test_snapshots_of_another_version_are_passed_over_and_keep_what_they_name(
    world: StepWorld,
) -> None:
    world.step()
    (head,) = world.store.glob("snapshots/*/*/*")
    as_if_of_version(head, 7)
    packs = world.packs()
    done = world.deps("gc", "--grace", "0", "--json")
    assert json.loads(done.stdout)["removed"] == []
    assert "1 snapshots are of another version" in done.stderr
    assert world.packs() == packs
    world.fresh()
    assert "kept" in world.step().stderr
    assert [head["generation"] for head in document(world, "ls", "--json")] == [2]
    assert len(world.heads()) == 2
    document(world, "gc", "--grace", "0", "--older-than", "0", "--json")
    assert [path for path in world.store.rglob("*") if path.is_file()] == []


def test_only_the_snapshot_that_is_named_by_its_digest_counts(world: StepWorld) -> None:
    world.step()
    first = (world.root / "package/sub/b").read_text()
    world.fresh()
    world.deps(*about(world, "capture"))
    rows = document(world, "ls", "--json")
    for digest in (rows[0]["digest"], rows[1]["digest"]):
        world.fresh()
        assert "restored" in world.step("--digest", digest).stderr
        same = (world.root / "package/sub/b").read_text() == first
        assert same == (digest == rows[0]["digest"])
    world.fresh()
    done = world.step("--digest", "0" * 64, "--require-snapshot")
    assert done.returncode == 3
    assert "there is no snapshot 000000000000" in done.stderr


def test_where_a_restored_snapshot_fails_its_check_the_command_runs(world: StepWorld) -> None:
    check = f"test -s {world.root}/package/large"
    world.step("--check", check)
    world.fresh()
    assert world.step("--check", check).returncode == 0
    assert world.runs() == 1
    world.fresh()
    assert world.step("--check", "exit 9", "--require-snapshot").returncode == 6
    assert world.runs() == 1
    world.fresh()
    done = world.step("--check", "exit 9")
    assert done.returncode == 0
    assert "fails its check, which ended with 9: the command runs" in done.stderr
    assert world.runs() == 2
    assert len(world.heads()) == 1, "what it changed on top is less than a snapshot"
    assert "already in place" not in world.step().stderr


def test_names_that_are_none_are_refused(world: StepWorld) -> None:
    for name in ("../x", ".x", "a/b", "", "a" * 101):
        done = world.deps("run", "--name", name, *world.words())
        assert done.returncode == 2
        assert "is no name of a job" in done.stderr
