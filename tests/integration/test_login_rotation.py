"""Reads that go on for longer than what they were let in with: real registries, real passwords."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from guarded_registry import (
    FIRST,
    SECOND,
    USER,
    Passwords,
    TokenService,
    basic,
    basic_registry,
    docker_config,
    token_registry,
    write_plugin,
)
from small_image import text
from whole import LocalRegistry, local_registry

from bootseer.config import Registry
from bootseer.errors import RemoteError
from snapshotter.registry.client import RegistryClient
from snapshotter.registry.configure import client_settings
from snapshotter.registry.reference import Reference
from snapshotter.registry.retry import RetryPolicy
from snapshotter.registry.settings import ClientSettings
from tests.registry_fixture import ALONE

DATA = text(3, 100_000)
DIGEST = f"sha256:{hashlib.sha256(DATA).hexdigest()}"


@pytest.fixture(scope="module")
def open_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalRegistry]:
    with local_registry(tmp_path_factory.mktemp("open") / "reg") as made:
        yield made


@pytest.fixture
async def blob(open_registry: LocalRegistry) -> str:
    async with RegistryClient(ALONE) as client:
        await client.uploads.put(Reference(open_registry.host, "a/b"), DATA, DIGEST)
    return DIGEST


@pytest.fixture
def guarded(
    open_registry: LocalRegistry, tmp_path: Path
) -> Iterator[tuple[LocalRegistry, Passwords]]:
    with basic_registry(open_registry, tmp_path / "basic") as made:
        yield made


@pytest.fixture
def tokened(
    open_registry: LocalRegistry, tmp_path: Path
) -> Iterator[tuple[LocalRegistry, TokenService]]:
    with token_registry(open_registry, tmp_path / "token") as made:
        yield made


def settings_of(tmp_path: Path, *, plugins: bool = False) -> ClientSettings:
    found = client_settings(
        Registry(
            config_path=tmp_path / "certs.d",
            docker_config=tmp_path / "config.json",
            kubelet_config=str(tmp_path / "plugins.yaml") if plugins else "",
            kubelet_plugins=tmp_path,
        )
    )
    few = RetryPolicy(attempts=2, first_pause=0.01)
    return replace(found, retries=few, environment_proxy=False)


async def reads(client: RegistryClient, registry: LocalRegistry, offset: int = 0) -> bool:
    found = await client.blobs.read(Reference(registry.host, "a/b"), DIGEST, offset, 1000)
    return found == DATA[offset : offset + 1000]


async def test_reads_go_on_while_tokens_expire(
    tokened: tuple[LocalRegistry, TokenService], blob: str, tmp_path: Path
) -> None:
    registry, tokens = tokened
    docker_config(tmp_path / "config.json", registry.host, FIRST)
    async with RegistryClient(settings_of(tmp_path)) as client:
        for says in (2, 300):  # the service says how long its tokens last, or something else
            tokens.lasts, tokens.says = 2, says
            before = tokens.issued
            while tokens.issued < before + 2:
                assert await reads(client, registry)
        assert client.statistics.retries == 0


async def test_reads_go_on_when_the_password_is_changed(
    tokened: tuple[LocalRegistry, TokenService], blob: str, tmp_path: Path
) -> None:
    registry, tokens = tokened
    tokens.lasts = tokens.says = 2
    docker_config(tmp_path / "config.json", registry.host, FIRST)
    async with RegistryClient(settings_of(tmp_path)) as client:
        assert await reads(client, registry)
        tokens.accepted = {f"Basic {basic(SECOND)}"}
        docker_config(tmp_path / "config.json", registry.host, SECOND)
        before = tokens.issued
        while tokens.issued == before:
            assert await reads(client, registry)
        assert tokens.refused == 0


async def test_an_identity_token_is_good_for_any_number_of_tokens(
    tokened: tuple[LocalRegistry, TokenService], blob: str, tmp_path: Path
) -> None:
    registry, tokens = tokened
    tokens.lasts = tokens.says = 2
    tokens.refresh_tokens = {"refresh-s3cret"}
    entry = {registry.host: {"identitytoken": "refresh-s3cret"}}
    (tmp_path / "config.json").write_text(json.dumps({"auths": entry}))
    async with RegistryClient(settings_of(tmp_path)) as client:
        while tokens.issued < 3:
            assert await reads(client, registry)


async def test_a_password_that_a_registry_refuses_is_looked_up_anew(
    guarded: tuple[LocalRegistry, Passwords], blob: str, tmp_path: Path
) -> None:
    registry, passwords = guarded
    docker_config(tmp_path / "config.json", registry.host, FIRST)
    async with RegistryClient(settings_of(tmp_path)) as client:
        assert await reads(client, registry)
        passwords.accept(SECOND)
        with pytest.raises(RemoteError, match="401") as caught:
            await reads(client, registry)
        assert FIRST not in str(caught.value)
        docker_config(tmp_path / "config.json", registry.host, SECOND)
        assert await reads(client, registry)


async def test_a_plugins_answer_that_is_refused_long_before_it_ends_is_asked_for_anew(
    guarded: tuple[LocalRegistry, Passwords], blob: str, tmp_path: Path
) -> None:
    registry, passwords = guarded
    write_plugin(tmp_path, registry.host, FIRST)
    # An older password that is not good any more is in the way.
    docker_config(tmp_path / "config.json", registry.host, SECOND)
    async with RegistryClient(settings_of(tmp_path, plugins=True)) as client:
        assert await reads(client, registry)
        docker_config(tmp_path / "config.json", registry.host, FIRST)
        passwords.accept(SECOND)
        (tmp_path / "password").write_text(SECOND)
        assert await reads(client, registry)
        assert client.statistics.retries == 0


async def test_a_helper_is_asked_each_time_that_a_password_is_needed(
    guarded: tuple[LocalRegistry, Passwords],
    blob: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    registry, passwords = guarded
    program = tmp_path / "docker-credential-tests"
    program.write_text(
        f'#!/bin/sh\nread -r host; [ "$1 $host" = "get {registry.host}" ] || exit 1\n'
        f'echo "{{\\"Username\\": \\"{USER}\\", \\"Secret\\": \\"$(cat {tmp_path}/password)\\"}}"\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    (tmp_path / "config.json").write_text(json.dumps({"credsStore": "tests"}))
    async with RegistryClient(settings_of(tmp_path)) as client:
        for password in (FIRST, SECOND):
            passwords.accept(password)
            (tmp_path / "password").write_text(password)
            assert await reads(client, registry)
