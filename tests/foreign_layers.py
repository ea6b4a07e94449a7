"""Layers in the formats of other lazy-pulling snapshotters, made by their own libraries."""

import json
import subprocess
from pathlib import Path

from bootseer.digests import digest_of
from tests.image_maker import OCI_LAYER, MadeLayer
from tooling.layer_maker import LAYER_MAKER

ESTARGZ = "estargz"
CHUNKED = "chunked"
FORMATS = (ESTARGZ, "estargz-zstd", CHUNKED)
"""What `foreign_layer` makes: eStargz, and zstd:chunked of stargz-snapshotter and of podman."""


def foreign_layer(tar: bytes, directory: Path, how: str, *options: str) -> MadeLayer:
    """Return a layer of a tar with its table of contents; `directory` is for the way there."""
    source, target = directory / "layer.tar", directory / f"layer.{how}"
    source.write_bytes(tar)
    annotations = _make(how, source, target, *options)
    diff_id = annotations.pop("diffID", digest_of(tar))
    compression = "gzip" if how == ESTARGZ else "zstd"
    return MadeLayer(target.read_bytes(), diff_id, f"{OCI_LAYER}+{compression}", annotations)


def soci_ztoc(blob: bytes, directory: Path, span: int = 1 << 20) -> bytes:
    """Return SOCI's zTOC of a gzip layer; `span`: bytes of a span."""
    source, target = directory / "layer.gz", directory / "layer.ztoc"
    source.write_bytes(blob)
    _make("ztoc", source, target, str(span))
    return target.read_bytes()


def _make(*arguments: str | Path) -> dict[str, str]:
    """Run the maker; return the annotations that it prints."""
    command = [LAYER_MAKER.ensure(), *arguments]
    done = subprocess.run(command, capture_output=True, check=True, text=True)
    return dict(json.loads(done.stdout))
