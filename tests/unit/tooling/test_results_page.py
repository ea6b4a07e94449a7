"""docs/results.md: what it says was measured, and it says all that was."""

import json
from pathlib import Path

import pytest

from tooling.places import REPOSITORY
from tooling.results import PLACE, main, page, take_over


def figure(name: str, value: float | None, goal: float | None = None) -> dict[str, object]:
    return {"name": name, "value": value, "unit": "s", "goal": goal, "better": "lower"}


def test_the_page_is_made_of_the_figures_that_are_kept(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--check"]) == 0, capsys.readouterr().out


def test_every_section_names_a_benchmark_that_there_is() -> None:
    for name in {file.stem.partition("-")[0] for file in PLACE.glob("*.json")}:
        there = REPOSITORY / "benchmarks"
        assert (there / f"{name}.py").exists() or (there / name / "__main__.py").exists(), name


def test_parts_become_one_and_the_last_has_the_last_word(tmp_path: Path) -> None:
    parts = []
    for number, figures in enumerate(
        [[figure("a", 1.0, 2.0), figure("b", 1.0)], [figure("a", 3.0, 2.0), figure("c", None)]]
    ):
        parts.append(tmp_path / f"{number}.json")
        parts[-1].write_text(json.dumps({"figures": figures}))
    place = tmp_path / "results"
    take_over("hot", parts, place)
    text = page(place)
    assert "| a | 3 s | at most 2 | **missed** |\n" in text
    assert "| b | 1 s |\n" in text
    assert "| c | not measured |\n" in text
    assert "`./scripts/bench hot` · 2" in text


def test_whole_starts_are_a_table_of_ways(tmp_path: Path) -> None:
    way = {
        "title": "full | pull",
        "runs": 5,
        "seconds": {"median": 50.0, "least": 48.0, "most": 55.5},
        "straggler": 1.25,
        "registry_bytes": 4e8,
        "stages": {"image": 30.0},
    }
    document = {
        "ways": {"a": way},
        "options": ["--nodes", "4", "--mirror"],
        "conditions": {"job": "x", "rate": 1e3, "uplink": 0.0, "mirror": True},
        "figures": [],
    }
    (tmp_path / "startup-nodes.json").write_text(json.dumps(document))
    text = page(tmp_path)
    assert "## Whole starts on several nodes, which share" in text
    assert "`./scripts/bench startup --nodes 4 --mirror` · job x, rate 1000, mirror\n" in text
    row = "| (a) full \\| pull | 5 | 50.0 s | 48.0 to 55.5 s | 1.25 | 400 MB | image 30.0 |\n"
    assert row in text


def test_a_file_that_is_no_benchmarks_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "hot.json").write_text("[]")
    with pytest.raises(ValueError, match="no figures"):
        page(tmp_path)
