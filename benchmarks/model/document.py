"""What the page shows: a JSON object of lines, checks, assumptions and the origin of numbers."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any, Final

from benchmarks.model.check import Check
from benchmarks.model.parameters import origins
from benchmarks.model.published import PUBLISHED
from benchmarks.model.start import STAGES

ASSUMPTIONS: Final = (
    (
        "All nodes of a job begin at the same moment, and a job's first step waits for the last "
        "of them."
    ),
    (
        "Bandwidth is shared max-min fairly at every moment. There are no packets, no losses, no "
        "slow start of TCP."
    ),
    (
        "Limits are: each node's link, the registry's link and the requests a second that it "
        "answers, each mirror's link, each DataNode's link, the calls that the NameNode answers. "
        "Switches and the links of racks are no limit, nor are nodes' disks and page caches."
    ),
    (
        "What one node touches of the image every node touches, so that a mirror has to fetch it "
        "once. A mirror or peer passes bytes on as they come; nobody has the whole before it left "
        "the registry once."
    ),
    (
        "Peers: each node gives a share of its link to the others from when it takes part, until "
        "the end. Which piece is where is not simulated."
    ),
    (
        "A pull unpacks while it downloads, and what it cannot unpack before the last byte comes "
        "after it."
    ),
    (
        "A lazy start works, waits for answers one after the other, and reads most of its bytes "
        "beside that; a part of them it waits for."
    ),
    (
        "Hot blocks come as one pack while the container is made and starts. The pack, the index "
        "and the snapshot are there: made by an earlier start."
    ),
    (
        "A plain file is read in one stream, a block on one DataNode after the other, chosen by "
        "chance; a striped file from its DataNodes at once, and all nodes together use all "
        "DataNodes alike. Every node reads a share of its own."
    ),
    (
        "Nodes differ: work takes a lognormal factor, installing another one, and few have a slow "
        "link. Nothing fails and is done again."
    ),
    (
        "Allocation by the scheduler, the building of communicators and loading to the GPU are "
        "one number, the same for all ways."
    ),
)


def model_document(lines: Sequence[dict[str, Any]], checks: Iterable[Check]) -> dict[str, Any]:
    """Return what `page.render` draws; `lines` are those of `sweep.line_document`."""
    return {
        "stages": STAGES,
        "lines": lines,
        "published": [asdict(box) for box in PUBLISHED],
        "checks": [asdict(check) | {"error": check.error} for check in checks],
        "assumptions": ASSUMPTIONS,
        "numbers": [
            {"place": place} | asdict(origin)
            for place in ("laboratory", "site")
            for origin in origins(place, whole=False)
        ],
    }
