"""What there is before the first measured start: image, snapshot, records, a pack, a checkpoint."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

from benchmarks.lab import hotblocks
from benchmarks.lab.hadoop_servers import write_site
from benchmarks.lab.hdfs_mount import mounted
from benchmarks.lab.starts import Node
from benchmarks.start.container import Install
from benchmarks.start.node_start import ready_node, remove_node, start
from benchmarks.start.place import Place, push
from benchmarks.start.ways import OURS, Checkpoint
from tooling.progress import doing

_PACKED_S: Final = 180.0
_TOO_LITTLE: Final = 'outcome="too little'
_DONE: Final = "prepared.json"
"""File in the place's state that says what is there already, and of which image and packages."""


def prepare(place: Place, copies: int = 1) -> None:
    """Make everything ready; what the state has from an earlier time is used again. HostError.

    `copies`: on how many DataNodes each block of the checkpoint is.
    """
    with doing("a checkpoint in HDFS, plain and striped"):
        _write_checkpoints(place, copies)
    marker, wanted = place.state / _DONE, _description(place)
    known = json.loads(marker.read_text()) if marker.exists() else {}
    done = known.get("steps", []) if known.get("of") == wanted else []
    for name, act in _STEPS.items():
        if name not in done:
            with doing(name):
                act(place)
            done.append(name)
            marker.write_text(json.dumps({"of": wanted, "steps": done}))


def _start_once(
    place: Place,
    settings: str,
    install: Install,
    meanwhile: Callable[[Node], None] = lambda _node: None,
) -> None:
    with ready_node(place, OURS, 0, 0, settings) as ready:
        try:
            start(ready, install, meanwhile)
            hotblocks.end_recordings(ready.node)
        finally:
            shutil.rmtree(ready.events)  # it belongs to no measured start
    remove_node(place, 0)


def _have_packages_packed(node: Node) -> None:
    """Return when a node whose job goes on has packed what is hot of the snapshot, by itself, or
    there is too little of it to be recorded. HostError.

    Of a job that has ended nothing more is fetched, and what is not there as a whole is not packed.
    """
    log = node.snapshotter.log

    def is_over() -> bool:
        lines = [one for one in log.read_text(errors="replace").splitlines() if "deps:" in one]
        packed = any("hot.packed" in line for line in lines)
        return packed or any("hot.recorded" in line and _TOO_LITTLE in line for line in lines)

    node.snapshotter.wait_until(is_over, seconds=_PACKED_S)


_STEPS: Final[dict[str, Callable[[Place], None]]] = {
    "pushing the image": push,
    "a first start: packages are installed and kept": lambda place: _start_once(
        place, "hot:\n  record: never\n", Install.CAPTURE
    ),
    "a second start: recorded, that of the packages packed": lambda place: _start_once(
        place, hotblocks.PACKING, Install.MOUNT, _have_packages_packed
    ),
    "packing these hot blocks": lambda place: hotblocks.make_pack(
        place.net.ends(0), place.reference
    ),
}


def _write_checkpoints(place: Place, copies: int) -> None:
    site = place.directory / "site"
    site.mkdir()
    write_site(site / "hdfs-site.xml", {"dfs.replication": str(copies)})
    enter = [*place.net.services.enter, "env", f"HADOOP_CONF_DIR={site}"]
    stripes = {Checkpoint.PLAIN: 1, Checkpoint.STRIPED: len(place.net.data_nodes)}
    for layout, count in stripes.items():
        directory = place.directory / f"w-{layout.value}"
        directory.mkdir()
        settings = f"hdfs: {{stripe_count: {count}, spool: {directory / 'spool'}}}\n"
        with mounted(place.volume, directory, settings, enter) as mount:
            shutil.copytree(place.job.checkpoint, mount.path / layout.value)


def _description(place: Place) -> str:
    wheels = sorted(path.name for path in Path(place.job.wheels).glob("*.whl"))
    return "\n".join([place.job.layout, *place.job.install, *wheels])
