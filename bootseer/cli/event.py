"""`bootseer event`: startup events of jobs that are shell scripts, or that only write logs."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from bootseer.cli.config_option import config_option, load_config
from bootseer.cli.event_derive import command as derive_command
from bootseer.errors import UsageError
from bootseer.events.event import Value
from bootseer.events.stages import Begun, Stages
from bootseer.events.surroundings import DESTINATION, stages_of

F = TypeVar("F", bound=Callable[..., Any])


@click.group("event", short_help="Write startup events.")
def group() -> None:
    """Write when a stage of a start begins and ends, to where `BOOTSEER_EVENTS` says.

    Job, attempt, node and rank are taken from the environment: BOOTSEER_JOB, BOOTSEER_ATTEMPT,
    BOOTSEER_NODE, BOOTSEER_RANK, or what common launchers set.
    """


group.add_command(derive_command)


def _about(command: F) -> F:
    command = config_option("Configuration file; defaults where it does not exist.")(command)
    command = click.option(
        "--attribute",
        "pairs",
        multiple=True,
        metavar="KEY=VALUE",
        help="May be given several times.",
    )(command)
    command = click.option(
        "--id", "identity", default="", help="Tells stages of one name apart that overlap."
    )(command)
    return click.argument("stage")(command)


@group.command("begin")
@_about
def begin_command(stage: str, identity: str, pairs: tuple[str, ...], config_path: Path) -> None:
    """Say that STAGE begins."""
    _stages(config_path).begin(stage, _attributes(pairs), identity)


@group.command("end")
@_about
def end_command(stage: str, identity: str, pairs: tuple[str, ...], config_path: Path) -> None:
    """Say that STAGE is over."""
    _stages(config_path).end(Begun(stage, identity), _attributes(pairs))


def _stages(config_path: Path) -> Stages:
    configured = "" if DESTINATION in os.environ else load_config(config_path).events.path
    return stages_of(os.environ, configured)


def _attributes(pairs: tuple[str, ...]) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for pair in pairs:
        key, separator, value = pair.partition("=")
        if not (key and separator):
            raise UsageError(f"`{pair}` is not KEY=VALUE")
        found[key] = value
    return found
