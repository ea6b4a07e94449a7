"""`scripts/bench deps`: what dependency snapshots cost and bring, beside pip, uv and tar.

Everything is installed from wheels on this disk, so that no network is measured. What is compared
runs in turn. Processor seconds are those of a command with all that it starts.
"""

import statistics
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import click

from benchmarks.figures import Figure, emit, median_ratio
from benchmarks.lab.cleanup import undo_stack
from benchmarks.lab.workdir import work_directory
from benchmarks.measure.commands import Cost, cost_of
from benchmarks.measure.deps_mount import (
    NEVER,
    RECORDED,
    RECORDS,
    Start,
    daemon,
    mounted,
    pack_hot_blocks,
    start_mounted,
    start_unpacked,
)
from benchmarks.measure.deps_set import QUICK, SET_L, SET_M, PackageSet, package_set
from benchmarks.measure.stages import stage_seconds
from benchmarks.parts import measured
from bootseer.errors import BootseerError
from tooling.progress import doing, say

_PARTS: Final = ("fresh", "again", "hit", "miss", "change", "mount")


@dataclass(frozen=True, slots=True)
class Bench:
    """What the parts share."""

    packages: PackageSet
    runs: int

    @property
    def store(self) -> Path:
        """The store that is filled before anything is measured."""
        return self.packages.directory / "store"

    def installed(self, store: Path) -> None:
        """Fill a store: install once."""
        self.packages.fresh()
        cost_of(self.packages.deps(store), self.packages.environment())

    def timed(self, command: tuple[str, ...], *, fresh: bool = True, cold: bool = True) -> Cost:
        """Run a command in a fresh environment, with nothing in the page cache."""
        if fresh:
            self.packages.fresh()
        return cost_of(command, self.packages.environment(), cold=cold)


def fresh_node(bench: Bench) -> list[Figure]:
    """A node that has nothing: restore, against tar, pip and uv."""
    archive, target = bench.packages.directory / "all.tar.zst", bench.packages.directory / "tar"
    bench.installed(bench.store)
    pack = ("tar", "-C", str(bench.packages.venv), "--exclude=.depsnap", "--zstd", "-cf")
    cost_of((*pack, str(archive), "."), bench.packages.environment())
    cache = bench.packages.directory / "uv-cache"
    costs: dict[str, list[Cost]] = {name: [] for name in ("restore", "tar", "uv", "pip")}
    for run in range(bench.runs):
        with doing(f"fresh node, run {run + 1} of {bench.runs}"):
            bench.packages.forget()
            costs["restore"].append(bench.timed(bench.packages.deps(bench.store)))
            bench.packages.put_away(target)
            target.mkdir()
            unpack = ("tar", "-C", str(target), "--zstd", "-xf", str(archive))
            costs["tar"].append(bench.timed(unpack, fresh=False))
            bench.packages.put_away(cache)
            uv = bench.packages.uv(cache, "--compile-bytecode")
            costs["uv"].append(bench.timed(uv))
            costs["pip"].append(bench.timed(bench.packages.pip()))
    titles = {
        "restore": "fresh node, restore",
        "tar": "tar --zstd -x",
        "uv": "uv, cold cache, compiled",
        "pip": "pip from wheels",
    }
    ours = costs["restore"]
    return [
        *_medians({titles[name]: found for name, found in costs.items()}),
        Figure("restore against tar, processor", _ratio(ours, costs["tar"]), "x", 1.15),
        Figure("pip against restore", _ratio(costs["pip"], ours, wall=True), "x", 5.0, "higher"),
        Figure("uv against restore", _ratio(costs["uv"], ours, wall=True), "x", 2.0, "higher"),
    ]


