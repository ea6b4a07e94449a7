"""Registries that want to know who asks: docker-registry with htpasswd, and with a token service.

Each stands on the storage of an open registry, through which tests push.
"""

import asyncio
import base64
import json
import math
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from aiohttp import web
from whole import LocalRegistry, free_port

from benchmarks.lab.registry import registry_config
from benchmarks.lab.service import service

USER: Final = "robot"
FIRST: Final = "first-s3cret"
SECOND: Final = "second-s3cret"
# Made with few rounds: these are passwords of tests.
_BCRYPT: Final = {
    FIRST: "$2b$04$gxwSTIgHcp5xWAcmtMXTtOuoYlMQSAt52AH3AG09M0A7PNkQbPq8W",
    SECOND: "$2b$04$3A8C9GMyZSmfQSFoClSoBO3sflp0lGMLqhwYXSRpodxueMzRO23Je",
}
_PLUGIN: Final = """#!/bin/sh
cat > /dev/null
password=$(cat "{directory}/password")
echo '{{"kind": "CredentialProviderResponse", "cacheKeyType": "Registry", "cacheDuration": "12h",'
echo '"apiVersion": "credentialprovider.kubelet.k8s.io/v1", "auth": {{"{host}":'
echo '{{"username": "{user}", "password": "'$password'"}}}}}}'
"""
_LEEWAY: Final = 60
"""Seconds for which docker-registry still takes a token that has expired."""


def basic(password: str) -> str:
    """Return the `auth` of docker's config.json."""
    return base64.b64encode(f"{USER}:{password}".encode()).decode()


def docker_config(path: Path, host: str, password: str) -> None:
    """Write what `docker login` writes."""
    path.write_text(json.dumps({"auths": {host: {"auth": basic(password)}}}))


class Passwords:
    """An htpasswd file, which docker-registry reads again when it changes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._changed = 0

    def accept(self, password: str) -> None:
        """Let in who has this password, and nobody else."""
        self._changed += 1
        new = self.path.with_suffix(".new")
        new.write_text(f"{USER}:{_BCRYPT[password]}\n")
        # It looks at the time of the change, which may be the same for two changes in a row.
        stamp = time.time_ns() + self._changed * 1_000_000_000
        os.utime(new, ns=(stamp, stamp))
        new.rename(self.path)


@contextmanager
def _guarded(
    open_one: LocalRegistry, directory: Path, auth: dict[str, Any]
) -> Iterator[LocalRegistry]:
    host = f"127.0.0.1:{free_port()}"
    config = directory / "registry.yml"
    config.write_text(json.dumps({**registry_config(open_one.storage, host), "auth": auth}))
    argv = ["docker-registry", "serve", str(config)]
    env = {"OTEL_TRACES_EXPORTER": "none"}
    with service("docker-registry", argv, directory / "log", env=env) as running:
        running.wait_until(lambda: "listening on" in running.log.read_text(errors="replace"))
        yield LocalRegistry(host, open_one.storage, running)


@contextmanager
def basic_registry(
    open_one: LocalRegistry, directory: Path
) -> Iterator[tuple[LocalRegistry, Passwords]]:
    """Run a registry that asks for a password; it takes `FIRST` until told otherwise."""
    directory.mkdir(parents=True)
    passwords = Passwords(directory / "htpasswd")
    passwords.accept(FIRST)
    auth = {"htpasswd": {"realm": "tests", "path": str(passwords.path)}}
    with _guarded(open_one, directory, auth) as made:
        yield made, passwords


class TokenService:
    """Signs tokens that docker-registry believes. Fields may be changed at any time."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.accepted = {f"Basic {basic(FIRST)}"}
        """Values of `Authorization` that get a token."""
        self.refresh_tokens: set[str] = set()
        """Identity tokens that get one (OAuth2)."""
        self.lasts = 300
        """Seconds for which the registry takes a token."""
        self.says = 300
        """Seconds that the service says it lasts."""
        self.issued = 0
        self.refused = 0
        self.address = ""
        name = ["-subj", "/CN=tests", "-days", "2", "-keyout", "key.pem", "-out", "ca.pem"]
        self._openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", *name)
        der = self._openssl("x509", "-in", "ca.pem", "-outform", "DER")
        self._certificate = base64.b64encode(der).decode()

    def _openssl(self, *arguments: str, given: bytes = b"") -> bytes:
        command = ["openssl", *arguments]
        done = subprocess.run(
            command, cwd=self.directory, input=given, check=True, capture_output=True
        )
        return done.stdout

    async def handle(self, request: web.Request) -> web.Response:
        """Answer a question for a token: GET with a password, or OAuth2's POST."""
        form = await request.post()
        query = request.query if request.method == "GET" else form
        known = request.headers.get("Authorization") in self.accepted
        if request.method == "POST":
            known = form.get("refresh_token") in self.refresh_tokens
        if not known:
            self.refused += 1
            return web.json_response({"details": "who are you"}, status=401)
        self.issued += 1
        token = await asyncio.to_thread(self.token, str(query["scope"]), str(query["service"]))
        return web.json_response({"token": token, "expires_in": self.says})

    def token(self, scope: str, audience: str) -> str:
        """Return a JSON web token for a scope."""
        kind, name, actions = scope.split(":")
        now = math.ceil(time.time())  # no token lasts for less than was asked for
        claims = {
            "iss": "tests",
            "sub": USER,
            "aud": audience,
            "exp": now + self.lasts - _LEEWAY,
            "nbf": now - 3600,
            "iat": now,
            "jti": str(self.issued),
            "access": [{"type": kind, "name": name, "actions": actions.split(",")}],
        }
        header = {"typ": "JWT", "alg": "RS256", "x5c": [self._certificate]}
        signed = ".".join(_url64(json.dumps(part).encode()) for part in (header, claims))
        signature = self._openssl("dgst", "-sha256", "-sign", "key.pem", given=signed.encode())
        return f"{signed}.{_url64(signature)}"


def _url64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


@contextmanager
def token_registry(
    open_one: LocalRegistry, directory: Path
) -> Iterator[tuple[LocalRegistry, TokenService]]:
    """Run a registry that wants a token of a service, and the service."""
    directory.mkdir(parents=True)
    tokens = TokenService(directory)
    with _serving(tokens):
        auth = {
            "token": {
                "realm": f"{tokens.address}/token",
                "service": "tests",
                "issuer": "tests",
                "rootcertbundle": str(directory / "ca.pem"),
            }
        }
        with _guarded(open_one, directory, auth) as made:
            yield made, tokens


@contextmanager
def _serving(tokens: TokenService) -> Iterator[None]:
    """Serve in a thread, so that a test may block."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def start() -> web.AppRunner:
        app = web.Application()
        app.router.add_route("*", "/token", tokens.handle)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        tokens.address = f"http://127.0.0.1:{runner.addresses[0][1]}"
        return runner

    runner = asyncio.run_coroutine_threadsafe(start(), loop).result(20)
    try:
        yield
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(20)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def write_plugin(directory: Path, host: str, password: str) -> None:
    """Write a credential provider plugin, its configuration, and the password that it says."""
    (directory / "password").write_text(password)
    program = directory / "plugin"
    program.write_text(_PLUGIN.format(directory=directory, host=host, user=USER))
    program.chmod(0o755)
    (directory / "plugins.yaml").write_text(
        "apiVersion: kubelet.config.k8s.io/v1\nkind: CredentialProviderConfig\nproviders:\n"
        f"  - name: plugin\n    matchImages: ['{host}']\n    defaultCacheDuration: 12h\n"
        "    apiVersion: credentialprovider.kubelet.k8s.io/v1\n"
    )
