"""Signatures of versions: Ed25519 (RFC 8032) over the record, which holds the sha256 of every other file.

The keys are PEM files as OpenSSL writes them (PKCS #8, RFC 8410), the signature is the 64 bytes of the RFC, so that
a consumer can check it with OpenSSL only.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from distill.errors import UserError
from distill.files.foreign import refuse_foreign
from distill.files.kinds import EMPTY, TEXTS

_OTHERS = stat.S_IRWXG | stat.S_IRWXO


@dataclass(frozen=True)
class Signing:
    """Whose signatures count, and the key that signs new versions; a machine that only reads has none."""

    trusted: tuple[Ed25519PublicKey, ...]
    key: Ed25519PrivateKey | None = None

    def sign(self, record: bytes) -> bytes:
        """The signature of a record, 64 bytes."""
        if self.key is None:
            raise UserError("signing.key is missing: versions have to be signed where signing.trusted is given")
        return self.key.sign(record)

    def require(self, record: bytes, path: Path) -> None:
        """Raise UserError unless the file at ``path`` signs the record by a trusted key."""
        try:
            signature = path.read_bytes()
        except OSError as error:
            raise UserError(f"{path}: {error.strerror}; expected the signature of a trusted key") from error
        if not any(_fits(key, signature, record) for key in self.trusted):
            raise UserError(
                f"{path}: is the signature of none of the {len(self.trusted)} trusted keys; expected one of theirs: "
                "the record was changed, or another key signed it"
            )


def _fits(key: Ed25519PublicKey, signature: bytes, record: bytes) -> bool:
    try:
        key.verify(signature, record)
    except InvalidSignature:
        return False
    return True


def read_signing(key: Path | None, trusted: Sequence[Path]) -> Signing | None:
    """From key files to ``Signing``; None where there are none. The signing key's own signatures are trusted too."""
    if key is None and not trusted:
        return None
    private = None if key is None else _private(key)
    own = () if private is None else (private.public_key(),)
    return Signing((*own, *map(_public, trusted)), private)


def _private(path: Path) -> Ed25519PrivateKey:
    """The key, from a file that only its owner can read. An error never shows the contents."""
    try:
        with path.open("rb") as file:
            _require_secret(path, os.fstat(file.fileno()))
            found = load_pem_private_key(file.read(), password=None)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; expected a private Ed25519 key") from error
    except (ValueError, TypeError, UnsupportedAlgorithm):
        found = None
    if not isinstance(found, Ed25519PrivateKey):
        raise UserError(f"{path}: expected a private Ed25519 key without password (openssl genpkey -algorithm ed25519)")
    return found


def _require_secret(path: Path, status: os.stat_result) -> None:
    mode = stat.S_IMODE(status.st_mode)
    if mode & _OTHERS:
        raise UserError(f"{path}: has mode {mode:04o}; expected 0600, a key that only its owner can read")
    if status.st_uid not in (os.geteuid(), 0):
        raise UserError(f"{path}: belongs to user {status.st_uid}; expected a key of one's own")


def _public(path: Path) -> Ed25519PublicKey:
    try:
        found = load_pem_public_key(path.read_bytes())
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; expected a public Ed25519 key") from error
    except (ValueError, UnsupportedAlgorithm):
        refuse_foreign(path, "a public Ed25519 key", *TEXTS, EMPTY)
        found = None
    if not isinstance(found, Ed25519PublicKey):
        raise UserError(f"{path}: expected a public Ed25519 key (openssl pkey -in KEY -pubout)")
    return found
