"""Configurations, right and wrong."""

from pathlib import Path

import pytest

from idpl.config import Config, as_document, config_from, differences, fingerprint, read_config
from idpl.errors import ConfigError

CONFIGS = sorted((Path(__file__).parents[1] / "configs").glob("*.yaml"))


def written(directory: Path, text: str) -> Path:
    path = directory / "run.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_every_configuration_here_can_be_read(path: Path) -> None:
    assert isinstance(read_config(path), Config)


def test_an_empty_file_is_the_defaults(tmp_path: Path) -> None:
    assert read_config(written(tmp_path, "")) == Config()


def test_a_change_on_the_command_line_wins(tmp_path: Path) -> None:
    path = written(tmp_path, "training: {steps: 900}\n")
    found = read_config(path, ("training.steps=850", "method.name=easy-hard"))
    assert (found.training.steps, found.method.name) == (850, "easy-hard")


def test_a_document_gives_the_same_configuration_again() -> None:
    config = config_from({"seed": 3, "training": {"learning_rate": 1}})
    assert config_from(as_document(config)) == config
    assert fingerprint(config_from(as_document(config))) == fingerprint(config)
    assert fingerprint(config) != fingerprint(Config())


def test_differences_are_named_by_their_keys() -> None:
    one, other = as_document(Config()), as_document(config_from({"method": {"heads": 2}}))
    assert differences(one, other) == ["method.heads: 4, not 2"]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("trainign: {}", "unknown key 'trainign'"),
        ("training: {step: 1}", "training: unknown key 'step'"),
        ("training: 3", "training: expected keys"),
        ("training: {steps: many}", "steps: expected int, found 'many'"),
        ("training: {steps: true}", "steps: expected int, found True"),
        ("method: {name: magic}", "name: 'magic' is none of"),
        ("method: {thresholds: {floor: 0.99}}", "floor, ceiling"),
        ("training: {warmup: 9000}", "training.warmup"),
        ("training: {batch: 1}", "training.batch"),
        ("height: 33", "multiples of 8"),
        ("network: {width: 12}", "network.width"),
        ("source: {kind: gta5}", "street classes"),
        ("- a\n- b", "expected keys with values"),
        ("a: [", "cannot be read"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, named: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_config(written(tmp_path, text))
    assert named in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml"):
        read_config(tmp_path / "none.yaml")


@pytest.mark.parametrize("change", ["training.steps", "seed.more=1"])
def test_a_change_that_is_none_is_named(tmp_path: Path, change: str) -> None:
    with pytest.raises(ConfigError, match="--set"):
        read_config(written(tmp_path, "seed: 1"), (change,))
