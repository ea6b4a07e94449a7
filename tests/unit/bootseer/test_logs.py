import json
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootseer.logs import JsonFormatter, TextFormatter, redact


def record(message: str, **fields: object) -> logging.LogRecord:
    made = logging.LogRecord("a.logger", logging.INFO, __file__, 1, message, (), None)
    made.fields = fields
    return made


def test_an_event_is_one_line_of_json_with_its_fields() -> None:
    line = JsonFormatter().format(record("layer.provided", layer="sha256:1", ms=3, ratio=0.5))
    event = json.loads(line)
    assert "\n" not in line
    assert event | {"time": ""} == {
        "time": "",
        "level": "info",
        "event": "layer.provided",
        "logger": "a.logger",
        "layer": "sha256:1",
        "ms": 3,
        "ratio": 0.5,
    }


def test_text_quotes_values_with_spaces() -> None:
    line = TextFormatter().format(record("pull.failed", reason='no "such" host', n=1))
    assert line.endswith(r'pull.failed reason="no \"such\" host" n=1')


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("password", "hunter2"),
        ("Authorization", "Bearer hunter2"),
        ("url", "https://user:hunter2@host/x"),
        ("url", "https://host/blob?X-Amz-Signature=hunter2&a=b"),
        ("url", "https://host/blob?a=b&sig=hunter2"),
        ("nested", {"refresh_token": "hunter2"}),
    ],
)
def test_secrets_do_not_reach_the_log(key: str, value: object) -> None:
    for formatter in (JsonFormatter(), TextFormatter()):
        assert "hunter2" not in formatter.format(record("event", **{key: value}))


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists))
def test_redaction_leaves_a_json_document(value: object) -> None:
    json.dumps(redact(value))
