"""Is a prefetch still worth its share of the link? Pure.

A workload that runs other code than the one that was recorded misses in the data areas, which a
hot layout does not cause by itself: what was recorded is read from hot areas. While a prefetch
brings what nobody reads, such misses wait for the link.
"""

from typing import Final

LEAST: Final = 32 << 20
"""Bytes of misses below which nothing is concluded: every run differs a little."""


def is_useless(brought: int, missed: int) -> bool:
    """Say whether a prefetch should stop.

    Args:
        brought: bytes of hot areas that it has filled.
        missed: bytes that containers of the image missed outside of them since it began.
    """
    return missed >= LEAST and missed * 2 >= brought
