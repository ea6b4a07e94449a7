"""What is kept of a served layer: written and read back, or refused."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootseer.errors import CorruptError
from snapshotter.blocks.names import LOCAL, name_of
from snapshotter.serving.layout import LayerRecord, MountId

records = st.builds(
    LayerRecord,
    layer_digest=st.text(max_size=80),
    index_digest=st.text(max_size=80),
    sources=st.lists(st.text(max_size=20), min_size=1, max_size=8).map(tuple),
    windows_digest=st.text(max_size=80),
    size=st.integers(min_value=0),
    inodes=st.integers(min_value=0),
    two_faced=st.booleans(),
    local=st.booleans(),
    poisoned=st.text(max_size=80),
)


@given(record=records)
def test_a_record_reads_back_as_it_was_written(record: LayerRecord) -> None:
    assert LayerRecord.decode(record.encode()) == record


@given(data=st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_what_is_no_record_is_corrupt_and_nothing_else(data: bytes) -> None:
    with pytest.raises(CorruptError):
        LayerRecord.decode(data)


@given(
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=9), inner),
        max_leaves=5,
    )
)
def test_json_that_is_no_record_is_corrupt(value: object) -> None:
    with pytest.raises(CorruptError):
        LayerRecord.decode(json.dumps(value).encode())


@given(record=records, references=st.lists(st.text(max_size=9), min_size=1, max_size=20))
def test_the_newest_sources_come_first_and_there_are_few(
    record: LayerRecord, references: list[str]
) -> None:
    for reference in references:
        record = record.with_source(reference)
    assert record.sources[0] == references[-1]
    assert len(record.sources) <= 8
    assert len(set(record.sources[: len(set(references))])) == min(8, len(set(references)))


@given(bottom=st.booleans())
def test_a_mount_is_named_and_found_again(bottom: bool) -> None:
    mount = MountId(name_of("sha256:" + "a" * 64, LOCAL), bottom)
    assert MountId.parse(str(mount)) == mount
    with pytest.raises(ValueError, match="not a layer mount"):
        MountId.parse(f"{mount}.x")
