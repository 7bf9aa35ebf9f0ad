"""`sinyal export open-data`: a month's open data as files, published before if it is due."""

from collections.abc import Callable
from datetime import date
from pathlib import Path

from app.core.clock import utc_now
from app.core.periods import parse_month
from app.judging.invalidation import CLOSES_AFTER_DAYS
from app.public.editions import store
from app.public.editions.edition import Edition, shown_editions
from app.public.publication import Publication
from app.runtime.admin_session import admin_session
from app.settings import Settings, SettingsError


async def open_data(
    settings: Settings, period: str, folder: Path, *, version: int | None, say: Callable[[str], None]
) -> None:
    """Write the latest version's files, or a given one's, into the folder. Raises SettingsError."""
    whole = parse_month(period)
    month = None if whole is None else whole.month
    if month is None:
        raise SettingsError(f"--month {period[:40]}: write it like 2026-10")
    publication = Publication.from_settings(settings.public)
    async with admin_session(settings, name="export") as session:
        now = utc_now()
        edition = _choose(await store.list_editions(session), month, version, publication)
        if edition is None and version is None and month in await store.due_months(session, now):
            await store.publish_month(session, month, publication, url=settings.public_base, now=now)
            edition = _choose(await store.list_editions(session), month, version, publication)
        if edition is None:
            raise SettingsError(_why_none(month, period, version, publication))
        for file in edition.files:
            body = await store.find_body(session, edition.month, edition.version, file.name)
            _write(folder / file.name, body or b"")
    say(f"{folder}: {edition.period} version {edition.version}, {len(edition.files)} files, sha256 {edition.sha256}")


def _choose(editions: list[Edition], month: date, version: int | None, publication: Publication) -> Edition | None:
    of_month = [edition for shown in shown_editions(editions, publication).values() for edition in shown]
    return next((found for found in of_month if found.month == month and version in {None, found.version}), None)


def _why_none(month: date, period: str, version: int | None, publication: Publication) -> str:
    if not publication.shows_anything:
        return "public.level is none: no open data is published"
    if version is not None:
        return f"{period} has no version {version} that may be shown"
    return (
        f"{period} is not published: a month may be from day {CLOSES_AFTER_DAYS + 1} of the next one on, "
        "once it is counted and closed for every contract"
    )


def _write(file: Path, body: bytes) -> None:
    """Raises SettingsError where another file is: an edition never replaces one silently."""
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.exists() and file.read_bytes() != body:
        raise SettingsError(f"{file} holds something else: choose another folder, or remove it")
    file.write_bytes(body)
