"""The lab's pure parts: configuration texts, logs and system tables that it reads."""

import os
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.lab import cleanup
from benchmarks.lab.access_log import Request, blob_bytes, parse
from benchmarks.lab.containerd import ProxySnapshotter, containerd_config, hosts_toml
from benchmarks.lab.labname import fresh_name, orphaned
from benchmarks.lab.netns import tbf_arguments
from benchmarks.lab.registry import registry_config
from benchmarks.lab.service import Service, service
from benchmarks.lab.workdir import work_directory
from bootseer.errors import HostError

DIGEST = "sha256:" + "a" * 64
LOG = f"""\
time="2026-01-01T00:00:00Z" level=info msg="listening on 192.0.2.1:5000" go.version=go1.19
192.0.2.2 - - [01/Jan/2026:00:00:01 +0000] "GET /v2/demo/blobs/{DIGEST} HTTP/1.1" 206 1000 "" "a"
192.0.2.2 - - [01/Jan/2026:00:00:02 +0000] "GET /v2/demo/blobs/{DIGEST}?x=1 HTTP/1.1" 200 24 "" "a"
192.0.2.2 - - [01/Jan/2026:00:00:03 +0000] "HEAD /v2/demo/manifests/latest HTTP/1.1" 200 - "" "a"
"""


def test_requests_are_read_from_the_access_log_and_other_lines_passed_over() -> None:
    requests = list(parse(LOG.splitlines()))
    assert requests[0] == Request("GET", f"/v2/demo/blobs/{DIGEST}", 206, 1000)
    assert requests[2].blob is None
    assert blob_bytes(requests) == {DIGEST: 1024}


@given(st.text())
def test_no_log_line_upsets_the_reader(text: str) -> None:
    list(parse(text.splitlines()))


def test_configuration_of_containerd_names_the_proxy_snapshotter_wherever_it_must() -> None:
    proxy = ProxySnapshotter("bootseer", Path("/r/s.sock"), Path("/r/b"))
    text = containerd_config(Path("/r/root"), Path("/r/state"), Path("/r/c"), Path("/r/e"), proxy)
    config = tomllib.loads(text)
    assert config["version"] == 3
    assert config["proxy_plugins"]["bootseer"]["address"] == "/r/s.sock"
    assert config["proxy_plugins"]["bootseer"]["exports"] == {
        "root": "/r/b",
        "enable_remote_snapshot_annotations": "true",
    }
    unpack = config["plugins"]["io.containerd.transfer.v1.local"]["unpack_config"]
    assert [entry["snapshotter"] for entry in unpack] == ["overlayfs", "bootseer"]


def test_configuration_of_containerd_without_a_proxy_has_none() -> None:
    text = containerd_config(Path("/r/root"), Path("/r/state"), Path("/r/c"), Path("/r/e"))
    assert "proxy_plugins" not in tomllib.loads(text)


def test_hosts_file_and_registry_configuration_are_what_their_readers_expect() -> None:
    hosts = tomllib.loads(hosts_toml("192.0.2.1:5000"))
    assert hosts["host"] == {"http://192.0.2.1:5000": {"capabilities": ["pull", "resolve"]}}
    assert registry_config(Path("/s"), "a:1")["http"] == {"addr": "a:1"}


@given(st.floats(0.1, 100_000))
def test_bucket_always_holds_two_of_the_largest_segments(megabits: float) -> None:
    arguments = tbf_arguments(megabits)
    burst = arguments[arguments.index("burst") + 1]
    assert int(burst.removesuffix("b")) >= 128 << 10


MOUNTINFO = """\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
40 22 0:40 / /tmp/lab rw - tmpfs tmpfs rw
41 40 0:77 / /tmp/lab/with\\040space rw shared:5 - fuse.bootseer bootseer rw
42 22 0:42 / /tmp/labyrinth rw - tmpfs tmpfs rw
"""


def test_only_mounts_at_or_below_the_root_are_found_and_the_newest_comes_first() -> None:
    found = cleanup.mounts_below(MOUNTINFO, Path("/tmp/lab"))
    assert found == [
        cleanup.MountPoint(Path("/tmp/lab/with space"), "fuse.bootseer", 77),
        cleanup.MountPoint(Path("/tmp/lab"), "tmpfs", 40),
    ]


def test_processes_are_found_by_a_component_of_their_cgroup(tmp_path: Path) -> None:
    for pid, path in ((11, "/lab-1/c1"), (12, "/lab-1-c/c1"), (13, "/lab-10/c1"), (14, "/")):
        (tmp_path / str(pid)).mkdir()
        (tmp_path / str(pid) / "cgroup").write_text(f"3:cpu,cpuacct:{path}\n0::/elsewhere\n")
    (tmp_path / "self").mkdir()
    assert sorted(cleanup.in_cgroup("lab-1", tmp_path)) == [11, 12]


def test_names_are_unique_and_orphaned_only_when_their_process_is_gone(tmp_path: Path) -> None:
    one, two = fresh_name(), fresh_name()
    assert one != two
    assert orphaned(one) is None
    assert orphaned(f"{one}-registry", tmp_path) == one
    assert orphaned("somebody-elses", tmp_path) is None


SIGNALLED = """
import os, signal, sys, time
from benchmarks.lab.cleanup import undo_stack
with undo_stack() as undo:
    undo.callback(print, "first made, last undone", flush=True)
    undo.callback(os.kill, os.getpid(), signal.SIGINT)  # impatience while cleaning up
    print("ready", flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_undo_runs_to_its_end_whatever_signal_stops_the_program(number: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", SIGNALLED],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        output, errors = process.communicate(timeout=30)
    assert output == "first made, last undone\n"
    assert "please wait" in errors
    assert process.returncode == 128 + number


def test_service_that_ends_early_is_reported_with_its_last_words(tmp_path: Path) -> None:
    running = Service("thing", ["sh", "-c", "echo last words; exit 3"], tmp_path / "log")
    with pytest.raises(HostError, match=r"thing ended with 3: last words"):
        running.wait_until(lambda: False)
    running.stop()


def test_service_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(HostError, match=r"thing cannot be started: /nonexistent"):
        Service("thing", ["/nonexistent"], tmp_path / "log")


def test_service_and_its_children_are_gone_after_the_block(tmp_path: Path) -> None:
    script = "trap '' TERM; sleep 1000 & echo child $!; wait"
    log = tmp_path / "log"
    with service("stubborn", ["sh", "-c", script], log) as running:
        running.wait_until(lambda: "child" in log.read_text())
        child = int(log.read_text().split()[1])
        running.stop(seconds=0.1)
    assert _gone(child)


def _gone(pid: int) -> bool:
    for _ in range(500):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except OSError:
            return True
        if state == "Z":
            return True
        time.sleep(0.01)
    return False


def test_work_directory_is_removed_and_those_of_dead_processes_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmarks.lab.workdir.PARENT", tmp_path)
    with subprocess.Popen(["true"]) as dead:
        dead.wait()
    left = tmp_path / f"bootseer-lab-{dead.pid}-0"
    (left / "below").mkdir(parents=True)
    with work_directory() as path:
        assert path.is_dir()
        assert path.stat().st_mode & 0o777 == 0o700
        assert str(os.getpid()) in path.name
        assert not left.exists()
    assert not path.exists()
