"""Keys that sign index artifacts: Ed25519, or ECDSA with SHA-256 on a NIST curve; PEM files.

A public key stands for itself; a certificate stands for its key. Nothing else of a certificate is
looked at: it is trusted because the configuration names its file.
"""

from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.x509 import load_pem_x509_certificate

from bootseer.errors import UsageError
from snapshotter.limits import DEFAULT

_CERTIFICATE = b"-----BEGIN CERTIFICATE-----"


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A `snapshotter.images.trust.Verifier`."""

    key: Ed25519PublicKey | EllipticCurvePublicKey

    def verifies(self, signature: bytes, message: bytes) -> bool:
        """Say whether the key's owner signed a message."""
        try:
            if isinstance(self.key, Ed25519PublicKey):
                self.key.verify(signature, message)
            else:
                self.key.verify(signature, message, ECDSA(hashes.SHA256()))
        except InvalidSignature:
            return False
        return True


@dataclass(frozen=True, slots=True)
class PrivateKey:
    """Signs messages."""

    key: Ed25519PrivateKey | EllipticCurvePrivateKey

    def sign(self, message: bytes) -> bytes:
        """Return the signature of a message."""
        if isinstance(self.key, Ed25519PrivateKey):
            return self.key.sign(message)
        return self.key.sign(message, ECDSA(hashes.SHA256()))


def read_public_key(path: Path) -> PublicKey:
    """Return the public key in a PEM file, or that of the certificate in it.

    Raises:
        UsageError: there is none.
    """
    data = _read(path)
    try:
        key = (
            load_pem_x509_certificate(data).public_key()
            if _CERTIFICATE in data
            else serialization.load_pem_public_key(data)
        )
    except (ValueError, UnsupportedAlgorithm):
        raise UsageError(f"{path} is neither a public key nor a certificate in PEM") from None
    if not isinstance(key, Ed25519PublicKey | EllipticCurvePublicKey):
        raise _kind(path)
    return PublicKey(key)


def read_private_key(path: Path) -> PrivateKey:
    """Return the private key in a PEM file, which has no password.

    Raises:
        UsageError: there is none. The message quotes nothing of it.
    """
    data = _read(path)
    try:
        key = serialization.load_pem_private_key(data, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise UsageError(
            f"{path} is no private key in PEM without a password",
            hint="openssl genpkey -algorithm ed25519",
        ) from None
    if not isinstance(key, Ed25519PrivateKey | EllipticCurvePrivateKey):
        raise _kind(path)
    return PrivateKey(key)


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(DEFAULT.local_config)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error


def _kind(path: Path) -> UsageError:
    return UsageError(f"{path} is of a kind that is not used", hint="Ed25519 and ECDSA are")
