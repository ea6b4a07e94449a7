"""What containerd is told of an image that is pulled without its layers."""

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from snapshotter.containers.pulling import (
    chain_ids,
    config_labels,
    manifest_labels,
    unpackings,
)
from snapshotter.images.manifest import ImageConfig, ImageManifest
from snapshotter.images.resolve import ResolvedImage
from snapshotter.registry.descriptors import Descriptor, Platform
from snapshotter.registry.reference import parse_reference
from snapshotter.snapshots.labels import LAYER, LAYERS, TARGET, checked, layer_request

REFERENCE = parse_reference("registry.example/a/b:1")


def digest(number: int) -> str:
    return f"sha256:{number:064x}"


def image(count: int) -> ResolvedImage:
    layers = tuple(Descriptor("layer", digest(n), 10) for n in range(count))
    config = Descriptor("config", digest(1000), 5)
    return ResolvedImage(
        REFERENCE.at(digest(2000)),
        digest(2000),
        b"{}",
        ImageManifest("manifest", config, layers),
        ImageConfig(Platform("linux", "amd64"), tuple(digest(3000 + n) for n in range(count))),
    )


def test_chains_are_those_of_the_image_specification() -> None:
    one, two = digest(1), digest(2)
    both = hashlib.sha256(f"{one} {two}".encode()).hexdigest()
    assert chain_ids([one, two]) == [one, f"sha256:{both}"]
    assert chain_ids([]) == []


@given(st.integers(0, 200))
def test_every_layer_is_asked_for_as_the_cri_does(count: int) -> None:
    found = list(unpackings(image(count), str(REFERENCE)))
    assert [one.labels[LAYER] for one in found] == [digest(n) for n in range(count)]
    assert [one.parent for one in found] == ["", *[one.chain for one in found]][: len(found)]
    for number, one in enumerate(found):
        listed = one.labels[LAYERS].split(",")
        assert listed == [digest(n) for n in range(number, number + len(listed))]
        assert checked(one.labels) == one.labels
        assert one.labels[TARGET] == one.chain
        request = layer_request(one.labels, None)
        assert request is not None
        assert (request.layer_digest, request.chain_id) == (digest(number), one.chain)


def test_garbage_collection_keeps_what_the_image_needs() -> None:
    made = image(2)
    kept = manifest_labels(made)
    assert kept["containerd.io/gc.ref.content.config"] == digest(1000)
    assert kept["containerd.io/gc.ref.content.l.1"] == digest(1)
    top = chain_ids(made.config.diff_ids)[-1]
    assert config_labels(made, "bootseer")["containerd.io/gc.ref.snapshot.bootseer"] == top
    assert "containerd.io/gc.ref.snapshot.bootseer" not in config_labels(image(0), "bootseer")
