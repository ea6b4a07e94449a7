"""The system's libz by ctypes: the parts of its inflater that Python's `zlib` module leaves out.

Declarations follow zlib.h (zlib 1.2.7 and later, zlib-ng in compatibility mode). ctypes releases
the GIL during a call.
"""

import ctypes
from functools import cache
from typing import ClassVar, Final

from bootseer.errors import HostError

Z_NO_FLUSH: Final = 0
Z_BLOCK: Final = 5
Z_OK: Final = 0
Z_STREAM_END: Final = 1
Z_BUF_ERROR: Final = -5
RAW: Final = -15
"""windowBits for a deflate stream without header or trailer."""


class ZStream(ctypes.Structure):
    """`z_stream`."""

    _fields_: ClassVar = [
        ("next_in", ctypes.c_void_p),
        ("avail_in", ctypes.c_uint),
        ("total_in", ctypes.c_ulong),
        ("next_out", ctypes.c_void_p),
        ("avail_out", ctypes.c_uint),
        ("total_out", ctypes.c_ulong),
        ("msg", ctypes.c_char_p),
        ("state", ctypes.c_void_p),
        ("zalloc", ctypes.c_void_p),
        ("zfree", ctypes.c_void_p),
        ("opaque", ctypes.c_void_p),
        ("data_type", ctypes.c_int),
        ("adler", ctypes.c_ulong),
        ("reserved", ctypes.c_ulong),
    ]


@cache
def load() -> ctypes.CDLL:
    """Return the library with its functions declared. Raises `HostError` if there is none."""
    try:
        library = ctypes.CDLL("libz.so.1")
        stream = ctypes.POINTER(ZStream)
        library.zlibVersion.restype = ctypes.c_char_p
        library.inflateInit2_.argtypes = [stream, ctypes.c_int, ctypes.c_char_p, ctypes.c_int]
        library.inflateReset.argtypes = [stream]
        library.inflate.argtypes = [stream, ctypes.c_int]
        library.inflateEnd.argtypes = [stream]
        library.inflateGetDictionary.argtypes = [
            stream,
            ctypes.c_void_p,
            ctypes.POINTER(ctypes.c_uint),
        ]
    except (OSError, AttributeError) as error:
        raise HostError(f"cannot use libz.so.1: {error}", hint="install zlib1g") from error
    return library


def new_stream() -> ZStream:
    """Return a stream ready to inflate raw deflate; `inflateEnd` frees it."""
    library = load()
    stream = ZStream()
    version = library.zlibVersion()
    status = library.inflateInit2_(ctypes.byref(stream), RAW, version, ctypes.sizeof(stream))
    if status != Z_OK:
        raise HostError(f"libz {version.decode()} cannot inflate: status {status}")
    return stream
