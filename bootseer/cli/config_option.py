"""The option that names the configuration file, the same for every command."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from bootseer.config import DEFAULT_PATH, Config, load

F = TypeVar("F", bound=Callable[..., Any])


def config_option(described: str = "Configuration file.") -> Callable[[F], F]:
    """Return the decorator that adds `--config`, given to the command as `config_path`."""
    return click.option(
        "--config",
        "config_path",
        type=click.Path(path_type=Path),
        default=DEFAULT_PATH,
        show_default=True,
        help=described,
    )


def load_config(path: Path) -> Config:
    """Return the configuration; the defaults if the default file does not exist."""
    missing = path == DEFAULT_PATH and not path.exists()
    return Config() if missing else load(path)
