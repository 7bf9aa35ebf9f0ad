"""Check the probers that run by themselves, by what they last said."""

from sqlalchemy.exc import DBAPIError

from app.cli.doctor.check_result import CheckResult, CheckStatus, NotApplicable
from app.cli.doctor.database import running_url
from app.cli.prober_findings import read_report
from app.postgres.engine import open_engine, open_sessions, sqlstate
from app.settings import Settings
from app.system.findings import FindingSeverity

UNDEFINED_TABLE = "42P01"


async def check_probers(settings: Settings) -> CheckResult:
    """Raises NotApplicable where only the built-in prober runs."""
    engine = open_engine(await running_url(settings), name="doctor", pool_size=1)
    try:
        async with open_sessions(engine)() as session:  # only reads
            report = await read_report(session)
    except DBAPIError as error:
        if sqlstate(error) == UNDEFINED_TABLE:  # not migrated yet, which is a line of its own
            raise NotApplicable from None
        raise
    finally:
        await engine.dispose()
    if not report.summary:
        raise NotApplicable
    if not report.findings:
        return CheckResult(CheckStatus.OK, f"probers: {report.summary}")
    is_failing = any(finding.severity is FindingSeverity.CRITICAL for finding in report.findings)
    text = "; ".join([report.summary, *(finding.message["en"] for finding in report.findings)])
    remedy = report.findings[0].suggestion["en"]
    return CheckResult(CheckStatus.FAIL if is_failing else CheckStatus.WARN, f"probers: {text}", remedy)
