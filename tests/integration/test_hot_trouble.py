"""Records and packs that are wrong, damaged or slow to come; servers killed in between.

Whatever happens, containers start, and read what was built.
"""

import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
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
    lines,
    record_start,
    records,
    stand_ins,
    start,
    wait_prefetched,
    wait_recorded,
)
from made_hot import Layer, big_file, layers_of, pack_of, publish, record_of
from registry_proxy import RegistryProxy, lingering, registry_proxy, silent, stalled, trickling
from trouble_image import SUMS, TroubleImage
from whole import Whole, bootseer_daemon, wait_for, whole

from benchmarks.lab.containerd import hosts_toml
from benchmarks.lab.workdir import work_directory
from snapshotter.hot.artifact import HotKind
from snapshotter.hot.pack_layout import HEAD, parse_head
from snapshotter.hot.ranges import make_ranges
from snapshotter.hot.record import Record, blocks_of
from snapshotter.hot.record_format import decode, encode

pytestmark = pytest.mark.containers

TIMES = "  connect_timeout: 1\n  read_timeout: 0.5\n"
"""Appended to the `registry` section: tests cannot wait for half a minute."""


@pytest.fixture(scope="module")
def node() -> Iterator[Whole]:
    with work_directory() as directory, whole(directory, TIMES + SETTINGS) as made:
        yield made


@pytest.fixture(scope="module")
def proxy(node: Whole) -> Iterator[RegistryProxy]:
    """The daemon, but not containerd, reaches the registry through it."""
    with registry_proxy(node.registry) as made:
        hosts = node.directory / "b/certs.d" / node.registry.host / "hosts.toml"
        hosts.parent.mkdir(parents=True)
        hosts.write_text(hosts_toml(made.host))
        yield made


@pytest.fixture(autouse=True)
def no_bug(node: Whole, proxy: RegistryProxy) -> Iterator[None]:
    """No test makes the daemon do what nobody thought of."""
    yield
    proxy.answers.clear()
    said = node.daemon.log()
    assert "Traceback" not in said, said[said.index("Traceback") :][:8000]


def with_pack(node: Whole, name: str, megabytes: int = 3) -> tuple[TroubleImage, str]:
    """Return an image that has a pack, and the pack's digest."""
    image = hot_image(node, name, megabytes=megabytes)
    layers = layers_of(node.registry, image)
    return image, publish(image, HotKind.PACK, pack_of(record_of(image, layers), layers))


def flip(data: bytes, at: int) -> bytes:
    """Flip a bit."""
    return data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :]


def in_directory(pack: bytes) -> bytes:
    return flip(pack, HEAD.size + 5)


def in_hashes(pack: bytes) -> bytes:
    return flip(pack, parse_head(pack).hashes_at + 40)


