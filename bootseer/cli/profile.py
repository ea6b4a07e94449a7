"""`bootseer profile`: where the time of starts goes. Each command is a module of its own."""

from typing import Final

from bootseer.cli.lazy import LazyGroup, Place

COMMANDS: Final = {
    "report": Place("bootseer.cli.profile_report:command", "Report on starts that are over."),
    "send": Place("bootseer.cli.profile_send:command", "Send starts to an OTLP collector."),
    "watch": Place("bootseer.cli.profile_watch:command", "Watch a start that goes on."),
}

group = LazyGroup(
    "profile",
    places=COMMANDS,
    help="Look at where the time of starts goes, by startup events.",
    short_help="Look at where the time of starts goes.",
)
