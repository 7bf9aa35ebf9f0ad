"""Import rows into the registry: all of them, only the correct ones, or none."""

from collections import Counter as Tally
from collections.abc import Callable
from dataclasses import dataclass, replace

from sqlalchemy.ext.asyncio import AsyncSession

from app.access import audit
from app.access.models import Source
from app.access.scope import Caller
from app.availability import retroactive_changes
from app.core.errors import Fault
from app.importing import contract_dates, default_probe, planning
from app.importing.rows import SheetRow
from app.importing.sheets import ParsedFile
from app.importing.verdicts import RowVerdict
from app.postgres.engine import Counter, lock_counter
from app.registry import writer
from probes.contract import ProbeKind
from probes.policy import AddressPolicy


@dataclass(frozen=True, slots=True)
class SourceFile:
    """The file as the audit records it."""

    name: str
    digest: str  # SHA-256, in hex


@dataclass(frozen=True, slots=True)
class ImportResult:
    file: ParsedFile
    dry_run: bool
    applied: bool  # also true if there was nothing to write
    verdicts: list[tuple[SheetRow, RowVerdict]]

    @property
    def counts(self) -> dict[str, int]:
        """Rows by verdict, and those with warnings."""
        tally = Tally(verdict for _, verdict in self.verdicts)
        warned = sum(1 for row, _ in self.verdicts if row.warnings)
        return {verdict.value: tally[verdict] for verdict in RowVerdict} | {"warning": warned}

    @property
    def warnings(self) -> list[Fault]:
        """What was assumed, and which columns, rows and sheets were not read."""
        return default_probe.warnings(self.file.rows) + self.file.warnings

    @property
    def wrong_rows(self) -> list[SheetRow]:
        return [row for row, verdict in self.verdicts if verdict is RowVerdict.ERROR]

    @property
    def refused(self) -> bool:
        """Whether nothing was written because rows are wrong."""
        return not self.dry_run and not self.applied


async def import_rows(
    session: AsyncSession,
    file: ParsedFile,
    source: SourceFile,
    *,
    caller: Caller,
    policy: AddressPolicy,
    dry_run: bool,
    partial: bool,
    probe: ProbeKind | None = None,
    reason: str | None = None,
    on_progress: Callable[[str, int], None] = lambda stage, rows: None,
) -> ImportResult:
    """Write nothing in a dry run, nor if a row is wrong unless `partial`.

    `reason` is needed where a row puts a site under a contract for days that are over.

    1. Resolve names. 2. Lock the registry, so that what is checked stays true until the commit. 3. Plan and check
    every row; `probe`: of new sites whose sheet does not say it (`default_probe`). 4. Write and audit. `on_progress`
    is called with a stage and its number of rows.
    """
    caller = replace(caller, source=Source.IMPORT)
    index = await planning.resolve_names(session, file.rows, caller=caller)
    if not dry_run:
        await lock_counter(session, Counter.REGISTRY)
    await planning.plan(session, file.rows, index, caller=caller, policy=policy, probe=probe, reason=reason)
    on_progress("checked", len(file.rows))
    result = ImportResult(file, dry_run, False, [(row, _verdict(row)) for row in file.rows])
    if dry_run or (result.wrong_rows and not partial):
        return result
    drafts = [row.draft for row in file.rows if row.draft is not None and planning.will_write(row)]
    redated = [
        (draft.site.id, days)
        for draft in drafts
        if draft.site is not None and (days := contract_dates.changed_days(draft)) is not None
    ]
    await retroactive_changes.close_before(session, redated)
    written = await writer.write(session, drafts, caller=caller, contract_reason=reason)
    if written:
        await _audit(session, caller, source, result, reason)
    await retroactive_changes.invalidate_days(session, redated, reason=reason)
    on_progress("written", written)
    return replace(result, applied=True)


def _verdict(row: SheetRow) -> RowVerdict:
    """Call it before writing: afterwards new sites are registered, too."""
    if row.faults or row.draft is None:
        return RowVerdict.ERROR
    if not planning.will_write(row):
        return RowVerdict.SAME
    return RowVerdict.CREATE if row.draft.site is None else RowVerdict.UPDATE


async def _audit(
    session: AsyncSession, caller: Caller, source: SourceFile, result: ImportResult, reason: str | None
) -> None:
    region = None if caller.covers("64") else caller.region_code
    await audit.record(
        session,
        caller,
        "import",
        "file",
        source.digest[:16],
        region_code=region,
        reason=reason,
        after={"name": source.name, "sha256": source.digest, "rows": result.counts},
    )