def in_a_frame(pack: bytes) -> bytes:
    return flip(pack, (parse_head(pack).frames_at + len(pack)) // 2)


def other_data(layer: Layer) -> Layer:
    """Return the same layer with one more bit in its data: its Merkle root is another."""
    return replace(layer, data=flip(layer.data, 10_000))


BAD_PACKS: dict[str, Callable[[bytes], bytes]] = {
    "cut-in-directory": lambda pack: pack[: HEAD.size + 20],
    "cut-in-frames": lambda pack: pack[: len(pack) * 2 // 3],
    "longer": lambda pack: pack + b"more",
    "no-pack": lambda pack: b"x" * len(pack),
    "flipped-directory": in_directory,
    "flipped-hashes": in_hashes,
    "flipped-frame": in_a_frame,
}


def run_all(node: Whole, images: dict[str, TroubleImage]) -> None:
    """Pull images and run a container of each that reads everything."""

    def one(image: TroubleImage) -> str:
        node.pull(image.reference)
        return start(node, image, f"{FIRST_HALF}; {SUMS}")

    with ThreadPoolExecutor(3) as threads:
        outputs = dict(zip(images, threads.map(one, images.values()), strict=True))
    assert outputs == {name: image.sums for name, image in images.items()}


def test_a_bad_pack_is_told_of_and_every_byte_is_right(node: Whole, proxy: RegistryProxy) -> None:
    images = {}
    for name, change in BAD_PACKS.items():
        images[name] = image = hot_image(node, name, megabytes=1)
        layers = layers_of(node.registry, image)
        publish(image, HotKind.PACK, change(pack_of(record_of(image, layers), layers)))
    stranger = images["other-image"] = hot_image(node, "other-image", megabytes=1)
    publish(stranger, HotKind.PACK, pack_of(record_of(image, layers), layers))
    liar = images["other-root"] = hot_image(node, "other-root", megabytes=1)
    layers = list(map(other_data, layers_of(node.registry, liar)))
    publish(liar, HotKind.PACK, pack_of(record_of(liar, layers), layers))
    run_all(node, images)
    for name, image in images.items():
        wait_prefetched(node, image)
        told = lines(node, "hot.pack_unusable", image.reference)
        told += lines(node, "hot.pack_failed", image.reference)
        assert told or name == "longer", name
        assert len(lines(node, "hot.pack_unusable", image.reference)) <= 1
    drop_caches()
    for name in ("flipped-frame", "cut-in-frames"):
        assert start(node, images[name], SUMS) == images[name].sums


def past_the_end(record: Record) -> Record:
    """Claim a larger layer, and touch what it does not have."""
    _, second = record.layers
    larger = replace(second, data_size=second.data_size + (1 << 30))
    rows = [(0, second.blocks - 5, 5), (0, second.blocks + 7, 900)]
    return replace(record, layers=(larger,), ranges=make_ranges(rows))


def of_other_indexes(record: Record) -> Record:
    layers = tuple(
        replace(layer, index_digest=f"sha256:{number:064x}")
        for number, layer in enumerate(record.layers)
    )
    return replace(record, layers=layers)


def absurd(record: Record) -> bytes:
    """Claim ranges of four billion blocks in few bytes."""
    data = bytearray(encode(record))
    data[12:20] = b"\xff" * 8  # sizes of the body, stored and not
    return bytes(data)


BAD_RECORDS: dict[str, Callable[[Record], bytes]] = {
    "of-another-image": lambda record: encode(
        replace(record, manifest_digest="sha256:" + "7" * 64)
    ),
    "of-another-workload": lambda record: encode(replace(record, workload="train")),
    "cut-record": lambda record: encode(record)[:-20],
    "newer-version": lambda record: encode(record)[:8] + b"\x02" + encode(record)[9:],
    "absurd": absurd,
    "of-other-indexes": lambda record: encode(of_other_indexes(record)),
    "past-the-end": lambda record: encode(past_the_end(record)),
}


def test_a_bad_record_is_told_of_once_and_the_start_is_recorded_as_if_there_were_none(
    node: Whole, proxy: RegistryProxy
) -> None:
    images = {}
    for name, change in BAD_RECORDS.items():
        images[name] = image = hot_image(node, name, megabytes=1)
        good = record_of(image, layers_of(node.registry, image))
        publish(image, HotKind.RECORDS, change(good))
    run_all(node, images)
    for name, image in images.items():
        wait_recorded(node, image)
        assert courses(node, image) == ["record"], name
        assert lines(node, "hot.record.unusable") or lines(
            node, "hot.records_unusable", image.reference
        )


def test_a_pack_that_stalls_or_trickles_delays_no_read(node: Whole, proxy: RegistryProxy) -> None:
    answers = {"stalls": stalled, "silence": silent, "trickles": trickling, "lingers": lingering}
    images = {}
    for name, answer in answers.items():
        images[name], pack = with_pack(node, name)
        proxy.answers[pack] = answer
    run_all(node, images)
    del images["lingers"]
    for image in images.values():
        assert wait_prefetched(node, image)["blocks_missing"] == 0, "chunks bring what a pack won't"


def test_a_recording_that_the_disk_does_not_take_fails_no_start(node: Whole) -> None:
    image = hot_image(node, "no-recording")
    node.pull(image.reference)
    directory = node.daemon.root / "hot/recordings"
    away = directory.rename(directory.with_name("away"))
    try:
        assert start(node, image, SUMS) == image.sums
    finally:
        away.rename(directory)
    assert lines(node, "hot.not_recorded", image.reference)
    record_start(node, image)
    assert len(records(image)) == 1


def test_a_server_killed_during_a_recording_goes_on_with_it(
    node: Whole, proxy: RegistryProxy
) -> None:
    image = hot_image(node, "killed-recording")
    node.pull(image.reference)
    second = "dd if=/data/big of=/dev/null bs=64k skip=32 2>/dev/null"
    directory = node.daemon.root / "hot/recordings"
    with Held(node, image, f"{FIRST_HALF}; wait; {second}") as held:
        wait_for(lambda: _kept_blocks(directory) >= 512, "the first half to be on disk")
        node.kill_server()
        held.finish()
    wait_recorded(node, image)
    assert list(directory.iterdir()) == []
    (record,) = records(image)
    layer = layers_of(node.registry, image)[1]
    big = big_file(layer)
    touched = blocks_of(record, layer.hot)
    assert set(touched.tolist()) >= set(range(big.first, big.first + big.count))


def _kept_blocks(directory: Path) -> int:
    return sum(decode(path.read_bytes()).ranges.blocks for path in directory.glob("*.rec"))


def test_a_server_killed_during_a_prefetch_resumes_it_and_readers_notice_nothing(
    node: Whole, proxy: RegistryProxy
) -> None:
    image, pack = with_pack(node, "killed-prefetch")
    proxy.answers[pack] = trickling
    node.pull(image.reference)
    with Held(node, image, f"{SUMS}; wait; {SUMS}; wait; {SUMS}") as held:
        node.kill_server()
        proxy.answers.clear()
        drop_caches()
        held.go()
        found = wait_prefetched(node, image)
        assert found["blocks_missing"] == 0
        drop_caches()
        assert held.finish() == image.sums
    assert courses(node, image) == ["pack"]


def test_an_image_that_is_removed_during_its_prefetch_leaves_nothing_and_may_come_back(
    node: Whole, proxy: RegistryProxy
) -> None:
    image, pack = with_pack(node, "removed")
    before = len(node.daemon.mounts())
    proxy.answers[pack] = lingering
    node.pull(image.reference)
    start(node, image, "true")
    assert hot(node, image)["going_on"]
    assert stand_ins(node, image) == [2]
    node.remove(image.reference)
    proxy.answers.clear()
    wait_for(lambda: len(node.daemon.mounts()) <= before, "everything to be unmounted", 30)
    wait_for(lambda: not hot(node, image).get("going_on"), "the prefetch to end")

    node.pull(image.reference)
    assert wait_prefetched(node, image)["blocks_missing"] == 0
    assert start(node, image, SUMS) == image.sums
    assert stand_ins(node, image)[-1] == 2


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


DAMAGE: dict[str, Callable[[Path], object]] = {
    "torn-presence": lambda area: cut(area / "present"),
    "cut-blocks": lambda area: cut(area / "blocks"),
    "other-blocks": lambda area: (area / "blocks").write_bytes(
        np.fromfile(area / "blocks", dtype="<i8")[::-1].tobytes()
    ),
    "garbage-origin": lambda area: (area / "area.json").write_bytes(b"{]"),
    "lost-data": lambda area: (area / "data").unlink(),
    "empty-metadata": lambda area: (area / "meta.erofs").write_bytes(b""),
}


def test_damaged_files_of_hot_areas_are_replaced_and_every_byte_is_right(
    node: Whole, proxy: RegistryProxy
) -> None:
    images = {name: with_pack(node, name)[0] for name in DAMAGE}
    for image in images.values():
        node.pull(image.reference)
        wait_prefetched(node, image)
    areas = {name: hot_directories(node, image) for name, image in images.items()}
    every = [area for of_image in areas.values() for area in of_image]
    assert len(every) == 2 * len(images)
    wait_for(lambda: all((area / "present").exists() for area in every), "a flush")
    for name, of_image in areas.items():
        for area in of_image:
            DAMAGE[name](area)
    node.kill_server()
    for name, image in images.items():
        if name == "empty-metadata":  # seen when it is mounted
            start(node, image, "true")
            wait_prefetched(node, image)
        assert start(node, image, SUMS) == image.sums, name
        assert stand_ins(node, image)[-1] == 2, name
        assert wait_prefetched(node, image)["blocks_missing"] == 0, name


def test_after_a_reboot_containers_start_on_hot_blocks_from_disk(
    node: Whole, proxy: RegistryProxy
) -> None:
    image, pack = with_pack(node, "reboot")
    node.pull(image.reference)
    wait_prefetched(node, image)
    start(node, image, FIRST_HALF)
    node.daemon.keeper.stop()
    for path in node.daemon.mounts():
        subprocess.run(["umount", "-l", path], check=True)
    sent = [node.registry.bytes_of(digest) for digest in (pack, *image.layers)]
    with bootseer_daemon(node.directory / "b", TIMES + SETTINGS):
        node.wait_connected()
        start(node, image, FIRST_HALF)
        assert stand_ins(node, image)[-1] == 2
        assert [node.registry.bytes_of(digest) for digest in image.layers] == sent[1:]
        assert start(node, image, SUMS) == image.sums
