"""Targets: what registries, stores and configuration files say in text."""

import datetime as dt
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from bootseer.errors import CorruptError, RemoteError, UsageError
from bootseer.events.parse import decode as decode_event
from bootseer.hadoop.site import parse_site
from bootseer.webhdfs import answers
from depsnap.key.requirements import parse_requirements
from depsnap.nearest.dry_run import parse_report
from depsnap.registry.artifacts import anchor, candidate, parse_anchor, parse_candidate
from snapshotter.containers.metadata import described, runtime_annotations
from snapshotter.dependencies.containers import container_of
from snapshotter.dependencies.requests import parse_mount, parse_unmount
from snapshotter.hot import artifact as hot_artifact
from snapshotter.images import artifact as index_artifact
from snapshotter.images.manifest import parse_config, parse_manifest
from snapshotter.limits import DEFAULT
from snapshotter.registry.challenge import parse_challenges
from snapshotter.registry.descriptors import Descriptor
from snapshotter.registry.hosts import Endpoint, parse_hosts_toml
from snapshotter.registry.logins.docker import parse_docker_config, parse_helper_answer
from snapshotter.registry.logins.kubelet_config import (
    Provider,
    parse_answer,
    parse_provider_config,
)
from snapshotter.registry.manifests import OCI_INDEX, OCI_MANIFEST, RawManifest
from snapshotter.registry.ranges import parse_content_range, parse_length, plan_body
from snapshotter.registry.reference import parse_reference
from snapshotter.registry.referrers import parse_referrers
from snapshotter.registry.retry import parse_retry_after
from snapshotter.registry.tokens import parse_token
from snapshotter.snapshots import idmap
from snapshotter.snapshots.filters import parse_all
from snapshotter.snapshots.labels import PARENT_CHAIN, TARGET, layer_request, updated
from tooling.fuzz.target import Target, must

_DIGEST: Final = "sha256:" + "5" * 64
_NOW: Final = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
_IMAGE: Final = Descriptor(OCI_MANIFEST, _DIGEST, 100)


def _text(data: bytes) -> str:
    """Return text of any characters, as HTTP headers and gRPC strings arrive."""
    return data.decode(errors="replace")


def _all_of(*parsers: Callable[[], object]) -> None:
    """Call each; errors that say what is wrong with the input are what they may raise."""
    for parse in parsers:
        try:
            parse()
        except (CorruptError, RemoteError, UsageError) as error:
            str(error)


def run_manifest(data: bytes) -> None:
    """What a registry answers for a manifest, taken for everything that a manifest can be."""
    raw = RawManifest(_DIGEST, "", data)
    _all_of(
        lambda: parse_manifest(raw),
        lambda: parse_manifest(RawManifest(_DIGEST, OCI_INDEX, data)),
        lambda: index_artifact.parse(raw, _DIGEST),
        *(
            lambda kind=kind: hot_artifact.parse(raw, kind, _DIGEST)
            for kind in hot_artifact.HotKind
        ),
        lambda: parse_candidate(raw, "a/b"),
        lambda: parse_anchor(raw, "a"),
        lambda: parse_config(data, _DIGEST, 2),
        lambda: parse_referrers(data, "list", DEFAULT),
    )


def _json(document: Any) -> bytes:
    return json.dumps(document).encode()


def _manifests() -> list[bytes]:
    layers = [
        Descriptor("application/vnd.oci.image.layer.v1.tar+gzip", f"sha256:{n:064x}", 1000 + n)
        for n in range(2)
    ]
    config = Descriptor("application/vnd.oci.image.config.v1+json", _DIGEST, 20)
    image = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": config.to_json(),
        "layers": [one.to_json() for one in layers],
        "annotations": {"a": "b"},
    }
    platform = {"os": "linux", "architecture": "arm64", "variant": "v8"}
    listed = {
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [_IMAGE.to_json() | {"platform": platform, "artifactType": "a/b"}],
    }
    described = {
        "os": "linux",
        "architecture": "amd64",
        "rootfs": {"type": "layers", "diff_ids": [_DIGEST, _DIGEST]},
    }
    entries = tuple(
        index_artifact.LayerEntry(
            layer.digest,
            Descriptor(index_artifact.INDEX_TYPE, _DIGEST, 10),
            Descriptor(index_artifact.WINDOWS_TYPE, f"sha256:{9:064x}", 10),
        )
        for layer in layers[:1]
    )
    artifact = index_artifact.IndexArtifact(_IMAGE, _NOW, entries, (layers[1].digest,))
    hot = [
        hot_artifact.HotArtifact(
            kind, _IMAGE, _NOW, "train", 1, (_DIGEST,), (Descriptor(kind.blob_type, _DIGEST, 9),)
        )
        for kind in hot_artifact.HotKind
    ]
    return [
        _json(image),
        _json(listed),
        _json(described),
        index_artifact.build(artifact),
        *(hot_artifact.build(one) for one in hot),
        candidate("a/b/c", _IMAGE, [_IMAGE], _NOW),
        anchor("a/b"),
    ]


