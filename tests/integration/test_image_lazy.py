"""`bootseer image lazy`, `bootseer debug bundle`, health: what people ask of a node, for real."""

import base64
import json
import subprocess
import sys
import tarfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from small_image import SmallImage, indexed_image
from whole import PLUGIN, Whole, bootseer, free_port, wait_for, whole

from benchmarks.lab.workdir import work_directory

pytestmark = pytest.mark.containers

PORT = free_port()
SETTINGS = (
    f'metrics:\n  address: "127.0.0.1:{PORT}"\nfill:\n  rate: 0\nhot:\n  record: never\n'
    "traces:\n  otlp: http://127.0.0.1:1\n"
)


@pytest.fixture(scope="module")
def node() -> Iterator[Whole]:
    with work_directory() as directory, whole(directory, SETTINGS) as made:
        yield made


@pytest.fixture(scope="module")
def image(node: Whole) -> SmallImage:
    return indexed_image(node)


def lazy(node: Whole, name: str) -> dict:
    where = ["--namespace", node.containerd.namespace, "--config", str(node.daemon.config)]
    return json.loads(bootseer("image", "lazy", name, *where, "--json"))


def test_a_lazy_container_tells_what_it_fetched(node: Whole, image: SmallImage) -> None:
    node.pull(image.reference)
    node.containerd.ctr(
        *("run", "-d", "--snapshotter", PLUGIN, image.reference, "asked"),
        *("/bin/sh", "-c", f"cat {image.big} > /dev/null; sleep 600"),
    )
    big = (node.directory / "image/data" / image.big.lstrip("/")).stat().st_size
    wait_for(lambda: lazy(node, "asked")["local_bytes"] >= big, "the file to be local")
    found = lazy(node, "asked")
    assert (found["ours"], found["lazy"], found["image"]) == (True, True, image.reference)
    assert [one["digest"] for one in found["layers"]] == image.layers[::-1]
    assert big <= found["local_bytes"] < found["data_bytes"]
    assert found["fetched"]["demand"] > 0
    assert sum(found["fetched"].values()) == found["fetched_bytes"] > 0
    where = ["--namespace", node.containerd.namespace, "--config", str(node.daemon.config)]
    shown = bootseer("image", "lazy", "asked", *where)
    assert "lazy       yes" in shown


def test_a_container_of_another_snapshotter_is_not_lazy(node: Whole, image: SmallImage) -> None:
    node.containerd.pull(image.reference)
    node.containerd.ctr("run", "-d", image.reference, "plain", "/bin/sleep", "600")
    found = lazy(node, "plain")
    assert (found["ours"], found["lazy"], found["snapshotter"]) == (False, False, "overlayfs")


def test_a_container_that_is_not_there_is_not_found(node: Whole) -> None:
    argv = ["image", "lazy", "nobody", "--config", str(node.daemon.config)]
    done = subprocess.run(
        [sys.executable, "-m", "bootseer", *argv], capture_output=True, text=True, check=False
    )
    assert (done.returncode, "no container nobody in k8s.io" in done.stderr) == (3, True)


def test_health_is_told_over_tcp(node: Whole) -> None:
    with urllib.request.urlopen(f"http://127.0.0.1:{PORT}/healthz", timeout=10) as answer:
        assert json.load(answer) == {"status": "serving"}


def test_a_watch_without_a_terminal_is_a_line_of_json_a_round(node: Whole) -> None:
    argv = [sys.executable, "-m", "bootseer", "status", "--watch", "--json"]
    with subprocess.Popen(
        [*argv, "--config", str(node.daemon.config)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        first, second = (json.loads(process.stdout.readline()) for _ in range(2))
        process.terminate()
    assert first["rates"] is None
    assert second["rates"]["fetched_bytes"].keys() == second["fetched_bytes"].keys()


def test_a_collector_that_is_away_costs_a_line_and_no_start(node: Whole, image: SmallImage) -> None:
    node.pull(image.reference)
    assert node.run(image.reference, "cat", "/etc/greeting") == "hello\n"
    wait_for(lambda: "traces.lost" in node.daemon.log(), "the loss to be said")


def test_a_bundle_has_everything_but_secrets(node: Whole, tmp_path: Path) -> None:
    secrets = [f"Planted-{number}-Secret" for number in range(6)]
    docker = tmp_path / "config.json"
    auth = base64.b64encode(f"me:{secrets[0]}".encode()).decode()
    docker.write_text(json.dumps({"auths": {"a": {"auth": auth, "identitytoken": secrets[1]}}}))
    certs = tmp_path / "certs.d/a.example"
    certs.mkdir(parents=True)
    (certs / "hosts.toml").write_text(f'[host."https://a".header]\nx-a = "{secrets[2]}"\n')
    config = tmp_path / "bootseer.yaml"
    config.write_text(
        node.daemon.config.read_text().replace(
            str(node.directory / "b/certs.d"), f"{certs.parent}\n  docker_config: {docker}"
        )
        + f"# password: {secrets[3]}\n"
    )
    log = tmp_path / "daemon.log"
    log.write_text(
        node.daemon.log()
        + f"went wrong auth={auth} {secrets[0]} {secrets[1]} {secrets[2]}\n"
        + f"GET https://x:{secrets[4]}@host/ Authorization: Bearer {secrets[5]}\n"
    )
    output = tmp_path / "bundle.tar.gz"
    bootseer("debug", "bundle", "-o", str(output), "--config", str(config), "--log", str(log))
    assert output.stat().st_mode & 0o777 == 0o600
    with tarfile.open(output) as archive:
        found = {
            entry.name.partition("/")[2]: archive.extractfile(entry).read().decode()
            for entry in archive.getmembers()
        }
    assert not [
        (name, secret)
        for name, text in found.items()
        for secret in [*secrets, auth]
        if secret in text
    ]
    assert json.loads(found["status.json"])["pid"] == node.daemon.status()["pid"]
    assert json.loads(found["config.json"])["root"] == str(node.daemon.root)
    assert "bootseer_build_info" in found["metrics.txt"]
    assert str(node.daemon.root) in found["mounts.txt"]
    assert "snapshotter.daemon" in found["processes.txt"]
    assert "daemon.serving" in found["log/0-daemon.log"]
    assert json.loads(found["versions.json"])["bootseer"]


def test_a_bundle_is_made_without_a_daemon(tmp_path: Path) -> None:
    config = tmp_path / "bootseer.yaml"
    config.write_text(f"root: {tmp_path / 'none'}\nrun_dir: {tmp_path}\n")
    output = tmp_path / "bundle.tar.gz"
    bootseer("debug", "bundle", "-o", str(output), "--config", str(config))
    with tarfile.open(output) as archive:
        status = archive.extractfile("bundle/status.json")
        assert status is not None
        assert status.read().startswith(b"not to be had: the snapshotter does not answer")
