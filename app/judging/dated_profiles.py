"""Dated thresholds of `degraded`: a reading is judged by the profile of its day, however often it is judged."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.judging.combining import looks_back_s
from app.judging.degraded import DegradedThresholds
from app.judging.models import DatedProfile
from app.profiles import Profile, Technology, profiles

ALWAYS = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class DatedThresholds:
    """By technology, oldest first; the first ones count for all that lies before them."""

    dated: Mapping[Technology, Sequence[tuple[datetime, DegradedThresholds]]]

    @property
    def looks_back(self) -> timedelta:
        """How far before a slot there may be a look of a vantage that bears on it."""
        longest = max(limits.interval_s for versions in self.dated.values() for _, limits in versions)
        return timedelta(seconds=looks_back_s(longest))

    def at(self, technology: Technology, moment: datetime) -> DegradedThresholds:
        versions = self.dated[technology]
        for started_at, thresholds in reversed(versions):
            if started_at <= moment:
                return thresholds
        return versions[0][1]


async def load(session: AsyncSession) -> DatedThresholds:
    """Return the recorded thresholds; of a technology that has none, those of `config/profiles.toml`."""
    dated: dict[Technology, list[tuple[datetime, DegradedThresholds]]] = {}
    for row in await _list_recorded(session):
        dated.setdefault(row.technology, []).append((row.started_at, _thresholds(Profile(**row.profile))))
    for technology, profile in profiles().items():
        dated.setdefault(technology, [(ALWAYS, _thresholds(profile))])
    return DatedThresholds(dated)


async def record_profiles(session: AsyncSession, now: datetime) -> None:
    """Record the profiles of `config/profiles.toml` that differ from those in force."""
    in_force = {row.technology: row.profile for row in await _list_recorded(session)}
    for technology, profile in profiles().items():
        if in_force.get(technology) != profile.recorded():
            session.add(DatedProfile(technology=technology, started_at=now, profile=profile.recorded()))
    await session.flush()


async def _list_recorded(session: AsyncSession) -> Sequence[DatedProfile]:
    return (await session.scalars(select(DatedProfile).order_by(DatedProfile.started_at))).all()


@dataclass(frozen=True, slots=True)
class ProfileInForce:
    """A technology's profile, and since when it is in force; None: ever."""

    technology: Technology
    started_at: datetime | None
    profile: Profile


async def profile_at(session: AsyncSession, technology: Technology, moment: datetime) -> ProfileInForce:
    """Return the profile that readings of that moment are judged by."""
    recorded = [row for row in await _list_recorded(session) if row.technology is technology]
    if not recorded:
        return ProfileInForce(technology, None, profiles()[technology])
    row = next((row for row in reversed(recorded) if row.started_at <= moment), recorded[0])
    started_at = None if row is recorded[0] else row.started_at
    return ProfileInForce(technology, started_at, Profile(**row.profile))


def _thresholds(profile: Profile) -> DegradedThresholds:
    return DegradedThresholds(profile.loss_pct, profile.rtt_ms * 1000, profile.lost_from, profile.interval_s)
