"""Layouts by path."""

import random
from pathlib import Path

import pytest

import fuse_hdfs
from bootseer.cli.hdfs_volume import volume_settings
from bootseer.config import Config
from bootseer.errors import UsageError
from bootseer.records_from_yaml import parse
from fuse_hdfs.files.rules import matches
from fuse_hdfs.files.settings import Settings

DATA = random.Random(9).randbytes(500_001)


@pytest.mark.parametrize(
    ("pattern", "paths", "others"),
    [
        ("*.pt", ["a.pt", "d/e/a.pt", ".pt"], ["a.ptx", "a.pt/b"]),
        ("logs/", ["logs/a", "logs/b/c"], ["logs", "a/logs/b", "logsx/a"]),
        ("a/*.pt", ["a/b.pt"], ["a/b/c.pt", "b/a/c.pt"]),
        ("/a.pt", ["a.pt"], ["d/a.pt"]),
        ("a/**/c?.pt", ["a/c1.pt", "a/b/c1.pt", "a/b/b/cc.pt"], ["a/b/c.pt", "a/c/.pt", "c1.pt"]),
        ("**/x/*", ["x/a", "b/x/a"], ["x", "bx/a"]),
        ("run[0-2!]/*", ["run1/a", "run!/a"], ["run3/a"]),
        ("run[!0-2]/*", ["run3/a"], ["run1/a", "run//a"]),
        ("a+b.(c)", ["a+b.(c)"], ["aab.c"]),
        ("*", ["a", "d/a"], []),
    ],
)
def test_a_pattern_is_that_of_some_paths(pattern: str, paths: list[str], others: list[str]) -> None:
    assert [path for path in paths if not matches(pattern, path)] == []
    assert [path for path in others if matches(pattern, path)] == []


def settings_of(text: str) -> Settings:
    return volume_settings(parse(Config, text, "test.yaml").hdfs)


def test_the_first_rule_that_matches_is_the_layout() -> None:
    settings = settings_of("""
hdfs:
  stripe_count: 4
  rules:
    - {match: "*.log", stripe_count: 1, small: 0}
    - {match: runs/, stripe_unit: 1MiB}
    - match: "runs/*.log"
      small: 5
""")
    plain = settings.layout("runs/a.log")
    assert (plain.striping.stripes, plain.striping.unit, plain.small) == (1, 4 << 20, 0)
    run = settings.layout("runs/a/b")
    assert (run.striping.stripes, run.striping.unit, run.small) == (4, 1 << 20, 4 << 20)
    assert settings.layout("other").striping.stripes == 4


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("{stripe_unit: 5000}", "power of two"),
        ("{stripe_count: 0}", r"rules\[0\]\.stripe_count: expected 1 to 256"),
        ("{pattern: a}", r"rules\[0\]\.pattern: unknown key"),
        ("text", "expected keys and values"),
    ],
)
def test_a_mistake_in_a_rule_is_named(rule: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        settings_of(f"hdfs: {{rules: [{rule}]}}")


def test_files_are_laid_out_by_their_rules_and_one_stripe_is_plain(tmp_path: Path) -> None:
    settings = settings_of("""
hdfs:
  stripe_unit: 64KiB
  small: 1000B
  rules:
    - {match: "*.plain", stripe_count: 1}
    - {match: "*.two", stripe_count: 2}
""")
    store = f"file://{tmp_path}"
    for name in ("a.plain", "a.two", "a"):
        with fuse_hdfs.open(store, name, "wb", settings) as file:
            file.write(DATA)
    assert (tmp_path / "a.plain").read_bytes() == DATA
    stripes = sorted(path.parent.name for path in tmp_path.glob(".bootseer/segments/*/*/*"))
    assert sorted(stripes.count(one) for one in set(stripes)) == [2, 8]
    with fuse_hdfs.open(store, "a.plain", "r+b", settings) as file:
        file.seek(100_000)
        file.write(b"changed")
        file.seek(0, 2)
        file.write(DATA)
    expected = DATA[:100_000] + b"changed" + DATA[100_007:] + DATA
    assert (tmp_path / "a.plain").read_bytes() == expected
    assert len(list(tmp_path.glob(".bootseer/segments/*/*"))) == 2
