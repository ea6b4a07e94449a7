"""A store in an HDFS that wants Kerberos, with a real KDC; its tokens live for seconds only."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from store_conformance import *  # noqa: F403  (every test there)
from store_conformance import DATA, number_of, put

from benchmarks.lab.hdfs_secure import SecureHdfs, running_secure_hdfs
from bootseer import kernel
from bootseer.errors import RemoteError
from bootseer.webhdfs.gss import TicketError, explain
from bootseer.webhdfs.tokens import Token, next_step, renewed
from fuse_hdfs.stores.places import open_store
from fuse_hdfs.stores.webhdfs import WebHdfsStore

TOKEN_S = 4


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureHdfs]:
    with running_secure_hdfs(tmp_path_factory.mktemp("secure") / "c", TOKEN_S) as running:
        yield running


@pytest.fixture(scope="module")
def keytab(secure: SecureHdfs) -> Path:
    return secure.kdc.keytab("alice", "bob")


@pytest.fixture
def cache(secure: SecureHdfs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where this test's tickets are; none yet."""
    cache = tmp_path / "tickets"
    for name, value in secure.environment(cache).items():
        monkeypatch.setenv(name, value)
    return cache


@pytest.fixture
async def store(
    secure: SecureHdfs, keytab: Path, cache: Path, request: pytest.FixtureRequest
) -> AsyncIterator[WebHdfsStore]:
    name = "".join(c if c.isalnum() else "-" for c in request.node.name)
    secure.kdc.ticket("alice", keytab, cache)
    async with open_store("hdfs:///") as root:
        await root.make_directory(name, 0o755)
    async with open_store(f"hdfs:///{name}") as store:
        assert isinstance(store, WebHdfsStore)
        yield store


def bootseer(*argv: str, before: tuple[str, ...] = ()) -> "subprocess.CompletedProcess[str]":
    command = [*before, sys.executable, "-m", "bootseer", "hdfs", *argv]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


async def test_we_are_who_the_ticket_says(
    store: WebHdfsStore, secure: SecureHdfs, keytab: Path, cache: Path
) -> None:
    await put(store, "file")
    assert store._calls.user == "alice"
    assert (await store.stat("file")).uid == os.getuid()
    root = store._calls.absolute("")
    secure.kdc.ticket("bob", keytab, cache)
    async with open_store(f"hdfs://alice@{secure.rpc}{root}") as other:
        assert await other.read("file", 0, 10) == b"data"
        assert await number_of(put(other, "new")) is not None
        assert await number_of(other.remove("file")) is not None


async def test_tokens_are_renewed_and_replaced_while_files_are_read(store: WebHdfsStore) -> None:
    await put(store, "file", DATA)
    tokens = store._calls._tokens
    assert tokens is not None
    first, seen = await tokens.current(), set[float]()
    while await tokens.current() == first:
        assert await store.read("file", 0, len(DATA)) == DATA
        assert tokens._token is not None
        seen.add(tokens._token.ends)
    assert len(seen) > 1
    assert await store.read("file", 0, len(DATA)) == DATA


async def test_a_token_that_is_not_taken_any_more_is_replaced(store: WebHdfsStore) -> None:
    await put(store, "file", DATA)
    tokens = store._calls._tokens
    assert tokens is not None
    assert await store.read("file", 0, len(DATA)) == DATA
    for _ in range(2):
        await tokens._ask("PUT", "CANCELDELEGATIONTOKEN", {"token": await tokens.current()})
        await store.set_mode("file", 0o600)
    await tokens._ask("PUT", "CANCELDELEGATIONTOKEN", {"token": await tokens.current()})
    assert await store.read("file", 0, len(DATA)) == DATA


async def test_without_a_ticket_it_is_said_what_to_do(cache: Path) -> None:
    with pytest.raises(TicketError, match="kinit"):
        async with open_store("hdfs:///"):
            pass
    done = bootseer("stat", "hdfs:////file")
    assert (done.returncode, "hint: get a ticket with kinit" in done.stderr) == (6, True)


