"""Whose published indexes are believed: against a real registry, with keys that openssl made."""

import base64
import contextlib
import datetime as dt
import json
import subprocess
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootseer import config
from bootseer.digests import digest_of
from bootseer.errors import CorruptError, NotFoundError, UsageError
from snapshotter.images.artifact import (
    EMPTY_CONFIG,
    SIGNATURES,
    IndexArtifact,
    LayerEntry,
    build,
    parse,
)
from snapshotter.images.find import find_artifact
from snapshotter.images.indexing import IndexingPolicy, index_image
from snapshotter.images.keys import read_private_key, read_public_key
from snapshotter.images.pinning import pin_image
from snapshotter.images.publish import publish
from snapshotter.images.published import PublishedImages
from snapshotter.images.referring import Subject
from snapshotter.images.signing import sign_image
from snapshotter.images.soci import OF_LAYER, V1, ZTOC
from snapshotter.images.tocs import ESTARGZ_DIGEST
from snapshotter.images.trust import (
    Policy,
    Trust,
    TrustRules,
    believed,
    signed_message,
)
from snapshotter.images.trusting import trust_rules
from snapshotter.registry.client import RegistryClient
from snapshotter.registry.descriptors import Descriptor, Platform
from snapshotter.registry.manifests import OCI_MANIFEST, RawManifest
from snapshotter.registry.reference import Reference, parse_reference
from tests.image_maker import MadeImage, layer_of, push_image
from tests.registry_fixture import ALONE, RunningRegistry, registry

__all__ = ["registry"]

AMD64 = Platform("linux", "amd64")
EC = ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]


