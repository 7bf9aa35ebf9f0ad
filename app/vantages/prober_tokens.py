"""Tokens of probers: shown once, stored as a digest. One valid token a prober; a new one replaces it at once."""

import secrets

from app.access.api_tokens import digest
from app.vantages.models import RegisteredProber

PREFIX = "sp-"


def mint(prober: RegisteredProber) -> str:
    """Give the prober a new token and return it; the one before ends."""
    token = PREFIX + secrets.token_urlsafe(32)
    prober.digest = digest(token)
    return token
