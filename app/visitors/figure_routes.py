"""`GET /sites/{id}/visitors`: what visitors measured at a site, apart from what the service itself measures."""

from datetime import timedelta
from itertools import groupby
from typing import Any

from fastapi import APIRouter, Request

from app.core.clock import utc_now
from app.core.periods import Period, Step
from app.registry import store as registry
from app.registry.params import SiteId
from app.visitors.figure_schemas import VisitorsOut
from app.visitors.figures import by_network, kept_since, site_figures
from app.web.deps import Reader, ReadSession
from app.web.period_params import PeriodParam
from app.web.problem_details import problems

router = APIRouter()

BY_HOUR, BY_DAY = timedelta(days=2), timedelta(days=93)


@router.get("/sites/{id}/visitors", response_model=VisitorsOut, responses=problems(404), tags=["one site"])
async def get_site_visitors(
    session: ReadSession, caller: Reader, request: Request, id: SiteId, period: PeriodParam, step: Step | None = None
) -> dict[str, Any]:
    """What visitors measured at one site.

    Never a part of its state, its availability or the service's own figures: anybody may measure. By default hours up
    to 2 days, days up to 3 months, else months; each class of network apart.
    """
    site, _ = await registry.get_site(session, id, caller=caller)
    step = step or _default_step(period)
    kept = kept_since(utc_now(), request.app.state.settings.raw_retention_days)
    rows, total = await site_figures(session, site.id, period, step, kept=kept)
    return {
        "from": period.start,
        "to": period.end,
        "step": step,
        "series": [
            _row(next(Period(start, period.end).split(step)), list(of_start))
            for start, of_start in groupby(rows, key=lambda row: row["started_at"])
        ],
        "total": None if total is None else _row(period, total),
    }


def _row(period: Period, rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {"start": period.start, "end": period.end, **by_network(rows)}


def _default_step(period: Period) -> Step:
    length = period.end - period.start
    return Step.HOUR if length <= BY_HOUR else Step.DAY if length <= BY_DAY else Step.MONTH
