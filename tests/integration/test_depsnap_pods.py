"""Snapshots that a container has mounted by the node's daemon, over a socket that it mounts."""

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from small_image import small_image
from whole import PLUGIN, Whole, wait_for, whole

from benchmarks.lab.workdir import work_directory
from bootseer import kernel
from depsnap.mounting.daemon import Daemon, NotMountedError

pytestmark = pytest.mark.containers

REPOSITORY = Path(__file__).resolve().parents[2]
MAKE = """set -e
mkdir -p "$1/pkg"
for n in $(seq 100); do echo "text $n" > "$1/pkg/$n"; done
head -c 6000000 /dev/urandom > "$1/pkg/large"
"""
ROOT = "/opt/app"
MOUNT = "--restore mount --daemon /pods/deps.sock --store file:///nowhere"
ASK = """
import http.client, socket, sys
class Connection(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect("/pods/deps.sock")
connection = Connection("localhost")
connection.request("POST", "/v1/deps/mount", sys.argv[1])
if sys.argv[2] == "wait":
    print(connection.getresponse().read().decode())
"""


def asking(question: dict[str, object], *, wait: bool = True) -> str:
    """Return a line of a script that asks the daemon and prints the answer."""
    words = [sys.executable, "-c", ASK, json.dumps(question), "wait" if wait else "leave"]
    return shlex.join(words)


@dataclass(frozen=True)
class Pods:
    """A node, an image, a store that only some containers get."""

    node: Whole
    image: str

    @property
    def directory(self) -> Path:
        return self.node.directory

    @property
    def areas(self) -> Path:
        return self.node.daemon.root / "d"

    @property
    def key(self) -> str:
        """The key of the snapshot in the store."""
        (head,) = self.directory.glob("store/snapshots/job/*/*")
        return head.parent.name

    @property
    def socket(self) -> Path:
        return self.directory / "pods/deps.sock"

    def run(
        self, script: str, *, store: bool = False, annotation: str = "", options: Sequence[str] = ()
    ) -> "subprocess.CompletedProcess[str]":
        """Run a script in a container; see `command`."""
        command = self.command(script, store=store, annotation=annotation, options=options)
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    def command(
        self, script: str, *, store: bool = False, annotation: str = "", options: Sequence[str] = ()
    ) -> list[str]:
        """Return what runs a script in a container that has the host's programs, and the directory
        of the socket. The last words but three name it."""
        mounts = {
            "/usr": "/usr",
            "/usr/lib": "/lib",
            "/usr/lib64": "/lib64",
            str(REPOSITORY): str(REPOSITORY),
            sys.prefix: sys.prefix,
            str(self.socket.parent): "/pods",
        }
        words = ["run", "--rm", "--snapshotter", PLUGIN]
        for source, target in mounts.items():
            words += ["--mount", f"type=bind,src={source},dst={target},options=rbind:ro"]
        if store:
            where = self.directory / "store"
            where.mkdir(exist_ok=True)
            words += ["--mount", f"type=bind,src={where},dst=/store,options=rbind:rw"]
        if annotation:
            words += ["--annotation", f"bootseer.deps={annotation}"]
        name = f"p{len(list(self.directory.glob('ran-*')))}"
        (self.directory / f"ran-{name}").touch()
        return self.node.containerd.ctr_command(
            *words, *options, self.image, name, "/bin/sh", "-c", script
        )

    def step(self, *options: str) -> str:
        """Return the install step, as a line of a script."""
        own = f"PYTHONPATH={REPOSITORY} {sys.executable} -m bootseer deps run --name job"
        step = f"-- /bin/sh -c '{MAKE}' make {ROOT}"
        return f"mkdir -p {ROOT}; {own} --root {ROOT} {' '.join(options)} {step}"


@pytest.fixture(scope="module")
def pods() -> Iterator[Pods]:
    with work_directory() as work:
        (work / "pods").mkdir()
        settings = f"deps:\n  store: file://{work / 'store'}\n  pods: {work / 'pods/deps.sock'}\n"
        with whole(work, settings) as node:
            image = small_image(work / "image", node.registry.host)
            node.pull(image.reference)
            made = Pods(node, image.reference)
            done = made.run(made.step("--store", "file:///store"), store=True)
            assert "kept" in done.stderr, done.stderr + done.stdout
            yield made


def test_a_container_gets_a_snapshot_that_it_may_have(pods: Pods) -> None:
    look = f"; cat {ROOT}/pkg/7; grep ' {ROOT} ' /proc/self/mountinfo; cat /proc/self/cgroup"
    done = pods.run(
        pods.step(MOUNT) + look,
        annotation="job",
    )
    assert "mounted" in done.stderr, done.stderr + done.stdout
    assert "text 7" in done.stdout
    assert " overlay bootseer-deps-" in done.stdout
    assert re.search(rf" {ROOT} \S*nodev", done.stdout)


def test_a_container_writes_over_its_snapshot_and_nothing_is_left_of_it(pods: Pods) -> None:
    script = f"; echo mine > {ROOT}/pkg/7; rm {ROOT}/pkg/8; cat {ROOT}/pkg/7; ls {ROOT}/pkg | wc -l"
    done = pods.run(pods.step(MOUNT) + script, annotation="other,jo*")
    assert done.stdout.split() == ["mine", "100"], done.stderr + done.stdout
    wait_for(lambda: not list(pods.areas.glob("*.json")), "the area to go", 40)
    assert not [one for one in kernel.mount_points() if one.point.startswith(f"{pods.areas}/")]
    again = pods.run(pods.step(MOUNT) + f"; cat {ROOT}/pkg/7", annotation="job")
    assert "text 7" in again.stdout


