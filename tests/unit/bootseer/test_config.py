"""Configuration: the shipped file is the defaults; mistakes are named with key, file and line."""

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from bootseer.config import Config, load
from bootseer.errors import UsageError
from bootseer.records_from_yaml import parse

SHIPPED = Path(__file__).resolve().parents[3] / "config" / "bootseer.yaml"


def keys(record: Any) -> Any:
    if not dataclasses.is_dataclass(record):
        return None
    return {one.name: keys(getattr(record, one.name)) for one in dataclasses.fields(record)}


def keys_of_mapping(value: Any) -> Any:
    if not isinstance(value, dict):
        return None
    return {key: keys_of_mapping(below) for key, below in value.items()}


def test_shipped_file_says_the_defaults() -> None:
    assert load(SHIPPED) == Config()


def test_shipped_file_has_every_key() -> None:
    assert keys_of_mapping(yaml.safe_load(SHIPPED.read_text())) == keys(Config())


def test_shipped_file_explains_every_key() -> None:
    before = ""
    for line in SHIPPED.read_text().splitlines():
        if re.match(r"^ *\w+: \S", line) or re.match(r"^ +\w+:", line):
            assert before.strip(), f"no comment above {line!r}"
        before = line


@pytest.mark.parametrize("text", ["", "# nothing\n", "log:\n", "---\n", "{}"])
def test_what_is_left_out_has_its_default(text: str) -> None:
    assert parse(Config, text, "test.yaml") == Config()


def test_values_are_taken_with_their_types() -> None:
    text = """
root: /data
log: {level: debug, format: json}
registry:
  plain_http: ["a:5000", b]
  read_timeout: 5
snapshotter: {unpack: off, unpack_limit: 2 GiB}
index: {spacing: 1048576}
"""
    config = parse(Config, text, "test.yaml")
    assert config.root == Path("/data")
    assert config.log.level == "debug"
    assert config.registry.plain_http == ("a:5000", "b")
    assert isinstance(config.registry.read_timeout, float)
    assert config.snapshotter.unpack == "off"
    assert config.snapshotter.unpack_limit == 2 << 30
    assert config.index.spacing == 1 << 20


@pytest.mark.parametrize(
    "address", ["127.0.0.1:9105", "localhost:1", "[::1]:65535", "127.9.8.7:80", ""]
)
def test_any_loopback_address_will_do(address: str) -> None:
    config = parse(Config, f'metrics: {{address: "{address}"}}', "test.yaml")
    assert config.metrics.address == address


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("log:\n  levle: info", r"test.yaml:2: log.levle: unknown key \(did you mean level\?\)"),
        ("rooot: /a", r"test.yaml:1: rooot: unknown key \(did you mean root\?\)"),
        ("log:\n  zzz: 1", r"log.zzz: unknown key \(known in log: format, level\)"),
        ("1: 2", r"test.yaml:1: 1: unknown key \(known at the top"),
        ("[a]: 2", r"unknown key"),
        ("root: /a\n\nroot: /b", r"test.yaml:3: root: given twice"),
        ("root: relative", r"root: expected an absolute path, found 'relative'"),
        ("root: 5", r"root: expected an absolute path, found 5"),
        ("root: [/a]", r"root: expected an absolute path, found a list"),
        ("root:", r"root: expected an absolute path, found None"),
        ("log: info", r"log: expected keys and values"),
        ("- a", r"the file: expected keys and values"),
        ("log:\n  level: trace", r":2: log.level: expected debug or info or .*, found 'trace'"),
        ("log:\n  level: waring", r"did you mean warning\?"),
        ("registry:\n  plain_http: a", r"registry.plain_http: expected a list of texts"),
        ("registry:\n  plain_http:\n  - 1", r":3: registry.plain_http\[0\]: expected a text"),
        ("registry: {read_timeout: soon}", r"read_timeout: expected a number, found 'soon'"),
        ("registry: {read_timeout: true}", r"read_timeout: expected a number, found True"),
        ("registry: {read_timeout: -1}", r"read_timeout: expected 0.01 to 86400, found -1"),
        ("registry: {read_timeout: .nan}", r"read_timeout: expected 0.01 to 86400, found nan"),
        ("snapshotter: {unpack: true}", r"unpack: expected local or publish or off, found 'true'"),
        ("fetch: {concurrency: 1.5}", r"concurrency: expected a whole number, found 1.5"),
        ("fetch: {ahead: 8MB}", r"ahead: expected a size such as 8MiB, found '8MB'"),
        ("fetch: {ahead: -1}", r"ahead: expected a size such as 8MiB, found -1"),
        ("index: {spacing: 1KiB}", r"spacing: expected 65536 to 6.71089e\+07, found 1024"),
        ("metrics: {address: ':9105'}", r"address: expected a loopback address such as"),
        ("metrics: {address: '0.0.0.0:9105'}", r"address: expected a loopback address"),
        ("metrics: {address: '127.0.0.1'}", r"address: expected a loopback address"),
        ("metrics: {address: '127.0.0.256:1'}", r"address: expected a loopback address"),
        ("metrics: {address: '127.0.0.1:65536'}", r"address: expected a loopback address"),
        ("metrics: {address: 9105}", r"address: expected a loopback address"),
        ("log: {level: info", r"test.yaml:\d: not valid YAML"),
        ("a: b: c", r"test.yaml:1: not valid YAML"),
        ("root: !!python/object:os.system x", r"root: expected an absolute path"),
        ("root: 2020-13-45", r"root: expected an absolute path"),
        ("--- \na: 1\n---\nb: 2", r"not valid YAML"),
    ],
)
def test_mistake_is_named_with_key_file_and_line(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse(Config, text, "test.yaml")


def test_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"missing.yaml: cannot be read: No such file"):
        load(tmp_path / "missing.yaml")
    (tmp_path / "latin1.yaml").write_bytes(b"root: /\xe9")
    with pytest.raises(UsageError, match=r"latin1.yaml: cannot be read: not UTF-8"):
        load(tmp_path / "latin1.yaml")


def assert_configuration_or_usage_error(text: str) -> None:
    try:
        config = parse(Config, text, "test.yaml")
    except UsageError as error:
        message = str(error)
    else:
        assert isinstance(config, Config)
        return
    assert message.startswith("test.yaml:")


@given(st.text())
@example("&a [*a]")
@example("root: &a\n  b: *a")
@example("\x00")
@example("log: &x {level: info, <<: *x}")
def test_any_text_is_a_configuration_or_a_usage_error(text: str) -> None:
    assert_configuration_or_usage_error(text)


def test_deep_nesting_is_a_usage_error() -> None:
    assert_configuration_or_usage_error("[" * 3000)
    assert_configuration_or_usage_error("{a: " * 3000)


YAMLISH = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda below: (
        st.lists(below, max_size=3)
        | st.dictionaries(
            st.sampled_from([*keys(Config()), "level", "mount", "spacing", "plain_http", "x"]),
            below,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(YAMLISH)
def test_any_values_are_a_configuration_or_a_usage_error(value: Any) -> None:
    assert_configuration_or_usage_error(yaml.safe_dump(value))
