"""The documents describe the files: readers written from them find what was written."""

import numpy as np
from hot_file_readers import read_pack, read_record
from hot_strategies import layer, record, records
from hypothesis import given

from snapshotter.hot.hashtree import tree_of_area
from snapshotter.hot.pack import PackSettings, build_pack
from snapshotter.hot.record_format import encode
from snapshotter.layers.records import BLOCK


@given(records())
def test_a_reader_of_records_written_from_the_document_agrees(drawn):
    found = read_record(encode(drawn))
    assert f"sha256:{found['manifest']}" == drawn.manifest_digest
    assert found["numbers"] == (drawn.created, drawn.window_ms, drawn.length_ms, drawn.ended)
    assert found["texts"] == (drawn.workload, drawn.kernel, drawn.architecture)
    assert found["layers"] == [
        (one.layer_digest[7:], one.index_digest[7:], one.data_size) for one in drawn.layers
    ]
    ranges = drawn.ranges
    assert found["ranges"] == [
        column.tolist() for column in (ranges.layer, ranges.first, ranges.count, drawn.time_ms)
    ]


def test_a_reader_of_packs_written_from_the_document_agrees():
    layers = (layer(1, 1), layer(2, 129), layer(3, 128 * 128 + 300), layer(4, 5))
    areas = [
        np.random.default_rng(number).integers(0, 2, one.data_size, dtype=np.uint8).tobytes()
        for number, one in enumerate(layers)
    ]

    def read(row: int, offset: int, length: int) -> bytes:
        return areas[row][offset : offset + length]

    trees = {
        row: tree_of_area(lambda at, size, row=row: read(row, at, size), one.data_size)
        for row, one in enumerate(layers)
    }
    rows = [(2, 16_384, 9), (0, 0, 1), (1, 120, 9), (2, 5, 3), (2, 16_683, 1), (1, 3, 2)]
    pack = build_pack(record(rows, layers), read, trees, PackSettings(frame_blocks=7, level=1))
    found = read_pack(pack, {layers[row].layer_digest[7:]: trees[row].root for row in range(4)})
    assert set(found) == {one.layer_digest[7:] for one in layers[:3]}
    for row, one in enumerate(layers[:3]):
        blocks = [first + n for at, first, count in rows if at == row for n in range(count)]
        expected = [(block, read(row, block * BLOCK, BLOCK)) for block in blocks]
        assert found[one.layer_digest[7:]] == expected
