"""A file into the registry: judged row by row, then written as a whole, or the rows that are right, or not at all."""

from collections import Counter as Count
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum

from sqlalchemy.ext.asyncio import AsyncSession

from app.access import audit
from app.access.models import Source
from app.access.scope import Caller
from app.importing import planning
from app.importing.sheets import Book, Row
from app.postgres.engine import Counter, lock_counter
from app.registry import writer
from probes.policy import AddressPolicy


class Verdict(StrEnum):
    CREATE = "create"
    UPDATE = "update"
    SAME = "same"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class File:
    name: str
    digest: str  # SHA-256, in hex


@dataclass(frozen=True, slots=True)
class Outcome:
    book: Book
    dry_run: bool
    applied: bool
    verdicts: list[tuple[Row, Verdict]]

    @property
    def counts(self) -> dict[str, int]:
        found = Count(verdict for _, verdict in self.verdicts)
        warned = sum(1 for row, _ in self.verdicts if row.warnings)
        return {verdict.value: found[verdict] for verdict in Verdict} | {"warning": warned}

    @property
    def wrong(self) -> list[Row]:
        return [row for row, verdict in self.verdicts if verdict is Verdict.ERROR]


async def run(
    session: AsyncSession,
    book: Book,
    file: File,
    *,
    caller: Caller,
    policy: AddressPolicy,
    dry_run: bool,
    partial: bool,
    tell: Callable[[str, int], None] = lambda stage, rows: None,
) -> Outcome:
    """Writes nothing when it is a dry run, nor when a row is wrong unless `partial`. `tell` hears of the progress."""
    caller = replace(caller, source=Source.IMPORT)
    around = await planning.read_words(session, book.rows, caller=caller)
    if not dry_run:
        await lock_counter(session, Counter.REGISTRY)  # what is judged stays so until it is written
    await planning.judge(session, book.rows, around, caller=caller, policy=policy)
    tell("checked", len(book.rows))
    outcome = Outcome(book, dry_run, False, [(row, _verdict(row)) for row in book.rows])
    if dry_run or (outcome.wrong and not partial):
        return outcome
    drafts = [row.draft for row in book.rows if row.draft is not None and planning.writes(row)]
    written = await writer.write(session, drafts, caller=caller)
    if written:
        await _record(session, caller, file, outcome)
    tell("written", written)
    return replace(outcome, applied=True)


def _verdict(row: Row) -> Verdict:
    """Told before anything is written: afterwards a new site is there too."""
    if row.faults or row.draft is None:
        return Verdict.ERROR
    if not planning.writes(row):
        return Verdict.SAME
    return Verdict.CREATE if row.draft.site is None else Verdict.UPDATE


async def _record(session: AsyncSession, caller: Caller, file: File, outcome: Outcome) -> None:
    region = None if caller.covers("64") else caller.region_code
    await audit.record(
        session,
        caller,
        "import",
        "file",
        file.digest[:16],
        region_code=region,
        after={"name": file.name, "sha256": file.digest, "rows": outcome.counts},
    )
