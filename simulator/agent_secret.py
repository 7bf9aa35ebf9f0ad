"""What the simulated agents prove themselves with: drawn from one secret of the demo's own, so it is kept once."""

import base64
import hashlib
import hmac
import os
import secrets
from pathlib import Path

FILE = "agents.secret"
ENV = "SIMULATOR_SECRET"  # how processes are told: never by a command line, which everybody sees
PREFIX = "sd-"


def secret_of(folder: Path) -> str:
    """Made with the first call; nobody but us may read it."""
    file = folder / FILE
    try:
        return file.read_text().strip()
    except FileNotFoundError:
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(handle, "w") as made:
            made.write(drawn := secrets.token_hex(32))
        return drawn


def token(secret: str, code: str) -> str:
    """The device token of the site with this code."""
    drawn = hmac.digest(secret.encode(), code.encode(), hashlib.sha256)
    return PREFIX + base64.urlsafe_b64encode(drawn).rstrip(b"=").decode()
