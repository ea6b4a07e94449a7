"""The store of snapshots and the settings, from the configuration and an option."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from bootseer.cli.config_option import config_option
from bootseer.config import Config
from depsnap.pool import worker_count
from depsnap.runs.settings import Settings
from depsnap.snapshots.places import Place

F = TypeVar("F", bound=Callable[..., Any])


def about_store(command: F) -> F:
    """Add the options of commands that look at a whole store."""
    command = config_option("Configuration file; defaults where it does not exist.")(command)
    return click.option("--store", help="Store of snapshots; default: deps.store.")(command)


def deps_settings(store: str | None, config: Config) -> Settings:
    """Return the settings."""
    return Settings(
        store=Place(store or config.deps.store, config.deps.timeout, config.registry),
        wait=config.deps.wait,
        silence=config.deps.silence,
        fresh=config.deps.fresh,
        workers=config.deps.workers or worker_count(),
        cache=_cache(config.deps.cache),
        compile=config.deps.compile,
        mount=config.deps.restore == "mount",
        daemon=config.deps.daemon or str(config.run_dir / "control.sock"),
    )


def _cache(configured: str) -> str:
    """Return the directory that the configuration means; empty: none."""
    if configured != "auto":
        return configured
    home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return f"{home}/bootseer/deps"
