"""Where a served layer's files are, and the record that says what it is. Pure but for paths.

<root>/blocks/<name>     the layer's data area as a block file (FUSE); <name>h1, <name>r1: variants
<root>/l/<name>/
    layer.json           `LayerRecord`, written last: a directory without it is rubbish
    index                the layer index, as published or as made here
    windows              its inflate windows, where those were made here too
    meta.erofs           EROFS metadata for a layer above others
    bottom.erofs         likewise for a bottom layer, where whiteouts make that differ
    libraries            where shared libraries lie in the data area (`linking.names`)
    data blob present    the chunk cache (see `chunks.cachefile`)
    fs, bottom           mount points of the two
    h1/                  a hot layout: metadata of its own, `blocks` (what its hot area holds), the
                         hot area as a cache (`data`, `present`), mount points
    r1/                  mount points of a recording
<root>/hot/              what is known of hot blocks (see `snapshotter.starts`)
"""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from bootseer.errors import CorruptError
from snapshotter.blocks.names import LOCAL, NATURAL, BlockName, LayerName, Role, Variant, parse_name
from snapshotter.ports import IndexKind
from snapshotter.serving.materialise import LIBRARIES, Materialised

INDEX: Final = "index"
WINDOWS: Final = "windows"
RECORD: Final = "layer.json"
NEW: Final = "new-"
"""Prefix of a directory that is being made; it gets its name when it is complete."""

LAYER: Final = "layer"
_VERSION: Final = 1
_SOURCES: Final = 8
_BOTTOM: Final = ".b"


@dataclass(frozen=True, slots=True)
class LayerRecord:
    """What is known of a served layer besides its index."""

    layer_digest: str
    index_digest: str
    """`LOCAL` where the index was made on this node."""
    sources: tuple[str, ...]
    """Image references in whose repositories the blobs are found, newest first."""
    windows_digest: str
    size: int
    """Bytes of the data area."""
    inodes: int
    two_faced: bool
    """As a bottom layer it needs metadata of its own: it has whiteouts or opaque marks."""
    local: bool = False
    """The whole data area is on local disk and was checked: no FUSE needed."""
    poisoned: str = ""
    """Why this index must not be used: it does not describe the layer it names."""
    merkle_root: str = ""
    """Root of the data area's Merkle tree, in hex; empty where an older version wrote this."""
    index_file_digest: str = ""
    """`sha256:...` of the index file, also where that was made here."""
    kind: str = LAYER
    """What it is: a layer of an image, or another block image (see `blockimage`)."""

    index_kind: str = IndexKind.BOOTSEER
    """In which format the index was found (`ports.IndexKind`)."""

    @property
    def proven(self) -> bool:
        """Whether its chunks are checked against what names it, so that nothing is left to check
        once all are here. An index of a layer is somebody's word until the whole layer is."""
        return self.kind != LAYER

    def with_source(self, reference: str) -> "LayerRecord":
        """Return the record with one more place to fetch from, the newest first."""
        others = tuple(source for source in self.sources if source != reference)
        return replace(self, sources=(reference, *others)[:_SOURCES])

    def encode(self) -> bytes:
        """Return the record as JSON."""
        return json.dumps({"version": _VERSION, **asdict(self)}, indent=1).encode()

    @classmethod
    def decode(cls, data: bytes) -> "LayerRecord":
        """Parse a record of ours. CorruptError if it is none."""
        try:
            fields: dict[str, Any] = json.loads(data)
            if fields.pop("version") != _VERSION:
                raise CorruptError("layer record: of another version")
            fields["sources"] = tuple(fields["sources"])
            return cls(**fields)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise CorruptError(f"layer record: {error}") from error


