"""A hot report as a JSON object: what `--json` prints, and what the page draws."""

from typing import Any

from snapshotter.hot.report import HeatCells, HotFile, HotReport, LayerHeat, Run
from snapshotter.layers.records import BLOCK


def hot_document(report: HotReport, reference: str) -> dict[str, Any]:
    """Return the report on an image as a JSON object; names that are no text are escaped."""
    return {
        "reference": reference,
        "manifest": report.manifest_digest,
        "workload": report.workload,
        "block_bytes": BLOCK,
        "data_bytes": report.data_size,
        "hot_blocks": report.hot_blocks,
        "hot_bytes": report.hot_blocks * BLOCK,
        "hot_files": report.hot_files,
        "last_ms": report.last_ms,
        "runs": [_run(run) for run in report.runs],
        "cell_blocks": report.cell_blocks,
        "layers": [_layer(heat) for heat in report.layers],
        "timeline": {
            "bucket_ms": report.timeline.bucket_ms,
            "blocks": report.timeline.blocks.tolist(),
        },
        "files": [_file(one) for one in report.files],
    }


def _run(run: Run) -> dict[str, Any]:
    return {
        "created": run.created,
        "length_ms": run.length_ms,
        "ended": run.ended.name.lower(),
        "kernel": run.kernel,
        "architecture": run.architecture,
        "hot_blocks": run.hot_blocks,
    }


def _layer(heat: LayerHeat) -> dict[str, Any]:
    return {
        "position": heat.position,
        "digest": heat.layer.layer_digest,
        "index": heat.layer.index_digest,
        "named": heat.named,
        "runs": heat.runs,
        "data_bytes": heat.layer.data_size,
        "hot_blocks": heat.hot_blocks,
        "hot_files": heat.hot_files,
        "cells": _cells(heat.cells),
    }


def _cells(cells: HeatCells) -> dict[str, list[int]]:
    return {
        name: getattr(cells, name).tolist() for name in ("cell", "hot", "first_ms", "file", "block")
    }


def _file(one: HotFile) -> dict[str, Any]:
    return {
        "layer": one.layer,
        "path": one.path.decode(errors="backslashreplace"),
        "other_names": one.other_names,
        "start": one.start,
        "size": one.size,
        "hot_blocks": one.hot_blocks,
        "first_ms": one.first_ms,
    }
