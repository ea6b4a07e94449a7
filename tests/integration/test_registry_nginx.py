"""Registries as sites have them: behind nginx with TLS and client certificates, blobs in a store
whose addresses are signed and expire."""

import asyncio
import base64
import hashlib
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from aiohttp import web
from nginx_cache import NginxCache
from small_image import text
from whole import LocalRegistry, free_port, local_registry

from bootseer.errors import BootseerError, RemoteError, UsageError
from snapshotter.registry.client import RegistryClient
from snapshotter.registry.hosts import HostsDirectory
from snapshotter.registry.reference import Reference
from snapshotter.registry.retry import RetryPolicy
from tests.hostile_registry import QUICK, HostileRegistry, hostile_registry
from tests.registry_fixture import ALONE

DATA = text(3, 3 << 20)
DIGEST = f"sha256:{hashlib.sha256(DATA).hexdigest()}"
_SECRET = "signing-s3cret"


@dataclass
class Authority:
    """A certificate authority in a directory."""

    directory: Path

    def openssl(self, *arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=self.directory, check=True, capture_output=True)

    def make(self) -> None:
        """Make the authority anew: nothing that it signed before is good any more."""
        name = ["-subj", "/CN=tests", "-days", "2", "-keyout", "ca.key", "-out", "ca.pem"]
        self.openssl("req", "-x509", *_key(), *name)

    def sign(self, name: str, extensions: str = "") -> None:
        """Make `name.pem` and `name.key`."""
        self.openssl(
            "req", "-new", *_key(), "-keyout", f"{name}.key", "-out", "r", "-subj", f"/CN={name}"
        )
        (self.directory / "e").write_text(extensions)
        signer = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "e"]
        self.openssl("x509", "-req", "-in", "r", *signer, "-days", "2", "-out", f"{name}.pem")


def _key() -> list[str]:
    return ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]


@contextmanager
def nginx(directory: Path, servers: str, host: str) -> Iterator[NginxCache]:
    """Run nginx with these servers during the block."""
    assert shutil.which("nginx"), "nginx is not installed: scripts/setup --for test"
    directory.mkdir(parents=True, exist_ok=True)
    names = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    places = "".join(f"{name}_temp_path {directory}/{name};\n" for name in names)
    (directory / "nginx.conf").write_text(
        f"daemon off;\nuser root;\npid {directory}/pid;\nworker_processes 1;\nevents {{}}\n"
        f"http {{\nlog_format used $connection,$status;\n"
        f"access_log {directory}/access.log combined;\n{places}{servers}\n}}\n"
    )
    made = NginxCache(host, directory)
    with made.running():
        yield made


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalRegistry]:
    with local_registry(tmp_path_factory.mktemp("open") / "reg") as made:

        async def push() -> None:
            async with RegistryClient(ALONE) as client:
                await client.uploads.put(Reference(made.host, "a/b"), DATA, DIGEST)

        asyncio.run(push())
        yield made


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    made = Authority(tmp_path)
    made.make()
    made.sign("server", "subjectAltName=IP:127.0.0.1\n")
    made.sign("node")
    return made


@pytest.fixture
def strict(registry: LocalRegistry, authority: Authority) -> Iterator[NginxCache]:
    """The registry behind TLS, below a path, for who shows a certificate and a header."""
    directory, host = authority.directory, f"127.0.0.1:{free_port()}"
    server = (
        f"server {{ listen {host} ssl;\nssl_certificate {directory}/server.pem;\n"
        f"ssl_certificate_key {directory}/server.key;\nssl_client_certificate {directory}/ca.pem;\n"
        "ssl_verify_client on;\nclient_max_body_size 0;\n"
        f"access_log {directory}/nginx/used.log used;\n"
        'location /registry/ { if ($http_x_site != "ours") { return 403; }\n'
        f"proxy_pass http://{registry.host}/v2/; }}\n"
        f"location /v2/ {{ proxy_pass http://{registry.host}/v2/; }}\n}}"
    )
    with nginx(directory / "nginx", server, host) as made:
        yield made


async def read(client: RegistryClient, host: str, offset: int = 5) -> bool:
    found = await client.blobs.read(Reference(host, "a/b"), DIGEST, offset, 1000)
    return found == DATA[offset : offset + 1000]


def write_hosts_toml(certs: Path, host: str, text: str) -> None:
    (certs / host).mkdir(parents=True, exist_ok=True)
    (certs / host / "hosts.toml").write_text(text)


def client_of(certs: Path) -> RegistryClient:
    return RegistryClient(replace(QUICK, hosts=HostsDirectory(directories=(certs,))))


async def test_a_registry_below_a_path_behind_tls_with_certificates_and_a_header(
    strict: NginxCache, authority: Authority, tmp_path: Path
) -> None:
    ours = f'ca = "{tmp_path}/ca.pem"\nclient = [["{tmp_path}/node.pem", "{tmp_path}/node.key"]]\n'
    write_hosts_toml(
        tmp_path / "certs.d",
        "r.example",
        f'[host."https://{strict.host}/registry"]\noverride_path = true\n{ours}'
        f'  [host."https://{strict.host}/registry".header]\n  x-site = "ours"\n',
    )
    async with client_of(tmp_path / "certs.d") as client:
        assert await read(client, "r.example")
        assert client.statistics.retries == 0
        for offset in range(100):
            assert await read(client, "r.example", offset)
    log = strict.directory / "used.log"
    async with asyncio.timeout(20):
        while len(lines := log.read_text().split()) < 101:  # written once the answer is out
            await asyncio.sleep(0.02)
    asked = [line.split(",") for line in lines]
    assert {connection for connection, _ in asked} == {asked[0][0]}, "one connection is enough"
    assert len(asked) == 101