def run_headers(data: bytes) -> None:
    """HTTP headers that are parsed, and a token service's answer."""
    text = _text(data)
    _all_of(
        lambda: parse_challenges([text]),
        lambda: parse_content_range(text),
        lambda: parse_length(text),
        lambda: plan_body(206, text, text, 100, 50),
        lambda: parse_retry_after(text, _NOW),
        lambda: parse_token(data, DEFAULT.token),
        lambda: parse_reference(text),
    )


_HEADERS: Final = (
    b'Bearer realm="https://auth.example/token",service="registry",scope="repository:a/b:pull"',
    b'Basic realm="a \\"quoted\\" name", Negotiate abc==',
    b"bytes 100-149/2000",
    b"bytes */2000",
    b"1234",
    b"Wed, 21 Oct 2026 07:28:00 GMT",
    b'{"token": "abc", "expires_in": 300, "access_token": "abc"}',
    b"registry.example:5000/a/b:latest@" + _DIGEST.encode(),
    b"[::1]:5000/a/b",
)


def run_hosts(data: bytes) -> None:
    """A `hosts.toml`."""
    default = Endpoint("https://registry.example/v2", "registry.example")
    text = _text(data)
    _all_of(lambda: parse_hosts_toml(text, default, Path("/etc/certs.d/registry.example")))


_HOSTS: Final = (
    (
        b'server = "https://registry.example"\n[host."https://mirror.example:5000/v2/x"]\n'
        b'capabilities = ["pull", "resolve"]\noverride_path = true\nskip_verify = true\n'
        b'ca = ["ca.pem"]\nclient = [["a.pem", "a.key"], "b.pem"]\ndial_timeout = "1m3.5s"\n'
        b'[host."https://mirror.example:5000/v2/x".header]\nx-a = ["1", "2"]\nx-b = "3"\n'
    ),
    b'[host."http://127.0.0.1:5000"]\ncapabilities = ["pull"]\n',
)


def run_credentials(data: bytes) -> None:
    """A docker `config.json`, which plugins there are, and what plugins and helpers answer. The
    error must not quote it.
    """
    parsers: tuple[Callable[[], object], ...] = (
        lambda: parse_docker_config(data, "config.json"),
        lambda: parse_helper_answer(data, "helper", DEFAULT.token),
        lambda: parse_answer(data, _PLUGIN, DEFAULT.token),
        lambda: parse_provider_config(_text(data), "plugins.yaml"),
    )
    for parse in parsers:
        try:
            parse()
        except (CorruptError, UsageError) as error:
            must("c2VjcmV0" not in str(error), "an error quotes a secret")


_PLUGIN: Final = Provider("plugin", ("*.io",), 0.0, "credentialprovider.kubelet.k8s.io/v1")


_CREDENTIALS: Final = (
    (
        b'{"auths": {"https://index.docker.io/v1/": {"auth": "dTpjMlZqY21WMA=="},'
        b' "a:5000": {"username": "u", "password": "c2VjcmV0"},'
        b' "b": {"identitytoken": "c2VjcmV0"}}}'
    ),
    b'{"ServerURL": "a:5000", "Username": "u", "Secret": "c2VjcmV0"}',
    (
        b'{"apiVersion": "credentialprovider.kubelet.k8s.io/v1", "cacheKeyType": "Image",'
        b' "kind": "CredentialProviderResponse", "cacheDuration": "1h5m",'
        b' "auth": {"*.io": {"username": "u", "password": "c2VjcmV0"}}}'
    ),
    (
        b'{"kind": "CredentialProviderConfig", "providers": [{"name": "plugin",'
        b' "apiVersion": "credentialprovider.kubelet.k8s.io/v1", "matchImages": ["*.io"],'
        b' "defaultCacheDuration": "12h", "args": ["x"], "env": [{"name": "A", "value": "b"}]}]}'
    ),
)


def run_filters(data: bytes) -> None:
    """Filters of a List request: separate expressions by line."""
    try:
        parse_all(_text(data).split("\n"))
    except UsageError:
        return


_FILTERS: Final = (
    b'labels."containerd.io/snapshot.ref"==sha256:' + b"a" * 64 + b',parent==""',
    b'kind==committed,labels.a!="b\\"c"\nname~="^x.*"\nlabels."x/y"',
)


def run_metadata(data: bytes) -> None:
    """What containerd keeps with a container: a form that is not known says nothing."""
    described([data])
    runtime_annotations(data)


_METADATA: Final = (
    b'{"Version": "v1", "Metadata": {"SandboxID": "s", "Config": {"annotations": {"a": "b"}}}}',
    b'{"annotations": {"a": "b", "n": 1}}',
)


