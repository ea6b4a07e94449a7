"""Errors a person can act on, in families that behave alike.

Each family has an exit code (see `docs/cli.md`) and carries an optional *hint*: what to do now.
Everything that is not a `BootseerError` is a bug and is shown with its traceback.
"""

from typing import ClassVar


class BootseerError(Exception):
    """Something failed for a reason that can be named.

    `message` says what failed and on which object; `hint` says what to do about it.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        """Return the message, and the hint on the same line where there is one."""
        return f"{self.message} ({self.hint})" if self.hint else self.message


class UsageError(BootseerError):
    """The user asked for something that makes no sense: arguments, configuration."""

    exit_code = 2


class NotFoundError(BootseerError):
    """The object does not exist: image, manifest, blob, index, snapshot."""

    exit_code = 3


class RemoteError(BootseerError):
    """A remote system failed or refused. `temporary` says whether trying again makes sense."""

    exit_code = 4

    def __init__(self, message: str, *, hint: str | None = None, temporary: bool = False) -> None:
        super().__init__(message, hint=hint)
        self.temporary = temporary


class CorruptError(BootseerError):
    """Bytes are not what their digest, index or format says. Never served, never ignored."""

    exit_code = 5


class HostError(BootseerError):
    """This machine lacks something: a kernel feature, a privilege, disk space, a program."""

    exit_code = 6


def first_error(error: BaseException) -> BaseException:
    """Return the first single error inside (nested) exception groups; `error` if it is none."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
