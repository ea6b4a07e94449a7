"""What hdfs-native raises as the errno that a system call would have had. Pure.

Its errors have no errno: the type says something, and the text names Hadoop's exception.
"""

import errno
import os
import re
from typing import Final

from fuse_hdfs.stores.webhdfs_errors import NUMBERS

_CLASS: Final = re.compile(r'RPCError\("(?:[\w.]+[.$])?(\w+)"')
_AWAY: Final = frozenset({"StandbyException", "SafeModeException", "RetriableException"})
_BELOW_A_FILE: Final = "(is not a directory)"


class AwayError(Exception):
    """No NameNode can be used now. Trying again may help."""


def translated(error: Exception, path: str) -> Exception:
    """Return the error for what a call on `path` raised: an `OSError` or an `AwayError`."""
    text = str(error)
    found = _CLASS.search(text)
    name = found[1] if found else ""
    if name in _AWAY:
        return AwayError(f"{name}: {_line(text)}")
    if isinstance(error, OSError) and error.errno is None and not name:
        if isinstance(error, FileNotFoundError):
            return _error(errno.ENOENT, path)
        if isinstance(error, FileExistsError):
            return _error(errno.EEXIST, path)
        return AwayError(_line(text))  # connection refused, no route
    if isinstance(error, OSError) and error.errno is not None:
        return error
    number = NUMBERS.get(name)
    if number is None and isinstance(error, FileNotFoundError):
        number = errno.ENOENT
    if number is None and isinstance(error, FileExistsError):
        number = errno.EEXIST
    if number == errno.EACCES and _BELOW_A_FILE in text:
        number = errno.ENOTDIR
    return OSError(errno.EIO, _line(text), path) if number is None else _error(number, path)


def _error(number: int, path: str) -> OSError:
    return OSError(number, os.strerror(number), path)


def _line(text: str) -> str:
    first = text.partition("\n")[0].partition("\\n")[0]
    return "".join(c if c.isprintable() else " " for c in first)[:300]
