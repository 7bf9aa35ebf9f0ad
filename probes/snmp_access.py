"""Who reads a router over SNMP v3. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SnmpUser:
    """With authentication always; without `priv_key` nothing is encrypted."""

    name: str
    auth: str  # sha, sha256
    auth_key: str
    priv_key: str | None = None  # AES-128
