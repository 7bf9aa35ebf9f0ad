"""The survey of two questions: taken in once a day and network, without anything that tells who answered.

Stuffing is bounded, not impossible: a network has one answer a village and day, and MOST_VILLAGES villages; a village
has MOST_ANSWERS a day. A network is part of an address (/24, of IPv6 /48), stored as its keyed digest under a salt of
the day; salt and digests are deleted when the day is over.
"""

import hashlib
import hmac
import secrets
from datetime import date
from enum import StrEnum
from typing import NamedTuple

from sqlalchemy import delete, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql import func

from app.core.networks import network_of
from app.reviews.models import SurveyDay, SurveySalt, SurveySource

SCALE = range(1, 6)
MOST_ANSWERS, MOST_VILLAGES = 20, 10  # a day: of a village; of a network
LOCK = text("SELECT pg_advisory_xact_lock(hashtext('survey'))")


class SurveyAnswer(NamedTuple):
    """From 1, very low, to 5, very high."""

    benefit: int
    cost: int


class SurveyOutcome(StrEnum):
    """`counted`; `repeated`: this network has answered today; `full`: the village has had its answers today."""

    COUNTED = "counted"
    REPEATED = "repeated"
    FULL = "full"


def read_answer(benefit: str, cost: str) -> SurveyAnswer | None:
    """Return the answer; None unless both are numbers of the scale."""
    if not all(text.isascii() and text.isdecimal() and len(text) == 1 for text in (benefit, cost)):
        return None
    answer = SurveyAnswer(int(benefit), int(cost))
    return answer if all(value in SCALE for value in answer) else None


async def take_answer(
    session: AsyncSession, village_code: str, answer: SurveyAnswer, *, address: str | None, today: date
) -> SurveyOutcome:
    """Count an answer, unless it is one too many."""
    await session.execute(LOCK)
    await forget(session, before=today)
    source = _digest(await _salt_of(session, today), network_of(address) or "unknown")
    row, day = SurveySource, SurveySource.day == today
    of_village = await session.scalar(select(func.count()).where(day, row.village_code == village_code)) or 0
    villages = list(await session.scalars(select(row.village_code).where(day, row.source == source)))
    if village_code in villages or len(villages) >= MOST_VILLAGES:
        return SurveyOutcome.REPEATED
    if of_village >= MOST_ANSWERS:
        return SurveyOutcome.FULL
    session.add(SurveySource(day=today, source=source, village_code=village_code))
    counted = insert(SurveyDay).values(
        village_code=village_code, day=today, benefit=answer.benefit, cost=answer.cost, answers=1
    )
    keys = [SurveyDay.village_code, SurveyDay.day, SurveyDay.benefit, SurveyDay.cost]
    await session.execute(counted.on_conflict_do_update(index_elements=keys, set_={"answers": SurveyDay.answers + 1}))
    return SurveyOutcome.COUNTED


async def forget(session: AsyncSession, *, before: date) -> None:
    """Delete the salts and digests of days that are over."""
    await session.execute(delete(SurveySource).where(SurveySource.day < before))
    await session.execute(delete(SurveySalt).where(SurveySalt.day < before))


async def _salt_of(session: AsyncSession, day: date) -> bytes:
    made = insert(SurveySalt).values(day=day, salt=secrets.token_bytes(32)).on_conflict_do_nothing()
    await session.execute(made)
    return (await session.scalars(select(SurveySalt.salt).where(SurveySalt.day == day))).one()


def _digest(salt: bytes, network: str) -> bytes:
    return hmac.new(salt, network.encode(), hashlib.sha256).digest()[:16]
