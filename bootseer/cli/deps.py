"""`bootseer deps`: install once, restore everywhere."""

import click

from bootseer.cli.lazy import LazyGroup, Place


@click.command(
    "deps",
    cls=LazyGroup,
    places={
        "explain": Place("bootseer.cli.deps_key:explain_command", "Say why there is no snapshot."),
        "key": Place("bootseer.cli.deps_key:key_command", "Show the key of an install step."),
        "run": Place("bootseer.cli.deps_run:command", "Restore an install step, or run it."),
    },
    short_help="Install once, restore everywhere.",
)
def group() -> None:
    """Keep what an install step changed, and restore it on the next start.

    A store is `file:///directory` or `webhdfs://[user@]namenode:9870/directory`.
    """
