"""`bootseer cache`: what is in the cache, and whether it is right. Each command is a module."""

from typing import Final

from bootseer.cli.lazy import LazyGroup, Place

COMMANDS: Final = {
    "ls": Place("bootseer.cli.cache_ls:command", "List what is in the cache."),
    "verify": Place("bootseer.cli.cache_verify:command", "Hash what is in the cache again."),
}

group = LazyGroup(
    "cache",
    places=COMMANDS,
    help="Look after the cache of layers.",
    short_help="Look after the cache of layers.",
)
