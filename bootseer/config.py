"""Configuration of Bootseer's daemons: read once, checked whole, frozen, handed down.

Nobody below reads a file or the environment. The defaults are here and nowhere else;
`config/bootseer.yaml` shows them all, and a test proves that it does.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Final, Literal, TypeAlias

from bootseer.errors import UsageError
from bootseer.setting_types import Bytes, Loopback, Range

DEFAULT_PATH: Final = Path("/etc/bootseer/bootseer.yaml")

Seconds: TypeAlias = Annotated[float, Range(0.01, 86_400)]
KiB: TypeAlias = Annotated[int, Range(0, 65_536)]
IndexSource: TypeAlias = Literal["bootseer", "toc", "soci"]
DEFAULT_SOURCES: Final[tuple[IndexSource, ...]] = ("bootseer", "toc", "soci")


@dataclass(frozen=True, slots=True)
class Log:
    """What the daemons write to standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["text", "json"] = "text"
    """`text` for people, `json` for collectors: one object a line."""


@dataclass(frozen=True, slots=True)
class Registry:
    """How registries are found, and how long they are waited for."""

    config_path: Path = Path("/etc/containerd/certs.d")
    """containerd's directory of `hosts.toml` files: mirrors, certificates, plain HTTP."""
    docker_config: Path = Path("/root/.docker/config.json")
    """Where `docker login` keeps credentials, or names helpers that know some. Need not exist."""
    kubelet_config: str = ""
    """The kubelet's `--image-credential-provider-config`; empty: no plugins are asked."""
    kubelet_plugins: Path = Path("/usr/libexec/kubernetes/credential-providers")
    """The kubelet's `--image-credential-provider-bin-dir`."""
    cri: str = ""
    """Socket at which the daemon stands in for containerd's CRI image service, to learn the
    credentials of pulls (the kubelet's `--image-service-endpoint`); empty: nowhere."""
    plain_http: tuple[str, ...] = ()
    """Registries (`host:port`) spoken to over HTTP without a hosts.toml that says so."""
    connect_timeout: Seconds = 10.0
    """Seconds for a connection, TLS included."""
    read_timeout: Seconds = 30.0
    """Seconds without a byte before an answer counts as failed."""


@dataclass(frozen=True, slots=True)
class Snapshotter:
    """What containerd sees."""

    name: str = "bootseer"
    """Name of the proxy plugin; unique for each `root`."""
    prepare_timeout: Seconds = 25.0
    """Seconds that finding a layer's index may hold up containerd before it unpacks by itself."""
    unpack: Literal["local", "publish", "off"] = "local"
    """What becomes of a layer without an index: `local`: it is indexed on this node, in one pass;
    `publish`: and that index is published, so that other nodes are lazy; `off`: it is left to
    containerd, which then downloads all layers above it too."""
    unpack_timeout: Seconds = 600.0
    """Seconds that such a pass may take."""
    unpack_limit: Bytes = Bytes(64 << 30)
    """Largest layer (compressed) that is treated so."""
    mount: Literal["auto", "file", "loop"] = "auto"
    """EROFS straight from a file (Linux 6.12 and newer) or over a loop device."""
    staged: bool = False
    """Hand layers to containerd as mounted, to be committed by it, in place of saying that they
    exist: needs containerd 2.4, and then also works where it unpacks layers in parallel."""


@dataclass(frozen=True, slots=True)
class Cache:
    """The chunk cache on local disk, below `root`, of all images and dependency snapshots."""

    size: Bytes = Bytes(0)
    """Most that it may take; 0: what the disk has."""
    unused_free: Annotated[float, Range(0, 1)] = 0.2
    """Share of the disk that stays free of layers that no snapshot needs any more: kubelet removes
    images when less than 0.15 are free."""
    least_free: Annotated[float, Range(0, 1)] = 0.05
    """Share of the disk that stays free of the cache: chunks of mounted layers go as well."""
    flush_interval: Seconds = 1.0
    """Seconds between fdatasync of new chunks; what came after the last one is fetched again after
    a power failure."""
    check_after: Seconds = 5.0
    """Seconds without any read after which a layer that came in whole is checked against its
    digest; after five minutes in any case."""


