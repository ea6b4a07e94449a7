"""What the configuration wants, as the services' own settings. Pure."""

from typing import Final

from bootseer.config import Config
from snapshotter.caching.plan import Bounds
from snapshotter.chunks.fetching import FetchPolicy
from snapshotter.serving.filling import FillRules
from snapshotter.serving.making import MakingPolicy
from snapshotter.serving.mounted import MountPolicy
from snapshotter.snapshots.core import Settings
from snapshotter.snapshots.lazy import Patience

_PROVIDE_EXTRA_S: Final = 5.0
_NEAR: Final = 1 << 20
"""Bytes on either side of a miss in what is near: packs of a dependency snapshot in a directory."""


def fetch_policy(config: Config) -> FetchPolicy:
    """Return the fetch policy that the configuration asks for."""
    return FetchPolicy(
        ahead_flights=config.fetch.concurrency,
        ahead_most=config.fetch.ahead,
        idle=config.fetch.idle,
        around_near=max(config.fetch.idle, _NEAR) if config.fetch.idle else 0,
    )


def making_policy(config: Config) -> MakingPolicy:
    """Return how the configuration wants layers made present."""
    return MakingPolicy(
        lazy_s=config.snapshotter.prepare_timeout,
        unpack=config.snapshotter.unpack != "off",
        publish_spacing=config.index.spacing if config.snapshotter.unpack == "publish" else 0,
    )


def mount_policy(config: Config, *, via_loop: bool) -> MountPolicy:
    """Return how the configuration wants layers mounted."""
    return MountPolicy(via_loop=via_loop, read_ahead_kb=config.fuse.erofs_read_ahead_kb)


def fill_rules(config: Config) -> FillRules:
    """Return the bounds of the background fill that the configuration asks for."""
    return FillRules(
        rate=config.fill.rate, after=config.fill.after, least_free=config.fill.least_free
    )


def cache_bounds(config: Config) -> Bounds:
    """Return the bounds of the cache that the configuration asks for."""
    cache = config.cache
    return Bounds(size=cache.size, spare=cache.unused_free, least_free=cache.least_free)


def settings(config: Config) -> Settings:
    """Return the snapshotter core's settings that the configuration asks for."""
    unpacks = config.snapshotter.unpack != "off"
    unpack = config.snapshotter.unpack_timeout if unpacks else 0.0
    patience = config.snapshotter.prepare_timeout + unpack + _PROVIDE_EXTRA_S
    return Settings(patience=Patience(provide=patience), staged=config.snapshotter.staged)
