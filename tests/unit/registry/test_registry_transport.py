"""The way to a registry: TLS with own authorities, client certificates, proxies."""

import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from aiohttp import web

from bootseer.digests import digest_of
from bootseer.errors import RemoteError, UsageError
from snapshotter.registry.client import RegistryClient
from snapshotter.registry.hosts import HostOptions, HostsDirectory
from snapshotter.registry.reference import Reference
from tests.hostile_registry import QUICK, HostileRegistry, hostile_registry

DATA = b"data"


@dataclass(frozen=True)
class Authority:
    """A certificate authority, and a certificate for this machine that it signed."""

    ca: Path
    certificate: Path
    key: Path


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    assert shutil.which("openssl"), "openssl is not installed: scripts/setup --for test"
    root = tmp_path_factory.mktemp("tls")

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=root, check=True, capture_output=True)

    def key(name: str) -> list[str]:
        return ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", name]

    openssl("req", "-x509", *key("ca.key"), "-out", "ca.pem", "-subj", "/CN=tests", "-days", "2")
    openssl("req", "-new", *key("key.pem"), "-out", "request", "-subj", "/CN=localhost")
    (root / "extensions").write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
    openssl(
        *("x509", "-req", "-in", "request", "-CA", "ca.pem", "-CAkey", "ca.key", "-days", "2"),
        *("-CAcreateserial", "-extfile", "extensions", "-out", "certificate.pem"),
    )
    return Authority(root / "ca.pem", root / "certificate.pem", root / "key.pem")


async def serve(authority: Authority, *, client_certificates: bool) -> AsyncIterator[str]:
    """Serve one blob over TLS; yield the host."""

    async def blob(request: web.Request) -> web.Response:
        if "/manifests/" in request.path:
            return web.Response(status=307, headers={"Location": "http://127.0.0.1:1/changed"})
        return web.Response(body=DATA)

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(authority.certificate, authority.key)
    if client_certificates:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(authority.ca)
    app = web.Application()
    app.router.add_get("/{path:.*}", blob)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    yield f"127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


@pytest.fixture
async def secure(authority: Authority) -> AsyncIterator[str]:
    async for host in serve(authority, client_certificates=False):
        yield host


@pytest.fixture
async def strict(authority: Authority) -> AsyncIterator[str]:
    async for host in serve(authority, client_certificates=True):
        yield host


async def get(host: str, options: HostOptions | None, directory: Path | None = None) -> bytes:
    """Fetch the blob over TLS: a loopback address is plain HTTP only by default."""
    hosts = HostsDirectory({host: options} if options else {}, (directory,) if directory else ())
    async with RegistryClient(replace(QUICK, hosts=hosts)) as client:
        return await client.blobs.get(Reference(host, "a"), digest_of(DATA), 100)


async def test_an_own_authority_is_trusted_where_it_is_named(
    secure: str, authority: Authority
) -> None:
    assert await get(secure, HostOptions(plain_http=False, ca=(str(authority.ca),))) == DATA


async def test_an_unknown_authority_is_refused_with_a_hint_and_not_asked_again(
    secure: str,
) -> None:
    with pytest.raises(RemoteError, match="TLS") as caught:
        await get(secure, HostOptions(plain_http=False))
    assert caught.value.hint
    assert not caught.value.temporary


async def test_checking_can_be_switched_off(secure: str) -> None:
    assert await get(secure, HostOptions(plain_http=False, skip_verify=True)) == DATA


async def test_a_tag_is_not_resolved_through_a_redirect_to_plain_http(secure: str) -> None:
    hosts = HostsDirectory({secure: HostOptions(plain_http=False, skip_verify=True)})
    async with RegistryClient(replace(QUICK, hosts=hosts)) as client:
        with pytest.raises(RemoteError, match="plain HTTP"):
            await client.manifests.get(Reference(secure, "a", "1"))


async def test_a_client_certificate_from_hosts_toml_is_shown(
    strict: str, authority: Authority, tmp_path: Path
) -> None:
    directory = tmp_path / strict
    directory.mkdir()
    (directory / "hosts.toml").write_text(
        f'server = "https://{strict}"\nca = "{authority.ca}"\n'
        f'client = [["{authority.certificate}", "{authority.key}"]]\n'
    )
    assert await get(strict, None, tmp_path) == DATA
    with pytest.raises(RemoteError):
        await get(strict, HostOptions(plain_http=False, ca=(str(authority.ca),)))


async def test_a_certificate_file_that_cannot_be_read_is_a_mistake_in_the_configuration(
    secure: str,
) -> None:
    with pytest.raises(UsageError, match="/none"):
        await get(secure, HostOptions(plain_http=False, ca=("/none.pem",)))


async def test_tls_to_a_registry_that_speaks_plain_http_is_refused_with_a_hint() -> None:
    async with hostile_registry() as registry:
        with pytest.raises(RemoteError) as caught:
            await get(registry.host, HostOptions(plain_http=False))
    assert "plain_http" in (caught.value.hint or "")


@pytest.fixture
async def proxy(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[HostileRegistry]:
    """A registry that the environment names as proxy: it sees what it should pass on."""
    for name in ("HTTP_PROXY", "https_proxy", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    async with hostile_registry() as proxy:
        monkeypatch.setenv("http_proxy", f"http://{proxy.host}")
        proxy.blob(DATA)
        yield proxy


@pytest.mark.parametrize("bypass", [False, True])
async def test_the_environments_proxy_is_used_unless_it_says_not_to(
    proxy: HostileRegistry, monkeypatch: pytest.MonkeyPatch, bypass: bool
) -> None:
    if bypass:
        monkeypatch.setenv("no_proxy", "127.0.0.1")
    async with hostile_registry() as registry:
        registry.blob(DATA)
        settings = replace(QUICK, environment_proxy=True)
        async with RegistryClient(settings) as client:
            got = await client.blobs.get(registry.reference(), digest_of(DATA), 100)
        assert got == DATA
        assert (len(proxy.seen), len(registry.seen)) == ((0, 1) if bypass else (1, 0))
