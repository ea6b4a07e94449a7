"""What `bootseer image lazy` shows people. Pure."""

from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from bootseer.cli.text import printable, size_text


def lazy_view(found: Mapping[str, Any]) -> RenderableType:
    """Return what is known of a container as people read it."""
    lines = [
        f"container  {_safe(found['container'])} in {_safe(found['namespace'])}",
        f"image      {_safe(found['image'])}",
        f"lazy       {_verdict(found)}",
    ]
    if not found["ours"]:
        return Text("\n".join(lines))
    sources = [f"{name} {size_text(size)}" for name, size in found["fetched"].items() if size]
    share = found["local_bytes"] / found["data_bytes"] if found["data_bytes"] else 1.0
    lines += [
        f"local      {share:.0%} of {size_text(found['data_bytes'])}",
        f"fetched    {size_text(found['fetched_bytes'])}"
        + (f": {', '.join(sources)}" if sources else ""),
    ]
    return Group(Text("\n".join(lines)), Text(), _layers(found["layers"]))


def _verdict(found: Mapping[str, Any]) -> str:
    if not found["ours"]:
        return f"no: its snapshotter is {_safe(found['snapshotter'])}, or another's snapshot"
    if found["lazy"]:
        return "yes"
    return "no: every layer was downloaded whole (bootseer image index makes the next pull lazy)"


def _layers(layers: list[Mapping[str, Any]]) -> Table:
    table = Table("layer", "how", "data", "local", "fetched", box=None, header_style="bold")
    for one in layers:
        if not one["served"]:
            table.add_row("", "unpacked by containerd", "", "", "")
            continue
        how = "unpacked here" if one["unpacked"] else "hot layout" if one["hot"] else "lazy"
        share = one["local_bytes"] / one["data_bytes"] if one["data_bytes"] else 1.0
        digest = one["digest"].removeprefix("sha256:")[:12]
        sizes = (size_text(one["data_bytes"]), f"{share:.0%}", size_text(one["fetched_bytes"]))
        table.add_row(digest, how, *sizes)
    return table


def _safe(text: str) -> str:
    return printable(text.encode())