@dataclass(frozen=True, slots=True)
class MountId:
    """One mount of a layer. Text form: `name`, with `.b` as a bottom layer, then `.h1` or `.r1`."""

    name: LayerName
    bottom: bool
    """As a bottom layer, where that differs from one above others."""
    variant: Variant = NATURAL
    """In which layout, or under which recording."""

    def __str__(self) -> str:
        """Return the text form."""
        variant = f".{self.variant}" if self.variant.number else ""
        return self.name + (_BOTTOM if self.bottom else "") + variant

    @classmethod
    def parse(cls, text: str) -> "MountId":
        """Parse the text form. ValueError if it is none."""
        name, *rest = text.split(".")
        bottom = rest[:1] == [_BOTTOM[1:]]
        variant = rest[1:] if bottom else rest
        block = BlockName.parse(name + "".join(variant))
        if block is None or len(variant) > 1 or variant == [""] or parse_name(name) is None:
            raise ValueError(f"not a layer mount: {text!r}")
        return cls(block.layer, bottom, block.variant)

    @property
    def block(self) -> BlockName:
        """The block file that it is a mount of."""
        return BlockName(self.name, self.variant)

    @property
    def natural(self) -> "MountId":
        """The same layer as it is mounted when it is pulled."""
        return replace(self, variant=NATURAL)


@dataclass(frozen=True, slots=True)
class Layout:
    """Paths below the daemon's root."""

    root: Path

    @property
    def layers(self) -> Path:
        """The directory of all layers."""
        return self.root / "l"

    @property
    def hot(self) -> Path:
        """What is known of hot blocks besides hot areas."""
        return self.root / "hot"

    @property
    def covered(self) -> Path:
        """What dependency snapshots are mounted for (see `snapshotter.dependencies.areas`)."""
        return self.root / "d"

    @property
    def blocks(self) -> Path:
        """The FUSE mount point."""
        return self.root / "blocks"

    def layer(self, name: LayerName) -> Path:
        """Return a layer's directory."""
        return self.layers / name

    def record(self, name: LayerName) -> Path:
        """Return a layer's record."""
        return self.layer(name) / RECORD

    def index(self, name: LayerName) -> Path:
        """Return a layer's index."""
        return self.layer(name) / INDEX

    def windows(self, name: LayerName) -> Path:
        """Return where a layer's windows are, if they are not in the registry."""
        return self.layer(name) / WINDOWS

    def libraries(self, name: LayerName) -> Path:
        """Return where it is written down where a layer's shared libraries lie."""
        return self.layer(name) / LIBRARIES

    def variant(self, name: LayerName, variant: Variant) -> Path:
        """Return the directory of a variant's own files; that of the layer if it is natural."""
        return self.layer(name) / str(variant)

    def metadata(self, mount: MountId) -> Path:
        """Return the EROFS metadata for a mount. A recording is of the natural layout."""
        hot = mount.variant.role is Role.HOT
        directory = self.variant(mount.name, mount.variant if hot else NATURAL)
        return directory / ("bottom.erofs" if mount.bottom else "meta.erofs")

    def mount_point(self, mount: MountId) -> Path:
        """Return where a mount is."""
        return self.variant(mount.name, mount.variant) / ("bottom" if mount.bottom else "fs")

    def mounted_at(self, point: Path) -> MountId:
        """Return whose mount point this is. ValueError if it is nobody's."""
        name, *variant, face = point.relative_to(self.layers).parts
        if face not in ("fs", "bottom"):
            raise ValueError(f"no mount point: {point}")
        return MountId.parse(".".join([name + (_BOTTOM if face == "bottom" else ""), *variant]))

    def block_file(self, name: BlockName) -> Path:
        """Return a block file. To be opened by the kernel and by other processes only."""
        return self.blocks / str(name)

    def data(self, name: LayerName) -> Path:
        """Return a layer's cache file."""
        return self.layer(name) / "data"


def record_of(
    made: Materialised,
    reference: str,
    index_digest: str,
    index_kind: IndexKind = IndexKind.BOOTSEER,
) -> LayerRecord:
    """Return the record of a layer that was just made from an image's repository."""
    return LayerRecord(
        layer_digest=made.layer_digest,
        index_digest=index_digest,
        sources=(reference,),
        windows_digest=made.windows_digest,
        size=made.size,
        inodes=made.inodes,
        two_faced=made.two_faced,
        local=index_digest == LOCAL,
        merkle_root=made.merkle_root,
        index_file_digest=made.index_digest,
        index_kind=index_kind,
    )
