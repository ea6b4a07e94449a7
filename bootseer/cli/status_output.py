"""What `bootseer status` shows people. Pure: from the status document to what rich can print."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from bootseer.cli.text import printable, size_text

_BLOCK: Final = 4096
_BAR: Final = 16
_COURSES: Final = {
    "ready": "ready",
    "pack": "pack",
    "records": "records",
    "record": "to be recorded",
    "natural": "as it is",
}


def status_view(status: Mapping[str, Any]) -> RenderableType:
    """Return a status document as people read it."""
    parts: list[RenderableType] = [_head(status)]
    hot = status["hot"]
    if hot["images"]:
        parts += [Text(), _images(hot["images"])]
        parts += [_failure(one) for one in hot["images"] if one["failure"]]
        parts += [_unused(one) for one in hot["images"] if one["blocks_unused"] is not None]
    parts += [_recording(one) for one in hot["recordings"] if one["going_on"]]
    if status["layers"]:
        parts += [Text(), _layers(status["layers"])]
    return Group(*parts)


def _head(status: Mapping[str, Any]) -> Text:
    layers = f"{len(status['mounted'])} layers mounted, {len(status['layers'])} open"
    lines = [
        f"server   {status['pid']}, up {status['uptime_s']:.0f} s, {layers}",
        f"reads    {_reads(status['reads'])}",
        f"fetched  {_fetched(status['fetched_bytes'])}",
        f"fill     {_fill(status['fill'])}",
        f"cache    {_cache(status['layers'])}",
    ]
    if "rates" in status:
        lines.append(f"now      {_now(status['layers'], status['rates'])}")
    if stored := status["page_cache"]["stored_bytes"]:
        lines.append(f"memory   {size_text(stored)} put into the page cache ahead of reads")
    return Text("\n".join(lines))


def _reads(reads: Mapping[str, Any]) -> str:
    def total(name: str, source: str) -> float:
        return float(sum(area[name][source] for area in reads.values()))

    told = [f"{total('reads', 'cache'):,.0f} from this node"]
    for source, text in (("joined", "joined a fetch"), ("demand", "missed")):
        count, seconds = total("reads", source), total("seconds", source)
        told.append(f"{count:,.0f} {text} ({seconds:.1f} s)")
    if failed := sum(area["failed"] for area in reads.values()):
        told.append(f"{failed:,} FAILED")
    return ", ".join(told)


def _cache(layers: Sequence[Mapping[str, Any]]) -> str:
    data = sum(layer["data_bytes"] for layer in layers)
    local = sum(layer["local_bytes"] for layer in layers)
    disk = sum(layer["disk_bytes"] for layer in layers)
    share = f", {local / data:.0%} of {size_text(data)} local" if data else ""
    return f"{size_text(disk)} on disk{share}"


def _now(layers: Sequence[Mapping[str, Any]], rates: Mapping[str, Any] | None) -> str:
    fetching = sum(layer["fetching"] for layer in layers)
    told = [f"{fetching:,} chunks under way"]
    if rates:
        by_purpose = sorted(rates["fetched_bytes"].items(), key=lambda one: -one[1])
        parts = [f"{name} {size_text(size)}/s" for name, size in by_purpose if size]
        total = f"{size_text(sum(rates['fetched_bytes'].values()))}/s fetched"
        told.append(f"{total} ({', '.join(parts)})" if parts else total)
        reads = sum(rates["reads"].values())
        told.append(f"{reads:,.0f} reads/s of {size_text(rates['read_bytes'])}/s")
        told.append(f"{rates['reads']['demand']:,.0f} misses/s")
    return ", ".join(told)


def _fetched(fetched: Mapping[str, int]) -> str:
    told = [f"{name} {size_text(size)}" for name, size in fetched.items() if size]
    return f"{size_text(sum(fetched.values()))}{': ' * bool(told)}{', '.join(told)}"


def _fill(fill: Mapping[str, Any]) -> str:
    if fill["stage"] in ("off", "done"):
        return {"off": "off", "done": "nothing is missing"}[fill["stage"]]
    left = f"{fill['layers_left']} layers lack {fill['chunks_left']:,} chunks"
    return f"waits, {fill['paused']}; {left}" if fill["paused"] else f"{left}"


def _images(images: Sequence[Mapping[str, Any]]) -> Table:
    table = _table("image", "workload", "start", "hot blocks", "", "rate", "joined", "missed")
    for one in images:
        size, there = one["blocks"] * _BLOCK, (one["blocks"] - one["blocks_missing"]) * _BLOCK
        reads = one["reads"]["reads"]
        table.add_row(
            _safe(one["image"]),
            _safe(one["workload"] or "default"),
            "looking" if one["going_on"] and not one["blocks"] else _COURSES[one["course"]],
            ProgressBar(total=size, completed=there, width=_BAR) if size else "",
            f"{there / size:.0%} of {size_text(size)}" if size else _in_place(one["feed"]),
            _rate(one),
            f"{reads['joined']:,}" if size else "",
            f"{reads['demand']:,}" if size else "",
        )
    return table


def _in_place(feed: Mapping[str, Any] | None) -> str:
    return size_text(feed["brought"]) if feed and feed["brought"] else ""


def _rate(image: Mapping[str, Any]) -> str:
    feed = image["feed"]
    if not feed or not feed["seconds"]:
        return ""
    return f"{size_text(feed['brought'] / feed['seconds'])}/s"


def _failure(image: Mapping[str, Any]) -> Text:
    return Text(f"{_name(image)}: {printable(image['failure'].encode())}")


def _unused(image: Mapping[str, Any]) -> Text:
    share = image["blocks_unused"] / max(image["blocks"], 1)
    return Text(f"{_name(image)}: {100 * share:.0f} % of its hot blocks unused by the first start")


def _name(one: Mapping[str, Any]) -> str:
    workload = printable((one["workload"] or "default").encode())
    return f"{printable(one['image'].encode())} ({workload})"


def _recording(one: Mapping[str, Any]) -> Text:
    return Text(f"recording {_name(one)}: {size_text(one['blocks'] * _BLOCK)} so far")


def _layers(layers: Sequence[Mapping[str, Any]]) -> Table:
    table = _table("layer", "data MB", "local", "fetched MB", "misses", "verified", "image")
    for layer in layers:
        share = layer["chunks_local"] / layer["chunks"] if layer["chunks"] else 1.0
        table.add_row(
            layer["digest"].removeprefix("sha256:")[:12],
            f"{layer['data_bytes'] / 1e6:.1f}",
            f"{share:.0%}",
            f"{layer['fetched_bytes'] / 1e6:.1f}",
            str(layer["demand_misses"]),
            "POISONED" if layer["poisoned"] else ("yes" if layer["verified"] else "chunks"),
            _safe(layer["image"]),
        )
    return table


_LEFT: Final = frozenset({"image", "workload", "start", "layer", "hot blocks", ""})


def _table(*titles: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in titles:
        table.add_column(title, justify="left" if title in _LEFT else "right")
    return table


def _safe(text: str) -> Text:
    return Text(printable(text.encode()))
