"""Docker's config.json and the helpers that it names."""

import base64
import contextlib
import json
import logging
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootseer.errors import CorruptError, UsageError
from snapshotter.registry.credentials import Credentials, CredentialSource
from snapshotter.registry.logins.docker import (
    DockerConfig,
    parse_docker_config,
    parse_helper_answer,
)


def auth(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


async def offered(source: CredentialSource, host: str, repository: str = "a") -> list[Credentials]:
    return [offer async for offer in source.offers(host, repository)]


def config(tmp_path: Path, **document: object) -> DockerConfig:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(document))
    return DockerConfig(path)


@pytest.fixture
def helpers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory on PATH for helpers."""
    directory = tmp_path / "bin"
    directory.mkdir()
    monkeypatch.setenv("PATH", f"{directory}:/usr/bin:/bin")
    return directory


def helper(directory: Path, name: str, script: str) -> None:
    path = directory / f"docker-credential-{name}"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


async def test_credentials_are_found_under_every_name_of_a_registry(tmp_path: Path) -> None:
    entries = {
        "https://index.docker.io/v1/": {"auth": auth("hub:p")},
        "https://r.io/v2/": {"auth": auth("user:pass:with:colons")},
        "plain.io:5000": {"username": "u", "password": "p"},
        "left.behind": {},
    }
    source = config(tmp_path, auths=entries)
    assert await offered(source, "docker.io") == [Credentials("hub", "p")]
    assert await offered(source, "r.io") == [Credentials("user", "pass:with:colons")]
    assert await offered(source, "plain.io:5000") == [Credentials("u", "p")]
    assert await offered(source, "left.behind") == []
    assert await offered(source, "unknown") == []
    assert await offered(DockerConfig(tmp_path / "none"), "r.io") == []


async def test_the_entry_with_the_longest_path_comes_first(tmp_path: Path) -> None:
    entries = {
        "*.io": {"auth": auth("wild:p")},
        "r.io": {"auth": auth("host:p")},
        "r.io/team": {"auth": auth("team:p")},
        "r.io/team/app": {"auth": auth("app:p")},
        "r.io/teams": {"auth": auth("others:p")},
    }
    found = await offered(config(tmp_path, auths=entries), "r.io", "team/app")
    assert [one.username for one in found] == ["app", "team", "host", "wild"]


async def test_a_registrys_helper_is_asked_and_the_store_for_all_others(
    tmp_path: Path, helpers: Path
) -> None:
    asked = '[ "$1" = get ] && read -r server; '
    say = asked + 'echo "{{\\"Username\\":\\"{}\\",\\"Secret\\":\\"$server\\"}}"'
    helper(helpers, "own", say.format("own"))
    helper(helpers, "store", say.format("store"))
    source = config(
        tmp_path,
        credHelpers={"r.io:5000": "own"},
        credsStore="store",
        auths={"r.io:5000": {"auth": auth("file:p")}},
    )
    assert await offered(source, "r.io:5000") == [
        Credentials("own", "r.io:5000"),
        Credentials("file", "p"),
    ]
    assert await offered(source, "docker.io") == [
        Credentials("store", "https://index.docker.io/v1/")
    ]


async def test_a_helper_may_know_an_identity_token(tmp_path: Path, helpers: Path) -> None:
    helper(helpers, "x", """echo '{"Username":"<token>","Secret":"refresh"}'""")
    (found,) = await offered(config(tmp_path, credsStore="x"), "r.io")
    assert found.identity_token == "refresh"


@pytest.mark.parametrize(
    "script",
    [
        "echo s3cret; echo s3cret >&2; exit 1",
        "echo s3cret; echo s3cret >&2; exit 7",
        "echo s3cret",
        """echo '{"Username": ["s3cret"]}'""",
        "head -c 3000000 /dev/zero",
        "kill -9 $$",
    ],
)
async def test_a_helper_that_fails_is_passed_over_and_what_it_said_is_told_to_nobody(
    tmp_path: Path, helpers: Path, script: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    helper(helpers, "bad", script)
    source = config(tmp_path, credsStore="bad", auths={"r.io": {"auth": auth("file:p")}})
    assert await offered(source, "r.io") == [Credentials("file", "p")]
    (record,) = [one for one in caplog.records if one.message == "registry.helper_failed"]
    assert "s3cret" not in str(vars(record))


async def test_a_helper_that_is_not_there_is_passed_over(tmp_path: Path, helpers: Path) -> None:
    source = config(tmp_path, credsStore="none", auths={"r.io": {"auth": auth("file:p")}})
    assert await offered(source, "r.io") == [Credentials("file", "p")]


@pytest.mark.parametrize("name", ["../x", "/bin/sh", "a b", ".", "-x", "é", 5, None, ["x"]])
def test_a_helpers_name_leads_to_no_other_program(name: object) -> None:
    data = json.dumps({"credHelpers": {"r.io": name}}).encode()
    with pytest.raises(UsageError, match="credHelpers"):
        parse_docker_config(data, "config.json")


@given(
    st.binary(max_size=100)
    | st.recursive(
        st.none() | st.booleans() | st.text(max_size=20) | st.integers(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    [
                        *("auths", "auth", "username", "identitytoken", "r.io"),
                        *("credHelpers", "credsStore", "Username", "Secret"),
                    ]
                ),
                inner,
            )
        ),
    ).map(lambda value: json.dumps(value).encode())
)
def test_any_docker_configuration_is_credentials_or_a_usage_error(data: bytes) -> None:
    with contextlib.suppress(UsageError):
        parse_docker_config(data, "config.json")
    with contextlib.suppress(CorruptError):
        parse_helper_answer(data, "helper", 1000)


def test_a_mistake_in_the_docker_configuration_does_not_quote_the_secret() -> None:
    data = json.dumps({"auths": {"r.io": {"auth": "hunter2!"}}}).encode()
    with pytest.raises(UsageError) as caught:
        parse_docker_config(data, "config.json")
    assert "hunter2" not in str(caught.value)
