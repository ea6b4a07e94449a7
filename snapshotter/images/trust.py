"""Whose indexes are believed. Pure.

An index says what the bytes of a layer are. Whoever may push to a repository can publish one, also
for an image that is named by its digest. Policies, by repository:

- `any`: whoever may push is believed until the whole layer is here and was checked;
- `signed`: an index artifact counts that a key of the site signed;
- `pinned`: an index counts whose digest the image's manifest names, in an annotation of the layer;
- `local`: only what this node has made itself.

What is signed are the artifact's contents as they are understood: the digest of its manifest as
`artifact.build` writes it without signatures. What a parser passes over cannot matter.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final, Protocol

from bootseer.digests import digest_of
from snapshotter.images.artifact import IndexArtifact, build
from snapshotter.images.manifest import ImageManifest
from snapshotter.registry.logins.matching import best_first
from snapshotter.registry.reference import Reference

PIN: Final = "io.bootseer.index.digest"
"""Annotation of a layer in an image's manifest: the digest of its index."""
_CONTEXT: Final = b"bootseer index artifact v1\n"
"""In front of what is signed, so that a signature of something else is none of an index."""


class Policy(StrEnum):
    """Who is believed."""

    ANY = "any"
    SIGNED = "signed"
    PINNED = "pinned"
    LOCAL = "local"


class Verifier(Protocol):
    """A public key."""

    def verifies(self, signature: bytes, message: bytes) -> bool:
        """Say whether the key's owner signed a message."""
        ...


@dataclass(frozen=True, slots=True)
class Trust:
    """Who is believed about the images of a repository."""

    policy: Policy = Policy.ANY
    keys: tuple[Verifier, ...] = ()
    """Of which one has to have signed, with `signed`."""


@dataclass(frozen=True, slots=True)
class TrustRules:
    """Who is believed about which repositories."""

    otherwise: Trust = Trust()
    rules: tuple[tuple[str, Trust], ...] = ()
    """By `host[:port][/path]`; the longest that means a repository counts."""

    def of(self, reference: Reference) -> Trust:
        """Return who is believed about an image."""
        known = dict(self.rules)
        for prefix in best_first(known, reference.host, reference.path):
            return known[prefix]
        return self.otherwise


def signed_message(artifact: IndexArtifact) -> bytes:
    """Return what is signed of an index artifact."""
    return _CONTEXT + digest_of(build(replace(artifact, signatures=()))).encode()


def believed(
    artifact: IndexArtifact, trust: Trust, image: ImageManifest | None
) -> tuple[IndexArtifact | None, str]:
    """Return what is believed of an artifact, None if nothing is; and why.

    `image`: the manifest that the artifact is of; needed for `pinned` only.
    """
    if trust.policy is Policy.ANY:
        return artifact, ""
    if trust.policy is Policy.LOCAL:
        return None, "no published index is believed"
    if trust.policy is Policy.SIGNED:
        if _is_signed(artifact, trust.keys):
            return artifact, ""
        return None, "no key of the site has signed it"
    return _pinned(artifact, _pins(image))


def _pinned(artifact: IndexArtifact, pins: Mapping[str, str]) -> tuple[IndexArtifact | None, str]:
    """Return what an artifact says of layers that name their index; nothing if it lacks one."""
    if not pins:
        return None, "the image's manifest names no index"
    kept = tuple(
        entry for entry in artifact.layers if pins.get(entry.layer_digest) == entry.index.digest
    )
    # Were less enough, a newer artifact with other indexes would hide the right ones.
    if pins.keys() - {entry.layer_digest for entry in kept}:
        return None, "the image's manifest names other indexes"
    return replace(artifact, layers=kept), ""


def _is_signed(artifact: IndexArtifact, keys: Sequence[Verifier]) -> bool:
    message = signed_message(artifact)
    return any(
        key.verifies(signature, message) for signature in artifact.signatures for key in keys
    )


def _pins(image: ImageManifest | None) -> dict[str, str]:
    layers = image.layers if image else ()
    return {layer.digest: layer.annotations[PIN] for layer in layers if PIN in layer.annotations}
