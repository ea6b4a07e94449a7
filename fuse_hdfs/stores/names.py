"""Which paths HDFS can have. Pure."""

import errno
import os


def checked(path: str) -> str:
    """Return a path that HDFS can have. OSError: EILSEQ, EINVAL."""
    try:
        path.encode()
    except UnicodeEncodeError:
        raise OSError(errno.EILSEQ, os.strerror(errno.EILSEQ), path) from None
    if ":" in path:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), path)
    return path
