"""`bootseer deps run`, `capture` and `restore`: what is put in front of an install step."""

import dataclasses
import gc
import json
from collections.abc import Callable
from typing import Any, Final, TypeVar

import click

from bootseer.cli.deps_step import AFTER_OPTIONS, about_step, say
from depsnap.runs.run import capture_anew, run, would_restore
from depsnap.runs.settings import Job

F = TypeVar("F", bound=Callable[..., Any])

_WAYS: Final = {
    "auto": ("overlay", "user overlay", "scan"),
    "overlay": ("overlay", "scan"),
    "user-overlay": ("user overlay", "scan"),
    "scan": ("scan",),
}


def _capture_option(command: F) -> F:
    return click.option(
        "--capture", type=click.Choice(list(_WAYS)), default="auto", help="How changes are found."
    )(command)


def _base_option(command: F) -> F:
    return click.option(
        "--base",
        type=click.Choice(["clean", "nearest"]),
        default="clean",
        help="What the command runs on; nearest: a snapshot that differs in requirements only.",
    )(command)


def _captured(job: Job, capture: str, base: str) -> Job:
    settings = dataclasses.replace(
        job.settings, capture=_WAYS[capture], on_nearest=base == "nearest"
    )
    return dataclasses.replace(job, settings=settings)


def _daemon_option(command: F) -> F:
    return click.option(
        "--daemon",
        envvar="BOOTSEER_DAEMON",
        help="Socket of the daemon that mounts; default: deps.daemon.",
    )(command)


def _snapshot_options(command: F) -> F:
    command = click.option(
        "--check", default="", help="A line for the shell that has to succeed after a restore."
    )(command)
    return click.option(
        "--digest",
        default="",
        envvar="BOOTSEER_DEPS_DIGEST",
        help="The only snapshot that counts, by its digest as ls --json and show say it.",
    )(command)


def _choosing(job: Job, digest: str, check: str) -> Job:
    settings = dataclasses.replace(job.settings, digest=digest, check=check)
    return dataclasses.replace(job, settings=settings)


def _mounting(job: Job, daemon: str | None, *, mount: bool) -> Job:
    path = daemon or job.settings.daemon
    settings = dataclasses.replace(job.settings, mount=mount, daemon=path)
    return dataclasses.replace(job, settings=settings)


@click.command("run", context_settings=AFTER_OPTIONS)
@about_step
@click.option("--require-snapshot", is_flag=True, help="Fail where there is none.")
@click.option(
    "--restore",
    type=click.Choice(["auto", "mount", "unpack"]),
    default="auto",
    help="How a snapshot comes into place; auto: as deps.restore says.",
)
@_daemon_option
@_snapshot_options
@_capture_option
@_base_option
def run_command(
    job: Job,
    require_snapshot: bool,
    restore: str,
    daemon: str | None,
    digest: str,
    check: str,
    capture: str,
    base: str,
) -> None:
    """Restore what COMMAND changed when it ran for the first time; run it if that is not known.

    The exit code is the command's. Whatever goes wrong with snapshots is said in a line, and the
    command runs.
    """
    # There is much and all of it is used until the end, which is soon: nothing to look for.
    gc.disable()
    mount = job.settings.mount if restore == "auto" else restore == "mount"
    job = _mounting(_captured(job, capture, base), daemon, mount=mount)
    job = _choosing(job, digest, check)
    outcome = run(job, say, required=require_snapshot)
    click.get_current_context().exit(outcome.code)


@click.command("capture", context_settings=AFTER_OPTIONS)
@about_step
@_capture_option
@_base_option
def capture_command(job: Job, capture: str, base: str) -> None:
    """Run COMMAND, whether there is a snapshot or not, and keep what it changes as the newest."""
    outcome = capture_anew(_captured(job, capture, base), say)
    click.get_current_context().exit(outcome.code)


@click.command("restore", context_settings=AFTER_OPTIONS)
@about_step
@click.option("--mount", is_flag=True, help="Have the node's daemon mount what is large.")
@_daemon_option
@_snapshot_options
@click.option("--dry-run", is_flag=True, help="Only say what would be restored.")
@click.option("--json", "as_json", is_flag=True, help="With --dry-run: print JSON.")
def restore_command(
    job: Job,
    mount: bool,
    daemon: str | None,
    digest: str,
    check: str,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Restore what COMMAND changed; the command itself is never run."""
    job = _choosing(job, digest, check)
    if not dry_run:
        run(_mounting(job, daemon, mount=mount or job.settings.mount), say, required=True)
        return
    found = would_restore(job, say)
    acts = [[step.act.value, f"/{step.path}"] for step in found.steps]
    if as_json:
        document = {"key": found.stored.head.key, "entries": found.stored.head.entries}
        click.echo(json.dumps(document | {"steps": acts}, indent=1))
        return
    for act, path in acts:
        click.echo(f"{act} {path}")
