"""The sealer of channels' targets and secrets: it opens what the database holds, or there is none."""

import asyncio

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.alerts.models import Channel
from app.core.sealing import FILE, Sealer, Unsealable, make_key, read_keys
from app.settings import Settings, SettingsError


async def open_sealer(session: AsyncSession, settings: Settings) -> Sealer:
    """Return the sealer; the key is made with the first channel.

    Raises SettingsError when the key is lost, or another one than that with which the newest channel was sealed.
    """
    newest = await session.scalar(
        select(Channel.target).where(Channel.target != b"").order_by(Channel.id.desc()).limit(1)
    )
    keys = await asyncio.to_thread(read_keys, settings)
    if not keys and newest is not None:
        raise SettingsError(_other_key(settings, "is missing"))
    sealer = Sealer(keys or await asyncio.to_thread(make_key, settings))
    if newest is not None:
        try:
            sealer.unseal(newest)
        except Unsealable:
            raise SettingsError(_other_key(settings, "is another one than that which sealed the channels")) from None
    return sealer


def _other_key(settings: Settings, what: str) -> str:
    where = "SINYAL_SECRET_KEY" if settings.secret_key else str((settings.data_dir / FILE).resolve())
    return (
        f"the secret key ({where}) {what}: put it back from where the backup of this database came from, or enter the "
        "targets of all channels again after deleting them"
    )
