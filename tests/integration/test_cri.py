"""Pulls and pods as the kubelet and crictl make them: over the CRI."""

import json
import re
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import grpc
import pytest
from small_image import SmallImage, base_tree, push, small_image
from whole import PLUGIN, Whole, bootseer, wait_for, whole

from benchmarks.images.layer_tar import LayerTar
from benchmarks.images.oci_layout import OciLayout
from benchmarks.lab.workdir import work_directory
from snapshotter.starts.labels import WORKLOAD
from tests.integration.protos import cri_pb2 as cri
from tests.integration.protos import cri_pb2_grpc as services

pytestmark = pytest.mark.containers

HOST_NETWORK = cri.NamespaceOption(network=cri.NODE, pid=cri.CONTAINER, ipc=cri.POD)


@pytest.fixture(scope="module")
def node() -> Iterator[Whole]:
    with work_directory() as directory, whole(directory, sandbox="pause:latest") as made:
        push_pause(made)
        yield made


@pytest.fixture(scope="module")
def channel(node: Whole) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(f"unix://{node.containerd.socket}") as made:
        wait_for(lambda: _answers(services.RuntimeServiceStub(made)), "the CRI to answer")
        yield made


@pytest.fixture(scope="module")
def image(node: Whole) -> SmallImage:
    """An image with its index published."""
    made = small_image(node.directory / "image", node.registry.host)
    bootseer("image", "index", made.reference, "--config", str(node.daemon.config))
    return made


@dataclass(frozen=True)
class Ended:
    """A pod that ran to its end."""

    output: str
    """What its container printed, as the kubelet's log has it."""
    container: dict[str, str]
    """Labels of the container's snapshot."""
    sandbox: dict[str, str]
    """Labels of the snapshot of the container that holds the namespaces."""


def push_pause(node: Whole) -> None:
    """Push an image whose command does nothing for ever: what holds a pod's namespaces."""
    layout = OciLayout(node.directory / "pause-layout")
    tree = base_tree(node.directory / "pause")
    layout.add_layer("pause", LayerTar(tree).write)
    config = {"Cmd": ["/bin/sleep", "3600"], "Env": ["PATH=/bin"]}
    layout.finish(name="small", architecture="amd64", config=config, created="2026-01-01T00:00:00Z")
    push(layout.root, f"{node.registry.host}/pause:latest")


def pull(channel: grpc.Channel, image: SmallImage) -> str:
    """Pull an image as the kubelet does; return what containers name it by."""
    wanted = cri.PullImageRequest(image=cri.ImageSpec(image=image.reference))
    return str(services.ImageServiceStub(channel).PullImage(wanted).image_ref)


def run_pod(
    node: Whole,
    channel: grpc.Channel,
    image_ref: str,
    name: str,
    command: Sequence[str],
    *,
    pod_annotations: Mapping[str, str] | None = None,
    container_annotations: Mapping[str, str] | None = None,
) -> Ended:
    """Run a pod of one container to its end; remove both."""
    runtime = services.RuntimeServiceStub(channel)
    logs = node.directory / "logs" / name
    logs.mkdir(parents=True)
    pod = cri.PodSandboxConfig(
        metadata=cri.PodSandboxMetadata(name=name, uid=name, namespace="default"),
        log_directory=str(logs),
        annotations=pod_annotations or {},
        linux=cri.LinuxPodSandboxConfig(
            cgroup_parent=f"/{node.containerd.namespace}",
            security_context=cri.LinuxSandboxSecurityContext(namespace_options=HOST_NETWORK),
        ),
    )
    sandbox = runtime.RunPodSandbox(cri.RunPodSandboxRequest(config=pod)).pod_sandbox_id
    try:
        container = runtime.CreateContainer(
            cri.CreateContainerRequest(
                pod_sandbox_id=sandbox,
                sandbox_config=pod,
                config=cri.ContainerConfig(
                    metadata=cri.ContainerMetadata(name="main"),
                    image=cri.ImageSpec(image=image_ref),
                    command=command,
                    annotations=container_annotations or {},
                    log_path="main.log",
                    linux=cri.LinuxContainerConfig(
                        security_context=cri.LinuxContainerSecurityContext(
                            namespace_options=HOST_NETWORK
                        )
                    ),
                ),
            )
        ).container_id
        runtime.StartContainer(cri.StartContainerRequest(container_id=container))
        status = _wait_exit(runtime, container)
        assert status.exit_code == 0, (status.reason, status.message)
        labels = [snapshot_labels(node, name) for name in (container, sandbox)]
        runtime.RemoveContainer(cri.RemoveContainerRequest(container_id=container))
    finally:
        runtime.StopPodSandbox(cri.StopPodSandboxRequest(pod_sandbox_id=sandbox))
        runtime.RemovePodSandbox(cri.RemovePodSandboxRequest(pod_sandbox_id=sandbox))
    return Ended((logs / "main.log").read_text(), *labels)


def snapshot_labels(node: Whole, key: str) -> dict[str, str]:
    """Return the labels of the snapshot of a container that the CRI made."""
    *ctr, _ = node.containerd.ctr_command("")
    ctr[ctr.index("-n") + 1] = "k8s.io"
    command = [*ctr, "snapshots", "--snapshotter", PLUGIN, "info", key]
    found = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return dict(json.loads(found).get("Labels", {}))


def test_a_pod_runs_from_an_image_that_the_cri_pulled_lazily(
    node: Whole, channel: grpc.Channel, image: SmallImage
) -> None:
    before = node.registry.bytes_of(image.layers[1])
    pulled = pull(channel, image)
    assert pulled.startswith("sha256:")
    command = ["/bin/sha256sum", "/data/1/file-1", "/etc/greeting"]
    assert image.contents["/data/1/file-1"] in run_pod(node, channel, pulled, "job", command).output
    assert node.registry.bytes_of(image.layers[1]) - before < image.sizes[1] // 4


def test_no_annotation_reaches_a_containers_snapshot_so_it_is_its_images_default_workload(
    node: Whole, channel: grpc.Channel, image: SmallImage
) -> None:
    """What `docs/hot-blocks.md` says of Kubernetes: to be changed there when this fails."""
    ended = run_pod(
        node,
        channel,
        pull(channel, image),
        "annotated",
        ["/bin/cat", "/etc/greeting"],
        pod_annotations={WORKLOAD: "of-pod"},
        container_annotations={WORKLOAD: "of-container"},
    )
    assert WORKLOAD not in ended.container
    assert ended.sandbox[WORKLOAD] == "of-pod"
    line = rf"start\.prepared image={re.escape(image.reference)} workload=(\S+)"
    found = re.findall(line, node.daemon.log())  # the sandbox is of the same image here
    assert '""' in found
    assert "of-container" not in found


def _answers(runtime: services.RuntimeServiceStub) -> bool:
    try:
        return bool(runtime.Version(cri.VersionRequest()).runtime_name)
    except grpc.RpcError:
        return False


def _wait_exit(runtime: services.RuntimeServiceStub, container: str) -> cri.ContainerStatus:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        answer = runtime.ContainerStatus(cri.ContainerStatusRequest(container_id=container))
        if answer.status.state == cri.CONTAINER_EXITED:
            return answer.status
        time.sleep(0.05)
    raise AssertionError("the container never ended")
