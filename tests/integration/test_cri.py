"""Pulls and pods as the kubelet and crictl make them: over the CRI."""

import time
from collections.abc import Iterator

import grpc
import pytest
from small_image import base_tree, push, small_image
from whole import Whole, bootseer, wait_for, whole

from benchmarks.images.layer_tar import LayerTar
from benchmarks.images.oci_layout import OciLayout
from benchmarks.lab.workdir import work_directory
from tests.integration.protos import cri_pb2 as cri
from tests.integration.protos import cri_pb2_grpc as services

pytestmark = pytest.mark.containers

HOST_NETWORK = cri.NamespaceOption(network=cri.NODE, pid=cri.CONTAINER, ipc=cri.POD)


@pytest.fixture
def node() -> Iterator[Whole]:
    with work_directory() as directory, whole(directory, sandbox="pause:latest") as made:
        yield made


@pytest.fixture
def channel(node: Whole) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(f"unix://{node.containerd.socket}") as made:
        yield made


def push_pause(node: Whole) -> None:
    """Push an image whose command does nothing for ever: what holds a pod's namespaces."""
    layout = OciLayout(node.directory / "pause-layout")
    tree = base_tree(node.directory / "pause")
    layout.add_layer("pause", LayerTar(tree).write)
    config = {"Cmd": ["/bin/sleep", "3600"], "Env": ["PATH=/bin"]}
    layout.finish(name="small", architecture="amd64", config=config, created="2026-01-01T00:00:00Z")
    push(layout.root, f"{node.registry.host}/pause:latest")


def test_a_pod_runs_from_an_image_that_the_cri_pulled_lazily(
    node: Whole, channel: grpc.Channel
) -> None:
    push_pause(node)
    image = small_image(node.directory / "image", node.registry.host)
    bootseer("image", "index", image.reference, "--config", str(node.daemon.config))
    before = node.registry.bytes_of(image.layers[1])
    images, runtime = services.ImageServiceStub(channel), services.RuntimeServiceStub(channel)
    wait_for(lambda: _answers(runtime), "the CRI to answer")

    pulled = images.PullImage(cri.PullImageRequest(image=cri.ImageSpec(image=image.reference)))
    assert pulled.image_ref.startswith("sha256:")

    logs = node.directory / "logs"
    logs.mkdir()
    pod = cri.PodSandboxConfig(
        metadata=cri.PodSandboxMetadata(name="job", uid="1", namespace="default"),
        log_directory=str(logs),
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
                    image=cri.ImageSpec(image=pulled.image_ref),
                    command=["/bin/sha256sum", "/data/1/file-1", "/etc/greeting"],
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
        assert image.contents["/data/1/file-1"] in (logs / "main.log").read_text()
        runtime.RemoveContainer(cri.RemoveContainerRequest(container_id=container))
    finally:
        runtime.StopPodSandbox(cri.StopPodSandboxRequest(pod_sandbox_id=sandbox))
        runtime.RemovePodSandbox(cri.RemovePodSandboxRequest(pod_sandbox_id=sandbox))
    assert node.registry.bytes_of(image.layers[1]) - before < image.sizes[1] // 4
    images.RemoveImage(cri.RemoveImageRequest(image=cri.ImageSpec(image=image.reference)))


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
