"""What commands about an image in a registry share: arguments, configuration, client."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import click

from bootseer.cli.config_option import config_option
from bootseer.config import Config
from bootseer.errors import CorruptError, UsageError
from snapshotter.images.platforms import this_platform
from snapshotter.registry.client import RegistryClient
from snapshotter.registry.configure import client_settings
from snapshotter.registry.descriptors import Platform, parse_platform
from snapshotter.registry.reference import parse_reference

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., None])


def about_image(command: F) -> F:
    """Add the argument and the options of all commands about an image."""
    for decorate in reversed(
        [
            click.argument("reference", metavar="REF"),
            click.option("--platform", help="os/architecture[/variant]; default: this machine's."),
            config_option("Configuration file; defaults where it does not exist."),
            click.option("--plain-http", is_flag=True, help="Speak plain HTTP to the registry."),
            click.option("--json", "as_json", is_flag=True, help="Print JSON."),
        ]
    ):
        command = decorate(command)
    return command


def wanted_platform(text: str | None) -> Platform:
    """Return the platform that an option names; this machine's if it names none."""
    try:
        return parse_platform(text) if text else this_platform()
    except CorruptError as error:
        raise UsageError(f"--platform: {error.message}") from error


def with_client(
    config: Config,
    reference: str,
    plain_http: bool,
    work: Callable[[RegistryClient], Awaitable[T]],
    target: str | None = None,
) -> T:
    """Run `work` with a client for the operator's configuration.

    `plain_http` is about the registry of `reference`, and of `target` if there is one.
    """
    settings = client_settings(config.registry)
    if plain_http:
        for name in filter(None, (reference, target)):
            settings = settings.with_plain_http(parse_reference(name).host)

    async def inside() -> T:
        async with RegistryClient(settings) as client:
            return await work(client)

    return asyncio.run(inside())
