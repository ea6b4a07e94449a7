"""`bootseer hot`: what start-ups touch first. Each command is a module of its own."""

from typing import Final

from bootseer.cli.lazy import LazyGroup, Place

COMMANDS: Final = {
    "ls": Place("bootseer.cli.hot_ls:command", "List the records and packs of an image."),
    "pack": Place("bootseer.cli.hot_pack:command", "Make and publish the pack of an image."),
    "record": Place("bootseer.cli.hot_record:command", "Record a start by running the container."),
    "show": Place(
        "bootseer.cli.hot_show:command", "Show what the recorded starts of an image touched."
    ),
}

group = LazyGroup(
    "hot",
    places=COMMANDS,
    help="Look after what start-ups touch first.",
    short_help="Look after what start-ups touch first.",
)
