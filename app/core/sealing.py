"""Secrets at rest and signatures, both by the service's secret key (`SINYAL_SECRET_KEY`, else a file made once)."""

import base64
import contextlib
import hashlib
import hmac
import os
import secrets
from collections.abc import Sequence
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from app.settings import SHORTEST_KEY, Settings, SettingsError

FILE = "secret_key"  # in the data folder


class Unsealable(Exception):
    """Sealed by another key, or no sealed text at all."""


class Sealer:
    """Seals and signs with the first key; opens and verifies with any. Each use has a key of its own."""

    def __init__(self, keys: Sequence[str]) -> None:
        self._fernet = MultiFernet([Fernet(base64.urlsafe_b64encode(_derive(key, "seal"))) for key in keys])
        self._signing = [_derive(key, "sign") for key in keys]

    def seal(self, text: str) -> bytes:
        return self._fernet.encrypt(text.encode())

    def unseal(self, sealed: bytes) -> str:
        """Raises Unsealable."""
        try:
            return self._fernet.decrypt(bytes(sealed)).decode()
        except InvalidToken:
            raise Unsealable from None

    def opens(self, sealed: bytes) -> bool:
        try:
            self.unseal(sealed)
        except Unsealable:
            return False
        return True

    def sign(self, purpose: str, text: str) -> str:
        """Return a signature for URLs: what is signed for one purpose proves nothing for another."""
        return _signature(self._signing[0], purpose, text)

    def verifies(self, purpose: str, text: str, signature: str) -> bool:
        given = signature.encode()
        return any(hmac.compare_digest(_signature(key, purpose, text).encode(), given) for key in self._signing)


def _derive(key: str, use: str) -> bytes:
    return hmac.digest(key.encode(), f"sinyal {use}".encode(), hashlib.sha256)


def _signature(key: bytes, purpose: str, text: str) -> str:
    digest = hmac.digest(key, f"{len(purpose)}:{purpose}{text}".encode(), hashlib.sha256)
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def read_keys(settings: Settings) -> list[str]:
    """Return the keys, newest first; none if there is neither a setting nor a file.

    Raises SettingsError for a file that others can read, or that holds no key.
    """
    if settings.secret_key:
        return settings.secret_key
    path = settings.data_dir / FILE
    try:
        mode, key = path.stat().st_mode, path.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"secret key {path.resolve()} cannot be read: {type(error).__name__}") from None
    if mode & 0o077:
        raise SettingsError(
            f"secret key {path.resolve()} can be read by others: `chmod 600` it, and replace the targets and secrets "
            "of all channels if somebody may have done so"
        )
    if len(key) < SHORTEST_KEY:
        raise SettingsError(f"secret key {path.resolve()} is cut off: put it back from a backup of the data folder")
    return [key]


def make_key(settings: Settings) -> list[str]:
    """Make the key's file, readable by its owner alone, unless another process was quicker. Raises SettingsError."""
    folder = settings.data_dir
    draft = folder / f"{FILE}.{secrets.token_hex(8)}"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write_durably(draft, secrets.token_urlsafe(SHORTEST_KEY) + "\n")
        with contextlib.suppress(FileExistsError):
            os.link(draft, folder / FILE)
        draft.unlink()
    except OSError as error:
        raise SettingsError(f"no secret key can be made in {folder.resolve()}: {error.strerror}") from None
    return read_keys(settings)


def _write_durably(path: Path, text: str) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