@dataclass(frozen=True, slots=True)
class Index:
    """How layers are indexed, and whose indexes are used."""

    sources: tuple[IndexSource, ...] = DEFAULT_SOURCES
    """Where an index of a layer may come from; of several the first that has one: published by
    `bootseer image index`, the layer's own table of contents (eStargz, zstd:chunked), SOCI."""

    spacing: Annotated[Bytes, Range(64 << 10, 64 << 20)] = Bytes(256 << 10)
    """Uncompressed bytes between places where a gzip layer can be entered. Smaller: less is read
    for one block; larger: a smaller index."""


@dataclass(frozen=True, slots=True)
class TrustRule:
    """Whose indexes are believed about the images of some repositories."""

    match: str = ""
    """`host[:port][/path]`: the rule with the longest path that fits counts."""
    policy: Literal["any", "signed", "pinned", "local"] = "any"
    keys: tuple[str, ...] = ()
    """Files; empty: those of `trust.keys`."""


@dataclass(frozen=True, slots=True)
class Trust:
    """Whose published indexes are believed (docs/security.md)."""

    policy: Literal["any", "signed", "pinned", "local"] = "any"
    """`any`: whoever may push; `signed`: who has one of the keys; `pinned`: an index whose digest
    the image names; `local`: nobody."""
    keys: tuple[str, ...] = ()
    """Files with public keys or certificates (PEM), for `signed`."""
    rules: tuple[TrustRule, ...] = ()
    """Other policies for some repositories."""


@dataclass(frozen=True, slots=True)
class Fuse:
    """The two kernel file systems on the path of a read, with their read-ahead in KiB."""

    read_ahead_kb: KiB = 256
    """Of the FUSE mount that holds the layers' data."""
    erofs_read_ahead_kb: KiB = 64
    """Of each mounted layer."""
    unserved: Annotated[float, Range(10, 86_400)] = 120.0
    """Seconds that nobody may serve the mount, before readers get errors instead of waiting. A
    server that gave no sign of life for half of that is killed."""
    standby: Annotated[float, Range(0, 86_400)] = 30.0
    """Seconds that a server serves before the next one is started beside it, ready to take over
    (some 80 MB of memory); 0: none is, and taking over takes a second more."""


@dataclass(frozen=True, slots=True)
class Fetch:
    """How chunks come from the network."""

    concurrency: Annotated[int, Range(1, 256)] = 6
    """Requests under way at once, for one layer."""
    ahead: Bytes = Bytes(32 << 20)
    """Most bytes that are fetched before they are asked for, behind a sequential reader."""
    idle: Bytes = Bytes(192 << 10)
    """Bytes behind a miss that the same request brings along; 0: none. Of packs of a dependency
    snapshot in a directory it is 1 MiB on either side, if any."""
    linked: Bytes = Bytes(16 << 20)
    """When a program is run, its libraries are looked up ahead of the dynamic loader, and so many
    bytes (unpacked) at most of what that changes in them; 0: they are not."""


@dataclass(frozen=True, slots=True)
class Fill:
    """The cold remainder of layers, fetched while nothing else is."""

    rate: Bytes = Bytes(16 << 20)
    """Bytes a second (compressed) at most; 0: what nobody reads is never fetched."""
    after: Seconds = 60.0
    """Seconds from when a layer was opened last until it begins."""
    least_free: Annotated[float, Range(0, 1)] = 0.1
    """Share of the disk that it leaves free."""


