"""How many files a daemon may have open. See getrlimit(2)."""

import contextlib
import resource
from typing import Final

_ENOUGH: Final = 1 << 20


def allow_many() -> None:
    """Raise this process' limit to what it may have: a layer or a stripe is an open file.

    systemd's units say so by themselves; who starts a daemon by hand has 1,024.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _ENOUGH if hard == resource.RLIM_INFINITY else min(hard, _ENOUGH)
    if soft == resource.RLIM_INFINITY or soft >= most:
        return
    with contextlib.suppress(OSError, ValueError):  # it is no reason not to serve
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
