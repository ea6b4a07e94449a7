"""Targets: what other formats say of a layer. What is not refused can be mounted."""

import json
from functools import cache

from bootseer.digests import digest_of
from bootseer.errors import CorruptError
from snapshotter.erofs.build import build
from snapshotter.erofs.options import Options, uuid_of
from snapshotter.layers.foreign import chunked, estargz, ztoc
from snapshotter.layers.foreign.assembly import Assembler, Layer
from snapshotter.layers.foreign.toc import parse_toc
from snapshotter.layers.format import decode, encode
from snapshotter.layers.records import BLOCK, Codec, LayerIndex
from snapshotter.limits import DEFAULT
from tests.toc_maker import make_chunked, make_estargz
from tests.ztoc_maker import ztoc_of
from tooling.fuzz import samples
from tooling.fuzz.target import Target, must

_FILES = {"a": b"a" * 10, "d/b": bytes(range(256)) * 9, "empty": b"", ".wh.gone": b""}


def _mount(index: LayerIndex) -> None:
    """See that an index can be kept, read again and mounted. Raises `CorruptError`."""
    again = decode(encode(index))
    must(again.data_size == index.data_size, "an index comes back with another size")
    build(again.tree, again.data_size // BLOCK, Options(uuid_of(again.layer_digest)))


def run_toc(data: bytes) -> None:
    """A table of contents of eStargz or zstd:chunked, in JSON."""
    try:
        assembler = Assembler(Layer(digest_of(data), 1 << 20), Codec.GZIP, DEFAULT)
        for file in parse_toc(data, DEFAULT):
            assembler.add(*file)
        _mount(assembler.finish(1 << 20))
    except CorruptError:
        return


def _tocs() -> list[bytes]:
    named = {"name": "d", "type": "dir", "mode": 493, "modtime": "2023-11-14T22:13:20.5+02:00"}
    device = {"name": "d/c", "type": "char", "devMajor": 1, "devMinor": 3, "uid": 7, "gid": -1}
    link = {"name": "l", "type": "symlink", "linkName": "d/c", "xattrs": {"user.a": "AA=="}}
    hole = {"name": "z", "type": "reg", "size": 9, "offset": 5, "chunkType": "zeros"}
    entries = [named, device, link, hole | {"digest": digest_of(bytes(9))}]
    return [make_estargz(_FILES)[1], json.dumps({"version": 1, "entries": entries}).encode()]


def run_estargz(data: bytes) -> None:
    """The end of an eStargz layer, with the table and the footer."""
    layer = Layer(digest_of(b""), 1 << 20)
    try:
        estargz.toc_offset(data, layer.size)
    except CorruptError:
        return
    try:
        _mount(estargz.convert(layer, digest_of(_table()), data, DEFAULT))
    except CorruptError:
        return


@cache
def _table() -> bytes:
    return make_estargz(_FILES)[1]


def _ends() -> list[bytes]:
    blob, _ = make_estargz(_FILES)
    return [blob[estargz.toc_offset(blob, len(blob)) :]]


def run_zstd_chunked(data: bytes) -> None:
    """The table of a zstd:chunked layer, compressed."""
    place = chunked.Place(digest_of(data), 1 << 19, len(data))
    try:
        _mount(chunked.convert(Layer(digest_of(b""), 1 << 20), place, data, DEFAULT))
    except CorruptError:
        return


def _compressed() -> list[bytes]:
    blob, place = make_chunked(_FILES)
    return [blob[place.offset : place.offset + place.size]]


def run_ztoc(data: bytes) -> None:
    """A zTOC of SOCI's."""
    size = len(samples.gzips()[0])
    try:
        made = ztoc.convert(Layer(digest_of(b""), size), digest_of(data), data, DEFAULT)
        _mount(made.index)
    except CorruptError:
        return


def _ztocs() -> list[bytes]:
    return [ztoc_of(samples.gzips()[0], samples.tar()).encode()]


TARGETS = (
    Target("toc", run_toc, _tocs),
    Target("estargz", run_estargz, _ends),
    Target("zstd-chunked", run_zstd_chunked, _compressed),
    Target("ztoc", run_ztoc, _ztocs),
)
