"""A Kerberos realm of its own on loopback: KDC, principals, keytabs, all below one directory."""

import contextlib
import os
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.lab.hadoop_servers import free_port
from bootseer.errors import HostError

REALM: Final = "LAB.TEST"
_START_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Kdc:
    """A running KDC."""

    root: Path

    @property
    def configuration(self) -> Path:
        """krb5.conf of its clients."""
        return self.root / "krb5.conf"

    def environment(self, cache: Path) -> dict[str, str]:
        """Return what a client of this realm has in its environment; `cache`: of its tickets."""
        return {"KRB5_CONFIG": str(self.configuration), "KRB5CCNAME": f"FILE:{cache}"}

    def keytab(self, *principals: str) -> Path:
        """Make principals; return a file with their keys."""
        path = self.root / f"{principals[0].replace('/', '-')}.keytab"
        for principal in principals:
            self._run("kadmin.local", "-r", REALM, "-q", f"addprinc -randkey {principal}")
            self._run("kadmin.local", "-r", REALM, "-q", f"ktadd -k {path} {principal}")
        return path

    def ticket(self, principal: str, keytab: Path, cache: Path, *options: str) -> None:
        """Get a ticket into `cache`, as kinit does with these options."""
        argv = ["kinit", *options, "-k", "-t", str(keytab), principal]
        self._run(*argv, more=self.environment(cache))

    def make(self) -> None:
        """Make the realm's database."""
        self._run("kdb5_util", "create", "-r", REALM, "-s", "-P", "master")

    def command(self) -> list[str]:
        """Return how the KDC is started in the foreground."""
        return ["krb5kdc", "-n", "-r", REALM]

    def server_environment(self) -> dict[str, str]:
        """Return what the KDC and its tools have in their environment."""
        profile = {"KRB5_KDC_PROFILE": str(self.root / "kdc.conf")}
        return {**os.environ, "KRB5_CONFIG": str(self.configuration), **profile}

    def _run(self, *argv: str, more: dict[str, str] | None = None) -> None:
        done = subprocess.run(
            argv,
            env=self.server_environment() | (more or {}),
            capture_output=True,
            text=True,
            check=False,
            timeout=_START_S,
        )
        if done.returncode:
            raise HostError(f"{' '.join(argv)}: {done.stderr}")


@contextlib.contextmanager
def running_kdc(root: Path) -> Iterator[Kdc]:
    """Run a KDC that keeps its things under `root`. HostError if it does not start."""
    root.mkdir(parents=True)
    port = free_port()
    kdc = Kdc(root)
    kdc.configuration.write_text(_client_configuration(port, root))
    (root / "kdc.conf").write_text(_server_configuration(port, root))
    kdc.make()
    with (root / "kdc.log").open("wb") as log:
        process = subprocess.Popen(
            kdc.command(), env=kdc.server_environment(), stdout=log, stderr=log
        )
    try:
        _wait_for(process, port, root / "kdc.log")
        yield kdc
    finally:
        process.kill()
        process.wait(timeout=20)


def _wait_for(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    deadline = time.monotonic() + _START_S
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        if process.poll() is not None or time.monotonic() > deadline:
            raise HostError(f"the KDC does not start:\n{log.read_text()[-2000:]}")
        time.sleep(0.05)


def _client_configuration(port: int, root: Path) -> str:
    return _sections(
        [
            "[libdefaults]",
            f"default_realm = {REALM}",
            "dns_lookup_kdc = false",
            "dns_lookup_realm = false",
            "dns_canonicalize_hostname = false",
            "rdns = false",
            "udp_preference_limit = 1",
            f"default_ccache_name = FILE:{root}/none",
            f"default_client_keytab_name = FILE:{root}/none",
            "[realms]",
            f"{REALM} = {{ kdc = 127.0.0.1:{port}",
            "}",
            "[domain_realm]",
            f"localhost = {REALM}",
        ]
    )


def _server_configuration(port: int, root: Path) -> str:
    return _sections(
        [
            "[kdcdefaults]",
            f"kdc_listen = 127.0.0.1:{port}",
            f"kdc_tcp_listen = 127.0.0.1:{port}",
            "[realms]",
            f"{REALM} = {{ database_name = {root}/principal",
            f"key_stash_file = {root}/stash",
            "supported_enctypes = aes256-cts-hmac-sha1-96:normal",
            "max_life = 1d",
            "}",
        ]
    )


def _sections(lines: Sequence[str]) -> str:
    # A brace opens a block whose first setting has to be on a line of its own.
    return "\n".join(lines).replace("= { ", "= {\n") + "\n"
