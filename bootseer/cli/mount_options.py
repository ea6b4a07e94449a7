"""What `-o` of a mount may say, as mount(8) and fstab(5) write it. Pure."""

import dataclasses
import difflib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from bootseer.errors import UsageError


@dataclasses.dataclass(frozen=True, slots=True)
class MountOptions:
    """What is asked for."""

    config: Path | None = None
    hadoop_conf: Path | None = None
    hdfs_user: str | None = None
    log_file: Path | None = None
    wait: bool = False
    """Keep trying while the store cannot be reached."""
    ro: bool = False


_VALUES: Final[Mapping[str, Callable[[str], Any]]] = {
    "config": Path,
    "hadoop_conf": Path,
    "hdfs_user": str,
    "log_file": Path,
}
_FLAGS: Final[Mapping[str, Mapping[str, Any]]] = {
    "wait": {"wait": True},
    "ro": {"ro": True},
    "rw": {"ro": False},
}
_NOT_OURS: Final = frozenset(
    {
        *("defaults", "auto", "noauto", "nofail", "_netdev", "user", "users", "nouser", "owner"),
        *("group", "dev", "nodev", "suid", "nosuid", "exec", "noexec", "async", "atime", "noatime"),
        *("relatime", "norelatime", "strictatime", "diratime", "nodiratime", "allow_other"),
    }
)
"""For mount(8), for systemd, or as it is anyway."""


def parse_options(text: str) -> MountOptions:
    """Return what a list of options, separated by commas, asks for.

    Raises:
        UsageError: there is no such option, or it lacks its value.
    """
    found = MountOptions()
    for option in filter(None, (word.strip() for word in text.split(","))):
        name, given, value = option.partition("=")
        if name in _VALUES:
            if not value:
                raise UsageError(f"-o {name}: it needs a value", hint=f"-o {name}=...")
            found = dataclasses.replace(found, **{name: _VALUES[name](value)})
        elif name in _FLAGS and not given:
            found = dataclasses.replace(found, **_FLAGS[name])
        elif name not in _NOT_OURS and not name.startswith(("x-", "X-", "comment")):
            near = difflib.get_close_matches(name, [*_VALUES, *_FLAGS], 1)
            hint = f"did you mean {near[0]}?" if near else "see docs/cli.md"
            raise UsageError(f"-o {name}: there is no such option", hint=hint)
    return found
