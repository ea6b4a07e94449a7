"""`bootseer deps`: install once, restore everywhere."""

import click

from bootseer.cli.lazy import LazyGroup, Place


@click.command(
    "deps",
    cls=LazyGroup,
    places={
        "capture": Place("bootseer.cli.deps_run:capture_command", "Run a step and keep it."),
        "explain": Place("bootseer.cli.deps_key:explain_command", "Say why there is no snapshot."),
        "gc": Place("bootseer.cli.deps_keep:gc_command", "Remove what is not needed any more."),
        "key": Place("bootseer.cli.deps_key:key_command", "Show the key of an install step."),
        "ls": Place("bootseer.cli.deps_ls:ls_command", "List snapshots."),
        "restore": Place("bootseer.cli.deps_run:restore_command", "Restore an install step."),
        "rm": Place("bootseer.cli.deps_keep:rm_command", "Remove snapshots."),
        "run": Place("bootseer.cli.deps_run:run_command", "Restore an install step, or run it."),
        "show": Place("bootseer.cli.deps_ls:show_command", "Show a snapshot."),
        "unmount": Place("bootseer.cli.deps_unmount:unmount_command", "Undo a restore by mount."),
        "verify": Place("bootseer.cli.deps_keep:verify_command", "Check snapshots byte by byte."),
    },
    short_help="Install once, restore everywhere.",
)
def group() -> None:
    """Keep what an install step changed, and restore it on the next start.

    A store is `file:///directory`, `hdfs://nameservice/directory`,
    `webhdfs://[user@]namenode:9870/directory` or `oci://host/repository`.
    """
