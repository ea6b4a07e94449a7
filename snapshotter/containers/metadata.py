"""What the CRI keeps with containers and pods in containerd: JSON. Pure.

The form is containerd's own (`internal/cri/store/container`, `.../sandbox`: `metadata.go`), version
"v1": {"Version": "v1", "Metadata": {"SandboxID": ..., "Config": {"annotations": {...}}}}.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from snapshotter.limits import DEFAULT, Limits


@dataclass(frozen=True, slots=True)
class Described:
    """What a container's or pod's metadata say. Empty where they do not."""

    sandbox: str = ""
    """The pod that a container is in."""
    annotations: Mapping[str, str] = field(default_factory=dict)


def described(extensions: Iterable[bytes], limits: Limits = DEFAULT) -> Described:
    """Return what is found in what clients keep with a container; what is of others is passed over.

    A form that is not known says nothing: annotations only make starts faster.
    """
    for text in extensions:
        metadata = _object(_parsed(text, limits), "Metadata")
        if metadata:
            sandbox = metadata.get("SandboxID")
            found = _object(_object(metadata, "Config"), "annotations")
            return Described(
                sandbox if isinstance(sandbox, str) else "",
                {key: value for key, value in found.items() if isinstance(value, str)},
            )
    return Described()


def runtime_annotations(spec: bytes, limits: Limits = DEFAULT) -> Mapping[str, str]:
    """Return the annotations in a container's runtime specification. An image cannot set them."""
    found = _object(_parsed(spec, limits), "annotations")
    return {key: value for key, value in found.items() if isinstance(value, str)}


def _parsed(text: bytes, limits: Limits) -> Any:
    if len(text) > limits.container_metadata:
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _object(value: Any, key: str) -> dict[str, Any]:
    """Return a member that is an object; an empty one if there is none."""
    member = value.get(key) if isinstance(value, dict) else None
    return member if isinstance(member, dict) else {}
