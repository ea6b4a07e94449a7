"""Packs out of local data areas: which layers, which bytes, and what is refused."""

import random
from dataclasses import replace
from pathlib import Path

import pytest
from hot_records import LAYERS, record

from bootseer.errors import CorruptError, HostError
from snapshotter.hot.hashtree import tree_of_area
from snapshotter.hot.merge import merge
from snapshotter.hot.record import HotLayer
from snapshotter.hot.unpack import Expected, PackStream
from snapshotter.hotstore.packing import LocalArea, MadePack, chosen_layers, make_pack
from snapshotter.layers.records import BLOCK
from snapshotter.limits import Limits
from snapshotter.serving.jobs import run_job

MANIFEST = f"sha256:{5:064x}"
AREAS = [random.Random(n).randbytes(layer.data_size) for n, layer in enumerate(LAYERS)]
ROOTS = [tree_of_area(lambda at, n, a=a: a[at : at + n], len(a)).root for a in AREAS]


@pytest.fixture
def areas(tmp_path: Path) -> dict[int, LocalArea]:
    found = {}
    for row, data in enumerate(AREAS):
        path = tmp_path / f"area{row}"
        path.write_bytes(data)
        found[row] = LocalArea(path, ROOTS[row])
    return found


def unpacked(pack: Path) -> dict[tuple[str, int], bytes]:
    """Return the verified blocks of a pack, by layer and number."""
    stream = PackStream(
        {layer.layer_digest: Expected(ROOTS[n], layer.data_size) for n, layer in enumerate(LAYERS)}
    )
    stream.receive(pack.read_bytes())
    blocks = {}
    while (frame := stream.next_frame()) is not None:
        for part in frame:
            for n, block in enumerate(part.blocks.tolist()):
                blocks[part.layer_digest, block] = bytes(part.data[n * BLOCK : (n + 1) * BLOCK])
    assert stream.done
    return blocks


async def test_a_pack_made_in_a_worker_process_has_the_hot_blocks(
    areas: dict[int, LocalArea], tmp_path: Path
) -> None:
    merged = merge([record(MANIFEST, 0), record(MANIFEST, 1)])
    made = await run_job(make_pack, merged, areas, tmp_path / "pack")
    blocks = unpacked(tmp_path / "pack")
    numbers = {0: range(10, 14), 1: range(7)}
    assert blocks == {
        (LAYERS[row].layer_digest, block): AREAS[row][block * BLOCK :][:BLOCK]
        for row, hot in numbers.items()
        for block in hot
    }
    assert made == MadePack((tmp_path / "pack").stat().st_size, len(blocks), 1, 2)


def test_layers_that_are_not_here_are_left_out(areas: dict[int, LocalArea], tmp_path: Path) -> None:
    make_pack(merge([record(MANIFEST)]), {1: areas[1]}, tmp_path / "pack")
    assert {layer for layer, _ in unpacked(tmp_path / "pack")} == {LAYERS[1].layer_digest}


@pytest.mark.parametrize("how", ["changed", "short", "missing", "too large"])
def test_what_cannot_be_a_pack_leaves_no_file(
    areas: dict[int, LocalArea], tmp_path: Path, how: str
) -> None:
    limits, error = Limits(), CorruptError
    if how == "changed":
        areas[0].path.write_bytes(AREAS[0][:-1] + b"!")
    elif how == "short":
        areas[0].path.write_bytes(AREAS[0][:-1])
    elif how == "missing":
        areas[0].path.unlink()
        error = HostError
    else:
        limits = Limits(hot_pack=10_000)
    with pytest.raises(error):
        make_pack(merge([record(MANIFEST)]), areas, tmp_path / "pack", limits=limits)
    assert not (tmp_path / "pack").exists()


def test_a_layer_by_two_indexes_is_packed_by_the_published_one_else_by_that_of_most_runs() -> None:
    mine = HotLayer(LAYERS[0].layer_digest, f"sha256:{99:064x}", LAYERS[0].data_size)
    other = replace(record(MANIFEST, 5), layers=(mine, LAYERS[1]))
    merged = merge([record(MANIFEST, 0), record(MANIFEST, 1), other])
    rows = {layer.index_digest: row for row, layer in enumerate(merged.layers)}

    def chosen(published: dict[str, str]) -> set[int]:
        found = chosen_layers(merged, published)
        assert sorted(found.values()) == [one.layer_digest for one in LAYERS]
        return set(found)

    second = rows[LAYERS[1].index_digest]
    assert chosen({}) == {rows[LAYERS[0].index_digest], second}
    assert chosen({mine.layer_digest: mine.index_digest}) == {rows[mine.index_digest], second}


def test_a_layer_that_nothing_touched_is_not_packed() -> None:
    made = record(MANIFEST)
    only = made.ranges.take(made.ranges.layer == 0)
    merged = merge([replace(made, ranges=only, time_ms=made.time_ms[:1])])
    assert list(chosen_layers(merged, {}).values()) == [LAYERS[0].layer_digest]
