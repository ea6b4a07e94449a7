"""Manifests, configurations and index artifacts as documents from strangers."""

import contextlib
import datetime as dt
import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bootseer.digests import digest_of
from bootseer.errors import CorruptError, HostError
from snapshotter.images.artifact import (
    ARTIFACT_TYPE,
    CREATED,
    EMPTY,
    EMPTY_CONFIG,
    INDEX_TYPE,
    LAYER,
    WINDOWS_TYPE,
    IndexArtifact,
    LayerEntry,
    build,
    parse,
    parse_time,
)
from snapshotter.images.manifest import ImageIndex, ImageManifest, parse_config, parse_manifest
from snapshotter.images.platforms import choose, this_platform
from snapshotter.images.referring import newest_first
from snapshotter.limits import DEFAULT, Limits
from snapshotter.registry.descriptors import Descriptor, Platform, parse_platform
from snapshotter.registry.manifests import DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST, RawManifest
from snapshotter.registry.referrers import parse_referrers, with_referrer
from tests.image_maker import documents, layer_of

SUBJECT = Descriptor(OCI_MANIFEST, digest_of(b"image"), 1234)
NOW = dt.datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=dt.UTC)

DIGESTS = st.integers(0, 2**256 - 1).map(lambda n: f"sha256:{n:064x}")
BLOBS = st.builds(Descriptor, st.just("x"), DIGESTS, st.integers(1, 10**6))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10) | DIGESTS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "mediaType",
                    "digest",
                    "size",
                    "config",
                    "layers",
                    "manifests",
                    "annotations",
                    "subject",
                    "rootfs",
                    "type",
                    "artifactType",
                    "schemaVersion",
                    "platform",
                    "os",
                    "architecture",
                    "diff_ids",
                ]
            ),
            inner,
        )
    ),
    max_leaves=20,
)


def raw(document: Any, media_type: str = "") -> RawManifest:
    data = document if isinstance(document, bytes) else json.dumps(document).encode()
    return RawManifest(digest_of(data), media_type, data)


def an_image(**changes: Any) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(documents([layer_of({"a": b"a"})])[1])
    return document | changes


@pytest.mark.parametrize("docker", [False, True])
def test_an_image_manifest_is_read(docker: bool) -> None:
    layers = [layer_of({"a": b"a"}, docker=docker), layer_of({"b": b"b"}, docker=docker)]
    config, data = documents(layers, docker=docker)
    manifest = parse_manifest(raw(data, DOCKER_MANIFEST if docker else OCI_MANIFEST))
    assert isinstance(manifest, ImageManifest)
    assert [one.digest for one in manifest.layers] == [layer.digest for layer in layers]
    found = parse_config(config, manifest.config.digest, 2)
    assert found.diff_ids == tuple(layer.diff_id for layer in layers)
    assert found.platform == Platform("linux", "amd64")


@pytest.mark.parametrize("received", ["", "application/json", OCI_MANIFEST])
def test_a_manifest_without_a_media_type_is_taken_for_what_it_was_sent_as(received: str) -> None:
    manifest = parse_manifest(raw(an_image(mediaType=None), received))
    assert manifest.media_type == OCI_MANIFEST


@pytest.mark.parametrize(
    ("document", "received", "complaint"),
    [
        (an_image(), OCI_INDEX, "was sent as"),
        (an_image(manifests=[{}]), "", "with 'manifests'"),
        (an_image(mediaType=OCI_INDEX, manifests=[]), "", "with 'config'"),
        (an_image(mediaType="text/html"), "", "neither image nor"),
        (an_image(schemaVersion=1), "", "schema 1"),
        (an_image(schemaVersion="2"), "", "schemaVersion: expected an integer"),
        (an_image(schemaVersion=True), "", "schemaVersion: expected an integer"),
        (an_image(layers={}), "", "layers: expected a list"),
        (an_image(layers=[{}]), "", r"layers\[0\]: 'mediaType' is missing"),
        (an_image(layers=[{"mediaType": "x", "digest": "sha256:1"}]), "", r"layers\[0\]\.digest"),
        (an_image(layers=[1] * 600), "", "at most 512"),
        (an_image(config=None), "", "'config' is missing"),
        (an_image(config={"mediaType": "x", "digest": digest_of(b""), "size": -1}), "", "size"),
        (an_image(annotations={"a": 1}), "", r"annotations\['a'\]: expected a string"),
        (an_image(annotations={"a": "\ud800"}), "", "not Unicode"),
        (b"[" * 100_000, "", "not a JSON"),
        (b"\xff", "", "not a JSON"),
        (b'{"schemaVersion": 1' + b"0" * 5000 + b"}", "", "not a JSON"),
        (b"", "", "not a JSON"),
    ],
)
def test_a_manifest_that_lies_is_refused_with_the_place(
    document: Any, received: str, complaint: str
) -> None:
    with pytest.raises(CorruptError, match=complaint) as caught:
        parse_manifest(raw(document, received))
    assert "sha256:" in caught.value.message


