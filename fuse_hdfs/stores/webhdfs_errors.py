"""What WebHDFS answers as the errno that a system call would have had. Pure."""

import errno
from typing import Final

import aiohttp

from bootseer.errors import RemoteError
from bootseer.webhdfs.answers import Fault
from bootseer.webhdfs.calls import error_of, is_token_refused

NUMBERS: Final = {
    "FileNotFoundException": errno.ENOENT,
    "FileAlreadyExistsException": errno.EEXIST,
    "ParentNotDirectoryException": errno.ENOTDIR,
    "PathIsNotDirectoryException": errno.ENOTDIR,
    "PathIsNotEmptyDirectoryException": errno.ENOTEMPTY,
    "AccessControlException": errno.EACCES,
    "SecurityException": errno.EACCES,
    "DSQuotaExceededException": errno.EDQUOT,
    "NSQuotaExceededException": errno.EDQUOT,
    "QuotaByStorageTypeExceededException": errno.EDQUOT,
    "InvalidPathException": errno.EINVAL,
    "IllegalArgumentException": errno.EINVAL,
    "HadoopIllegalArgumentException": errno.EINVAL,
    "PathComponentTooLongException": errno.ENAMETOOLONG,
    "UnsupportedOperationException": errno.ENOTSUP,
    "AlreadyBeingCreatedException": errno.EBUSY,
}
"""The errno that each of Hadoop's exceptions means, by the name of its class."""

_BELOW_A_FILE: Final = "(is not a directory)"
_NO_XATTRS: Final = "dfs.namenode.xattrs.enabled"
_PAST_END: Final = ("out of the range", "Cannot seek after EOF")


class PastEndError(Exception):
    """A file ends before what was asked for."""


class AnswerError(Exception):
    """HDFS says no. Not an `OSError`: such come from connections that fail, and are tried again."""

    def __init__(self, number: int, what: str) -> None:
        """`number`: an errno."""
        super().__init__(what)
        self.number = number
        self.what = what


def errno_error(what: str, status: int, fault: Fault) -> Exception:
    """Return the error for an answer; a `RemoteError` where trying again may help."""
    name = fault.exception
    if any(words in fault.message for words in _PAST_END):
        return PastEndError()
    number = None if is_token_refused(fault) else NUMBERS.get(name)
    if number == errno.EACCES and fault.message.endswith(_BELOW_A_FILE):
        number = errno.ENOTDIR
    if _NO_XATTRS in fault.message:
        number = errno.ENOTSUP
    if number is not None:
        return AnswerError(number, what)
    other = error_of(what, status, fault)
    if isinstance(other, RemoteError) and other.temporary:
        return other
    return AnswerError(errno.EIO, str(other))


def broke_off(error: OSError) -> bool:
    """Say whether a call failed because its connection did, before there was an answer."""
    cause = error.__cause__
    lost = (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError)
    return isinstance(cause, RemoteError) and isinstance(cause.__cause__, lost)
