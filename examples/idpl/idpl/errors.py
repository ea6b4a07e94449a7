"""What can go wrong that a person can act on. Anything else that is raised is a bug."""


class IdplError(Exception):
    """An error with a hint what to do about it."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class ConfigError(IdplError):
    """A configuration that cannot be used."""

    exit_code = 2


class DataError(IdplError):
    """Pictures or labels that are missing, damaged or do not fit each other."""

    exit_code = 3


class CheckpointError(IdplError):
    """A checkpoint that is not whole, or belongs to something else."""

    exit_code = 4


class DivergedError(IdplError):
    """A loss that is no number. What was saved before is not touched."""

    exit_code = 5