def test_a_manifest_longer_than_the_limit_is_refused() -> None:
    with pytest.raises(CorruptError, match="at most 10 are"):
        parse_manifest(raw(an_image()), Limits(manifest=10))


@given(JSON | st.binary(max_size=50), st.sampled_from(["", OCI_MANIFEST, OCI_INDEX]))
def test_any_manifest_parses_or_is_corrupt(document: Any, received: str) -> None:
    try:
        found = parse_manifest(raw(document, received))
    except CorruptError:
        return
    assert isinstance(found, ImageManifest | ImageIndex)


@given(st.data())
def test_a_manifest_with_any_member_replaced_parses_or_is_corrupt(data: st.DataObject) -> None:
    document = an_image(subject=SUBJECT.to_json(), annotations={"a": "b"})
    place: Any = document
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = data.draw(st.sampled_from(keys))
        if not isinstance(place[key], dict | list) or not place[key] or data.draw(st.booleans()):
            break
        place = place[key]
    place[key] = data.draw(JSON)
    with contextlib.suppress(CorruptError):
        parse_manifest(raw(document))


@given(JSON | st.binary(max_size=50), st.integers(0, 3))
def test_any_configuration_parses_or_is_corrupt(document: Any, layers: int) -> None:
    data = raw(document).data
    with contextlib.suppress(CorruptError):
        assert len(parse_config(data, digest_of(data), layers).diff_ids) == layers


def test_a_configuration_of_other_layers_is_refused() -> None:
    config, _ = documents([layer_of({"a": b"a"})])
    with pytest.raises(CorruptError, match="1 diff_ids for 2 layers"):
        parse_config(config, digest_of(config), 2)


@st.composite
def artifacts(draw: st.DrawFn) -> IndexArtifact:
    layers = draw(st.lists(DIGESTS, unique=True, max_size=6))
    entries = []
    for layer in layers[::2]:
        index, windows = draw(BLOBS), draw(st.none() | BLOBS)
        entries.append(LayerEntry(layer, index, windows))
    created = draw(st.datetimes(dt.datetime(1970, 1, 2), dt.datetime(9990, 1, 1)))
    return IndexArtifact(
        SUBJECT, created.replace(tzinfo=dt.UTC), tuple(entries), tuple(layers[1::2])
    )


@given(artifacts())
def test_an_artifact_reads_back_as_it_was_built(artifact: IndexArtifact) -> None:
    found = parse(raw(build(artifact), OCI_MANIFEST), SUBJECT.digest)
    assert (found.created, found.unindexed) == (artifact.created, artifact.unindexed)
    assert found.subject == SUBJECT
    assert len(found.layers) == len(artifact.layers)
    for read, built in zip(found.layers, artifact.layers, strict=True):
        assert read.layer_digest == built.layer_digest
        assert (read.index.digest, read.index.size) == (built.index.digest, built.index.size)
        assert (read.windows is None) == (built.windows is None)
    assert build(artifact) == build(artifact)


def an_artifact(**changes: Any) -> dict[str, Any]:
    entry = LayerEntry(
        digest_of(b"layer"),
        Descriptor("", digest_of(b"index"), 5),
        Descriptor("", digest_of(b"windows"), 7),
    )
    document: dict[str, Any] = json.loads(build(IndexArtifact(SUBJECT, NOW, (entry,))))
    return document | changes


def blob(media_type: str, size: int = 5, layer: str = digest_of(b"layer")) -> dict[str, Any]:
    return Descriptor(media_type, digest_of(b"blob"), size, {LAYER: layer}).to_json()


@pytest.mark.parametrize(
    ("document", "complaint"),
    [
        (an_artifact(artifactType="application/vnd.other"), "not an index artifact"),
        (an_artifact(subject=None), "not of image"),
        (an_artifact(subject=Descriptor("x", digest_of(b"other"), 1).to_json()), "not of image"),
        (an_artifact(annotations={}), "not a time"),
        (an_artifact(annotations={CREATED: "2026-01-02T03:04:05"}), "not a time"),
        (an_artifact(layers=[blob(WINDOWS_TYPE)]), "windows without an index"),
        (an_artifact(layers=[blob(INDEX_TYPE), blob(INDEX_TYPE)]), r"layers\[1\]: a second"),
        (an_artifact(layers=[blob(INDEX_TYPE, layer="x")]), "is not a digest"),
        (an_artifact(layers=[blob(INDEX_TYPE, 0)]), "accepted are"),
        (an_artifact(layers=[blob(INDEX_TYPE, DEFAULT.index + 1)]), "accepted are"),
        (
            an_artifact(
                annotations={CREATED: "2026-01-02T03:04:05Z", "io.bootseer.layers.unindexed": "a,b"}
            ),
            "list of digests",
        ),
    ],
)
def test_a_wrong_artifact_is_refused(document: Any, complaint: str) -> None:
    with pytest.raises(CorruptError, match=complaint):
        parse(raw(document), SUBJECT.digest)


