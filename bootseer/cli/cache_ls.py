"""`bootseer cache ls`: the layers on this node, how much they take, and what holds them."""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import click

from bootseer.cli.config_option import config_option
from bootseer.cli.control import control_socket, fetch
from bootseer.cli.text import printable, size_text

_DIGEST: Final = 19
"""Characters of a digest that are shown: `sha256:` and twelve."""


@click.command("ls", short_help="List what is in the cache.")
@config_option()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(config_path: Path, as_json: bool) -> None:
    """List the layers on this node, the one used longest ago first.

    `unused`: no snapshot needs it, it goes when its space is wanted. `mounted`: its chunks may go.
    `pinned`: it is mounted from its file, nothing of it can go. Exit code 6 if the daemon does not
    answer.
    """
    found = fetch(control_socket(config_path), "/v1/cache")
    if as_json:
        print(json.dumps(found, indent=1))
        return
    head = f"{'used':<19}  {'held by':<8}  {'on disk':>9}  {'local':>5}"
    print(f"{head}  {'name':<12}  {'layer':<19}  image")
    for layer in found["layers"]:
        print(_row(layer))
    print(_summary(found))


def _row(layer: Mapping[str, Any]) -> str:
    used = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(layer["used"]))
    local = "whole" if layer["local"] else "part"
    digest = (layer["digest"] or "damaged")[:_DIGEST]
    image = printable((layer["image"] or "").encode())
    size = size_text(layer["bytes"])
    return (
        f"{used}  {layer['hold']:<8}  {size:>9}  {local:>5}  {layer['name']}  {digest:<19}  {image}"
    )


def _summary(found: Mapping[str, Any]) -> str:
    bounds, disk = found["bounds"], found["disk"]
    most = f" of at most {size_text(bounds['bytes'])}" if bounds["bytes"] else ""
    return (
        f"{size_text(found['bytes'])}{most}, {size_text(found['unused_bytes'])} of it unused; "
        f"{size_text(disk['free_bytes'])} of the disk free, unused layers go below "
        f"{size_text(bounds['unused_free_bytes'])}"
    )
