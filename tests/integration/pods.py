"""Images and pods over the CRI, as the kubelet makes them."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import grpc
from small_image import SmallImage, base_tree, push
from whole import Whole, wait_for

from benchmarks.images.layer_tar import LayerTar
from benchmarks.images.oci_layout import OciLayout
from tests.integration.protos import cri_pb2 as cri
from tests.integration.protos import cri_pb2_grpc as services

HOST_NETWORK = cri.NamespaceOption(network=cri.NODE, pid=cri.CONTAINER, ipc=cri.POD)


@contextmanager
def cri_of(node: Whole) -> Iterator[grpc.Channel]:
    """Connect to the CRI of a node, once it answers."""
    with grpc.insecure_channel(f"unix://{node.containerd.socket}") as made:
        wait_for(lambda: _answers(services.RuntimeServiceStub(made)), "the CRI to answer")
        yield made


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
    namespaces: cri.NamespaceOption = HOST_NETWORK,
) -> str:
    """Run a pod of one container to its end; remove both. Return what the kubelet's log has."""
    runtime = services.RuntimeServiceStub(channel)
    logs = node.directory / "logs" / name
    logs.mkdir(parents=True)
    pod = cri.PodSandboxConfig(
        metadata=cri.PodSandboxMetadata(name=name, uid=name, namespace="default"),
        log_directory=str(logs),
        annotations=pod_annotations or {},
        linux=cri.LinuxPodSandboxConfig(
            cgroup_parent=f"/{node.containerd.namespace}",
            security_context=cri.LinuxSandboxSecurityContext(namespace_options=namespaces),
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
                            namespace_options=namespaces
                        )
                    ),
                ),
            )
        ).container_id
        runtime.StartContainer(cri.StartContainerRequest(container_id=container))
        status = _wait_exit(runtime, container)
        assert status.exit_code == 0, (status.reason, status.message)
        runtime.RemoveContainer(cri.RemoveContainerRequest(container_id=container))
    finally:
        runtime.StopPodSandbox(cri.StopPodSandboxRequest(pod_sandbox_id=sandbox))
        runtime.RemovePodSandbox(cri.RemovePodSandboxRequest(pod_sandbox_id=sandbox))
    return (logs / "main.log").read_text()


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