def test_blobs_that_a_later_version_adds_are_passed_over() -> None:
    document = an_artifact()
    document["layers"].append(blob("application/vnd.bootseer.something-new.v9"))
    assert len(parse(raw(document), SUBJECT.digest).layers) == 1


@given(st.text(max_size=40))
@example("9999-12-31T23:59:59-23:59")
@example("0001-01-01T00:00:00+23:59")
def test_any_time_is_a_time_with_a_zone_or_none(text: str) -> None:
    found = parse_time(text)
    assert found is None or found.utcoffset() == dt.timedelta(0)


def test_the_newest_come_first_and_the_undated_last() -> None:
    def listed(created: str) -> Descriptor:
        return Descriptor("x", digest_of(created.encode()), 1, {CREATED: created})

    old, new, odd = listed("2020-01-01T00:00:00Z"), listed("2021-01-01T00:00:00+05:00"), listed("x")
    assert newest_first([odd, old, new]) == [new, old, odd]


def test_the_empty_configuration_is_what_its_descriptor_says() -> None:
    assert EMPTY_CONFIG.digest == digest_of(EMPTY)
    assert EMPTY_CONFIG.size == len(EMPTY)


@given(st.lists(BLOBS, max_size=5), BLOBS)
def test_a_list_of_referrers_gains_one_and_loses_none(
    listed: list[Descriptor], added: Descriptor
) -> None:
    data = with_referrer(listed, added)
    found = parse_referrers(data, "list", DEFAULT)
    assert found[-1] == added
    assert list(found[:-1]) == [one for one in listed if one.digest != added.digest]
    assert with_referrer(found, added) == data


def test_an_image_manifest_is_not_a_list_of_referrers() -> None:
    with pytest.raises(CorruptError, match="not a list"):
        parse_referrers(documents([])[1], "list", DEFAULT)
    assert parse_referrers(b'{"manifests": null}', "list", DEFAULT) == ()


def offered(*platforms: str | None) -> list[Descriptor]:
    return [
        Descriptor(
            OCI_MANIFEST, digest_of(str(p).encode()), 1, platform=parse_platform(p) if p else None
        )
        for p in platforms
    ]


@pytest.mark.parametrize(
    ("wanted", "platforms", "chosen"),
    [
        ("linux/amd64", ["linux/arm64", "linux/amd64"], 1),
        ("linux/amd64", ["unknown/unknown"], None),
        ("linux/amd64", ["windows/amd64"], None),
        ("linux/amd64", ["linux/amd64/v3", "linux/amd64"], 1),
        ("linux/amd64", ["linux/amd64/v3"], None),
        ("linux/amd64/v3", ["linux/amd64", "linux/amd64/v3"], 1),
        ("linux/amd64/v3", ["linux/amd64/v2", "linux/amd64"], 1),
        ("linux/arm64", ["linux/arm/v7", "linux/arm64/v8"], 1),
        ("linux/arm64/v8", ["linux/arm64"], 0),
        ("linux/amd64", [None], 0),
        ("linux/amd64", [None, "linux/amd64"], 1),
        ("linux/amd64", [], None),
    ],
)
def test_the_platform_that_fits_best_is_chosen(
    wanted: str, platforms: list[str | None], chosen: int | None
) -> None:
    entries = offered(*platforms)
    expected = None if chosen is None else entries[chosen]
    assert choose(entries, parse_platform(wanted)) == expected


def test_this_machine_has_a_platform_and_a_strange_one_has_none() -> None:
    assert str(this_platform("x86_64")) == "linux/amd64"
    assert str(this_platform("aarch64")) == "linux/arm64"
    with pytest.raises(HostError):
        this_platform("vax")


def test_the_artifact_type_is_in_the_manifest_and_not_in_the_configuration() -> None:
    document = an_artifact()
    assert document["artifactType"] == ARTIFACT_TYPE
    assert document["config"]["mediaType"] == "application/vnd.oci.empty.v1+json"