def again(bench: Bench) -> list[Figure]:
    """A second environment on a node that restored one: links, and a mount, against uv's links.

    uv's have no compiled Python, which is 40 % of our files. `cp -al` makes links to the very same
    files, and nothing else. A mount is compared by when it is ready; what a command costs besides
    has a figure of its own (`hit`).
    """
    cache, copy = bench.packages.directory / "uv-cache", bench.packages.directory / "copy"
    uv = bench.packages.uv(cache, "--link-mode=hardlink")
    compiled = bench.packages.uv(cache, "--link-mode=hardlink", "--compile-bytecode")
    bench.installed(bench.store)
    costs: dict[str, list[Cost]] = {"linked": [], "cp": [], "uv": [], "compiled": []}
    for command in (bench.packages.deps(bench.store), uv):
        bench.timed(command)
    for run in range(bench.runs):
        with doing(f"second environment, run {run + 1} of {bench.runs}"):
            costs["uv"].append(bench.timed(uv, cold=False))
            costs["compiled"].append(bench.timed(compiled, cold=False))
            costs["linked"].append(bench.timed(bench.packages.deps(bench.store), cold=False))
            link = ("cp", "-al", str(bench.packages.venv / "lib"), str(copy))
            costs["cp"].append(bench.timed(link, fresh=False, cold=False))
            bench.packages.put_away(copy)
    ready, costs["mounted"] = _mounted_again(bench)
    ours = costs["linked"]
    return [
        *_medians({"second environment": ours, "cp -al of it": costs["cp"]}),
        *_medians({"uv, warm links": costs["uv"], "uv, warm links, compiled": costs["compiled"]}),
        *_medians({"second environment, mounted": costs["mounted"]}),
        Figure("second environment against uv", _ratio(ours, costs["uv"]), "x", 1.3),
        Figure("second environment, mounted, ready", statistics.median(ready), "s"),
        Figure(
            "second environment, mounted: ready, against uv, wall",
            median_ratio(ready, [cost.wall for cost in costs["uv"]]),
            "x",
            1.3,
        ),
        Figure("second environment against uv, compiled", _ratio(ours, costs["compiled"]), "x"),
        Figure("second environment against cp -al", _ratio(ours, costs["cp"]), "x"),
    ]


def _mounted_again(bench: Bench) -> tuple[list[float], list[Cost]]:
    """Mount on a node that mounted the same snapshot before; return when it was ready, and what the
    commands cost.
    """
    packages, times, costs = bench.packages, [], []
    with daemon(packages.directory / "again") as socket:
        for run in range(bench.runs + 1):
            with doing(f"second environment, mounted, run {run} of {bench.runs}"):
                packages.fresh()
                with mounted(packages, bench.store, socket, cold=False) as (ready, cost):
                    times.append(ready)
                    costs.append(cost)
    return times[1:], costs[1:]


def hit(bench: Bench) -> list[Figure]:
    """What a start costs where everything is in place, and where nearly nothing is restored."""
    step = ("sh", "-c", f"mkdir -p {bench.packages.venv}/small && echo > {bench.packages.venv}/x")
    command = bench.packages.deps(bench.store, step=step)
    bench.packages.fresh()
    cost_of(command, bench.packages.environment())
    restored, present, rest, keys = [], [], [], []
    for run in range(max(5, bench.runs)):
        bench.packages.fresh()
        told = bench.packages.directory / f"events{run}.jsonl"
        environment = {**bench.packages.environment(), "BOOTSEER_EVENTS": str(told)}
        restored.append(cost_of(command, environment))
        took = stage_seconds(told)
        rest.append(restored[-1].wall - took["deps.restore"])
        keys.append(took["deps.key"])
        present.append(cost_of(command, bench.packages.environment()))
    return [
        Figure("hit besides the restore, median", statistics.median(rest) * 1000, "ms", 150.0),
        Figure("the key, median", statistics.median(keys) * 1000, "ms", 50.0),
        *_medians({"hit of one file": restored, "already in place": present}),
    ]


def miss(bench: Bench) -> list[Figure]:
    """What capturing costs beside the install, but for one pass that packs."""
    archive = bench.packages.directory / "packed.tar.zst"
    pack = ("tar", "-C", str(bench.packages.venv), "--exclude=.depsnap", "--zstd", "-cf")
    costs: dict[str, list[Cost]] = {"pip alone": [], "pip captured and kept": [], "tar --zstd": []}
    for run in range(bench.runs):
        with doing(f"miss, run {run + 1} of {bench.runs}"):
            costs["pip alone"].append(bench.timed(bench.packages.pip()))
            costs["tar --zstd"].append(bench.timed((*pack, str(archive), "."), fresh=False))
            store = bench.packages.directory / f"miss{run}"
            costs["pip captured and kept"].append(bench.timed(bench.packages.deps(store)))
            bench.packages.put_away(store)
    plain, packing, kept = (
        [one.processor for one in some]
        for some in (costs["pip alone"], costs["tar --zstd"], costs["pip captured and kept"])
    )
    more = [all_of_it - pass_ for all_of_it, pass_ in zip(kept, packing, strict=True)]
    share = (median_ratio(more, plain) - 1) * 100
    return [
        *_medians(costs),
        Figure("capture against the install, but for packing, processor", share, "%", 5.0),
    ]


