from datetime import date

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.sql import func

from app.postgres.engine import Base, Moment
from app.profiles import Technology


class ComplianceSample(Base):
    """A period's seed, recorded at least a day before the period begins; never changed (a trigger refuses it)."""

    __tablename__ = "compliance_sample"

    period: Mapped[str] = mapped_column(primary_key=True)  # 2026-12 or 2027-Q1
    method: Mapped[str]
    public_text: Mapped[str]
    public_source: Mapped[str]
    seed: Mapped[str]
    starts_on: Mapped[date]
    ends_on: Mapped[date]  # exclusive
    recorded_at: Mapped[Moment] = mapped_column(server_default=func.now())
    recorded_by: Mapped[str]


class SampledSite(Base):
    """A site that a sample drew, as it was configured when the seed was recorded; `of_sites` it was drawn from."""

    __tablename__ = "compliance_sampled_site"

    period: Mapped[str] = mapped_column(ForeignKey("compliance_sample.period"), primary_key=True)
    site_id: Mapped[int] = mapped_column(ForeignKey("site.id"), primary_key=True)
    provider_id: Mapped[int] = mapped_column(ForeignKey("provider.id"))
    technology: Mapped[Technology]
    village_code: Mapped[str]
    of_sites: Mapped[int]
    rank: Mapped[int]
