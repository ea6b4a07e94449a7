"""`bootseer gc`: removes the layers that no snapshot needs any more."""

import json
from pathlib import Path

import click

from bootseer.cli.config_option import config_option
from bootseer.cli.control import control_socket, fetch
from bootseer.cli.text import size_text


@click.command("gc", short_help="Remove layers that nothing needs.")
@config_option()
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(config_path: Path, dry_run: bool, as_json: bool) -> None:
    """Remove the layers on this node that no snapshot needs.

    The daemon does so by itself when their space is wanted (`cache` in the configuration), the one
    used longest ago first; this removes all of them now. Exit code 6 if the daemon does not answer.
    """
    found = fetch(control_socket(config_path), "/v1/cache/collect", {"dry_run": dry_run})
    if as_json:
        print(json.dumps(found, indent=1))
        return
    for layer in found["layers"]:
        print(f"{layer['name']}  {size_text(layer['bytes'])}")
    done = "would be removed" if dry_run else "removed"
    print(f"{len(found['layers'])} layers, {size_text(found['bytes'])} {done}")
