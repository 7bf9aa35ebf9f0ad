"""Editions in the database: read, and published once a month is closed, again when its figures have changed."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta

import orjson
from sqlalchemy import insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.availability import monthly_close
from app.core.clock import midnight, month_of
from app.judging.invalidation import CLOSES_AFTER_DAYS
from app.measurements.simulated_past import simulated_until
from app.postgres import lock_ids
from app.public.editions import catalogue, data_files, datapackage
from app.public.editions.data_files import EditionFile
from app.public.editions.edition import Edition, EditionReason, FileFacts, Terms, shown_editions
from app.public.editions.figures import Rows, read_rows
from app.public.editions.models import OpenDataEdition, OpenDataFile
from app.public.publication import Publication

RECHECKED_EVERY = timedelta(days=7)  # at most one more version a week, whatever arrives
RECHECKED_MONTHS = 13  # before the present one; older ones are changed by what is published alone
LOCK = text("SELECT pg_advisory_xact_lock(:key)")
# Months whose days are all counted: from the first day of all, or the month's first, to its last.
COUNTED_MONTHS = text("""
    SELECT date_trunc('month', day)::date AS month FROM counted_day
    WHERE day < :before AND date_trunc('month', day)::date NOT IN (
        SELECT date_trunc('month', s.day)::date FROM stale_day s
    )
    GROUP BY 1
    HAVING count(*) = (date_trunc('month', min(day)) + interval '1 month')::date
        - greatest(date_trunc('month', min(day))::date, (SELECT min(day) FROM counted_day))
    ORDER BY 1 DESC
""")


async def list_editions(session: AsyncSession) -> list[Edition]:
    """Return all editions with their files, the oldest first, shown or not."""
    edition, file = OpenDataEdition, OpenDataFile
    files: dict[tuple[date, int], list[FileFacts]] = {}
    columns = (file.month, file.version, file.name, file.size, file.sha256)
    for row in await session.execute(select(*columns).order_by(file.name)):
        files.setdefault((row.month, row.version), []).append(FileFacts(row.name, row.size, row.sha256))
    rows = await session.scalars(select(edition).order_by(edition.month, edition.version))
    return [_edition(row, files.get((row.month, row.version), ())) for row in rows]


async def find_body(session: AsyncSession, month: date, version: int, name: str) -> bytes | None:
    """Return a file as it was published; None if there is none."""
    file = OpenDataFile
    query = select(file.body).where(file.month == month, file.version == version, file.name == name)
    return await session.scalar(query)


async def publish_next(
    session: AsyncSession, publication: Publication, *, url: str | None, now: datetime
) -> Edition | None:
    """Publish a month that is due, or compare one with its latest edition; return a new edition.

    None both where nothing was due and where nothing had changed. One month a call: each is some seconds of work.
    """
    if not publication.shows_anything:
        return None
    await session.execute(LOCK, {"key": lock_ids.PUBLISHING})
    rows = list(await session.scalars(select(OpenDataEdition)))
    month = _next_month(await due_months(session, now), rows, publication, now)
    return None if month is None else await publish_month(session, month, publication, url=url, now=now)


async def due_months(session: AsyncSession, now: datetime) -> list[date]:
    """Return the months that are over, counted and closed for every contract, the newest first."""
    over = month_of(now - timedelta(days=CLOSES_AFTER_DAYS))
    not_closed = await monthly_close.oldest_due(session, now)
    months = await session.scalars(COUNTED_MONTHS, {"before": over})
    return [month for month in months if not_closed is None or month < not_closed]


def _next_month(
    due: Sequence[date], rows: Sequence[OpenDataEdition], publication: Publication, now: datetime
) -> date | None:
    shown = shown_editions([_edition(row) for row in rows], publication)
    if (missing := next((month for month in due if month not in shown), None)) is not None:
        return missing
    checked = {row.month: row.checked_at for row in sorted(rows, key=lambda row: row.version)}
    late = [month for month in due[:RECHECKED_MONTHS] if now - checked[month] >= RECHECKED_EVERY]
    return min(late, key=lambda month: checked[month], default=None)


async def publish_month(
    session: AsyncSession, month: date, publication: Publication, *, url: str | None, now: datetime
) -> Edition | None:
    """Publish the month's datasets as another edition, unless its latest one has the same; return a new edition."""
    before = await _latest(session, month)
    rows = await read_rows(session, month, publication)
    simulated = await _is_simulated(session, month)
    terms = Terms.of(publication, url=url, simulated=simulated)
    files = await asyncio.to_thread(data_files.write_data_files, rows)
    digest = data_files.digest_of(files)
    if before is not None and before.sha256 == digest and before.terms.shows_as(terms):
        await _mark_checked(session, before, now)
        return None
    reason = None if before is None else EditionReason.of(before.terms, terms)
    version = 1 if before is None else before.version + 1
    edition = Edition(month, version, now.replace(microsecond=0), digest, reason, terms)
    whole = await asyncio.to_thread(_with_descriptions, edition, files, rows)
    await _insert(session, edition, whole, now)
    return replace(edition, files=tuple(FileFacts(file.name, len(file.body), file.sha256) for file in whole))


def _with_descriptions(edition: Edition, files: Sequence[EditionFile], rows: Rows) -> list[EditionFile]:
    descriptions: Mapping[str, object] = {
        "datapackage.json": datapackage.describe(edition, files),
        "ckan.json": catalogue.ckan(edition, files),
        "dcat.jsonld": catalogue.dcat(edition, files),
    }
    whole = [
        *files,
        *(
            EditionFile(name, orjson.dumps(content, option=orjson.OPT_INDENT_2) + b"\n")
            for name, content in descriptions.items()
        ),
        EditionFile("kamus.csv", catalogue.dictionary(list(rows))),
    ]
    return [*whole, EditionFile(data_files.SUMS, data_files.check_sums(whole))]


async def _insert(session: AsyncSession, edition: Edition, files: Sequence[EditionFile], now: datetime) -> None:
    key = {"month": edition.month, "version": edition.version}
    columns = {name: getattr(edition, name) for name in ("published_at", "sha256", "reason")}
    row = key | columns | {"terms": edition.terms.as_json(), "checked_at": now}
    await session.execute(insert(OpenDataEdition), [row])
    await session.execute(
        insert(OpenDataFile),
        [key | {"name": file.name, "sha256": file.sha256, "size": len(file.body), "body": file.body} for file in files],
    )


async def _mark_checked(session: AsyncSession, edition: Edition, now: datetime) -> None:
    row = OpenDataEdition
    await session.execute(
        update(row).where(row.month == edition.month, row.version == edition.version).values(checked_at=now)
    )


async def _latest(session: AsyncSession, month: date) -> Edition | None:
    row = OpenDataEdition
    query = select(row).where(row.month == month).order_by(row.version.desc()).limit(1)
    found = await session.scalar(query)
    return None if found is None else _edition(found)


async def _is_simulated(session: AsyncSession, month: date) -> bool:
    until = await simulated_until(session)
    return until is not None and until > midnight(month)


def _edition(row: OpenDataEdition, files: Sequence[FileFacts] = ()) -> Edition:
    reason = None if row.reason is None else EditionReason(row.reason)
    return Edition(row.month, row.version, row.published_at, row.sha256, reason, Terms(**row.terms), tuple(files))
