"""WebHDFS over TLS: `swebhdfs:` addresses, and clusters whose configuration wants it."""

import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from checkpoint_mount import checkpoint_mount

from benchmarks.lab.hadoop_servers import write_site
from benchmarks.lab.hdfs import Hdfs, certificate_of, running_hdfs

pytestmark = pytest.mark.containers

DATA = random.Random(31).randbytes(3_000_017)


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hdfs]:
    """A cluster that speaks TLS too."""
    with running_hdfs(tmp_path_factory.mktemp("tls") / "cluster", tls=True) as running:
        yield running


@pytest.fixture
def trusting(secured: Hdfs) -> dict[str, str]:
    """The environment of who trusts the cluster's certificate."""
    return {"SSL_CERT_FILE": str(certificate_of(secured.configuration))}


def run(*words: object, env: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    argv = [sys.executable, "-m", "bootseer", "hdfs", *map(str, words)]
    return subprocess.run(
        argv, env=os.environ | env, capture_output=True, text=True, check=False, timeout=120
    )


def test_a_mount_works_over_tls(secured: Hdfs, trusting: dict[str, str], tmp_path: Path) -> None:
    enter = ["env", *(f"{name}={value}" for name, value in trusting.items())]
    address = f"swebhdfs://root@{secured.https}/"
    with checkpoint_mount(address, tmp_path / "one", enter=enter) as mount:
        (mount.path / "file").write_bytes(DATA)
    with checkpoint_mount(address, tmp_path / "two", enter=enter) as mount:
        assert (mount.path / "file").read_bytes() == DATA
        (mount.path / "file").unlink()


def test_a_cluster_that_wants_tls_is_reached_by_its_configuration(
    secured: Hdfs, trusting: dict[str, str], tmp_path: Path
) -> None:
    configured = {"fs.defaultFS": f"hdfs://{secured.https.partition(':')[0]}"}
    write_site(tmp_path / "core-site.xml", configured)
    policy = {"dfs.http.policy": "HTTPS_ONLY", "dfs.namenode.https-address": secured.https}
    write_site(tmp_path / "hdfs-site.xml", policy)
    environment = trusting | {"HADOOP_CONF_DIR": str(tmp_path), "HADOOP_USER_NAME": "root"}
    (tmp_path / "file").write_bytes(DATA)
    for words in (
        ("cp", tmp_path / "file", "hdfs:////copy"),
        ("cp", "hdfs:////copy", tmp_path / "b"),
    ):
        done = run(*words, env=environment)
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "b").read_bytes() == DATA


def test_a_certificate_that_nobody_trusts_is_named_with_what_to_do(secured: Hdfs) -> None:
    done = run("ls", f"swebhdfs://root@{secured.https}//", env={"SSL_CERT_FILE": "/dev/null"})
    assert done.returncode == 4, done.stderr
    assert "certificate" in done.stderr
    assert "SSL_CERT_FILE" in done.stderr