@dataclass(frozen=True, slots=True)
class Hot:
    """Hot blocks: what a container's start touches, recorded once and prefetched afterwards."""

    record: Literal["auto", "always", "never"] = "auto"
    """Record a start: of an image without a record, every one, or none."""
    window: Seconds = 120.0
    """Seconds from a container's start that are recorded at most."""
    quiet: Seconds = 20.0
    """Seconds without anything new after which a start counts as over."""
    watch: Literal["auto", "never"] = "auto"
    """Have the kernel tell what is read while a start is recorded, where it can. Otherwise each
    block is a read of its own, and that start is slower."""
    pack: Literal["auto", "never"] = "auto"
    """Make and publish a pack of what this node recorded, once the layers are local."""
    prefetch: bool = True
    """Bring hot blocks before they are asked for."""
    layout: Literal["auto", "hot", "natural"] = "auto"
    """Where containers read hot blocks: `hot`, one behind the other in areas of their own;
    `natural`, in place, and never from a pack; `auto`, in areas if a pack brings them, otherwise in
    place."""
    page_cache: bool = True
    """Put them into the kernel's page cache too, while there is memory."""
    wait: Bytes = Bytes(0)
    """Hot blocks that have to be there before a container gets its mounts; 0: it never waits."""
    wait_timeout: Seconds = 10.0
    """Seconds that this may take at most."""
    store: str = "registry"
    """Where records and packs are kept: `registry` (next to each image), `file:///directory` or
    `webhdfs://[user@]namenode:9870/directory`."""


@dataclass(frozen=True, slots=True)
class Metrics:
    """Numbers for Prometheus (docs/metrics.md)."""

    address: Loopback = Loopback("")
    """Where `/metrics` is served over TCP besides the control socket; empty: nowhere."""


@dataclass(frozen=True, slots=True)
class Traces:
    """Spans for OpenTelemetry (docs/metrics.md)."""

    otlp: str = ""
    """The OTLP/HTTP endpoint of a collector, as http://localhost:4318; empty: nothing is traced."""


@dataclass(frozen=True, slots=True)
class StripeRule:
    """How some new files are laid out; what is left out is as for all others."""

    match: str = "*"
    """Pattern: `*.log` of names, `runs/**/*.pt` of paths, `logs/` of all that is below."""
    stripe_unit: Annotated[Bytes, Range(4 << 10, 64 << 20)] | None = None
    stripe_count: Annotated[int, Range(1, 256)] | None = None
    small: Annotated[Bytes, Range(0, 64 << 20)] | None = None


@dataclass(frozen=True, slots=True)
class Hdfs:
    """Mounts whose files are striped (`bootseer hdfs mount`)."""

    stripe_unit: Annotated[Bytes, Range(4 << 10, 64 << 20)] = Bytes(4 << 20)
    """Bytes that lie together in one stripe; a power of two."""
    stripe_count: Annotated[int, Range(1, 256)] = 8
    """Stripes of a new file; with 1 it is a plain file."""
    small: Annotated[Bytes, Range(0, 64 << 20)] = Bytes(4 << 20)
    """Largest file that stays one plain file."""
    rules: tuple[StripeRule, ...] = ()
    """Other layouts for some files; the first whose pattern matches is it."""
    cache: Annotated[Bytes, Range(16 << 20, 1 << 50)] = Bytes(256 << 20)
    """Memory for what is read, read ahead and on its way to the store, of all files together."""
    ahead: Bytes = Bytes(64 << 20)
    """Most bytes that are read ahead of one sequential reader; at most half of the cache."""
    spool: Path = Path("/var/lib/bootseer/spool")
    """Directory on a local disk for writes in any order, until they are published."""
    keep: Annotated[Bytes, Range(0, 1 << 50)] = Bytes(1 << 30)
    """Most bytes there of stripes that may have to be sent again, of all files together."""
    send_again: Seconds = 90.0
    """Seconds for which what a lost DataNode took along is sent again to others, and five times at
    least; then that is an error."""
    read_ahead_kb: KiB = 4096
    """Read-ahead of the kernel, in KiB."""
    metrics_address: Loopback = Loopback("")
    """Where a mount serves `/metrics` over TCP besides its socket; empty: nowhere."""
    timeout: Seconds = 60.0
    """Seconds that the store may take for one call before it counts as failed."""
    transport: Literal["auto", "webhdfs", "native"] = "auto"
    """How HDFS is reached: WebHDFS, Hadoop's own protocol, or whichever works, in this order."""


