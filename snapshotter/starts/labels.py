"""Labels of a container's snapshot that say how its start is treated. Pure."""

from collections.abc import Mapping
from typing import Final, cast

from bootseer.errors import UsageError
from snapshotter.limits import DEFAULT, Limits
from snapshotter.starts.course import RecordPolicy

PREFIX: Final = "containerd.io/snapshot/"
"""Of labels that containerd hands on to snapshots."""
NAMES: Final = ("bootseer.workload", "bootseer.record")
"""What a pod's annotations and a container's labels are called; the prefix may be there."""
WORKLOAD: Final = PREFIX + NAMES[0]
"""The name under which the container's hot blocks are kept; none: the image's default."""
RECORD: Final = PREFIX + NAMES[1]
"""`always`, `never` or `auto`, in place of what the configuration says."""
_POLICIES: Final = ("auto", "always", "never")


def workload_of(labels: Mapping[str, str], limits: Limits = DEFAULT) -> str:
    """Return the name of what runs; empty for the image's default. UsageError if it is no name."""
    name = labels.get(WORKLOAD, "")
    if len(name.encode(errors="replace")) > limits.hot_text or not name.isprintable():
        raise UsageError(
            f"label {WORKLOAD} is not printable or longer than {limits.hot_text} bytes",
            hint="the image's default is used",
        )
    return name


def record_policy_of(labels: Mapping[str, str], otherwise: RecordPolicy) -> RecordPolicy:
    """Return whether the start is recorded. UsageError for a value that there is not."""
    value = labels.get(RECORD, "")
    if value not in ("", *_POLICIES):
        raise UsageError(f"label {RECORD} is {value[:64]!r}, not one of {', '.join(_POLICIES)}")
    return cast("RecordPolicy", value) if value else otherwise
