"""How a router's access is sealed, and read again by who asks the router."""

import orjson

from app.core.sealing import Sealer
from app.telemetry.models import SnmpVersion
from app.telemetry.schemas import SnmpIn
from probes.snmp_access import SnmpUser


def seal(sealer: Sealer, body: SnmpIn) -> bytes:
    """`body`: checked, with all that its version needs."""
    if body.version is SnmpVersion.V2C:
        assert body.community is not None
        return sealer.seal(orjson.dumps({"community": body.community.get_secret_value()}).decode())
    assert body.auth_key is not None
    keys = {
        "user": body.user,
        "auth": body.auth,
        "auth_key": body.auth_key.get_secret_value(),
        "priv_key": body.priv_key.get_secret_value() if body.priv_key else None,
    }
    return sealer.seal(orjson.dumps(keys).decode())


def unseal(sealer: Sealer, secret: bytes) -> str | SnmpUser:
    """Return the community or the user. Raises Unsealable."""
    keys = orjson.loads(sealer.unseal(secret))
    if "community" in keys:
        return str(keys["community"])
    return SnmpUser(keys["user"], keys["auth"], keys["auth_key"], keys["priv_key"])
