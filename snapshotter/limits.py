"""Limits on everything that comes from outside. Exceeding one is a `CorruptError`."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Upper bounds on untrusted input. Sizes in bytes unless the name says otherwise."""

    manifest: int = 4 << 20
    """An image manifest or image index (the distribution specification asks for 4 MiB)."""
    config: int = 8 << 20
    """An image configuration."""
    referrers: int = 4 << 20
    """A list of referrers, or a fallback-tag index."""
    token: int = 1 << 20
    """A token service's answer."""
    error_body: int = 16 << 10
    """What is read of an answer that reports an error."""
    header_field: int = 32 << 10
    """One HTTP header field (presigned addresses are long)."""
    redirects: int = 5
    """Redirects followed for one request (a count)."""
    range_skip: int = 64 << 20
    """Bytes thrown away in front of a wanted range when a server ignores Range."""
    container_metadata: int = 4 << 20
    """What a client keeps with a container in containerd."""
    local_config: int = 4 << 20
    """A `hosts.toml` or a docker `config.json`."""
    index_depth: int = 3
    """Image indexes inside image indexes (a count)."""
    referrers_pages: int = 16
    """Pages of one list of referrers (a count)."""
    artifacts: int = 16
    """Index artifacts of one image that are looked at (a count)."""
    elf_segments: int = 64
    """Program headers of an ELF file (a count)."""
    elf_dynamic: int = 64 << 10
    """A dynamic section."""
    elf_needed: int = 1_024
    """Libraries that one file needs (a count)."""
    index: int = 256 << 20
    """A layer index as published (compressed)."""
    index_section: int = 1 << 30
    """One section of a layer index, decompressed."""
    windows: int = 4 << 30
    """The windows blob of a layer."""
    toc: int = 63 << 20
    """The table of contents of an eStargz or zstd:chunked layer, decompressed; and compressed."""
    window: int = 32 << 10
    """One inflate window, decompressed (RFC 1951: 32 KiB)."""
    layer: int = 1 << 40
    """A layer blob, compressed."""
    layer_tar: int = 8 << 40
    """A layer, uncompressed."""
    data_area: int = 8 << 40
    """The data area of a layer (EROFS addresses 2^32 blocks of 4 KiB)."""
    sparse_zeros: int = 64 << 30
    """Zeros that sparse files of one layer may add to its data area."""
    layers: int = 512
    """Layers of an image (a count)."""
    manifests: int = 1024
    """Entries of an image index (a count)."""
    entries: int = 4_000_000
    """Names in one layer (a count). Reading one takes up to 500 bytes of memory a name."""
    chunks: int = 16_000_000
    """Chunks in one layer (a count)."""
    chunk: int = 64 << 20
    """One chunk, uncompressed."""
    chunk_compressed: int = 72 << 20
    """One chunk as it lies in the layer blob, with the padding and headers in front of it."""
    zstd_window: int = 128 << 20
    """Memory that a zstd frame may ask for (what the zstd program takes without --long=28)."""
    name: int = 255
    """One name in a directory (EROFS_NAME_LEN)."""
    path: int = 4096
    """A path in a tar header."""
    depth: int = 2048
    """Directories above a name (a count)."""
    path_steps: int = 20_000_000
    """Names looked up to resolve all paths of one layer (a count). A long path through symlinks
    takes many, and a layer may be made of them; real layers stay below ten a directory."""
    symlink: int = 4095
    """A symlink's target."""
    xattr_value: int = 64 << 10
    """One extended attribute's value."""
    xattrs: int = 60 << 10
    """All extended attributes of one inode (EROFS inline area)."""
    xattr_entries: int = 2_000_000
    """Extended attributes in all distinct sets of one layer, and distinct sets (counts)."""
    erofs_metadata: int = 8 << 30
    """The EROFS metadata written for one layer."""
    pax_header: int = 1 << 20
    """One PAX or GNU long-name record block."""
    hot_record: int = 64 << 20
    """A record of hot blocks, compressed or not."""
    hot_blocks: int = 4 << 20
    """Blocks of 4 KiB in one record or pack (a count; 16 GiB)."""
    hot_layers: int = 2048
    """Layers, each with each of its indexes, in the records of an image together (a count)."""
    hot_text: int = 1024
    """A workload's name or a kernel's version in a record, in UTF-8."""
    hot_frame: int = 16 << 20
    """One frame of a hot pack, uncompressed."""
    hot_hashes: int = 512 << 20
    """The hashes in a hot pack that prove its blocks."""
    hot_tables: int = 256 << 20
    """Chunk tables in the EROFS metadata of a layer in a hot layout (8 bytes a 4 KiB block)."""
    hot_pack: int = 20 << 30
    """A hot pack."""
    hot_runs: int = 256
    """Records that are merged (a count)."""
    hot_listed: int = 16_384
    """Objects in one folder of a store of hot records that is no registry (a count)."""
    hot_artifacts: int = 128
    """Artifacts with records, or with packs, of one image that are looked at (a count)."""
    label: int = 4096
    """Key and value of a snapshot's label together (containerd's own limit)."""
    snapshot_name: int = 32 << 10
    """Name of a snapshot (containerd's own store takes no longer key)."""
    filter: int = 64 << 10
    """One filter expression of a List request."""
    filters: int = 64
    """Filter expressions of a List request (a count)."""


DEFAULT = Limits()
