"""The comparison of methods."""

import math
from pathlib import Path

import pytest
from tiny import DOCUMENT

from idpl.accuracy import Accuracy
from idpl.classes import ClassSet
from idpl.command import main
from idpl.compare.plan import VARIANTS, plan, quick
from idpl.compare.run import read_result
from idpl.compare.table import table
from idpl.config import Config, config_from
from idpl.errors import ConfigError

CLASSES = ClassSet(("road", "pole"), ((0, 0, 0), (1, 1, 1)), frozenset({"pole"}))


def config_file(directory: Path) -> Path:
    import yaml  # noqa: PLC0415

    path = directory / "tiny.yaml"
    path.write_text(yaml.safe_dump(DOCUMENT))
    return path


def test_the_plan_has_every_method_for_every_seed(tmp_path: Path) -> None:
    cells = plan(Config(), tmp_path, (1, 2), list(VARIANTS))
    assert len(cells) == 2 * len(VARIANTS)
    assert len({cell.out for cell in cells}) == len(cells)
    assert {cell.warm_up for cell in cells if cell.config.seed == 1} == {cells[0].warm_up}
    assert len({repr(cell.config.method) for cell in cells}) == len(VARIANTS)


def test_idpl_less_a_part_differs_from_idpl_in_that_part_only(tmp_path: Path) -> None:
    by_name = {cell.variant: cell.config for cell in plan(Config(), tmp_path, (1,), list(VARIANTS))}
    assert by_name["idpl"] == Config()
    less = by_name["idpl, global threshold only"].method
    assert not less.thresholds.local
    assert less.thresholds.portion == Config().method.thresholds.portion


def test_another_configuration_is_kept_elsewhere(tmp_path: Path) -> None:
    one, other = (
        plan(config, tmp_path, (1,), ["idpl"])[0].out for config in (Config(), quick(Config()))
    )
    assert one != other


def test_a_method_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no method 'magic'"):
        plan(Config(), tmp_path, (1,), ["magic"])


def test_the_table_has_means_spread_and_marks_hard_classes() -> None:
    results = {
        "one": [Accuracy(CLASSES, (0.8, 0.2)), Accuracy(CLASSES, (0.6, 0.4))],
        "other": [Accuracy(CLASSES, (0.5, math.nan))],
    }
    assert table(results, CLASSES).splitlines() == [
        "| method | road | pole* |       mean |       hard* |",
        "| ------ | ---: | ----: | ---------: | ----------: |",
        "| one    | 70.0 |  30.0 | 50.0 ± 0.0 | 30.0 ± 14.1 |",
        "| other  | 50.0 |     - |       50.0 |           - |",
    ]


def test_a_comparison_prints_its_table_and_does_nothing_twice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "runs"
    words = ["compare", "--config", str(config_file(tmp_path)), "--out", str(out), "--seeds", "2"]
    words += ["--only", "idpl", "--only", "source-only"]
    assert main(words) == 0
    first = capsys.readouterr().out
    assert first == (out / "table.md").read_text()
    assert [line.split(" | ")[0] for line in first.splitlines()[2:]] == [
        "| idpl       ",
        "| source-only",
    ]
    files = {path: path.stat().st_mtime_ns for path in out.rglob("metrics.jsonl")}
    assert len(files) == 6  # two methods and a warm-up for each seed
    assert main(words) == 0
    assert capsys.readouterr().out == first
    assert {path: path.stat().st_mtime_ns for path in files} == files


def test_runs_at_the_same_time_give_the_same_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["compare", "--config", str(config_file(tmp_path)), "--seeds", "1"]
    words += ["--only", "idpl", "--only", "easy-hard"]
    assert main([*words, "--out", str(tmp_path / "one")]) == 0
    one = capsys.readouterr().out
    assert main([*words, "--out", str(tmp_path / "two"), "--jobs", "2"]) == 0
    assert capsys.readouterr().out == one


def test_a_run_that_is_not_finished_has_no_result(tmp_path: Path) -> None:
    (cell,) = plan(config_from(DOCUMENT), tmp_path, (1,), ["idpl"])
    assert read_result(cell) is None
    cell.out.mkdir(parents=True)
    for text in ("", "{}", '{"step": 3, "classes": {}}', "[]"):
        (cell.out / "result.json").write_text(text)
        assert read_result(cell) is None
