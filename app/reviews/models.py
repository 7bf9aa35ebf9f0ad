from datetime import date

from sqlalchemy import CheckConstraint, Index
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.sql import func

from app.postgres.engine import Base, Moment


class SurveyDay(Base):
    """How many people of a village gave this pair of answers on a day: there is no row of a single person."""

    __tablename__ = "survey_day"
    __table_args__ = (
        CheckConstraint("benefit BETWEEN 1 AND 5 AND cost BETWEEN 1 AND 5", name="scale"),
        Index("ix_survey_day_day", "day"),
    )

    village_code: Mapped[str] = mapped_column(primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)  # WITA
    benefit: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    cost: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    answers: Mapped[int]


class SurveySource(Base):
    """A network that answered for a village today, as a digest that nobody can repeat once the day's salt is gone."""

    __tablename__ = "survey_source"

    day: Mapped[date] = mapped_column(primary_key=True)
    source: Mapped[bytes] = mapped_column(primary_key=True)
    village_code: Mapped[str] = mapped_column(primary_key=True)


class SurveySalt(Base):
    """The random salt of a day's digests; deleted when the day is over."""

    __tablename__ = "survey_salt"

    day: Mapped[date] = mapped_column(primary_key=True)
    salt: Mapped[bytes]


class ReviewDecision(Base):
    """What was decided at a quarter's review. Append-only: a later decision corrects an earlier one."""

    __tablename__ = "review_decision"

    id: Mapped[int] = mapped_column(primary_key=True)
    period: Mapped[str] = mapped_column(index=True)  # 2026-Q4
    text: Mapped[str]
    decided_by: Mapped[str]
    decided_at: Mapped[Moment] = mapped_column(server_default=func.now())
