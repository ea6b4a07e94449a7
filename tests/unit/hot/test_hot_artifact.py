"""Records and packs as OCI artifacts: written, read back, and what is refused."""

import datetime as dt
import json
from dataclasses import replace

import pytest
from hot_strategies import digest
from hypothesis import given
from hypothesis import strategies as st

from bootseer.digests import digest_of
from bootseer.errors import CorruptError
from snapshotter.hot.artifact import (
    INDEXES,
    RUNS,
    WORKLOAD,
    HotArtifact,
    HotKind,
    annotations,
    build,
    may_be_of,
    parse,
)
from snapshotter.images.artifact import CREATED
from snapshotter.registry.descriptors import Descriptor
from snapshotter.registry.manifests import OCI_MANIFEST, RawManifest

IMAGE = Descriptor(OCI_MANIFEST, digest(7), 1234)
TIME = dt.datetime(2026, 11, 23, 12, 0, 5, tzinfo=dt.UTC)


def raw(data: bytes, media_type: str = OCI_MANIFEST) -> RawManifest:
    return RawManifest(digest_of(data), media_type, data)


def records(count: int = 2) -> HotArtifact:
    kind = HotKind.RECORDS
    blobs = tuple(Descriptor(kind.blob_type, digest(100 + n), 500 + n) for n in range(count))
    return HotArtifact(kind, IMAGE, TIME, "train", count, (digest(1), digest(2)), blobs)


def pack() -> HotArtifact:
    blob = Descriptor(HotKind.PACK.blob_type, digest(99), 30_000_000)
    return HotArtifact(HotKind.PACK, IMAGE, TIME, "", 5, (), (blob,))


@given(
    st.sampled_from([records(1), records(3), pack()]),
    st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), max_size=60),
    st.datetimes(dt.datetime(1970, 1, 2), dt.datetime(9000, 1, 1), timezones=st.just(dt.UTC)),
    st.lists(st.integers(0, 2**256 - 1).map(digest), max_size=5),
)
def test_an_artifact_reads_back_as_it_was(artifact, workload, created, indexes):
    artifact = replace(artifact, workload=workload, created=created, indexes=tuple(indexes))
    assert parse(raw(build(artifact)), artifact.kind, IMAGE.digest) == artifact


def test_the_manifest_follows_the_image_specification():
    document = json.loads(build(records()))
    assert document["mediaType"] == OCI_MANIFEST
    assert document["artifactType"] == "application/vnd.bootseer.hot.records.v1"
    assert document["config"]["mediaType"] == "application/vnd.oci.empty.v1+json"
    assert document["subject"] == {"mediaType": OCI_MANIFEST, "digest": digest(7), "size": 1234}
    assert {blob["mediaType"] for blob in document["layers"]} == {
        "application/vnd.bootseer.hot-record.v1"
    }
    assert document["annotations"] == {
        CREATED: "2026-11-23T12:00:05Z",
        WORKLOAD: "train",
        RUNS: "2",
        INDEXES: f"{digest(1)},{digest(2)}",
    }


def test_blobs_of_unknown_types_are_passed_over():
    document = json.loads(build(pack()))
    document["layers"].append({"mediaType": "x/later", "digest": digest(5), "size": 1})
    assert parse(raw(json.dumps(document).encode()), HotKind.PACK, IMAGE.digest) == pack()


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"artifactType": HotKind.PACK.value}, "not of type"),
        ({"subject": None}, "not of image"),
        ({"subject": {"mediaType": OCI_MANIFEST, "digest": digest(8), "size": 1}}, "not of image"),
        ({"layers": []}, "0 blobs"),
        ({"layers": [records().blobs[0].to_json()] * 2}, "twice"),
        ({"layers": [records().blobs[0].to_json()]}, "1 records, annotation"),
        ({"layers": [Descriptor(HotKind.RECORDS.blob_type, digest(1), 0).to_json()]}, "0 bytes"),
        (
            {"layers": [Descriptor(HotKind.RECORDS.blob_type, digest(1), 1 << 40).to_json()]},
            "bytes",
        ),
    ],
)
def test_a_manifest_that_is_not_one_is_refused(changes, what):
    document = json.loads(build(records())) | changes
    with pytest.raises(CorruptError, match=what):
        parse(raw(json.dumps(document).encode()), HotKind.RECORDS, IMAGE.digest)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (CREATED, "yesterday"),
        (RUNS, ""),
        (RUNS, "-1"),
        (RUNS, "0"),
        (RUNS, "257"),
        (RUNS, "9" * 5000),
        (RUNS, "\u0662"),
        (WORKLOAD, "a\nb"),
        (WORKLOAD, "w" * 1025),
        (INDEXES, "local"),
        (INDEXES, ",".join([digest(1)] * 513)),
    ],
)
def test_annotations_that_cannot_be_are_refused(name, value):
    document = json.loads(build(records()))
    document["annotations"][name] = value
    with pytest.raises(CorruptError, match=name):
        parse(raw(json.dumps(document).encode()), HotKind.RECORDS, IMAGE.digest)


@given(
    st.binary(max_size=200)
    | st.recursive(
        st.none() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(["layers", "config", "subject", "schemaVersion"]), inner
            )
        ),
    ).map(lambda value: json.dumps(value).encode())
)
def test_any_bytes_are_refused_with_a_corrupt_error(data):
    with pytest.raises(CorruptError):
        parse(raw(data), HotKind.PACK, IMAGE.digest)


def test_an_entry_of_a_list_is_of_a_workload_unless_it_says_otherwise():
    listed = replace(IMAGE, annotations=annotations(records()))
    assert may_be_of(listed, "train")
    assert not may_be_of(listed, "")
    assert may_be_of(replace(IMAGE, annotations=annotations(pack())), "")
    assert may_be_of(IMAGE, "anything")
