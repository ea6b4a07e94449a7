"""Pulls and pods as the kubelet and crictl make them: over the CRI."""

import re
from collections.abc import Iterator, Mapping

import grpc
import pytest
from pods import cri_of, pull, push_pause, run_pod
from small_image import SmallImage, indexed_image
from whole import PLUGIN, Whole, whole

from benchmarks.lab.workdir import work_directory
from snapshotter.starts.labels import WORKLOAD

pytestmark = pytest.mark.containers


@pytest.fixture(scope="module")
def node() -> Iterator[Whole]:
    with work_directory() as directory, whole(directory, sandbox="pause:latest") as made:
        push_pause(made)
        yield made


@pytest.fixture(scope="module")
def channel(node: Whole) -> Iterator[grpc.Channel]:
    with cri_of(node) as made:
        yield made


@pytest.fixture(scope="module")
def image(node: Whole) -> SmallImage:
    """An image with its index published."""
    return indexed_image(node)


def test_a_pod_runs_from_an_image_that_the_cri_pulled_lazily(
    node: Whole, channel: grpc.Channel, image: SmallImage
) -> None:
    before = node.registry.bytes_of(image.layers[1])
    pulled = pull(channel, image)
    assert pulled.startswith("sha256:")
    command = ["/bin/sha256sum", "/data/1/file-1", "/etc/greeting"]
    assert image.contents["/data/1/file-1"] in run_pod(node, channel, pulled, "job", command)
    assert node.registry.bytes_of(image.layers[1]) - before < image.sizes[1] // 4


@pytest.mark.parametrize(
    ("pod", "container", "workload"),
    [
        ({}, {}, '""'),
        ({"bootseer.workload": "of-pod"}, {}, "of-pod"),
        ({WORKLOAD: "of-pod"}, {"bootseer.workload": "of-container"}, "of-container"),
    ],
)
def test_a_pods_annotation_names_the_workload_of_its_containers(
    node: Whole,
    channel: grpc.Channel,
    image: SmallImage,
    pod: Mapping[str, str],
    container: Mapping[str, str],
    workload: str,
) -> None:
    before = len(node.daemon.log())
    run_pod(
        node,
        channel,
        pull(channel, image),
        f"annotated-{len(pod)}-{len(container)}",
        ["/bin/cat", "/etc/greeting"],
        pod_annotations=pod,
        container_annotations=container,
    )
    line = rf"start\.prepared image={re.escape(image.reference)} workload=(\S+)"
    found = re.findall(line, node.daemon.log()[before:])
    # the sandbox is of the same image here, and the first to start
    assert found[-1] == workload
    assert "container.not_asked" not in node.daemon.log()


def test_a_containers_label_names_its_workload(node: Whole, image: SmallImage) -> None:
    node.pull(image.reference)
    command = ["run", "--rm", "--snapshotter", PLUGIN, "--label", "bootseer.workload=labelled"]
    node.containerd.ctr(*command, image.reference, "labelled", "/bin/cat", "/etc/greeting")
    assert "workload=labelled course" in node.daemon.log()
