"""`bootseer deps run`: the one line in front of an install step."""

import dataclasses
from typing import Final

import click

from bootseer.cli.deps_step import AFTER_OPTIONS, about_step, say
from depsnap.runs.run import run
from depsnap.runs.settings import Job

_WAYS: Final = {
    "auto": ("overlay", "user overlay", "scan"),
    "overlay": ("overlay", "scan"),
    "user-overlay": ("user overlay", "scan"),
    "scan": ("scan",),
}


@click.command("run", context_settings=AFTER_OPTIONS)
@about_step
@click.option("--require-snapshot", is_flag=True, help="Fail where there is none.")
@click.option(
    "--capture", type=click.Choice(list(_WAYS)), default="auto", help="How changes are found."
)
def command(job: Job, require_snapshot: bool, capture: str) -> None:
    """Restore what COMMAND changed when it ran for the first time; run it if that is not known.

    The exit code is the command's. Whatever goes wrong with snapshots is said in a line, and the
    command runs.
    """
    settings = dataclasses.replace(job.settings, capture=_WAYS[capture])
    job = dataclasses.replace(job, settings=settings)
    click.get_current_context().exit(run(job, say, required=require_snapshot).code)
