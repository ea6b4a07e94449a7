"""Images that nobody indexed: the first node does it while it unpacks, the second one is lazy."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from small_image import manifest_digest
from trouble_image import SUMS, TroubleImage, other_mode, publish_indexes, trouble_image
from whole import Whole, bootseer, local_registry, node_of, wait_for

from benchmarks.lab.workdir import work_directory
from bootseer.errors import HostError

pytestmark = pytest.mark.containers


@pytest.fixture(scope="module")
def nodes() -> Iterator[tuple[Whole, Whole]]:
    """Two nodes of one registry: one publishes, the other believes signed indexes only of
    `signed/`, and of `local/` none.
    """
    with ExitStack() as stack:
        directory = stack.enter_context(work_directory())
        registry = stack.enter_context(local_registry(directory / "reg"))
        (directory / "1").mkdir()
        (directory / "2").mkdir()
        key, public = directory / "site.key", directory / "site.pem"
        _openssl("genpkey", "-algorithm", "ed25519", "-out", str(key))
        _openssl("pkey", "-in", str(key), "-pubout", "-out", str(public))
        rules = (
            f"trust:\n  keys: [{public}]\n  rules:\n"
            f"    - {{match: {registry.host}/signed, policy: signed}}\n"
            f"    - {{match: {registry.host}/local, policy: local}}\n"
        )
        publishes = "snapshotter: {unpack: publish}\nindex: {spacing: 64KiB}\n"
        first = stack.enter_context(node_of(registry, directory / "1", publishes))
        second = stack.enter_context(node_of(registry, directory / "2", rules))
        yield first, second


def _openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


def log_lines(node: Whole, event: str, word: str) -> list[str]:
    return [line for line in node.daemon.log().splitlines() if event in line and word in line]


def how(node: Whole, image: TroubleImage) -> list[str]:
    """Return how the data layer came to be provided."""
    lines = log_lines(node, "layer.provided", image.layers[1])
    return [line.split(" how=")[1].split(" ")[0] for line in lines]


def test_what_one_node_unpacks_is_lazy_on_the_next_and_nobody_ran_a_command(
    nodes: tuple[Whole, Whole],
) -> None:
    first, second = nodes
    image = trouble_image(first, "by-itself", megabytes=8)
    first.pull(image.reference)
    assert how(first, image) == ["unpacked"]
    wait_for(lambda: log_lines(first, "index.published", image.reference), "the index")
    assert len(log_lines(first, "index.published", image.reference)) == 1, "one for all layers"
    before = second.registry.bytes_of(image.layers[1])
    second.pull(image.reference)
    second.run(image.reference, "ls", "/data")
    assert how(second, image) == ["lazy"]
    assert second.registry.bytes_of(image.layers[1]) - before < 4 << 20
    assert second.run(image.reference, "sh", "-c", SUMS) == image.sums
    assert not list(first.daemon.root.glob("l/*/unpublished"))


def test_an_index_that_no_key_signed_is_not_used_where_one_has_to(
    nodes: tuple[Whole, Whole],
) -> None:
    first, second = nodes
    image = trouble_image(first, "signed/a")
    publish_indexes(first, image)
    second.pull(image.reference)
    assert how(second, image) == ["unpacked"]
    assert log_lines(second, "index.not_believed", image.reference)

    signed = trouble_image(first, "signed/b")
    publish_indexes(first, signed)
    key = second.directory.parent / "site.key"
    config = ["--config", str(second.daemon.config)]
    said = bootseer("image", "sign", signed.reference, "--key", str(key), "--json", *config)
    assert json.loads(said)["manifest"] == manifest_digest(signed.reference)
    second.pull(signed.reference)
    assert how(second, signed) == ["lazy"]
    assert second.run(signed.reference, "sh", "-c", SUMS) == signed.sums


def test_a_published_index_is_not_even_looked_for_where_only_local_ones_count(
    nodes: tuple[Whole, Whole],
) -> None:
    first, second = nodes
    image = trouble_image(first, "local/a")
    publish_indexes(first, image)
    second.pull(image.reference)
    assert how(second, image) == ["unpacked"]
    assert second.run(image.reference, "sh", "-c", SUMS) == image.sums


def test_no_new_container_starts_on_an_index_that_was_caught_lying(
    nodes: tuple[Whole, Whole],
) -> None:
    first, second = nodes
    image = trouble_image(first, "lies")
    index = publish_indexes(first, image, lie=other_mode)
    second.pull(image.reference)
    second.run(image.reference, "sh", "-c", SUMS)
    lie = "the lie to be found"
    wait_for(lambda: log_lines(second, "index.lies", index.digest), lie, seconds=60)
    with pytest.raises(HostError, match="lies"):
        second.run(image.reference, "true")
    other = trouble_image(first, "honest")
    publish_indexes(first, other)
    second.pull(other.reference)
    assert second.run(other.reference, "sh", "-c", SUMS) == other.sums