@dataclass(frozen=True, slots=True)
class Deps:
    """Dependency snapshots (`bootseer deps`)."""

    store: str = "file:///var/lib/bootseer/depsnap"
    """Where snapshots are kept: `file:///directory`, `hdfs://nameservice/directory`,
    `webhdfs://[user@]namenode:9870/directory` or `oci://host/repository`."""
    timeout: Seconds = 60.0
    """Seconds that the store may take for one access, besides the time for its data."""
    wait: Seconds = 600.0
    """Seconds to wait for another process of this machine that works on the same directories, and
    for another node that makes the snapshot."""
    silence: Annotated[float, Range(10, 86_400)] = 30.0
    """Seconds without a sign of life after which a node that makes a snapshot is not waited for."""
    fresh: Annotated[float, Range(0, 1e9)] = 86_400.0
    """Seconds after which a step that is not pinned is run again."""
    cache: str = "auto"
    """Where this node keeps what it has restored, to link it the next time: a directory on the same
    file system; empty: nowhere; `auto`: in the user's cache directory."""
    workers: Annotated[int, Range(0, 64)] = 0
    """Processes that pack and unpack; 0: one a processor, at most 8."""
    compile: bool = True
    """Compile Python sources that the step left uncompiled, once, for all who restore."""
    restore: Literal["unpack", "mount"] = "unpack"
    """`mount`: have the node's daemon mount what is large; what cannot be mounted is unpacked."""
    daemon: str = ""
    """Socket of the daemon that mounts; empty: `control.sock` in `run_dir`."""
    pods: str = ""
    """Socket at which the daemon mounts snapshots for pods that may have them; empty: nowhere."""


@dataclass(frozen=True, slots=True)
class Events:
    """Startup events (docs/events.md)."""

    path: str = ""
    """File that they are appended to, or directory with a file a node; empty: nowhere. The variable
    BOOTSEER_EVENTS comes first."""


@dataclass(frozen=True, slots=True)
class Config:
    """All of it. Times in seconds, sizes in bytes unless the name says otherwise."""

    root: Path = Path("/var/lib/bootseer")
    """What must survive a reboot: snapshots, indexes, chunk cache."""
    run_dir: Path = Path("/run/bootseer")
    """What need not: mount points, sockets."""
    address: Path = Path("/run/bootseer/snapshotter.sock")
    """The socket that containerd connects to."""
    containerd: str = "/run/containerd/containerd.sock"
    """containerd's own socket, asked for a container's labels and its pod's annotations; empty:
    nobody is asked."""
    log: Log = field(default_factory=Log)
    registry: Registry = field(default_factory=Registry)
    snapshotter: Snapshotter = field(default_factory=Snapshotter)
    cache: Cache = field(default_factory=Cache)
    index: Index = field(default_factory=Index)
    trust: Trust = field(default_factory=Trust)
    fuse: Fuse = field(default_factory=Fuse)
    fetch: Fetch = field(default_factory=Fetch)
    fill: Fill = field(default_factory=Fill)
    hot: Hot = field(default_factory=Hot)
    metrics: Metrics = field(default_factory=Metrics)
    traces: Traces = field(default_factory=Traces)
    hdfs: Hdfs = field(default_factory=Hdfs)
    deps: Deps = field(default_factory=Deps)
    events: Events = field(default_factory=Events)


def load(path: Path) -> Config:
    """Return the configuration in the file `path`.

    Raises `UsageError` where the file cannot be read or says something that makes no sense, with
    key and line.
    """
    from bootseer.records_from_yaml import parse  # noqa: PLC0415 (without a file it is not needed)

    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise UsageError(f"{path}: cannot be read: {reason}", hint="see --config") from error
    return parse(Config, text, str(path))
