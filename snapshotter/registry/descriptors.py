"""Content descriptors (OCI image specification, "Descriptor"): type, digest and size of a blob."""

from dataclasses import dataclass, field
from typing import Any, Final

from bootseer.documents import Node
from bootseer.errors import CorruptError

_LARGEST: Final = 2**63 - 1
_LONGEST_TYPE: Final = 255


@dataclass(frozen=True, slots=True)
class Platform:
    """What an image runs on, in Go's names."""

    os: str
    architecture: str
    variant: str = ""

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)


@dataclass(frozen=True, slots=True)
class Descriptor:
    """A reference to a blob or manifest of the same repository."""

    media_type: str
    digest: str
    size: int
    annotations: dict[str, str] = field(default_factory=dict)
    artifact_type: str = ""
    """In lists of referrers and image indexes: what the manifest stands for."""
    platform: Platform | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the descriptor as a JSON object, optional members only where they are set."""
        document: dict[str, Any] = {
            "mediaType": self.media_type,
            "digest": self.digest,
            "size": self.size,
        }
        if self.artifact_type:
            document["artifactType"] = self.artifact_type
        if self.annotations:
            document["annotations"] = self.annotations
        if self.platform:
            names = {"os": self.platform.os, "architecture": self.platform.architecture}
            if self.platform.variant:
                names["variant"] = self.platform.variant
            document["platform"] = names
        return document


def parse_descriptor(node: Node, largest: int = _LARGEST) -> Descriptor:
    """Return the descriptor at `node`, of a blob of at most `largest` bytes.

    Raises:
        CorruptError: it is malformed.
    """
    annotations = node.optional("annotations")
    artifact_type = node.optional("artifactType")
    return Descriptor(
        media_type=_media_type(node.required("mediaType")),
        digest=node.required("digest").digest(),
        size=node.required("size").integer(0, largest),
        annotations=annotations.strings() if annotations else {},
        artifact_type=_media_type(artifact_type) if artifact_type else "",
        platform=_platform(node),
    )


def _media_type(node: Node) -> str:
    text = node.string(_LONGEST_TYPE)
    if not text.isprintable():
        raise node.wrong("not a media type")
    return text


def _platform(node: Node) -> Platform | None:
    platform = node.optional("platform")
    if platform is None:
        return None
    variant = platform.optional("variant")
    return Platform(
        os=_word(platform.required("os")),
        architecture=_word(platform.required("architecture")),
        variant=_word(variant) if variant else "",
    )


def _word(node: Node) -> str:
    text = node.string(_LONGEST_TYPE)
    if not text.isprintable():
        raise node.wrong("not a word")
    return text


def parse_platform(text: str) -> Platform:
    """Return the platform in `os/architecture[/variant]`.

    Raises:
        CorruptError: it is not of this form.
    """
    parts = text.split("/")
    if len(parts) not in {2, 3} or not all(part.isalnum() for part in parts):
        raise CorruptError(f"{text[:100]!a} is not os/architecture[/variant]")
    return Platform(*parts)
