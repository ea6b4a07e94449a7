"""Starts that are recorded on one node and prefetched on another, on the real components."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest
from hot_nodes import (
    FIRST_HALF,
    SETTINGS,
    Held,
    courses,
    drop_caches,
    hot,
    hot_directories,
    hot_image,
    in_page_cache,
    kernel_tells,
    lines,
    make_pack,
    record_start,
    records,
    stand_ins,
    start,
    wait_prefetched,
    wait_recorded,
)
from made_hot import big_file, layer_of, layers_of, pack_of, publish, record_of
from trouble_image import SUMS, TroubleImage
from whole import LocalRegistry, Whole, local_registry, node_of, wait_for

from benchmarks.lab.workdir import work_directory
from snapshotter.hot.artifact import HotKind
from snapshotter.hot.record import blocks_of
from snapshotter.hot.record_format import encode

pytestmark = pytest.mark.containers


@dataclass
class Site:
    """Two nodes of one registry."""

    registry: LocalRegistry
    first: Whole
    second: Whole
    exact: Whole
    """Where the kernel is not asked what is read."""
    loop: Whole
    """Where layers are mounted over loop devices."""

    def sent(self, image: TroubleImage) -> list[int]:
        """Return how many bytes of each layer the registry has sent."""
        return [self.registry.bytes_of(layer) for layer in image.layers]


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with (
        work_directory() as directory,
        local_registry(directory / "reg") as registry,
        node_of(registry, directory / "1", SETTINGS) as first,
        node_of(registry, directory / "2", SETTINGS) as second,
        node_of(registry, directory / "3", f"{SETTINGS}  watch: never\n") as exact,
        node_of(registry, directory / "4", f"{SETTINGS}snapshotter:\n  mount: loop\n") as loop,
    ):
        yield Site(registry, first, second, exact, loop)


def test_what_a_first_start_touches_is_recorded_by_itself_and_comes_first_on_the_next_node(
    site: Site,
) -> None:
    image = hot_image(site.first, "by-itself")
    site.first.pull(image.reference)
    record_start(site.first, image)
    assert courses(site.first, image) == ["record"]
    assert len(records(image)) == 1

    site.second.pull(image.reference)
    found = wait_prefetched(site.second, image)
    assert found["blocks"] > 512
    assert found["blocks_missing"] == 0
    assert start(site.second, image, f"{FIRST_HALF}; {SUMS}") == image.sums
    assert courses(site.second, image) == ["records"]
    assert stand_ins(site.second, image) == [2]
    assert len(records(image)) == 1, "what is known is not recorded again"


def test_a_start_that_touches_next_to_nothing_is_not_recorded_again(site: Site) -> None:
    image = hot_image(site.first, "tiny")
    site.first.pull(image.reference)
    start(site.first, image, "true")
    wait_recorded(site.first, image)
    start(site.first, image, "true")
    assert courses(site.first, image) == ["record", "natural"]
    assert not records(image)


def test_a_pack_comes_once_and_into_the_page_cache_and_hot_reads_fetch_no_chunk(
    site: Site,
) -> None:
    image = hot_image(site.first, "packed")
    site.first.pull(image.reference)
    record_start(site.first, image)
    pack = make_pack(site.first, image)
    chunks, packs = site.sent(image), site.registry.bytes_of(pack.digest)

    site.second.pull(image.reference)
    wait_prefetched(site.second, image)
    for area in hot_directories(site.second, image):
        wait_for(lambda area=area: in_page_cache(site.second, area), "it to be read ahead")  # type: ignore[misc]
    start(site.second, image, FIRST_HALF)
    found = hot(site.second, image)
    assert courses(site.second, image) == ["pack"]
    assert found["source"] == pack.digest
    assert (found["reads"]["bytes"]["demand"], found["blocks_missing"]) == (0, 0)
    assert found["feed"]["bytes"] == pack.size
    assert site.registry.bytes_of(pack.digest) - packs == pack.size
    assert site.sent(image) == chunks, "chunks were fetched"
    drop_caches()
    assert start(site.second, image, SUMS) == image.sums


@pytest.mark.parametrize("name", ["first", "exact", "loop"])
def test_a_record_says_to_the_block_what_a_container_asked_for_however_warm_the_caches(
    site: Site, name: str
) -> None:
    node: Whole = getattr(site, name)
    image = hot_image(node, f"exact-{name}")
    node.pull(image.reference)
    assert start(node, image, SUMS, record="never") == image.sums
    assert courses(node, image) == ["natural"]
    assert records(image) == []

    reads = {7: 1, 700: 3, 20: 40, 100: 260}
    script = "; ".join(
        f"dd if=/data/big of=/dev/null bs=4k skip={first} count={count} 2>/dev/null"
        for first, count in reads.items()
    )
    record_start(node, image, script, record="always")
    layer = layer_of(site.registry, image.layers[1])
    start_of_big = big_file(layer).first
    expected = [
        start_of_big + block
        for first, count in reads.items()
        for block in range(first, first + count)
    ]
    (record,) = records(image)
    assert blocks_of(record, layer.hot).tolist() == expected
    told = name != "exact" and kernel_tells()
    assert f"watched={told}" in lines(node, "hot.recording", image.reference)[-1]


def test_containers_of_one_image_share_one_recording_and_one_prefetch(site: Site) -> None:
    image = hot_image(site.first, "shared")
    site.first.pull(image.reference)
    with Held(site.first, image, f"wait; {SUMS}") as held:
        assert start(site.first, image, SUMS) == image.sums
        assert start(site.first, image, SUMS) == image.sums
        assert held.finish() == image.sums
    wait_recorded(site.first, image)
    assert courses(site.first, image) == ["record", "natural", "natural"]
    assert len(records(image)) == 1

    layers = layers_of(site.registry, image)
    pack = publish(image, HotKind.PACK, data := pack_of(record_of(image, layers), layers))
    site.second.pull(image.reference)
    with ThreadPoolExecutor(3) as threads:
        outputs = threads.map(lambda _: start(site.second, image, SUMS), range(3))
        assert list(outputs) == [image.sums] * 3
    found = wait_prefetched(site.second, image)
    assert courses(site.second, image) == ["pack"] * 3
    assert found["feed"]["frames"] + found["feed"]["rushed"] > 0
    assert site.registry.bytes_of(pack) == found["feed"]["bytes"] <= 2 * len(data)


def test_a_workload_has_a_record_and_a_prefetch_of_its_own(site: Site) -> None:
    image = hot_image(site.first, "workloads")
    site.first.pull(image.reference)
    record_start(site.first, image)
    other = "dd if=/data/big of=/dev/null bs=64k skip=32 2>/dev/null"
    record_start(site.first, image, other, workload="evaluate")
    assert courses(site.first, image) == ["record", "record"]

    site.second.pull(image.reference)
    start(site.second, image, "true", workload="evaluate")
    named, default = (wait_prefetched(site.second, image, name) for name in ("evaluate", ""))
    assert named["source"] != default["source"]
    layer = layer_of(site.registry, image.layers[1])
    big = big_file(layer)
    (record,) = records(image, "evaluate")
    assert set(blocks_of(record, layer.hot).tolist()) == set(
        range(big.first + 512, big.first + big.count)
    )
    for workload in ("evaluate", "something else"):
        assert start(site.second, image, SUMS, workload=workload) == image.sums
    assert courses(site.second, image)[1:] == ["records", "record"]


def test_labels_and_policy_decide_what_is_recorded(site: Site) -> None:
    image = hot_image(site.first, "policy")
    layers = layers_of(site.registry, image)
    publish(image, HotKind.RECORDS, encode(record_of(image, layers)))
    node = site.first
    node.pull(image.reference)
    record_start(node, image, FIRST_HALF, record="always")
    assert start(node, image, SUMS, record="never") == image.sums
    assert start(node, image, SUMS, record="sometimes", workload="a\nb") == image.sums
    assert courses(node, image)[0] == "record"
    assert stand_ins(node, image) == [2, 2, 2]
    assert "record" not in courses(node, image)[1:]
    assert len(records(image)) == 2


def test_a_workload_that_touches_other_blocks_than_the_record_reads_them_right(
    site: Site,
) -> None:
    image = hot_image(site.first, "other-blocks")
    layers = layers_of(site.registry, image)
    publish(image, HotKind.PACK, pack_of(record_of(image, layers), layers))
    site.second.pull(image.reference)
    wait_prefetched(site.second, image)
    other = "dd if=/data/big of=/dev/null bs=64k skip=32 2>/dev/null; cat /data/one >/dev/null"
    assert start(site.second, image, f"{other}; {SUMS}") == image.sums
    assert courses(site.second, image) == ["pack"]
