"""Kerberos tickets for HTTP (SPNEGO, RFC 4559), by the system's GSS-API library (MIT, RFC 2744).

The library is loaded when it is first needed: clusters without Kerberos do without it. It takes
tickets from where `kinit` puts them (`KRB5CCNAME`), or gets them with a keytab
(`KRB5_CLIENT_KTNAME`). Its calls may wait for a KDC: not for an event loop.
"""

import ctypes
import functools
from collections.abc import Iterator
from ctypes import POINTER, Structure, byref, c_char_p, c_size_t, c_uint32, c_void_p, cast
from typing import Any, Final

from bootseer.errors import HostError

_LIBRARY: Final = "libgssapi_krb5.so.2"
_HOST_SERVICE: Final = bytes.fromhex("2a864886f71201020104")  # 1.2.840.113554.1.2.1.4
_SPNEGO: Final = bytes.fromhex("2b0601050502")  # 1.3.6.1.5.5.2
_KERBEROS: Final = bytes.fromhex("2a864886f712010202")  # 1.2.840.113554.1.2.2
_ERRORS: Final = 0xFFFF0000
"""Bits of a major status that say that a call failed (RFC 2744, 3.9.1)."""
_INITIATE: Final = 1
_GSS_CODE: Final = 1
_MECH_CODE: Final = 2
_HINTS: Final = (
    ("credentials cache", "get a ticket with kinit, or name a keytab in KRB5_CLIENT_KTNAME"),
    ("credentials available", "get a ticket with kinit, or name a keytab in KRB5_CLIENT_KTNAME"),
    ("expired", "get a new ticket with kinit, or name a keytab in KRB5_CLIENT_KTNAME"),
    ("skew", "set the clock: Kerberos lets it differ by five minutes"),
    ("not found in kerberos database", "does hdfs-site.xml have the NameNode's real host name?"),
    ("cannot contact any kdc", "is krb5.conf right, the KDC up?"),
)


class TicketError(HostError):
    """There is no ticket, or none that can be used."""


class _Oid(Structure):
    _fields_ = (("length", c_uint32), ("elements", c_char_p))


class _Buffer(Structure):
    _fields_ = (("length", c_size_t), ("value", c_void_p))

    def take(self, library: Any) -> bytes:
        """Return what the library put here, and let it free that."""
        data = ctypes.string_at(self.value, self.length) if self.value else b""
        library.gss_release_buffer(byref(c_uint32()), byref(self))
        return data


def negotiate(host: str) -> bytes:
    """Return what proves to the HTTP server on `host` who we are. May wait for a KDC.

    TicketError if there is no ticket for that.
    """
    library = _library()
    name = c_void_p()
    text = f"HTTP@{host}".encode()
    buffer = _Buffer(len(text), cast(c_char_p(text), c_void_p))
    minor = c_uint32()
    imported = library.gss_import_name(
        byref(minor), byref(buffer), byref(_oid(_HOST_SERVICE)), byref(name)
    )
    if imported & _ERRORS:
        raise _failed(library, host, imported, minor.value, _KERBEROS)
    try:
        major, _, token = _token(library, name, _SPNEGO)
        if not major & _ERRORS:
            return token
        # SPNEGO says only that no mechanism can be had; Kerberos itself says why.
        major, why, _ = _token(library, name, _KERBEROS)
        raise _failed(library, host, major, why, _KERBEROS)
    finally:
        library.gss_release_name(byref(minor), byref(name))


def own_name() -> str:
    """Return who the tickets are of: the first part of the principal's name.

    TicketError if there are none. May wait for a KDC.
    """
    library = _library()
    minor, credentials, name, output = c_uint32(), c_void_p(), c_void_p(), _Buffer()
    major = library.gss_acquire_cred(
        byref(minor), None, c_uint32(0), None, _INITIATE, byref(credentials), None, None
    )
    if major & _ERRORS:
        raise _failed(library, "this user", major, minor.value, _KERBEROS)
    try:
        major = library.gss_inquire_cred(byref(minor), credentials, byref(name), None, None, None)
        if not major & _ERRORS:
            major = library.gss_display_name(byref(minor), name, byref(output), None)
        if major & _ERRORS:
            raise _failed(library, "this user", major, minor.value, _KERBEROS)
        principal = output.take(library).decode(errors="replace")
    finally:
        library.gss_release_name(byref(c_uint32()), byref(name))
        library.gss_release_cred(byref(c_uint32()), byref(credentials))
    return principal.partition("@")[0].partition("/")[0]


def explain(host: str, reason: str) -> TicketError:
    """Return the error for what the library says, with what to do about it. Pure."""
    low = reason.lower()
    hint = next((hint for words, hint in _HINTS if words in low), None)
    return TicketError(f"Kerberos, for {host}: {reason}", hint=hint)


def _token(library: Any, name: c_void_p, mechanism: bytes) -> tuple[int, int, bytes]:
    """Return status codes, major and minor, and the first token of a context."""
    context, output, minor = c_void_p(), _Buffer(), c_uint32()
    major = library.gss_init_sec_context(
        byref(minor),
        None,  # whatever ticket there is
        byref(context),
        name,
        byref(_oid(mechanism)),
        c_uint32(0),
        c_uint32(0),
        None,
        None,
        None,
        byref(output),
        None,
        None,
    )
    why = minor.value
    token = output.take(library)
    library.gss_delete_sec_context(byref(minor), byref(context), None)
    return major, why, token


def _failed(library: Any, host: str, major: int, minor: int, mechanism: bytes) -> TicketError:
    texts = [
        *_texts(library, minor, _MECH_CODE, mechanism),
        *_texts(library, major, _GSS_CODE, mechanism),
    ]
    return explain(host, texts[0] if texts else f"status {major:#x}")


def _texts(library: Any, code: int, kind: int, mechanism: bytes) -> Iterator[str]:
    if not code:
        return
    more, minor, output = c_uint32(0), c_uint32(), _Buffer()
    done = library.gss_display_status(
        byref(minor), c_uint32(code), kind, byref(_oid(mechanism)), byref(more), byref(output)
    )
    if not done & _ERRORS:
        text = output.take(library).decode(errors="replace")
        yield "".join(c if c.isprintable() else " " for c in text)[:300]


def _oid(elements: bytes) -> _Oid:
    return _Oid(len(elements), elements)


@functools.cache
def _library() -> Any:
    try:
        library = ctypes.CDLL(_LIBRARY)
    except OSError as error:
        raise HostError(
            f"the cluster wants Kerberos, and {_LIBRARY} is not here",
            hint="install libgssapi-krb5-2",
        ) from error
    for function in (
        library.gss_import_name,
        library.gss_init_sec_context,
        library.gss_display_status,
        library.gss_acquire_cred,
        library.gss_inquire_cred,
        library.gss_display_name,
    ):
        function.restype = c_uint32
    library.gss_release_name.argtypes = [POINTER(c_uint32), POINTER(c_void_p)]
    library.gss_release_buffer.argtypes = [POINTER(c_uint32), POINTER(_Buffer)]
    return library