def change(bench: Bench) -> list[Figure]:
    """What a second version stores, of which one package is another."""
    store = bench.packages.directory / "change"
    names = bench.packages.names
    bench.packages.write_requirements(names[:-1])
    bench.installed(store)
    before = _sizes(store / "packs")
    bench.packages.write_requirements(names)
    bench.installed(store)
    bench.packages.write_requirements()
    after = _sizes(store / "packs")
    new = sum(size for name, size in after.items() if name not in before)
    return [
        Figure("packs of the first version", sum(before.values()) / 1e6, "MB"),
        Figure(f"packs that {names[-1]} and what it needs adds", new / 1e6, "MB"),
        Figure("packs, one package more", float(len(after) - len(before)), ""),
    ]


def mount(bench: Bench) -> list[Figure]:
    """What is there at once by a mount, and the first import through it, against local files."""
    packages, store = bench.packages, bench.packages.directory / "mounted"
    bench.installed(store)
    kept = packages.directory / "installed"
    packages.venv.rename(kept)
    packages.fresh()
    with doing("a start is recorded, and packed"):
        pack_hot_blocks(packages, store)
    ways = {"mount": NEVER, "recorded": RECORDED, "records": RECORDS, "hot": ""}
    starts: dict[str, list[Start]] = {name: [] for name in ("local", *ways)}
    for run in range(bench.runs):
        with doing(f"first imports, run {run + 1} of {bench.runs}"):
            packages.put_away(packages.venv)
            kept.rename(packages.venv)
            starts["local"].append(start_unpacked(packages, store))
            packages.venv.rename(kept)
            packages.fresh()
            for name, settings in ways.items():
                with daemon(packages.directory / f"{name}{run}", settings) as socket:
                    starts[name].append(start_mounted(packages, store, socket))
    first = {name: [one.first for one in some] for name, some in starts.items()}
    ready = {name: statistics.median(one.ready for one in some) for name, some in starts.items()}
    return [
        Figure("mount ready", ready["mount"], "s", 0.3),
        Figure("mount ready, with hot blocks", ready["hot"], "s"),
        *_medians({"mount, the whole command": [one.put for one in starts["mount"]]}),
        *_medians({f"first import, {name}": some for name, some in first.items()}),
        Figure(
            "first import by mount", _ratio(first["mount"], first["local"], wall=True), "x", 1.3
        ),
        Figure(
            "first import by mount while it is recorded",
            _ratio(first["recorded"], first["local"], wall=True),
            "x",
        ),
        Figure(
            "first import, hot blocks brought before",
            _ratio(first["hot"], first["local"], wall=True),
            "x",
            1.1,
        ),
        Figure(
            "first import, hot blocks brought by records, without a pack",
            _ratio(first["records"], first["local"], wall=True),
            "x",
        ),
    ]


def _sizes(directory: Path) -> Mapping[str, int]:
    return {file.name: file.stat().st_size for file in directory.glob("*/*")}


def _ratio(above: list[Cost], below: list[Cost], *, wall: bool = False) -> float:
    def seconds(cost: Cost) -> float:
        return cost.wall if wall else cost.processor

    return median_ratio(list(map(seconds, above)), list(map(seconds, below)))


def _medians(costs: Mapping[str, list[Cost]]) -> list[Figure]:
    found = []
    for name, some in costs.items():
        processor = statistics.median(one.processor for one in some)
        wall = statistics.median(one.wall for one in some)
        found += [Figure(f"{name}, processor", processor, "s"), Figure(f"{name}, wall", wall, "s")]
    return found


_MEASURES: Final[Mapping[str, Callable[[Bench], list[Figure]]]] = {
    "fresh": fresh_node,
    "again": again,
    "hit": hit,
    "miss": miss,
    "change": change,
    "mount": mount,
}


@click.command()
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write figures here.")
@click.option("--runs", default=3, show_default=True, help="Runs of everything compared.")
@click.option("--only", type=click.Choice(_PARTS), multiple=True, help="Only these parts.")
@click.option("--quick", "size", flag_value="quick", help="A smaller set of packages.")
@click.option("--large", "size", flag_value="large", help="With torch and CUDA: wants 40 GB.")
def main(json_file: Path | None, runs: int, only: tuple[str, ...], size: str | None) -> None:
    """Measure dependency snapshots against pip, uv and tar."""
    names = {"quick": QUICK, "large": SET_L}.get(size or "", SET_M)
    figures: list[Figure] = []
    try:
        with undo_stack() as stack:
            directory = stack.enter_context(work_directory())
            bench = Bench(package_set(names, directory), runs)
            for part in only or _PARTS:
                figures += measured(part, partial(_MEASURES[part], bench))
                bench.packages.clear()
    except BootseerError as error:
        say(f"error: {error}")
        sys.exit(error.exit_code)
    emit(f"deps, {len(names)} packages and what they need", figures, json_file)


if __name__ == "__main__":
    main()
