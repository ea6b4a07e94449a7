"""The status document: what `bootseer status --json` prints. `docs/cli.md` has its fields. Pure."""

import os
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from snapshotter.metrics.numbers import NodeNumbers


def status_document(
    numbers: NodeNumbers,
    mounted: Sequence[str],
    layers: Sequence[dict[str, Any]],
    hot: dict[str, Any],
    dependencies: Sequence[dict[str, Any]] = (),
) -> dict[str, Any]:
    """Return the document.

    `layers`, `hot`, `dependencies`: what the parts say of each layer, image and mounted snapshot.
    """
    fill = numbers.fill
    return {
        "pid": os.getpid(),
        "version": numbers.version,
        "uptime_s": round(time.time() - numbers.process.started, 1),
        "mounted": mounted,
        "layers": layers,
        "hot": hot,
        "dependencies": list(dependencies),
        "fill": asdict(fill) | {"paused": fill.paused.value if fill.paused else None},
        "reads": {"layers": asdict(numbers.layer_reads), "hot": asdict(numbers.hot_reads)},
        "fetched_bytes": numbers.fetches.fetched | {"pack": numbers.feeds.bytes},
        "page_cache": asdict(numbers.page_cache),
    }
