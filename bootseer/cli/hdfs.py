"""`bootseer hdfs`: mount directories whose files are striped, and look into them."""

import click

from bootseer.cli.lazy import LazyGroup, Place


@click.command(
    "hdfs",
    cls=LazyGroup,
    places={
        "cp": Place("bootseer.cli.hdfs_cp:command", "Copy files without a mount."),
        "export": Place("bootseer.cli.hdfs_export:command", "Copy a file to one plain file."),
        "fsck": Place("bootseer.cli.hdfs_fsck:command", "Find damage and what writers left."),
        "ls": Place("bootseer.cli.hdfs_ls:command", "List a directory of a volume."),
        "metrics": Place("bootseer.cli.hdfs_metrics:command", "Print what a mount counted."),
        "mount": Place("bootseer.cli.hdfs_mount:mount", "Mount a store, until stopped."),
        "seal": Place("bootseer.cli.hdfs_seal:command", "Make a striped file a plain one."),
        "stat": Place("bootseer.cli.hdfs_stat:command", "Show how and where a file is stored."),
        "umount": Place("bootseer.cli.hdfs_mount:umount", "Unmount a store, also a busy one."),
    },
    short_help="Mount directories with striped files.",
)
def group() -> None:
    """Mount directories whose files are striped over many files of a store.

    A store is `file:///directory`, `hdfs://[user@]nameservice/directory` (see `HADOOP_CONF_DIR`) or
    `webhdfs://[user@]namenode:9870/directory`.
    """
