"""Signatures over raw bytes, checked in constant time. Used by every source that signs its deliveries."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence


def signature(secret: bytes, body: bytes) -> bytes:
    """The HMAC-SHA256 of the body: 32 bytes."""
    return hmac.digest(secret, body, "sha256")


def digest(body: bytes) -> str:
    """A short name of these bytes, the same everywhere: 16 letters."""
    return hashlib.blake2b(body, digest_size=8).hexdigest()


def name_of(*parts: str) -> str:
    """A name of these texts in their order, the same everywhere: 32 letters. It does not tell them."""
    return hashlib.blake2b("\0".join(parts).encode(errors="surrogatepass"), digest_size=16).hexdigest()


def signature_text(secret: bytes, body: bytes) -> str:
    """The signature in base64, as it travels in a header."""
    return base64.b64encode(signature(secret, body)).decode("ascii")


def matching_secret(secrets: Sequence[bytes], body: bytes, claimed: str) -> int | None:
    """The index of the secret that made the claimed base64 signature, or None.

    All secrets are tried, whichever matches, so that the time taken does not tell which. A claim that is no base64
    (undecodable header bytes arrive as lone surrogates) matches nothing and raises nothing.
    """
    try:
        digest = base64.b64decode(claimed.encode("ascii", errors="surrogateescape"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        digest = b""
    found: int | None = None
    for index, secret in enumerate(secrets):
        if hmac.compare_digest(signature(secret, body), digest) and found is None:
            found = index
    return found
