"""Registries that die, lie about ranges, send too little or fall silent, under running reads."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
from registry_proxy import (
    RegistryProxy,
    honest,
    other_bytes,
    registry_proxy,
    short_body,
    silent,
    stalled,
    whole_blob,
    wrong_range,
)
from trouble_image import SUMS, TroubleImage, publish_indexes, trouble_image
from whole import Whole, wait_for, whole

from benchmarks.lab.containerd import hosts_toml
from benchmarks.lab.service import service
from benchmarks.lab.workdir import work_directory
from bootseer.errors import HostError

pytestmark = pytest.mark.containers

SETTINGS = "  connect_timeout: 1\n  read_timeout: 0.3\n"
"""Appended to the `registry` section: tests cannot wait for half a minute."""


@pytest.fixture(scope="module")
def node() -> Iterator[Whole]:
    with work_directory() as directory, whole(directory, SETTINGS) as made:
        yield made


@pytest.fixture(scope="module")
def proxy(node: Whole) -> Iterator[RegistryProxy]:
    """The daemon, but not containerd, reaches the registry through it."""
    with registry_proxy(node.registry) as made:
        hosts = node.directory / "b/certs.d" / node.registry.host / "hosts.toml"
        hosts.parent.mkdir(parents=True)
        hosts.write_text(hosts_toml(made.host))
        yield made


def read_all(node: Whole, image: TroubleImage) -> str:
    """Return what a container makes of the data, or the error that it got."""
    Path("/proc/sys/vm/drop_caches").write_text("1")
    try:
        return node.run(image.reference, "sh", "-c", SUMS)
    except HostError as error:
        return str(error)


def io_error(said: str) -> bool:
    return "i/o error" in said.lower() or "input/output error" in said.lower()


def lazily(node: Whole, name: str) -> TroubleImage:
    """Return an image that was pulled, of whose data layer nothing was read."""
    image = trouble_image(node, name)
    publish_indexes(node, image)
    node.pull(image.reference)
    node.run(image.reference, "ls", "/data")
    return image


def test_a_registry_that_ignores_range_is_slow_but_right(node: Whole, proxy: RegistryProxy) -> None:
    image = lazily(node, "ignores-range")
    proxy.answers["ignores-range"] = whole_blob
    assert read_all(node, image) == image.sums


def test_bytes_that_are_wrong_or_do_not_come_are_an_io_error_until_they_are_right(
    node: Whole, proxy: RegistryProxy
) -> None:
    troubles = {
        "wrong-range": wrong_range,
        "other-bytes": other_bytes,
        "short-body": short_body,
        "stalled": stalled,
        "silent": silent,
    }
    images = {name: lazily(node, name) for name in troubles}
    proxy.answers.update(troubles)
    with ThreadPoolExecutor(len(images)) as threads:
        said = threads.map(lambda image: read_data(node, image), images.values())
        assert {name: io_error(text) for name, text in zip(images, said, strict=True)} == (
            dict.fromkeys(troubles, True)
        )
    proxy.answers.clear()
    for name, image in images.items():
        wait_for(partial(_reads_right, node, image), f"{name} to be over")


def _reads_right(node: Whole, image: TroubleImage) -> bool:
    return read_all(node, image) == image.sums


def read_data(node: Whole, image: TroubleImage) -> str:
    """Return what a container says that gives up at the first error."""
    try:
        return node.run(image.reference, "dd", "if=/data/big", "of=/dev/null", "bs=64k")
    except HostError as error:
        return str(error)


def test_a_registry_that_dies_fails_reads_and_nothing_else_until_it_is_back(
    node: Whole, proxy: RegistryProxy
) -> None:
    local = trouble_image(node, "local")
    node.pull(local.reference)
    image = lazily(node, "dies")
    node.registry.running.stop()
    proxy.answer = silent
    assert io_error(read_data(node, image))
    assert node.daemon.status()["pid"] > 0
    assert read_all(node, local) == local.sums, "what is local needs no registry"
    argv = ["docker-registry", "serve", str(node.directory / "reg/registry.yml")]
    proxy.answer = honest
    with service(
        "docker-registry", argv, node.registry.running.log, env={"OTEL_TRACES_EXPORTER": "none"}
    ):
        wait_for(lambda: read_all(node, image) == image.sums, "reads to go on")
    assert "keeper.server_died" not in node.daemon.log()