def openssl(directory: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=directory, check=True, capture_output=True)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with keys as openssl makes them, and a certificate."""
    directory = tmp_path_factory.mktemp("keys")
    kinds = {"ed": ["-algorithm", "ed25519"], "ec": EC, "other": EC}
    for name, kind in kinds.items():
        openssl(directory, "genpkey", *kind, "-out", f"{name}.key")
        openssl(directory, "pkey", "-in", f"{name}.key", "-pubout", "-out", f"{name}.pem")
    subject = ["-subj", "/CN=site", "-days", "2", "-out", "ec.crt"]
    openssl(directory, "req", "-x509", "-key", "ec.key", *subject)
    openssl(directory, "genpkey", "-algorithm", "RSA", "-out", "rsa.key")
    openssl(directory, "pkey", "-in", "rsa.key", "-pubout", "-out", "rsa.pem")
    return directory


@pytest.fixture
async def client() -> AsyncIterator[RegistryClient]:
    async with RegistryClient(ALONE) as client:
        yield client


@pytest.fixture
async def image(
    client: RegistryClient, registry: RunningRegistry, request: pytest.FixtureRequest
) -> MadeImage:
    """An image with a published index that nobody signed."""
    name = request.node.name.lower().replace("[", "-").replace("]", "").replace(".", "-")
    reference = parse_reference(f"{registry.host}/trust/{name}:1")
    made = await push_image(
        client, reference, [layer_of({"a": b"a" * 5000}), layer_of({"b": b"b" * 70_000})]
    )
    await index_image(client, reference, AMD64)
    return made


def signed_by(*paths: Path) -> TrustRules:
    return TrustRules(Trust(Policy.SIGNED, tuple(read_public_key(path) for path in paths)))


async def indexes(
    client: RegistryClient, rules: TrustRules, reference: Reference, digest: str
) -> int:
    found = await PublishedImages(client, trust=rules).indexes_of(str(reference), digest)
    return len(found)


@pytest.mark.parametrize(("key", "public"), [("ed", "ed.pem"), ("ec", "ec.pem"), ("ec", "ec.crt")])
async def test_an_index_counts_once_a_key_of_the_site_has_signed_it(
    client: RegistryClient, image: MadeImage, keys: Path, key: str, public: str
) -> None:
    rules = signed_by(keys / "other.pem", keys / public)
    assert await indexes(client, rules, image.reference, image.digest) == 0
    await sign_image(client, image.reference, AMD64, read_private_key(keys / f"{key}.key"))
    assert await indexes(client, rules, image.reference, image.digest) == 2
    others = signed_by(keys / "other.pem")
    assert await indexes(client, others, image.reference, image.digest) == 0


async def test_a_newer_index_that_is_not_signed_does_not_hide_the_signed_one(
    client: RegistryClient, image: MadeImage, keys: Path
) -> None:
    signed = await sign_image(client, image.reference, AMD64, read_private_key(keys / "ed.key"))
    await index_image(client, image.reference, AMD64, IndexingPolicy(spacing=64 << 10, again=True))
    newest = await find_artifact(client, image.reference, image.digest)
    assert newest is not None
    assert newest.digest != signed.artifact_digest
    assert await indexes(client, signed_by(keys / "ed.pem"), image.reference, image.digest) == 2


async def test_a_signature_is_of_one_image_and_of_all_that_is_said_of_it(
    client: RegistryClient, image: MadeImage, keys: Path
) -> None:
    await sign_image(client, image.reference, AMD64, read_private_key(keys / "ed.key"))
    found = await find_artifact(client, image.reference, image.digest)
    assert found is not None
    signed = found.artifact
    trust = signed_by(keys / "ed.pem").otherwise
    assert believed(signed, trust, None)[0] == signed
    first, second = signed.layers
    lie = replace(first, index=second.index)
    for changed in (
        replace(signed, layers=(lie, second)),
        replace(signed, layers=(first,)),
        replace(signed, unindexed=(second.layer_digest,)),
        replace(signed, created=signed.created + dt.timedelta(seconds=1)),
        replace(signed, subject=replace(signed.subject, digest=digest_of(b"another image"))),
        replace(signed, signatures=(b"", b"x" * 64, signed.signatures[0][::-1])),
    ):
        assert believed(changed, trust, None)[0] is None


async def test_an_image_that_names_its_indexes_is_believed_about_them(
    client: RegistryClient, image: MadeImage
) -> None:
    rules = TrustRules(Trust(Policy.PINNED))
    assert await indexes(client, rules, image.reference, image.digest) == 0
    pinned = await pin_image(client, image.reference, AMD64, "pinned")
    assert pinned.reference.tag == "pinned"
    digest = str(pinned.reference.digest)
    assert await indexes(client, rules, pinned.reference, digest) == 2
    # Another index of a layer, though it is newer, and of a layer of this image.
    found = await find_artifact(client, pinned.reference, digest)
    assert found is not None
    first, second = found.artifact.layers
    later = found.artifact.created + dt.timedelta(seconds=1)
    lies = replace(first, index=second.index), second
    await publish(client, pinned.reference, replace(found.artifact, created=later, layers=lies))
    layer = first.layer_digest
    for trust, index in ((TrustRules(), second.index), (rules, first.index)):
        images = PublishedImages(client, trust=trust)
        known = await images.index_of(str(pinned.reference), digest, layer)
        assert known is not None
        assert known.digest == index.digest


async def test_nobody_is_believed_where_only_this_node_is(
    client: RegistryClient, image: MadeImage
) -> None:
    asked = client.statistics.requests.total()
    rules = TrustRules(Trust(Policy.LOCAL))
    assert await indexes(client, rules, image.reference, image.digest) == 0
    assert client.statistics.requests.total() == asked


async def test_what_is_not_there_cannot_be_signed_or_pinned(
    client: RegistryClient, registry: RunningRegistry, keys: Path
) -> None:
    reference = parse_reference(f"{registry.host}/trust/bare:1")
    await push_image(client, reference, [layer_of({"a": b"a"})])
    with pytest.raises(NotFoundError, match="no published index"):
        await sign_image(client, reference, AMD64, read_private_key(keys / "ed.key"))
    with pytest.raises(NotFoundError, match="no published index"):
        await pin_image(client, reference, AMD64, "pinned")


def test_the_rule_with_the_longest_path_counts(keys: Path) -> None:
    rules = trust_rules(
        config.Trust(
            "any",
            (str(keys / "ed.pem"),),
            (
                config.TrustRule("r.io", "local"),
                config.TrustRule("r.io/prod", "signed"),
                config.TrustRule("r.io/prod/pinned", "pinned"),
                config.TrustRule("*.example", "signed", (str(keys / "ec.crt"),)),
            ),
        )
    )
    policies = {
        "r.io/a": Policy.LOCAL,
        "r.io/production": Policy.LOCAL,
        "r.io/prod/a": Policy.SIGNED,
        "r.io/prod/pinned/a": Policy.PINNED,
        "other.io/a": Policy.ANY,
        "a.example/a": Policy.SIGNED,
    }
    assert {name: rules.of(parse_reference(name)).policy for name in policies} == policies
    assert rules.of(parse_reference("r.io/prod/a")).keys == (read_public_key(keys / "ed.pem"),)
    assert rules.of(parse_reference("a.example/a")).keys == (read_public_key(keys / "ec.crt"),)


def test_mistakes_in_the_configuration_are_told_at_once(keys: Path) -> None:
    rule = config.TrustRule("r.io", "signed")
    for section in (
        config.Trust("signed"),
        config.Trust("any", (), (rule,)),
        config.Trust("any", (str(keys / "ed.pem"),), (replace(rule, match=""),)),
        config.Trust("signed", (str(keys / "none"),)),
        config.Trust("signed", (str(keys / "ed.key"),)),
        config.Trust("signed", (str(keys / "rsa.pem"),)),
    ):
        with pytest.raises(UsageError):
            trust_rules(section)
    for name in ("ed.pem", "rsa.key", "none"):
        with pytest.raises(UsageError):
            read_private_key(keys / name)


_DIGESTS = st.binary(min_size=1, max_size=4).map(digest_of)
_BLOBS = st.builds(Descriptor, st.just("x"), _DIGESTS, st.integers(1, 1000))
_ENTRIES = st.builds(LayerEntry, _DIGESTS, _BLOBS, st.none() | _BLOBS)
_ARTIFACTS = st.builds(
    IndexArtifact,
    st.builds(Descriptor, st.just(OCI_MANIFEST), _DIGESTS, st.integers(1, 1000)),
    st.datetimes(timezones=st.just(dt.UTC)),
    st.lists(_ENTRIES, max_size=4, unique_by=lambda entry: entry.layer_digest).map(tuple),
    st.lists(_DIGESTS, max_size=3).map(tuple),
    st.lists(st.binary(min_size=1, max_size=80), max_size=3).map(tuple),
)


@given(_ARTIFACTS)
def test_what_is_signed_is_what_is_read(artifact: IndexArtifact) -> None:
    data = build(artifact)
    read = parse(RawManifest(digest_of(data), OCI_MANIFEST, data), artifact.subject.digest)
    assert signed_message(read) == signed_message(artifact)
    assert read.signatures == artifact.signatures


@given(st.text(max_size=30) | st.binary(max_size=2000).map(lambda b: base64.b64encode(b).decode()))
def test_any_annotation_is_signatures_or_corrupt(text: str) -> None:
    subject = Descriptor(OCI_MANIFEST, digest_of(b""), 1)
    data = build(IndexArtifact(subject, dt.datetime.now(dt.UTC), (), (), (b"x",)))
    manifest = RawManifest(digest_of(data), OCI_MANIFEST, data)
    assert parse(manifest, subject.digest).signatures == (b"x",)
    document = json.loads(data)
    document["annotations"][SIGNATURES] = text
    marked = json.dumps(document).encode()
    with contextlib.suppress(CorruptError):
        parse(RawManifest(digest_of(marked), OCI_MANIFEST, marked), subject.digest)


@pytest.mark.parametrize(
    ("policy", "named", "referring"),
    [(Policy.ANY, 1, 1), (Policy.SIGNED, 1, 0), (Policy.PINNED, 1, 0), (Policy.LOCAL, 0, 0)],
)
async def test_indexes_of_other_formats_count_if_the_image_names_them(
    client: RegistryClient, image: MadeImage, policy: Policy, named: int, referring: int
) -> None:
    """A table of contents is in the layer's annotations; a SOCI index refers to the image."""
    reference = image.reference
    first, second = (layer.digest for layer in image.layers)
    document = json.loads(image.manifest)
    document["layers"][0]["annotations"] = {ESTARGZ_DIGEST: digest_of(b"toc")}
    manifest = json.dumps(document).encode()
    digest = digest_of(manifest)
    await client.manifests.put(reference, digest, OCI_MANIFEST, manifest)
    ztoc = Descriptor(ZTOC, digest_of(b"ztoc"), 4, {OF_LAYER: second})
    await client.uploads.put(reference, b"ztoc")
    soci = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": {**EMPTY_CONFIG.to_json(), "mediaType": V1},
        "layers": [ztoc.to_json()],
        "subject": Descriptor(OCI_MANIFEST, digest, len(manifest)).to_json(),
    }
    subject = Subject(client, reference, digest, "soci")
    await subject.publish(V1, json.dumps(soci).encode(), {})
    rules = TrustRules(Trust(policy))
    for source, layer, count in (("toc", first, named), ("soci", second, referring)):
        images = PublishedImages(client, sources=(source,), trust=rules)  # type: ignore[arg-type]
        found = await images.indexes_of(str(reference), digest)
        assert list(found) == [layer] * count
