"""A group whose commands are modules, imported when they are called for: starting stays fast."""

import gc
import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import click


@dataclass(frozen=True, slots=True)
class Place:
    """Where a command is."""

    attribute: str
    """`module:attribute`."""
    summary: str

    def load(self) -> click.Command:
        """Import the command."""
        module, _, name = self.attribute.partition(":")
        gc.disable()  # imports make much, and no garbage to look for
        try:
            command = getattr(importlib.import_module(module), name)
        finally:
            gc.enable()
        if not isinstance(command, click.Command):
            raise TypeError(f"{self.attribute} is no command")
        return command


class LazyGroup(click.Group):
    """A group of commands in other modules."""

    def __init__(self, *args: Any, places: Mapping[str, Place], **kwargs: Any) -> None:
        """Take click's own arguments, and the commands by name."""
        super().__init__(*args, **kwargs)
        self._places = places

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names."""
        del ctx
        return sorted(self._places)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command; None if there is no such."""
        del ctx
        place = self._places.get(cmd_name)
        return place.load() if place else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        names = self.list_commands(ctx)
        with formatter.section("Commands"):
            formatter.write_dl([(name, self._places[name].summary) for name in names])
