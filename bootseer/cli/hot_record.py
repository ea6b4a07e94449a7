"""`bootseer hot record`: records a start on purpose, by running the container."""

import asyncio
import json
import time
from pathlib import Path
from typing import Any, Final

import click

from bootseer.cli.config_option import config_option, load_config
from bootseer.cli.control import fetch_status
from bootseer.cli.ctr import Ctr
from bootseer.cli.text import size_text
from bootseer.errors import HostError
from snapshotter.layers.records import BLOCK
from snapshotter.starts.labels import RECORD, WORKLOAD

_LOOK_S: Final = 0.3


@click.command(
    "record",
    short_help="Record a start by running the container.",
    context_settings={"ignore_unknown_options": True},
)
@click.argument("reference", metavar="REF")
@click.argument("command", metavar="[-- COMMAND...]", nargs=-1, type=click.UNPROCESSED)
@click.option("--workload", default="", help="Name of what runs; default: the image's default.")
@click.option(
    "--address",
    envvar="CONTAINERD_ADDRESS",
    default="/run/containerd/containerd.sock",
    show_default=True,
    help="containerd's socket.",
)
@click.option(
    "--namespace",
    envvar="CONTAINERD_NAMESPACE",
    default="default",
    show_default=True,
    help="containerd's namespace.",
)
@click.option("--ctr", "program", default="ctr", show_default=True, help="containerd's client.")
@config_option("Configuration file of the snapshotter.")
@click.option("--plain-http", is_flag=True, help="Pull over plain HTTP.")
@click.option(
    "--publish-timeout",
    type=click.FloatRange(1),
    default=120.0,
    show_default=True,
    help="Seconds to wait for the record to be published after the container ended.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON when it is done.")
def command(
    reference: str,
    command: tuple[str, ...],
    workload: str,
    address: str,
    namespace: str,
    program: str,
    config_path: Path,
    plain_http: bool,
    publish_timeout: float,
    as_json: bool,
) -> int:
    """Pull an image lazily, run a container of it, and publish what its start touched.

    COMMAND takes the place of the image's own. Recording goes on until nothing new was touched for
    a while, its window is over, or the container ends, whichever comes first (`hot.window`,
    `hot.quiet`). The container's output is passed on, and so is its exit code.
    """
    config = load_config(config_path)
    control = config.run_dir / "control.sock"
    snapshotter = config.snapshotter.name
    before = _finished(asyncio.run(fetch_status(control)))
    ctr = Ctr(address, namespace, program)
    ctr.pull(reference, snapshotter, config.registry.config_path, plain_http=plain_http)
    labels = [f"{RECORD}=always", *([f"{WORKLOAD}={workload}"] if workload else [])]
    name = f"bootseer-record-{time.time_ns()}"
    code = ctr.run(reference, name, command, snapshotter, labels)
    record = asyncio.run(_wait(control, set(before), workload, publish_timeout))
    if as_json:
        click.echo(json.dumps(record | {"exit_code": code}, indent=1))
    else:
        size, seconds = size_text(record["blocks"] * BLOCK), f"{record['seconds']:.1f} s"
        told = f"recorded {size} in {seconds} ({record['ended']}), {record['outcome']}"
        click.echo(told, err=True)
    if not record["published"]:
        raise HostError(f"what was recorded is not published: {record['outcome']}")
    return code


def _finished(status: dict[str, Any]) -> dict[int, dict[str, Any]]:
    """Return the recordings that are over, by number."""
    return {one["number"]: one for one in status["hot"]["recorded"]}


async def _wait(control: Path, before: set[int], workload: str, seconds: float) -> dict[str, Any]:
    """Return the recording that is new. HostError if none comes."""
    deadline = time.monotonic() + seconds
    while True:
        status = await fetch_status(control)
        for number, one in _finished(status).items():
            if number not in before and one["workload"] == workload:
                return one
        going_on = any(one["workload"] == workload for one in status["hot"]["recordings"])
        if not going_on and time.monotonic() > deadline - seconds + 3:
            raise HostError(
                "nothing was recorded",
                hint="is the image served lazily (bootseer status), or unpacked by containerd?",
            )
        if time.monotonic() > deadline:
            raise HostError(f"the record is not published after {seconds:g} s", hint="see the log")
        await asyncio.sleep(_LOOK_S)
