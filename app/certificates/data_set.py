"""Builds the data set of a certificate from what is known of its 24 hours now."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.aggregates.selection import SingleSite
from app.availability import site_history
from app.availability.site_uptime import site_uptime
from app.certificates import store, verdicts
from app.certificates.line import has_changed, line_of, site_fields
from app.certificates.line_tests import TestRow, read_tests, speed_share, test_fields
from app.certificates.looks_by_hour import LooksOfHour, looks_by_hour, sum_looks
from app.certificates.method import METHOD, method_fields
from app.certificates.models import Certificate
from app.certificates.schemas import FORMAT, CertificateData
from app.certificates.verdicts import CertificateResult, CertificateVerdict, Obstacle
from app.compliance.line import SpeedTier
from app.compliance.speed_results import tiers_of
from app.core.periods import Period, Step
from app.latency import store as latency
from app.measurements.simulated_past import simulated_until
from app.profiles import Technology
from app.registry.models import Site

UPTIME = ("seconds", "uptime_pct", "coverage_pct", "worst_pct", "best_pct")
OUTAGES = ("outages", "longest_outage_s")
LATENCY = ("samples", "loss_pct", "p50_ms", "p95_ms", "max_ms")
SHARE = ("counted", "passed", "contested", "pct")


async def certificate_data(session: AsyncSession, certificate: Certificate, *, now: datetime) -> CertificateData:
    """Return all that a certificate says, as of now."""
    period = Period(certificate.started_at, certificate.ended_at)
    site = (await session.scalars(select(Site).where(Site.id == certificate.site_id))).one()
    dated = (await site_history.load_configurations(session, [site.id]))[site.id]
    line = line_of(dated, period)
    technology = Technology(line.technology)
    uptime = await site_uptime(session, site, period, Step.HOUR, now=now, contracts_of=line.provider_id)
    times = await latency.read_latency(session, SingleSite(site.id), period, Step.HOUR)
    looks = await looks_by_hour(session, site.id, dated, period, METHOD.limit_ms[technology])
    tests = await read_tests(session, site.id, period)
    tier = (await tiers_of(session, [site.id], period.start, period.end)).get(site.id, SpeedTier())
    total, until = uptime["total"], await simulated_until(session)
    obstacles = verdicts.find_obstacles(total["seconds"], total["coverage_pct"], changed=has_changed(dated, period))
    return CertificateData.model_validate(
        {
            "format": FORMAT,
            "method": method_fields(technology),
            "site": await site_fields(session, site, line),
            "asked": {"at": certificate.requested_at, "beforehand": certificate.requested_at <= period.start},
            "others_30_days": await store.count_before(session, certificate),
            "follows": await _followed(session, certificate),
            "as_of": now,
            "settled_until": uptime["settled_until"],
            "simulated": until is not None and period.start < until,
            "obstacles": obstacles,
            **_parts(obstacles, total, sum_looks(looks), tests, tier, technology),
            "contract": total["contract"],
            "total": _figures(total, times["total"], sum_looks(looks)) | {name: total[name] for name in OUTAGES},
            "hours": [_figures(*hour) for hour in zip(uptime["series"], times["series"], looks, strict=True)],
            "tests": [test_fields(test) for test in tests],
        }
    )


async def _followed(session: AsyncSession, certificate: Certificate) -> dict[str, Any] | None:
    if certificate.follows_id is None:
        return None
    followed = await store.find_certificate(session, certificate.follows_id)
    assert followed is not None
    return {
        "number": followed.number,
        "from": followed.started_at,
        "to": followed.ended_at,
        "results": followed.results,
    }


def _parts(
    obstacles: Sequence[Obstacle],
    total: Mapping[str, Any],
    looks: LooksOfHour,
    tests: Sequence[TestRow],
    tier: SpeedTier,
    technology: Technology,
) -> dict[str, dict[str, Any]]:
    """Judge each part; where something stands in the way of all, none is proven."""
    shares = {name: speed_share(tests, way) for name, way in (("download", "down"), ("upload", "up"))}
    promised = {"download": tier.down_mbps, "upload": tier.up_mbps}
    judged = {
        "availability": verdicts.judge_availability(total["contract"]),
        "latency": verdicts.judge_latency(looks.share, looks.lost, METHOD.limit_ms[technology]),
        **{name: verdicts.judge_speed(share, promised[name]) for name, share in shares.items()},
    }
    if obstacles:
        why = verdicts.obstacles_in_words(obstacles, total["seconds"], total["coverage_pct"])
        judged = dict.fromkeys(judged, CertificateVerdict(CertificateResult.NOT_PROVABLE, why))
    parts: dict[str, dict[str, Any]] = {
        name: {"result": verdict.result, "reason": verdict.reason} for name, verdict in judged.items()
    }
    for name, share in shares.items():
        counts = {field: getattr(share, field) for field in SHARE}
        parts[name] |= {"contract_mbps": promised[name], "share": counts}
    return parts


def _figures(uptime: Mapping[str, Any], times: Mapping[str, Any], looks: LooksOfHour) -> dict[str, Any]:
    """Return the fields of LineFigures."""
    return {
        "from": uptime["start"],
        "to": uptime["end"],
        **{name: uptime[name] for name in UPTIME},
        "looks": looks.looks,
        "within": looks.within,
        "lost": looks.lost,
        "left_out": looks.left_out,
        "within_pct": looks.share.pct,
        **{name: times[name] for name in LATENCY},
    }
