"""What is wrong with probers that run by themselves, for `sinyal status` and `sinyal doctor`."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import utc_now
from app.system import store
from app.system.findings import SystemFacts, SystemFinding
from app.system.prober_problems import PROBER_CHECKS
from app.vantages.prober_facts import VantageFacts, read_vantages
from probes.contract import CENTRAL


@dataclass(frozen=True, slots=True)
class ProberReport:
    vantages: Sequence[VantageFacts]
    findings: Sequence[SystemFinding]

    @property
    def summary(self) -> str:
        """Like `2 of 3 probers live, at 2 vantages`; empty while there is only the built-in one."""
        probers = [prober for vantage in self.vantages for prober in vantage.probers]
        places = {prober.vantage for prober in probers}
        if not (probers or self.findings):
            return ""
        live = sum(prober.is_live for prober in probers)
        return f"{live} of {len(probers)} probers live, at {len(places)} vantage{'' if len(places) == 1 else 's'}"


async def read_report(session: AsyncSession) -> ProberReport:
    beat = (await store.read_beats(session)).get(CENTRAL)
    vantages = await read_vantages(session, beat.figures if beat else {})
    facts = SystemFacts(now=utc_now(), beat_at=beat.beat_at if beat else None, vantages=vantages)
    return ProberReport(vantages, [finding for check in PROBER_CHECKS for finding in check(facts)])
