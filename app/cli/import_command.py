"""`sinyal import sites`: import a spreadsheet into the running database, with the rights of a province admin."""

import hashlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from sqlalchemy.exc import DBAPIError

from app.api.middleware.body_limits import LARGEST_FILE
from app.core.errors import Invalid
from app.importing import report, report_content, response, sheets, store
from app.importing.store import ImportResult, SourceFile
from app.importing.verdicts import RowVerdict
from app.postgres.engine import database_url, open_engine, open_sessions, transaction
from app.runtime.admin_session import DATABASE_UNAVAILABLE, command_line_caller
from app.runtime.instance import probe_policy
from app.settings import Settings, SettingsError
from probes.contract import ProbeKind

PROGRESS = {"read": "{rows:,} rows read", "checked": "{rows:,} rows checked", "written": "{rows:,} rows written"}


async def sites(
    settings: Settings,
    file: Path,
    *,
    dry_run: bool,
    partial: bool,
    probe: ProbeKind | None,
    reason: str | None,
    report_to: Path | None,
    spoken: str,
    say: Callable[[str], None],
) -> bool:
    """Import a file, say the result of each row, and return whether all are valid. Raises SettingsError."""
    data = _read(file)
    try:
        if report_to is not None:
            report.require_loadable(data)
        result = await _import(settings, file.name, data, dry_run=dry_run, partial=partial, probe=probe, reason=reason)
    except Invalid as error:
        lines = [response.fault_line(fault, language=spoken) for fault in error.faults]
        raise SettingsError(f"{file.name}: {'; '.join(lines)}") from None
    if report_to is not None:
        _write(report_to, report.write(data, report_content.build(result, language=spoken)))
    for line in _summary(result, spoken):
        say(line)
    return not result.wrong_rows


def _read(file: Path) -> bytes:
    if file.stat().st_size > LARGEST_FILE:
        raise SettingsError(f"{file}: larger than {LARGEST_FILE // 1_000_000} MB")
    return file.read_bytes()


def _write(file: Path, data: bytes) -> None:
    file.write_bytes(data)


async def _import(
    settings: Settings,
    name: str,
    data: bytes,
    *,
    dry_run: bool,
    partial: bool,
    probe: ProbeKind | None,
    reason: str | None,
) -> ImportResult:
    """Raises Invalid for a file without rows of sites, SettingsError without a database."""
    engine = open_engine(database_url(settings), name="import", command_timeout_s=None, pooled=settings.is_pooled)
    try:
        parsed = sheets.read(data)
        _show_progress("read", len(parsed.rows))
        async with transaction(open_sessions(engine)) as session:
            return await store.import_rows(
                session,
                parsed,
                SourceFile(name, hashlib.sha256(data).hexdigest()),
                caller=command_line_caller(),
                policy=probe_policy(settings),
                dry_run=dry_run,
                partial=partial,
                probe=probe,
                reason=reason,
                on_progress=_show_progress,
            )
    except (OSError, DBAPIError) as error:
        raise SettingsError(f"{DATABASE_UNAVAILABLE} ({type(error).__name__})") from None
    finally:
        await engine.dispose()


def _show_progress(stage: str, rows: int) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"{PROGRESS[stage].format(rows=rows)}\n")


def _summary(result: ImportResult, spoken: str) -> Iterator[str]:
    """Yield the overview, a line for each row that is not simply created, wrong ones first, and the counts."""
    verdicts = report_content.VERDICTS[spoken]
    yield from response.overview(result, language=spoken)
    for row, verdict in sorted(result.verdicts, key=lambda item: item[1] is not RowVerdict.ERROR):
        if verdict is not RowVerdict.CREATE or row.warnings:
            for where, what in response.row_lines(row, verdict, language=spoken):
                yield f"{row.label:>6}  {where:<30}  {what}"
    counts = {verdicts[verdict]: result.counts[verdict.value] for verdict in verdicts}
    if result.counts["warning"]:
        counts[{"id": "peringatan", "en": "warning"}[spoken]] = result.counts["warning"]
    written, not_written = {"id": ("tertulis", "tidak ada yang ditulis"), "en": ("written", "nothing written")}[spoken]
    ending = written if result.applied else not_written
    yield f"{'  '.join(f'{name} {count:,}' for name, count in counts.items())}: {ending}"
