"""Uptime read over the API, and days counted as the worker does."""

from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.availability.daily_rollup import COUNTED_AFTER, count_days
from app.core.clock import midnight, today, utc_now
from tests.conftest import Person


async def get(person: Person, path: str, **params: Any) -> Any:
    answer = await person.get(path, params={k: _text(v) for k, v in params.items()})
    assert answer.status_code == 200, answer.text
    return answer.json()


def _text(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


async def count(session: AsyncSession, now: datetime | None = None) -> None:
    async with session.begin():
        await count_days(session, now or when_yesterday_is_counted(), days=400)


def when_yesterday_is_counted() -> datetime:
    """Return now, or in the first minutes after WITA's midnight the moment from which yesterday is counted."""
    return max(utc_now(), midnight(today()) + COUNTED_AFTER)
