"""Keeper, server and containerd killed at bad moments; two daemons on one root; the doctor."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from registry_proxy import RegistryProxy, registry_proxy, stalled
from trouble_image import SUMS, TroubleImage, new_directories, publish_indexes, trouble_image
from whole import Bootseer, Whole, bootseer_daemon, wait_for, whole

from benchmarks.lab.containerd import hosts_toml
from benchmarks.lab.service import service
from benchmarks.lab.workdir import work_directory
from bootseer.errors import HostError

pytestmark = pytest.mark.containers


@pytest.fixture(scope="module")
def node() -> Iterator[Whole]:
    with work_directory() as directory, whole(directory) as made:
        yield made


@pytest.fixture(scope="module")
def proxy(node: Whole) -> Iterator[RegistryProxy]:
    """The daemon, but not containerd, reaches the registry through it."""
    with registry_proxy(node.registry) as made:
        hosts = node.directory / "b/certs.d" / node.registry.host / "hosts.toml"
        hosts.parent.mkdir(parents=True)
        hosts.write_text(hosts_toml(made.host))
        yield made


class Pull:
    """A pull in the background."""

    def __init__(self, node: Whole, image: TroubleImage) -> None:
        self.error = ""
        self._thread = threading.Thread(target=self._run, args=(node, image), daemon=True)
        self._thread.start()

    def _run(self, node: Whole, image: TroubleImage) -> None:
        try:
            node.pull(image.reference)
        except HostError as error:
            self.error = str(error)

    def wait(self) -> None:
        """Wait for its end, whatever that is."""
        self._thread.join(60)
        assert not self._thread.is_alive(), "the pull hangs"


def assert_right_at_last(node: Whole, image: TroubleImage) -> None:
    """Pull again and look at every byte; nothing half-made is left."""
    node.wait_connected()
    node.pull(image.reference)
    assert node.run(image.reference, "sh", "-c", SUMS) == image.sums
    assert new_directories(node.daemon.root) == []


def test_a_server_killed_while_it_unpacks_a_layer_leaves_nothing_and_the_next_pull_works(
    node: Whole, proxy: RegistryProxy
) -> None:
    image = trouble_image(node, "unpacking")
    proxy.answers["unpacking"] = stalled
    pull = Pull(node, image)
    wait_for(lambda: proxy.asked_in("unpacking") or pull.error, "a layer to be unpacked")
    assert new_directories(node.daemon.root) != []
    node.daemon.kill_server()
    proxy.answers.clear()
    pull.wait()
    assert_right_at_last(node, image)


def test_a_server_killed_while_it_reads_an_index_is_pulled_from_again(
    node: Whole, proxy: RegistryProxy
) -> None:
    image = trouble_image(node, "pulling")
    publish_indexes(node, image)
    proxy.answers["pulling"] = stalled
    pull = Pull(node, image)
    wait_for(lambda: proxy.asked_in("pulling") or pull.error, "the index to be asked for")
    node.daemon.kill_server()
    proxy.answers.clear()
    pull.wait()
    assert_right_at_last(node, image)


def test_a_second_daemon_on_the_same_root_is_refused_and_the_first_goes_on(node: Whole) -> None:
    image = trouble_image(node, "two-daemons")
    publish_indexes(node, image)
    node.pull(image.reference)
    argv = [sys.executable, "-m", "bootseer", "snapshotter", "serve", "--config"]
    log = node.directory / "second"
    with service("second", [*argv, str(node.daemon.config)], log) as second:
        assert second.process.wait(30) == HostError.exit_code
    assert f"another daemon uses the root directory {node.daemon.root}" in log.read_text()
    assert "hint: stop it" in log.read_text()
    keeper = [sys.executable, "-m", "snapshotter.blocks.keeper", str(node.daemon.root), "/bin/true"]
    refused = subprocess.run(keeper, capture_output=True, text=True, check=False)
    assert refused.returncode == os.EX_CONFIG
    assert "another daemon uses this root" in refused.stderr
    assert node.run(image.reference, "sh", "-c", SUMS) == image.sums


def test_containerd_killed_during_a_lazy_pull_pulls_again_when_it_is_back(
    node: Whole, proxy: RegistryProxy
) -> None:
    image = trouble_image(node, "engine")
    publish_indexes(node, image)
    proxy.answers["engine"] = stalled
    pull = Pull(node, image)
    wait_for(lambda: proxy.asked_in("engine") or pull.error, "the index to be asked for")
    old = node.containerd.running
    argv = [os.fsdecode(part) for part in _command_line(old.process.pid)]
    old.process.kill()
    old.process.wait()
    pull.wait()
    proxy.answers.clear()
    path = {"PATH": f"{node.containerd.bin}:{os.environ['PATH']}"}
    with service("containerd", argv, old.log, env=path):
        assert_right_at_last(node, image)
    # The next tests need it, too, and the fixture stops what it finds in its place.
    old.__init__("containerd", argv, old.log, env=path)  # type: ignore[misc]
    node.wait_connected()


def _command_line(pid: int) -> list[bytes]:
    return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[:-1]


def test_a_keeper_killed_takes_its_server_along_and_another_takes_over(node: Whole) -> None:
    image = trouble_image(node, "keeper")
    publish_indexes(node, image)
    node.pull(image.reference)
    server = Path(f"/proc/{node.daemon.server_pid()}")
    os.kill(node.daemon.keeper.process.pid, signal.SIGKILL)
    node.daemon.keeper.process.wait()
    wait_for(lambda: not server.exists(), "the server to follow")
    with bootseer_daemon(node.directory / "b") as daemon:
        node.wait_connected()
        assert node.run(image.reference, "sh", "-c", SUMS) == image.sums
        _exhaust(node, daemon, image)
        _doctor_without_daemon(node)
    with bootseer_daemon(node.directory / "b"):
        node.wait_connected()
        assert node.run(image.reference, "sh", "-c", SUMS) == image.sums


def _exhaust(node: Whole, daemon: Bootseer, image: TroubleImage) -> None:
    """Kill six servers: the keeper gives up, and whoever reads gets an error and does not hang."""
    reading = "while cat /data/big > /dev/null; do echo 1 > /tmp/round; done; echo over"
    with node.start(image.reference, "sh", "-c", f"echo begun; {reading}") as running:
        assert running.stdout is not None
        assert any(line == "begun\n" for line in running.stdout)
        for _ in range(5):
            daemon.kill_server()
        os.kill(daemon.server_pid(), signal.SIGKILL)
        assert daemon.keeper.process.wait(30) == 1
        Path("/proc/sys/vm/drop_caches").write_text("1")
        with suppress(subprocess.TimeoutExpired):
            running.communicate(timeout=30)
        assert running.returncode is not None, "a reader hangs"
    assert "keeper.giving_up" in daemon.log()


def _doctor_without_daemon(node: Whole) -> None:
    code, findings = doctor(node.daemon.config, node.containerd.bin)
    failed = any(finding["state"] == "fail" for finding in findings.values())
    assert code == (HostError.exit_code if failed else 0)
    assert findings["snapshotter"]["state"] == "warn"
    assert "systemctl start" in findings["snapshotter"]["mend"]
    # This host's own containerd, if there is one, was not told of the test's snapshotter.
    told = findings.get("containerd config") or findings["containerd plugin"]
    assert told["state"] in ("warn", "fail")
    assert told["mend"]


def doctor(config: Path, bin_directory: Path) -> tuple[int, dict[str, dict[str, Any]]]:
    """Return the exit code of `bootseer doctor` and its findings by name."""
    argv = [sys.executable, "-m", "bootseer", "doctor", "--config", str(config), "--json"]
    env = {**os.environ, "PATH": f"{bin_directory}:{os.environ['PATH']}"}
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env=env)
    findings = json.loads(done.stdout)
    return done.returncode, {finding["name"]: finding for finding in findings}


def test_the_doctor_names_a_bad_configuration(tmp_path: Path) -> None:
    config = tmp_path / "bootseer.yaml"
    config.write_text("root: /var/tmp/x\nsnapshotter: {mount: sideways}\n")
    code, findings = doctor(config, tmp_path)
    assert code == HostError.exit_code
    assert findings["config"]["state"] == "fail"
    assert "mount" in findings["config"]["detail"]
