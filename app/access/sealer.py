"""The sealer of what the database keeps sealed: it opens what is there, or there is none."""

import asyncio

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.sealing import FILE, Sealer, Unsealable, make_key, read_keys
from app.settings import Settings, SettingsError

# Every table with sealed texts: whatever a key must open. The newest of each is tried.
NEWEST_SEALED = text("""
    (SELECT target AS sealed FROM channel WHERE target <> '' ORDER BY id DESC LIMIT 1)
    UNION ALL (SELECT secret FROM telemetry_account ORDER BY id DESC LIMIT 1)
    UNION ALL (SELECT secret FROM telemetry_source WHERE secret IS NOT NULL ORDER BY id DESC LIMIT 1)
""")


async def open_sealer(session: AsyncSession, settings: Settings) -> Sealer:
    """Return the sealer; the key is made with the first secret.

    Raises SettingsError when the key is lost, or another one than that with which the newest secret was sealed.
    """
    newest = list(await session.scalars(NEWEST_SEALED))
    keys = await asyncio.to_thread(read_keys, settings)
    if not keys and newest:
        raise SettingsError(_other_key(settings, "is missing"))
    sealer = Sealer(keys or await asyncio.to_thread(make_key, settings))
    for sealed in newest:
        try:
            sealer.unseal(sealed)
        except Unsealable:
            raise SettingsError(_other_key(settings, "is another one than that which sealed the channels")) from None
    return sealer


def _other_key(settings: Settings, what: str) -> str:
    where = "SINYAL_SECRET_KEY" if settings.secret_key else str((settings.data_dir / FILE).resolve())
    return (
        f"the secret key ({where}) {what}: put it back from where the backup of this database came from, or enter the "
        "targets of all channels again after deleting them"
    )
