"""`bootseer cache verify`: hashes what is cached again, drops and fetches again what is wrong."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from bootseer.cli.config_option import config_option
from bootseer.cli.control import control_socket, fetch_lines
from bootseer.cli.text import size_text
from bootseer.errors import CorruptError


@click.command("verify", short_help="Hash what is in the cache again.")
@click.argument("names", nargs=-1)
@config_option()
@click.option("--json", "as_json", is_flag=True, help="Print JSON, a line a layer.")
def command(names: tuple[str, ...], config_path: Path, as_json: bool) -> None:
    """Compare what is cached of layers with their indexes.

    NAMES are as `ls` shows them; without any it is all layers. What is wrong is dropped, and
    fetched again where the layer is in use. Exit code 5 if something was wrong, 6 if the daemon
    does not answer.
    """
    asked = {"names": list(names)} if names else {}
    total = wrong = 0
    for done in fetch_lines(control_socket(config_path), "/v1/cache/verify", asked):
        print(json.dumps(done) if as_json else _line(done), flush=True)
        total += done["checked_bytes"]
        wrong += done["wrong_chunks"]
    if wrong:
        raise CorruptError(
            f"{wrong} chunks were damaged", hint="the disk loses data: look at its health"
        )
    if not as_json:
        print(f"{size_text(total)} are right")


def _line(done: Mapping[str, Any]) -> str:
    told = (
        f"{done['name']}  {done['digest']}  {size_text(done['checked_bytes'])}  {done['outcome']}"
    )
    told += f", {done['wrong_chunks']} chunks were damaged" if done["wrong_chunks"] else ""
    return told + (f": {done['reason']}" if done["reason"] else "")
