"""What commands about an install step share: arguments, options, and what they say of it."""

import functools
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import click

from bootseer.cli.config_option import config_option, load_config
from bootseer.cli.deps_store import deps_settings
from bootseer.events.surroundings import stages_of
from depsnap.key.compose import KeyRequest
from depsnap.runs.settings import Job, Progress, unseen
from depsnap.snapshots.names import check_job

AFTER_OPTIONS: Final = {"allow_interspersed_args": False}
"""Context settings: everything from the first word of the command on is the command's."""


def about_step(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add what describes an install step; the command gets it as `job`."""

    @functools.wraps(command)
    def with_job(
        *,
        name: str,
        words: tuple[str, ...],
        store: str | None,
        root: tuple[str, ...],
        python: Path | None,
        base_image: str,
        native: bool,
        key_extra: tuple[str, ...],
        config_path: Path,
        **others: Any,
    ) -> Any:
        step = KeyRequest(
            command=words,
            cwd=Path.cwd(),
            environment=dict(os.environ),
            roots=tuple(str(Path(one).absolute()) for one in root),
            python=python,
            base_image=base_image,
            native=native,
            extra=key_extra,
        )
        config = load_config(config_path)
        stages = stages_of(step.environment, config.events.path, name)
        job = Job(check_job(name), step, deps_settings(store, config), stages, _progress())
        return command(job=job, **others)

    decorated: Callable[..., Any] = with_job
    for decorate in reversed(
        [
            click.argument("words", metavar="-- COMMAND...", nargs=-1, type=click.UNPROCESSED),
            click.option("--name", required=True, help="Name of the job."),
            click.option("--store", help="Store of snapshots; default: deps.store."),
            click.option(
                "--root",
                multiple=True,
                help="Directory that the command changes; default: those of its Python.",
            ),
            click.option(
                "--python",
                type=click.Path(path_type=Path, readable=False),
                help="Python that it installs for; default: found by the command.",
            ),
            click.option(
                "--base-image",
                default="",
                envvar="BOOTSEER_BASE_IMAGE",
                help="Digest of the image below, as part of the key.",
            ),
            click.option(
                "--native", is_flag=True, help="What it compiles depends on processor and GPU."
            ),
            click.option("--key-extra", multiple=True, help="Any text, as part of the key."),
            config_option("Configuration file; defaults where it does not exist."),
        ]
    ):
        decorated = decorate(decorated)
    return decorated


def _progress() -> Progress:
    """Return what shows progress: a bar, where anybody sees it."""
    if not sys.stderr.isatty():
        return unseen
    from bootseer.cli.byte_progress import byte_progress  # noqa: PLC0415 (it takes a while)

    return functools.partial(byte_progress, threads=False)


def say(line: str) -> None:
    """Print a line on standard error: standard output is the command's."""
    print(f"bootseer deps: {line}", file=sys.stderr, flush=True)
