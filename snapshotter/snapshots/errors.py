"""Two ways in which a request contradicts what exists. The rest of the family is in `bootseer`."""

from bootseer.errors import BootseerError, UsageError


class ExistsError(BootseerError):
    """The name is taken, or (in Prepare) the layer asked for is there already."""


class StateError(UsageError):
    """The snapshot exists, but what is asked for cannot be done in the state that it is in."""
