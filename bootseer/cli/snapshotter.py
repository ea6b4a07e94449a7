"""`bootseer snapshotter`: run the daemon, replace it, read its metrics. Each is a module."""

from typing import Final

from bootseer.cli.lazy import LazyGroup, Place

COMMANDS: Final = {
    "metrics": Place("bootseer.cli.snapshotter_metrics:command", "Print what the daemon counted."),
    "serve": Place("bootseer.cli.snapshotter_serve:command", "Serve until stopped."),
    "upgrade": Place(
        "bootseer.cli.snapshotter_upgrade:command", "Replace the program that serves."
    ),
}

group = LazyGroup(
    "snapshotter",
    places=COMMANDS,
    help="Run the containerd snapshotter, and read its metrics.",
    short_help="Run the snapshotter, or ask it.",
)
