"""Profiles with their dates: a reading is judged by the profile of its day, however often it is judged."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.judging.judge import DegradedThresholds
from app.judging.models import DatedProfile
from app.profiles import Profile, Technology, profiles


@dataclass(frozen=True, slots=True)
class DatedThresholds:
    """By technology, in the order of time; before the first of them the first one counts."""

    dated: Mapping[Technology, Sequence[tuple[datetime, DegradedThresholds]]]

    def at(self, technology: Technology, moment: datetime) -> DegradedThresholds:
        versions = self.dated[technology]
        for started_at, limits in reversed(versions):
            if started_at <= moment:
                return limits
        return versions[0][1]


async def load(session: AsyncSession) -> DatedThresholds:
    rows = await _stored(session)
    dated = {
        technology: [(row.started_at, _limits(Profile(**row.profile))) for row in rows if row.technology is technology]
        for technology in Technology
    }
    now, always = profiles(), datetime(1970, 1, 1, tzinfo=UTC)
    return DatedThresholds({name: found or [(always, _limits(now[name]))] for name, found in dated.items()})


async def record_profiles(session: AsyncSession, now: datetime) -> None:
    """Writes down the profiles of `config/profiles.toml` that are others than were in force."""
    in_force = {row.technology: row.profile for row in await _stored(session)}
    for name, profile in profiles().items():
        if in_force.get(name) != profile.model_dump():
            session.add(DatedProfile(technology=name, started_at=now, profile=profile.model_dump()))
    await session.flush()


async def _stored(session: AsyncSession) -> Sequence[DatedProfile]:
    return (await session.scalars(select(DatedProfile).order_by(DatedProfile.started_at))).all()


def _limits(profile: Profile) -> DegradedThresholds:
    return DegradedThresholds(profile.loss_pct, profile.rtt_ms * 1000)
