"""`bootseer event derive`: startup events out of the logs of a job that nobody may change."""

import os
import socket
import sys
from dataclasses import replace
from pathlib import Path

import click

from bootseer.errors import HostError, UsageError
from bootseer.events.deriving import Derived, derive
from bootseer.events.line import encode
from bootseer.events.patterns import LogPatterns, Matchers, compiled
from bootseer.events.surroundings import origin_of
from bootseer.records_from_yaml import parse

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command("derive", short_help="Derive events from logs.")
@click.argument("logs", nargs=-1, required=True, type=_FILE)
@click.option(
    "--patterns", "patterns_path", required=True, type=_FILE, help="What to look for (YAML)."
)
@click.option("--node", default="", help="Whose logs these are; default: each file's name.")
@click.option("--job", default="", help="Of which job; default: as for other events.")
@click.option("--attempt", type=click.IntRange(0), default=0, show_default=True)
def command(logs: tuple[Path, ...], patterns_path: Path, node: str, job: str, attempt: int) -> None:
    """Print the events that LOGS tell of, for `bootseer profile report`.

    docs/events.md says how patterns are written.
    """
    matchers = _matchers(patterns_path)
    known = origin_of(os.environ, socket.gethostname(), job)
    counts = Derived()
    for log in logs:
        origin = replace(
            known, job=job or known.job, attempt=attempt, node=node or log.stem, rank=None
        )
        try:
            with log.open(encoding="utf-8", errors="replace") as lines:
                for event in derive(lines, matchers, origin, counts):
                    sys.stdout.buffer.write(encode(event))
        except BrokenPipeError:
            raise
        except OSError as error:
            raise HostError(f"{log}: {error.strerror}") from error
    sys.stdout.buffer.flush()
    said = f"{counts.events:,} events from {counts.lines:,} lines"
    if counts.untimed:
        said += f"; {counts.untimed:,} left out, before any line had a time"
    click.echo(said, err=True)


def _matchers(path: Path) -> Matchers:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--patterns {path}: {error}") from error
    try:
        return compiled(parse(LogPatterns, text, str(path)))
    except UsageError as error:
        error.add_note(f"in {path}")
        raise
