"""Writes docs/results.md from the figures of benchmarks in docs/results/.

    scripts/results                     write the page
    scripts/results --check             say whether it is as it should be
    scripts/results NAME FILE...        first take over what `scripts/bench NAME --json FILE` wrote

Several files of one benchmark (parts of it, by `--only`) become one: the last has the last word on
a figure. A test runs the check, so that the page cannot say what was not measured.
"""

import datetime as dt
import json
import os
import platform
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from tooling.places import REPOSITORY

PLACE: Final = REPOSITORY / "docs" / "results"
PAGE: Final = REPOSITORY / "docs" / "results.md"
_MADE: Final = "<!-- made by scripts/results: do not edit -->\n\n"
_HEAD: Final = """# Results

What was measured, and the command that measures it again. Everything runs on one machine:
registries, nodes and HDFS in network namespaces of their own, links limited where it says so,
caches dropped before every cold start, but for what servers serve: they stand for other machines.
What is compared ran in the same run, in turn. Goals that were missed say so.
"""
BENCHMARKS: Final[Mapping[str, str]] = {
    "startup": "Whole starts of a training job: to its first step, in every way",
    "startup-unlimited": "Whole starts over links without a limit",
    "startup-light": "Whole starts of a job that weighs little, on one node",
    "startup-nodes": "Whole starts on several nodes, which share the registry's link",
    "startup-mirror": "Whole starts on several nodes, with a mirror",
    "startup-mirror8": "Whole starts on eight nodes, with a mirror",
    "startup-faults": "Whole starts while something goes wrong",
    "image": "Lazy images, without hot blocks",
    "hot": "Images with hot blocks",
    "deps": "Dependency snapshots",
    "deps-large": "Dependency snapshots of a large environment, with torch and CUDA",
    "hdfs": "Striped files in HDFS",
    "profile": "A report on the start of thousands of nodes",
    "model": "Thousands of nodes, by model",
}
"""In the order of the page; benchmarks that are not named here follow by name."""


def page(place: Path) -> str:
    """Return the page of all files in `place`. Raises `ValueError` for a file of no figures."""
    files = {file.stem: file for file in sorted(place.glob("*.json"))}
    order = [name for name in BENCHMARKS if name in files]
    order += [name for name in files if name not in BENCHMARKS]
    return _MADE + _HEAD + "".join(text for name in order for text in _section(name, files[name]))


def _section(name: str, file: Path) -> Iterator[str]:
    document = json.loads(file.read_text(encoding="utf-8"))
    if "figures" not in document:
        raise ValueError(f"{file}: no figures of a benchmark")
    benchmark = name.partition("-")[0]
    title = BENCHMARKS.get(name) or BENCHMARKS.get(benchmark, name)
    yield f"\n## {title}\n\n"
    command = " ".join(["./scripts/bench", benchmark, *document.get("options", ())])
    yield f"`{command}`{_when(document)}\n"
    if "ways" in document:
        yield from _ways(document)
    promised = [one for one in document["figures"] if one.get("goal") is not None]
    others = [one for one in document["figures"] if one.get("goal") is None]
    if promised:
        yield "\n| figure | value | goal | |\n| --- | --- | --- | --- |\n"
        yield from map(_promised, promised)
    if others:
        yield f"\n<details><summary>{len(others)} more figures</summary>\n"
        yield "\n| figure | value |\n| --- | --- |\n"
        for one in others:
            yield f"| {_flat(one['name'])} | {_value(one)} |\n"
        yield "\n</details>\n"


def _when(document: Mapping[str, Any]) -> str:
    said = document.get("measured", {})
    parts = [str(said[key]) for key in ("on", "machine") if said.get(key)]
    parts += [_condition(*pair) for pair in document.get("conditions", {}).items() if pair[1]]
    return f" · {', '.join(parts)}" if parts else ""


def _condition(key: str, value: object) -> str:
    name = key.replace("_", " ")
    if value is True:
        return name
    return f"{name} {value:g}" if isinstance(value, int | float) else f"{name} {value}"


def _ways(document: Mapping[str, Any]) -> Iterator[str]:
    """Write the table of whole starts: of each way the job's seconds, and stages on a node."""
    yield "\n| way | runs | first step after | spread | straggler | from the registry | stages |\n"
    yield "| --- | --- | --- | --- | --- | --- | --- |\n"
    for name, way in document["ways"].items():
        seconds = way["seconds"]
        stages = ", ".join(f"{stage} {value:.1f}" for stage, value in way["stages"].items())
        yield (
            f"| ({name}) {_flat(way['title'])} | {way['runs']} | {seconds['median']:.1f} s"
            f" | {seconds['least']:.1f} to {seconds['most']:.1f} s | {way['straggler']:.2f}"
            f" | {way['registry_bytes'] / 1e6:.0f} MB | {_flat(stages)} |\n"
        )


def _promised(figure: Mapping[str, Any]) -> str:
    value, goal = figure["value"], figure["goal"]
    lower = figure["better"] == "lower"
    met = value is not None and (value <= goal if lower else value >= goal)
    sign = "at most" if lower else "at least"
    said = "met" if met else "**missed**"
    return f"| {_flat(figure['name'])} | {_value(figure)} | {sign} {goal:g} | {said} |\n"


def _value(figure: Mapping[str, Any]) -> str:
    value = figure["value"]
    return "not measured" if value is None else f"{value:.4g} {figure['unit']}".rstrip()


def _flat(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def take_over(name: str, files: Sequence[Path], place: Path) -> None:
    """Make `<name>.json` of what a benchmark wrote, with the day and this machine."""
    documents = [json.loads(file.read_text(encoding="utf-8")) for file in files]
    figures = {one["name"]: one for document in documents for one in document["figures"]}
    newest = max(file.stat().st_mtime for file in files)
    measured = {
        "on": dt.datetime.fromtimestamp(newest, dt.UTC).date().isoformat(),
        "machine": f"{os.cpu_count()} cores, Linux {platform.release().partition('-')[0]}",
    }
    whole = {"measured": measured, **documents[-1], "figures": list(figures.values())}
    for heavy in ("starts", "lines"):
        whole.pop(heavy, None)
    place.mkdir(exist_ok=True)
    (place / f"{name}.json").write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")


def main(arguments: Sequence[str]) -> int:
    """Do what the command line says; return the exit status."""
    if list(arguments) == ["--check"]:
        if PAGE.exists() and PAGE.read_text(encoding="utf-8") == page(PLACE):
            return 0
        print("docs/results.md is not what docs/results/ says: run scripts/results")
        return 1
    if len(arguments) == 1:
        print(__doc__, file=sys.stderr)
        return 2
    if arguments:
        take_over(arguments[0], [Path(one) for one in arguments[1:]], PLACE)
    PAGE.write_text(page(PLACE), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