async def test_certificates_are_found_where_docker_has_them(
    strict: NginxCache, authority: Authority, tmp_path: Path
) -> None:
    certs = tmp_path / "certs.d" / strict.host
    certs.mkdir(parents=True)
    for ours, theirs in {"ca.pem": "ca.crt", "node.pem": "n.cert", "node.key": "n.key"}.items():
        shutil.copy(tmp_path / ours, certs / theirs)
    # A loopback address is spoken to in plain HTTP unless a file says otherwise.
    hosts = HostsDirectory(directories=(tmp_path / "certs.d",))
    (endpoint,) = hosts.endpoints(strict.host)
    secure = replace(endpoint, base=endpoint.base.replace("http:", "https:"))
    assert secure.tls.ca == (str(certs / "ca.crt"),)
    toml = f'server = "https://{strict.host}"\nca = "ca.crt"\nclient = [["n.cert", "n.key"]]\n'
    (certs / "hosts.toml").write_text(toml)
    assert hosts.endpoints(strict.host)[0].tls == secure.tls
    async with client_of(tmp_path / "certs.d") as client:
        assert await read(client, strict.host)


async def test_hosts_and_certificates_change_under_a_client_that_reads(
    strict: NginxCache, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("snapshotter.registry.calls._REREAD_S", 0.0)
    monkeypatch.setattr("snapshotter.registry.certificates._LOOK_S", 0.0)
    certs = tmp_path / "certs.d"
    toml = (
        f'server = "https://{strict.host}"\nca = "{tmp_path}/ca.pem"\n'
        f'client = [["{tmp_path}/node.pem", "{tmp_path}/node.key"]]\n'
    )
    write_hosts_toml(certs, strict.host, toml)
    async with client_of(certs) as client:
        assert await read(client, strict.host)
        write_hosts_toml(certs, strict.host, "half wri")
        assert await read(client, strict.host), "what was there before counts"
        shutil.copy(tmp_path / "node.pem", tmp_path / "other.pem")
        (tmp_path / "node.pem").write_text("half written")
        assert await read(client, strict.host)
        write_hosts_toml(certs, strict.host, 'server = "http://127.0.0.1:1"\n')
        with pytest.raises(RemoteError):
            await read(client, strict.host)
    write_hosts_toml(certs, strict.host, toml)
    async with client_of(certs) as client:
        with pytest.raises(UsageError, match=r"node\.pem"):
            await read(client, strict.host)


@dataclass
class Store:
    """nginx with its `secure_link`: an address is good until the time that is signed in it."""

    host: str
    server: NginxCache
    lasts: float = 60.0

    def address(self, name: str) -> str:
        """Sign an address as the registry before the store does."""
        until = int(time.time() + self.lasts)
        signed = hashlib.md5(f"{until}/{name} {_SECRET}".encode()).digest()
        proof = base64.urlsafe_b64encode(signed).decode().rstrip("=")
        return f"http://{self.host}/{name}?proof={proof}&until={until}"


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[tuple[HostileRegistry, Store]]:
    """A registry that sends everybody to a store for its blobs."""
    blobs, host = tmp_path / "blobs", f"127.0.0.1:{free_port()}"
    blobs.mkdir()
    (blobs / DIGEST).write_bytes(DATA)
    server = (
        f"server {{ listen {host};\nroot {blobs};\nlocation / {{\n"
        "secure_link $arg_proof,$arg_until;\n"
        f'secure_link_md5 "$secure_link_expires$uri {_SECRET}";\n'
        'if ($secure_link = "") { return 403; }\nif ($secure_link = "0") { return 403; }\n}\n}'
    )
    with nginx(tmp_path / "store", server, host) as running:
        made = Store(host, running)
        async with hostile_registry() as registry:

            async def sends_there(one: HostileRegistry, request: web.Request) -> web.Response:
                where = made.address(request.path.rsplit("/", 1)[1])
                return web.Response(status=307, headers={"Location": where})

            registry.on("blob", sends_there)
            yield registry, made


async def test_reads_go_on_when_a_stores_signed_addresses_expire(
    store: tuple[HostileRegistry, Store],
) -> None:
    registry, made = store
    async with RegistryClient(QUICK) as client:
        for offset in range(0, 50_000, 1000):
            assert await read(client, registry.host, offset)
    assert len(registry.asked("blob")) == 1, "the address is remembered"
    made.lasts = 2.0  # whole seconds, and the time may be just before the next one
    async with RegistryClient(QUICK) as client:
        while len(registry.asked("blob")) < 4:
            assert await read(client, registry.host)
        assert client.statistics.retries == 0
    statuses = {request.status for request in made.server.requests()}
    assert statuses == {206, 403}


async def test_a_store_that_takes_no_address_is_an_error_that_names_no_signature(
    store: tuple[HostileRegistry, Store],
) -> None:
    registry, made = store
    made.lasts = -10.0
    settings = replace(QUICK, retries=RetryPolicy(attempts=2, first_pause=0.001))
    async with RegistryClient(settings) as client:
        with pytest.raises(BootseerError, match="403") as caught:
            await read(client, registry.host)
    assert "proof" not in str(caught.value)
    assert not getattr(caught.value, "temporary", True)
