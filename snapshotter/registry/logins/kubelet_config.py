"""The kubelet's credential providers: their configuration, questions and answers. Pure.

Kubernetes documentation, "Kubelet Configuration (v1)", kind CredentialProviderConfig, and
"Kubelet CredentialProvider (v1)". What is not known is passed over, as later versions add fields.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

import yaml

from bootseer.documents import Node, parse_document
from bootseer.errors import CorruptError, UsageError
from snapshotter.registry.credentials import Credentials
from snapshotter.registry.logins.matching import matches

API: Final = "credentialprovider.kubelet.k8s.io/"
_VERSIONS: Final = frozenset({f"{API}v1", f"{API}v1beta1", f"{API}v1alpha1"})
_MOST_PROVIDERS: Final = 100
_MOST_ENTRIES: Final = 1000
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,252}\Z", re.ASCII)
_DURATION: Final = re.compile(r"(\d{1,9}(?:\.\d{0,9})?)(h|ms|m|s|us|µs|ns)", re.ASCII)
_UNITS: Final = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}


@dataclass(frozen=True, slots=True)
class Provider:
    """A plugin, and the images that it is asked about."""

    name: str
    """Of the program in the kubelet's directory of plugins."""
    match_images: tuple[str, ...]
    default_cache_s: float
    api: str
    arguments: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    service_account: bool = False
    """It wants a token of the pod's service account, which only a kubelet can get."""

    def knows(self, host: str, repository: str) -> bool:
        """Say whether the plugin is to be asked about a repository."""
        return any(matches(entry, host, repository) for entry in self.match_images)


class CacheKey(StrEnum):
    """For which other images an answer is good."""

    IMAGE = "Image"
    REGISTRY = "Registry"
    GLOBAL = "Global"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a plugin answered."""

    key: CacheKey
    cache_s: float | None
    """Seconds for which the answer may be used again; None: as its configuration says."""
    auth: Mapping[str, Credentials] = field(repr=False)
    """By pattern of images, as `matching` has them."""


def parse_provider_config(text: str, source: str) -> tuple[Provider, ...]:
    """Return the plugins that a CredentialProviderConfig (YAML or JSON) names, in its order.

    Raises:
        UsageError: it is none.
    """
    try:
        document = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError):
        raise UsageError(f"{source} is not YAML") from None
    root = Node(document, source)
    try:
        if root.required("kind").string() != "CredentialProviderConfig":
            raise root.wrong("kind is not CredentialProviderConfig")
        listed = root.required("providers").items(_MOST_PROVIDERS)
        return tuple(_provider(node) for node in listed)
    except CorruptError as error:
        raise UsageError(error.message) from None


def _provider(node: Node) -> Provider:
    name = node.required("name")
    if not _NAME.match(name.string()):
        raise name.wrong("not the name of a plugin")
    api = node.required("apiVersion")
    if api.string() not in _VERSIONS:
        raise api.wrong("not a version that is known")
    default = node.optional("defaultCacheDuration")
    return Provider(
        name=name.string(),
        match_images=tuple(
            item.string() for item in node.required("matchImages").items(_MOST_ENTRIES)
        ),
        default_cache_s=_duration(default) if default else 0.0,
        api=api.string(),
        arguments=tuple(item.string() for item in _items(node, "args")),
        environment=tuple(
            (item.required("name").string(), item.required("value").string())
            for item in _items(node, "env")
        ),
        service_account=node.optional("tokenAttributes") is not None,
    )


def _items(node: Node, name: str) -> list[Node]:
    found = node.optional(name)
    return found.items(_MOST_ENTRIES) if found else []


def _duration(node: Node) -> float:
    """Return seconds, written as Go does (`12h`, `1h30m`, `0s`)."""
    text = node.string()
    parts = _DURATION.findall(text)
    if text != "0" and (not parts or "".join(number + unit for number, unit in parts) != text):
        raise node.wrong("not a duration (like 5m or 12h)")
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


def question(provider: Provider, host: str, repository: str) -> bytes:
    """Return what a plugin is asked about a repository."""
    document = {
        "apiVersion": provider.api,
        "kind": "CredentialProviderRequest",
        "image": f"{host}/{repository}",
    }
    return json.dumps(document).encode()


def parse_answer(data: bytes, provider: Provider, most: int) -> Answer:
    """Return a plugin's answer.

    Raises:
        CorruptError: it is none. The message does not quote it.
    """
    root = parse_document(data, f"the answer of {provider.name}", most)
    if root.required("kind").string() != "CredentialProviderResponse":
        raise root.wrong("kind is not CredentialProviderResponse")
    if root.required("apiVersion").string() != provider.api:
        raise root.wrong("another apiVersion than was asked in")
    key = root.required("cacheKeyType")
    if key.string() not in frozenset(CacheKey):
        raise key.wrong("not Image, Registry or Global")
    lasts = root.optional("cacheDuration")
    auth = root.optional("auth")
    entries: dict[str, Any] = auth.object() if auth else {}
    if len(entries) > _MOST_ENTRIES:
        raise root.wrong("too many credentials")
    nodes = {pattern: Node(entry, root.document, "auth") for pattern, entry in entries.items()}
    return Answer(
        key=CacheKey(key.string()),
        cache_s=_duration(lasts) if lasts else None,
        auth={pattern: _credentials(node) for pattern, node in nodes.items()},
    )


def _credentials(node: Node) -> Credentials:
    user, password = node.optional("username"), node.optional("password")
    return Credentials(user.string() if user else "", password.string() if password else "")
