"""The page about a run, and the commands that go with one."""

import base64
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from test_compare import config_file
from tiny import Tiny, run

from idpl.checkpoint import store
from idpl.command import main
from idpl.page.curves import curves
from idpl.page.gather import gather


@pytest.fixture(scope="module")
def finished(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("finished")
    run(tiny.config, tiny.sets, out)
    return out


def test_a_page_needs_nothing_besides_itself(finished: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    before = finished / "checkpoints/step-000002"
    assert main(["show", str(finished), str(page), "--before", str(before)]) == 0
    text = page.read_text()
    HTMLParser().feed(text)
    images = re.findall(r'src="data:image/png;base64,([^"]+)"', text)
    assert all(base64.b64decode(image).startswith(b"\x89PNG") for image in images)
    assert len(images) == 3 * 4 + 6 * 2  # truth, before, after; pseudo labels of six
    assert not re.findall(r'(?:src|href)="(?!data:)', text)
    for heading in ("Before and after", "how the target was split", "Global thresholds over time"):
        assert heading in text


def test_a_page_without_an_earlier_network_has_no_before(finished: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    assert main(["show", str(finished), str(page), "--pictures", "2"]) == 0
    assert ">before</figcaption>" not in page.read_text()


def test_the_story_shows_the_easiest_and_the_most_difficult(tiny: Tiny, finished: Path) -> None:
    snapshot = store.load(finished / "checkpoints/step-000006")
    story = gather(finished, snapshot, None, tiny.config, tiny.sets, 4)
    assert [one.easy for one in story.judged] == [True, True, False, False]
    difficulties = [one.difficulty for one in story.judged]
    assert difficulties == sorted(difficulties)
    assert len(story.curves["road"]) == 6
    assert all(set(one.thresholds) <= set(story.classes.names) for one in story.judged)


def test_curves_that_have_no_points_are_left_out() -> None:
    assert curves({"a": ()}, {}, "none") == ""
    drawn = curves({"a": ((0, 1.0), (5, 2.0)), "b<": ((0, 0.0), (5, 2.0)), "c": ()}, {}, "some")
    assert drawn.count("<polyline") == 2
    assert "b&lt;" in drawn


def test_evaluate_prints_every_class(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(finished)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("road")
    assert any(line.startswith("mean of hard classes") for line in lines)


def test_a_directory_without_a_run_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", str(tmp_path)]) == 4
    assert "no checkpoint here" in capsys.readouterr().err


def test_training_prints_its_stages_and_its_result(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train", "--config", str(config_file(tmp_path)), "--out", str(tmp_path / "run")]
    assert main(words) == 0
    said = capsys.readouterr()
    assert "mean of hard classes" in said.out
    stages = re.findall(r"^[\d.]+ (.+) done \([\d.]+ s\)$", said.err, re.MULTILINE)
    assert stages == ["imports", "model_init", "checkpoint_load", "first_step"]


def test_a_mistake_in_the_configuration_is_one_line_and_a_hint(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text("method: {name: idpl, hades: 4}\n")
    assert main(["train", "--config", str(path), "--out", str(tmp_path / "run")]) == 2
    said = capsys.readouterr().err
    assert "unknown key 'hades'" in said
    assert "hint: there are: name" in said


def test_the_sheet_is_written(tmp_path: Path) -> None:
    assert main(["sheet", str(tmp_path / "sheet.png"), "--rows", "1"]) == 0
    assert (tmp_path / "sheet.png").read_bytes().startswith(b"\x89PNG")
