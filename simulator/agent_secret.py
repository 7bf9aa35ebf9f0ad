"""Device tokens of the simulated agents, derived from one secret that is kept in the demo's data folder."""

import base64
import hashlib
import hmac
import os
import secrets
from pathlib import Path

FILE = "agents.secret"
ENV = "SIMULATOR_SECRET"  # how processes get it: a command line is visible to every user
PREFIX = "sd-"


def secret_of(folder: Path) -> str:
    """Return the secret of a data folder, created with the first call; only its owner may read it."""
    file = folder / FILE
    try:
        return file.read_text().strip()
    except FileNotFoundError:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "w") as secret_file:
            secret_file.write(drawn := secrets.token_hex(32))
        return drawn


def token(secret: str, code: str) -> str:
    """Return the device token of the site with this code."""
    drawn = hmac.digest(secret.encode(), code.encode(), hashlib.sha256)
    return PREFIX + base64.urlsafe_b64encode(drawn).rstrip(b"=").decode()
