"""What `bootseer image` prints: for people and as JSON."""

from typing import Any

import click

from bootseer.cli.text import printable, size_text
from snapshotter.images.indexing import IndexedImage
from snapshotter.images.inspection import ImageReport, LayerReport, files
from snapshotter.images.layer_indexing import Stage


def indexed_document(done: IndexedImage) -> dict[str, Any]:
    """Return the result of indexing as a JSON object."""
    return {
        "reference": str(done.image.reference),
        "manifest": done.image.digest,
        "artifact": done.artifact_digest,
        "published": done.published,
        "layers": [
            {
                "digest": layer.digest,
                "size": layer.size,
                "outcome": str(layer.stage),
                "index_size": layer.index_size,
                "windows_size": layer.windows_size,
                "chunks": layer.chunks,
                "coarse": layer.coarse,
                "seconds": round(layer.seconds, 3),
            }
            for layer in done.layers
        ],
    }


def show_indexed(done: IndexedImage) -> None:
    """Print the result of indexing."""
    for layer in done.layers:
        extra = layer.index_size + layer.windows_size
        share = f"{extra / layer.size:.2%}" if layer.size else "-"
        click.echo(f"{layer.digest}  {layer.stage:<9}  {size_text(layer.size):>10}  index {share}")
    unindexed = [layer for layer in done.layers if layer.stage is Stage.UNINDEXED]
    if whole := sum(not layer.coarse for layer in unindexed):
        click.echo(f"{whole} can be read from front to back only, so nodes fetch it whole")
    _advise(sum(layer.coarse for layer in done.layers), str(done.image.reference))
    news = "published" if done.published else "already published"
    click.echo(f"{news}: {done.artifact_digest} for {done.image.reference}")


def _advise(coarse: int, reference: str) -> None:
    """Print what makes layers in large zstd frames lazy, if there are any."""
    if coarse:
        click.echo(
            f"{coarse} zstd in large frames, which nodes fetch whole; to make it lazy: "
            f"bootseer image convert {reference} NEWREF"
        )


def report_document(report: ImageReport, *, with_files: bool) -> dict[str, Any]:
    """Return the report on an image as a JSON object."""
    found = report.found
    document: dict[str, Any] = {
        "reference": str(report.image.reference),
        "manifest": report.image.digest,
        "artifact": found.digest if found else None,
        "created": found.artifact.created.isoformat() if found else None,
        "layers": [_layer_document(layer) for layer in report.layers],
    }
    if with_files:
        document["files"] = [
            {
                "layer": layer.position,
                "path": entry.path.decode(errors="backslashreplace"),
                "mode": entry.permissions,
                "size": entry.size,
                "target": entry.target.decode(errors="backslashreplace") or None,
                "whiteout": entry.whiteout,
            }
            for layer in report.layers
            if layer.index
            for entry in files(layer.index.tree)
        ]
    return document


def _layer_document(layer: LayerReport) -> dict[str, Any]:
    return {
        "digest": layer.digest,
        "media_type": layer.media_type,
        "size": layer.size,
        "indexed": layer.indexed,
        "sequential": layer.sequential,
        "coarse": layer.coarse,
        "problem": layer.problem or None,
        "served_by": layer.served_by or None,
        "index": layer.index_digest,
        "index_size": layer.index_size,
        "windows_size": layer.windows_size,
        "index_share": None if layer.share is None else round(layer.share, 6),
        "data_size": layer.data_size,
        "entries": layer.entries,
        "chunks": layer.chunks,
    }


def show_report(report: ImageReport) -> None:
    """Print the report on an image."""
    found = report.found
    click.echo(f"image     {report.image.reference}")
    click.echo(f"platform  {report.image.config.platform}")
    when = f", {found.artifact.created:%Y-%m-%d %H:%M:%S %Z}" if found else ""
    click.echo(f"index     {found.digest if found else 'none'}{when}")
    click.echo(f"{'layer':<19}  {'size':>9}  {'files':>9}  {'data':>9}  {'chunks':>7}  index")
    for layer in report.layers:
        click.echo(_layer_line(layer))
    indexed = sum(layer.indexed or bool(layer.served_by) for layer in report.layers)
    total = sum(layer.size for layer in report.layers)
    click.echo(f"{indexed} of {len(report.layers)} layers indexed, {size_text(total)} compressed")
    _advise(sum(layer.coarse for layer in report.layers), str(report.image.reference))


def _layer_line(layer: LayerReport) -> str:
    name = layer.digest[: len("sha256:") + 12]
    if not layer.indexed:
        why = "sequential only" if layer.sequential else layer.problem or "not indexed"
        why = f"by {layer.served_by}" if layer.served_by not in ("", "bootseer") else why
        return f"{name:<19}  {size_text(layer.size):>9}  {'-':>9}  {'-':>9}  {'-':>7}  {why}"
    extra = size_text((layer.index_size or 0) + (layer.windows_size or 0))
    size, data = size_text(layer.size), size_text(layer.data_size or 0)
    share = f"{layer.share:.2%}" if layer.share is not None else "-"
    return (
        f"{name:<19}  {size:>9}  {layer.entries:>9}  {data:>9}"
        f"  {layer.chunks:>7}  {extra} ({share})"
    )


def show_files(report: ImageReport) -> None:
    """Print the files of every indexed layer."""
    for layer in report.layers:
        if layer.index is None:
            continue
        for entry in files(layer.index.tree):
            path = printable(entry.path)
            arrow = f" -> {printable(entry.target)}" if entry.target else ""
            hides = "  (whiteout)" if entry.whiteout else ""
            click.echo(
                f"{layer.position:>3}  {entry.permissions}  {entry.size:>12}  {path}{arrow}{hides}"
            )