def run_webhdfs(data: bytes) -> None:
    """An answer of a NameNode, taken for each that there is; and a Hadoop configuration file."""
    _all_of(
        lambda: parse_site(data),
        *(
            lambda parse=parse: parse(data)
            for parse in (
                answers.parse_fault,
                answers.parse_status,
                answers.parse_batch,
                answers.parse_boolean,
                answers.parse_token,
                answers.parse_number,
                answers.parse_home,
                answers.parse_room,
                answers.parse_data_nodes,
                answers.parse_blocks,
                answers.parse_xattrs,
            )
        ),
    )


_STATUS: Final = (
    b'{"pathSuffix": "f", "type": "FILE", "length": 5, "modificationTime": 1, "accessTime": 2,'
    b' "permission": "644", "owner": "o", "group": "g", "fileId": 16386}'
)
_WEBHDFS: Final = (
    b'{"FileStatus": ' + _STATUS + b"}",
    b'{"DirectoryListing": {"partialListing": {"FileStatuses": {"FileStatus": ['
    + _STATUS
    + b']}}, "remainingEntries": 3}}',
    b'{"RemoteException": {"exception": "E", "javaClassName": "a.E", "message": "m"}}',
    b'{"boolean": true}',
    b'{"Token": {"urlString": "abc"}}',
    b'{"long": 5}',
    b'{"Path": "/user/a"}',
    b'{"XAttrs": [{"name": "user.a", "value": "\\"b\\""}, {"name": "user.b", "value": "0x6162"}]}',
    (
        b'{"LocatedBlocks": {"locatedBlocks": [{"startOffset": 0, "block": {"numBytes": 5},'
        b' "locations": [{"xferPort": 9866, "ipAddr": "127.0.0.1", "infoPort": 9864}]}]}}'
    ),
    b'{"beans": [{"Total": 10, "Free": 5, "LiveNodes": "{}"}]}',
    (
        b"<configuration><property><name>a</name><value>b</value><final>true</final></property>"
        b"</configuration>"
    ),
)


def run_events(data: bytes) -> None:
    """A line of startup events."""
    _all_of(lambda: decode_event(data))


_EVENTS: Final = (
    (
        b'{"v": 1, "time_ns": 5, "monotonic_ns": 6, "job": "j", "attempt": 1, "node": "n",'
        b' "rank": 0, "stage": "s", "event": "begin", "id": "i",'
        b' "attributes": {"a": 1.5, "b": null}, "lost": 1}'
    ),
)


def run_requirements(data: bytes) -> None:
    """A requirements file, and a report of pip."""
    parse_requirements(_text(data))
    _all_of(lambda: parse_report(data))


_REQUIREMENTS: Final = (
    (
        b"-r other.txt\n-e ./local[extra]\nnumpy==1.2 \\\n  --hash=sha256:00 # why\n"
        b"pkg @ file:///a/b.whl\n./c.tar.gz ; python_version < '3.12'\n--find-links wheels\n"
    ),
    b'{"install": [{"metadata": {"name": "a", "version": "1"}}]}',
)


def run_questions(data: bytes) -> None:
    """What a container asks of the daemon, and the labels of a snapshot."""
    text = _text(data)
    labels = {idmap.UIDS: text, idmap.GIDS: text, TARGET: text, PARENT_CHAIN: text}
    _all_of(
        lambda: parse_mount(data),
        lambda: parse_unmount(data),
        lambda: idmap.mapped([], labels),
        lambda: layer_request(labels, None),
        lambda: updated({}, labels, text.split("\n")),
    )
    container_of(text)


_QUESTIONS: Final = (
    b'{"name": "train", "key": "' + b"5" * 64 + b'", "roots": ["/usr/lib"], "stale": false,'
    b' "store": "file:///a"}',
    b"0:100000:65536,100:5:1",
    b"sha256:" + b"a" * 64,
    b"labels.a\nlabels",
    b"12:cpu:/kubepods/burstable/pod1/" + b"a" * 64 + b"\n0::/system.slice/a.service\n",
)

TARGETS = (
    Target("questions", run_questions, lambda: _QUESTIONS, 8 << 10),
    Target("manifest", run_manifest, _manifests),
    Target("headers", run_headers, lambda: _HEADERS, 8 << 10),
    Target("hosts", run_hosts, lambda: _HOSTS, 16 << 10),
    Target("credentials", run_credentials, lambda: _CREDENTIALS, 16 << 10),
    Target("filters", run_filters, lambda: _FILTERS, 8 << 10),
    Target("container-metadata", run_metadata, lambda: _METADATA),
    Target("webhdfs", run_webhdfs, lambda: _WEBHDFS, 16 << 10),
    Target("events", run_events, lambda: _EVENTS, 8 << 10),
    Target("requirements", run_requirements, lambda: _REQUIREMENTS, 16 << 10),
)
