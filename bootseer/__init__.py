"""Bootseer: large training jobs start fast."""

from contextlib import AbstractContextManager

__version__ = "0.1.0"


def stage(name: str, /, **attributes: str | float | bool | None) -> AbstractContextManager[object]:
    """Write startup events about what is done inside (docs/events.md).

    Costs microseconds, never waits and never fails; without `BOOTSEER_EVENTS` it does nothing.
    """
    from bootseer.events.own import own_stages  # noqa: PLC0415 (few who import us want it)

    return own_stages().stage(name, **attributes)
