"""Pods with `hostUsers: false`, over the CRI: the layers are idmapped and stay lazy."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from pods import cri_of, pull, push_pause, run_pod
from small_image import SmallImage, indexed_image
from whole import Whole, whole

from benchmarks.lab.workdir import work_directory
from tests.integration.protos import cri_pb2 as cri
from tooling.runc import RUNC

pytestmark = pytest.mark.containers

UIDS = cri.IDMapping(container_id=0, host_id=100_000, length=65_536)
GIDS = cri.IDMapping(container_id=0, host_id=200_000, length=65_536)
OWN_USERS = cri.NamespaceOption(
    network=cri.POD,
    pid=cri.CONTAINER,
    ipc=cri.POD,
    userns_options=cri.UserNamespace(mode=cri.POD, uids=[UIDS], gids=[GIDS]),
)
"""A user namespace goes with a network of the pod's own."""
NETWORK = {"cniVersion": "1.0.0", "name": "none", "plugins": [{"type": "nothing"}]}
PLUGIN = r"""#!/bin/sh
cat > /dev/null
case "$CNI_COMMAND" in
VERSION) echo '{"cniVersion":"1.0.0","supportedVersions":["0.3.1","0.4.0","1.0.0"]}' ;;
ADD) printf '{"cniVersion":"1.0.0","interfaces":[{"name":"%s","sandbox":"%s"}],' \
            "$CNI_IFNAME" "$CNI_NETNS"
     echo '"ips":[{"address":"10.9.8.7/24","interface":0}]}' ;;
esac
"""
"""A network plugin (CNI specification 1.0.0) that adds nothing, and says it did."""


def network_of(directory: Path) -> None:
    """Give the node in `directory` the network, where its containerd looks."""
    state = directory / "c/state"
    for name in ("nothing", "loopback"):
        plugin = state / "cni-bin" / name
        plugin.parent.mkdir(exist_ok=True)
        plugin.write_text(PLUGIN)
        plugin.chmod(0o755)
    (state / "cni").mkdir(exist_ok=True)
    (state / "cni/1.conflist").write_text(json.dumps(NETWORK))


@pytest.fixture(scope="module")
def node() -> Iterator[Whole]:
    runtime = "plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc"
    newer = f"""
[{runtime}]
  runtime_type = "io.containerd.runc.v2"
  [{runtime}.options]
    BinaryName = "{RUNC.ensure()}"
"""
    with work_directory() as directory:
        directory.chmod(0o711)  # runc goes to the root file system as the container's root
        settings = "fill:\n  rate: 0\n"
        with whole(directory, settings, sandbox="pause:latest", more=newer) as made:
            network_of(directory)
            push_pause(made)
            yield made


@pytest.fixture(scope="module")
def channel(node: Whole) -> Iterator[grpc.Channel]:
    with cri_of(node) as made:
        yield made


@pytest.fixture(scope="module")
def image(node: Whole) -> SmallImage:
    return indexed_image(node)


def test_a_pod_with_users_of_its_own_runs_lazily(
    node: Whole, channel: grpc.Channel, image: SmallImage
) -> None:
    file = "/data/1/file-1"
    before = node.registry.bytes_of(image.layers[1])
    look = f"cat /proc/self/uid_map; stat -c '%u:%g' /etc/greeting /; sha256sum {file}"
    command = ["/bin/sh", "-c", f"{look}; echo x > /new; stat -c %u /new"]
    said = run_pod(node, channel, pull(channel, image), "own", command, namespaces=OWN_USERS)
    assert re.search(r"\b0\s+100000\s+65536$", said, re.MULTILINE), said
    assert said.count(" 0:0\n") == 2
    assert image.contents[file] in said
    assert node.registry.bytes_of(image.layers[1]) - before < image.sizes[1] // 4


def test_without_users_of_its_own_a_pod_of_the_same_layers_runs_as_before(
    node: Whole, channel: grpc.Channel, image: SmallImage
) -> None:
    command = ["/bin/sh", "-c", "cat /proc/self/uid_map; stat -c '%u:%g' /etc/greeting"]
    said = run_pod(node, channel, pull(channel, image), "shared", command)
    assert re.search(r"\b0\s+0\s+4294967295$", said, re.MULTILINE), said
    assert " 0:0\n" in said
