"""A fingerprint of what a draft's figures rest on: as long as it is the same, so are they."""

from datetime import date

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.periods import first_of_next_month, whole_month
from app.reports import method

# Whatever changes a contract, its sites' days and closed figures, names, tickets or causes changes one of these.
OF_MONTH = text("""
WITH s AS MATERIALIZED (
    SELECT DISTINCT site_id AS id FROM site_contract
    WHERE contract_id = :contract_id AND started_on < :next AND (ended_on IS NULL OR ended_on > :month)
)
SELECT concat_ws(
    '/', cast(:method AS text), k.version, p.name,
    (SELECT concat(count(*), '.', max(version)) FROM site_contract WHERE contract_id = k.id),
    (SELECT concat(count(*), '.', max(m.id)) FROM month_correction m JOIN s ON s.id = m.site_id WHERE m.month = :month),
    (SELECT count(*) FROM closed_month m JOIN s ON s.id = m.site_id WHERE m.month = :month),
    (SELECT count(*) FROM stale_month m JOIN s ON s.id = m.site_id WHERE m.month = :month),
    (SELECT max(t.version) FROM site t JOIN s ON s.id = t.id),
    (SELECT concat(count(*), '.', max(i.version)) FROM incident_site o JOIN s ON s.id = o.site_id
        JOIN incident i ON i.id = o.incident_id
        WHERE o.started_at < :end AND (o.ended_at IS NULL OR o.ended_at > :start)),
    (SELECT concat(count(*), '.', max(c.recorded_at)) FROM outage_cause c JOIN s ON s.id = c.site_id
        WHERE c.started_at < :end AND (c.ended_at IS NULL OR c.ended_at > :start)),
    (SELECT concat(count(*), '.', sum(extract(epoch FROM d.ended_at - d.started_at)))
        FROM telemetry_disagreement d JOIN s ON s.id = d.site_id
        WHERE d.started_at < :end AND d.ended_at > :start)
)
FROM contract k JOIN provider p ON p.id = k.provider_id WHERE k.id = :contract_id
""")
OF_YEAR = text("""
SELECT concat_ws('/', cast(:method AS text), k.version, p.name, count(r.id), max(r.id))
FROM contract k JOIN provider p ON p.id = k.provider_id
LEFT JOIN report r ON r.contract_id = k.id AND r.status = 'issued' AND r.period LIKE cast(:months AS text)
WHERE k.id = :contract_id GROUP BY k.id, p.id
""")


async def basis_of_month(session: AsyncSession, contract_id: int, month: date) -> str:
    period = whole_month(month)
    values = {
        "contract_id": contract_id,
        "method": method.VERSION,
        "month": month,
        "next": first_of_next_month(month),
        "start": period.start,
        "end": period.end,
    }
    return str(await session.scalar(OF_MONTH, values))


async def basis_of_year(session: AsyncSession, contract_id: int, year: int) -> str:
    values = {"contract_id": contract_id, "method": method.VERSION, "months": f"{year}-%"}
    return str(await session.scalar(OF_YEAR, values))
