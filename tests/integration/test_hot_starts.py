"""Starts that are recorded on one node and prefetched on another, on the real components."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from hot_nodes import (
    FIRST_HALF,
    SETTINGS,
    courses,
    drop_caches,
    hot,
    hot_image,
    make_pack,
    record_start,
    recordings,
    records,
    stand_ins,
    start,
    wait_prefetched,
)
from trouble_image import SUMS
from whole import LocalRegistry, Whole, local_registry, node_of

from benchmarks.lab.workdir import work_directory

pytestmark = pytest.mark.containers


@dataclass
class Site:
    """Two nodes of one registry."""

    registry: LocalRegistry
    first: Whole
    second: Whole


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with (
        work_directory() as directory,
        local_registry(directory / "reg") as registry,
        node_of(registry, directory / "1", SETTINGS) as first,
        node_of(registry, directory / "2", SETTINGS) as second,
    ):
        yield Site(registry, first, second)


def test_the_first_start_is_recorded_by_itself_and_the_next_node_prefetches_what_it_touched(
    site: Site,
) -> None:
    image = hot_image(site.first, "by-itself")
    record_start(site.first, image)
    assert courses(site.first, image) == ["record"]
    assert len(records(image)) == 1
    assert recordings(site.first) == []

    site.second.pull(image.reference)
    found = wait_prefetched(site.second, image)
    assert found["blocks"] > 512
    assert found["blocks_missing"] == 0
    assert start(site.second, image, f"{FIRST_HALF}; {SUMS}").endswith(image.sums)
    assert courses(site.second, image) == ["records"]
    assert stand_ins(site.second, image) == [2]


def test_with_a_pack_hot_reads_fetch_no_chunk_and_the_pack_is_fetched_once(site: Site) -> None:
    image = hot_image(site.first, "packed")
    record_start(site.first, image)
    pack = make_pack(site.first, image)
    before = [site.registry.bytes_of(layer) for layer in image.layers]
    sent = site.registry.bytes_of(pack.digest)

    site.second.pull(image.reference)
    wait_prefetched(site.second, image)
    start(site.second, image, FIRST_HALF)
    found = hot(site.second, image)
    assert courses(site.second, image) == ["pack"]
    assert found["source"] == pack.digest
    assert found["reads"]["reads"]["demand"] == 0
    assert found["feed"]["bytes"] == pack.size
    assert site.registry.bytes_of(pack.digest) - sent == pack.size
    assert [site.registry.bytes_of(layer) for layer in image.layers] == before, "chunks were read"

    drop_caches()
    assert start(site.second, image, SUMS) == image.sums
