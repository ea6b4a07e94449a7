"""`bootseer snapshotter upgrade`: put the program that is installed now in its own place."""

import json
from dataclasses import asdict
from pathlib import Path

import click

from bootseer.cli.config_option import config_option
from bootseer.cli.replacing import replace_server
from bootseer.config import load


@click.command("upgrade")
@config_option()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(config_path: Path, as_json: bool) -> None:
    """Put the program that is installed now in the place of the one that serves.

    Containers go on: a read that comes in between waits for the new server. If that one cannot be
    started, the old one goes on, with exit code 6.
    """
    done = replace_server(load(config_path).run_dir / "control.sock")
    if as_json:
        print(json.dumps(asdict(done)))
        return
    print(f"server {done.old} ({done.old_version}) replaced by {done.new} ({done.new_version})")