@pytest.mark.parametrize("annotation", ["", "jobs"])
def test_a_container_that_may_not_have_it_runs_the_step(pods: Pods, annotation: str) -> None:
    done = pods.run(pods.step(MOUNT) + f"; cat {ROOT}/pkg/7", annotation=annotation)
    assert "may not mount snapshots of job" in done.stderr, done.stderr + done.stdout
    assert "mounted" not in done.stderr.replace("not mounted", "")
    assert "text 7" in done.stdout


def test_labels_of_an_image_grant_nothing(pods: Pods) -> None:
    """Containerd makes them the container's."""
    ask = {"name": "job", "key": pods.key, "roots": [ROOT]}
    image = small_image(
        pods.directory / "labelled",
        pods.node.registry.host,
        "labelled:latest",
        labels={"bootseer.deps": "job"},
    )
    pods.node.pull(image.reference)
    done = replace(pods, image=image.reference).run(asking(ask))
    assert "may not mount" in json.loads(done.stdout)["error"]


def test_nobody_but_root_in_a_container_gets_a_mount(pods: Pods) -> None:
    ask = {"name": "job", "key": pods.key, "roots": [ROOT]}
    done = pods.run(asking(ask), annotation="job", options=("--user", "1000:1000"))
    assert "only root" in json.loads(done.stdout)["error"]


def test_a_container_that_holds_connections_keeps_nobody_out(pods: Pods) -> None:
    hold = (
        "import socket, time\n"
        "held = [socket.socket(socket.AF_UNIX) for _ in range(30)]\n"
        "for one in held: one.connect('/pods/deps.sock'); one.settimeout(0.2)\n"
        "def is_open(one):\n"
        "    try: return one.recv(1) != b''\n"
        "    except TimeoutError: return True\n"
        "    except OSError: return False\n"
        "print(sum(map(is_open, held)), flush=True); time.sleep(60)\n"
    )
    command = pods.command(shlex.join([sys.executable, "-c", hold]))
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as hostile:
        try:
            assert hostile.stdout is not None
            assert hostile.stdout.readline() == "8\n"
            done = pods.run(pods.step(MOUNT) + f"; cat {ROOT}/pkg/7", annotation="job")
            assert "mounted" in done.stderr, done.stderr
        finally:
            pods.node.containerd.ctr("task", "kill", "-s", "KILL", command[-4])


def test_a_read_only_container_gets_a_read_only_mount(pods: Pods) -> None:
    """The root is made by another container's image: here it has to be there already."""
    ask = {"name": "job", "key": pods.key, "roots": [ROOT]}
    script = f"{asking(ask)}; echo no > {ROOT}/pkg/7; grep -c text {ROOT}/pkg/7"
    mount = ("--mount", f"type=tmpfs,dst={ROOT},options=ro")
    done = pods.run(script, annotation="job", options=("--read-only", *mount))
    assert '"points": ["opt/app"]' in done.stdout, done.stderr + done.stdout
    assert "Read-only file system" in done.stderr
    assert done.stdout.strip().endswith("1")


@pytest.mark.parametrize(
    "asked",
    [
        {"roots": ["/opt/../etc"]},
        {"roots": ["opt/app"]},
        {"roots": []},
        {"roots": ["/usr"]},
        {"name": "../job"},
        {"key": "a" * 64},
        {"key": "../../../etc/passwd"},
        {"stale": 3},
    ],
)
def test_what_makes_no_sense_is_refused(pods: Pods, asked: dict[str, object]) -> None:
    question = {"name": "job", "key": pods.key, "roots": [ROOT]} | asked
    done = pods.run(f"mkdir -p {ROOT}; {asking(question)}; ls {ROOT}", annotation="job")
    assert json.loads(done.stdout)["error"], done.stderr
    pods.node.daemon.status()


def test_a_process_outside_of_containers_is_refused(pods: Pods) -> None:
    daemon = Daemon(pods.socket, 20.0)
    with pytest.raises(NotMountedError, match="container"):
        daemon.mount({"name": "job", "key": pods.key, "roots": [ROOT]})


def test_whoever_leaves_before_the_answer_leaves_nothing(pods: Pods) -> None:
    ask = {"name": "job", "key": pods.key, "roots": [ROOT]}
    done = pods.run(f"mkdir -p {ROOT}; {asking(ask, wait=False)}", annotation="job")
    assert done.returncode == 0, done.stderr
    wait_for(lambda: not list(pods.areas.glob("*.json")), "the area to go", 40)
    again = pods.run(pods.step(MOUNT), annotation="job")
    assert "mounted" in again.stderr


def test_without_a_daemon_a_container_unpacks(pods: Pods) -> None:
    step = pods.step("--restore mount --daemon /pods/none --store file:///store")
    done = pods.run(step + f"; cat {ROOT}/pkg/7", annotation="job", store=True)
    assert "not mounted, but unpacked" in done.stderr
    assert "restored" in done.stderr
    assert "text 7" in done.stdout


def test_a_link_in_place_of_a_root_leads_nowhere(pods: Pods) -> None:
    ask = {"name": "job", "key": pods.key, "roots": [ROOT]}
    done = pods.run(f"mkdir /opt; ln -s /tmp {ROOT}; {asking(ask)}; ls /tmp", annotation="job")
    answer = json.loads(done.stdout.splitlines()[0])
    assert "does not allow" in answer["error"], done.stdout
    assert "pkg" not in done.stdout