async def test_a_ticket_that_expired_is_named_as_such(
    secure: SecureHdfs, keytab: Path, cache: Path
) -> None:
    secure.kdc.ticket("alice", keytab, cache, "-l", "1s")

    async def use_it() -> None:
        async with asyncio.timeout(30):
            while True:
                async with open_store("hdfs:///"):
                    await asyncio.sleep(0.2)

    with pytest.raises(TicketError, match="expired"):
        await use_it()


def test_a_clock_that_is_wrong_is_named_as_such(
    secure: SecureHdfs, keytab: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secure.kdc.ticket("alice", keytab, cache)
    monkeypatch.setenv("FAKETIME_DONT_FAKE_MONOTONIC", "1")
    done = bootseer("stat", "hdfs:////file", before=("faketime", "-f", "+1h"))
    assert (done.returncode, "skew" in done.stderr) == (6, True)
    assert "hint: set the clock" in done.stderr


async def test_a_keytab_is_enough(
    keytab: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KRB5_CLIENT_KTNAME", str(keytab))
    async with open_store("hdfs:///") as store:
        assert (await store.stat("")).directory


async def test_a_configuration_that_knows_nothing_of_kerberos_is_told(
    secure: SecureHdfs, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HADOOP_CONF_DIR")
    with pytest.raises(RemoteError, match="wants Kerberos"):
        async with open_store(f"webhdfs://{secure.http}/"):
            pass


async def test_hadoops_own_protocol_takes_the_ticket_too(
    secure: SecureHdfs, store: WebHdfsStore
) -> None:
    await put(store, "file", DATA)
    root = store._calls.absolute("")
    async with open_store(f"hdfs://{secure.rpc}{root}", transport="native") as native:
        assert await native.read("file", 0, len(DATA)) == DATA
        await put(native, "new", DATA)
        assert (await native.stat("new")).uid == os.getuid()
    assert await store.read("new", 0, len(DATA)) == DATA


@pytest.mark.containers
def test_a_mount_goes_on_while_its_tokens_come_and_go(
    secure: SecureHdfs, keytab: Path, cache: Path, tmp_path: Path
) -> None:
    secure.kdc.ticket("alice", keytab, cache)
    point, config = tmp_path / "mnt", tmp_path / "bootseer.yaml"
    point.mkdir()
    config.write_text(f"run_dir: {tmp_path}/run\nhdfs: {{spool: {tmp_path}/spool, small: 0}}\n")
    more = ("--config", str(config))
    mount = ("mount", "--daemon", "--log-file", str(tmp_path / "log"), "hdfs:///", str(point))
    assert bootseer(*mount, *more).returncode == 0
    try:
        end = time.monotonic() + 2 * TOKEN_S
        while time.monotonic() < end:
            (point / "mounted").write_bytes(DATA)
            assert (point / "mounted").read_bytes() == DATA
        (point / "mounted").unlink()
    finally:
        assert bootseer("umount", str(point), *more).returncode == 0
    assert kernel.find_mount(point) is None


def test_when_a_token_is_renewed_follows_from_its_life() -> None:
    token = renewed(Token("t", 0, 0), 1100.0, 1000.0)
    assert (token.ends, token.due) == (1100.0, 1075.0)
    assert [next_step(token, now) for now in (1074.0, 1075.0, 1100.0)] == [
        "use",
        "renew",
        "obtain",
    ]
    assert next_step(None, 0.0) == "obtain"


@pytest.mark.parametrize(
    ("reason", "hint"),
    [
        ("No credentials cache found (filename: /tmp/x)", "kinit"),
        ("Ticket expired", "kinit"),
        ("Clock skew too great", "clock"),
        ("Server HTTP/a@B not found in Kerberos database", "host name"),
        ("Cannot contact any KDC for realm 'B'", "krb5.conf"),
    ],
)
def test_what_the_library_says_comes_with_what_to_do(reason: str, hint: str) -> None:
    error = explain("host", reason)
    assert reason in error.message
    assert error.hint is not None
    assert hint in error.hint
