"""Check that every reading of an agent is stored exactly once: agents.jsonl against the measurements that REST serves.

agents.jsonl tells what was measured, tried, acknowledged, and lost with the power.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.benchmarks.truth.checker.facts import Facts
from tests.benchmarks.truth.checker.intervals import moment
from tests.benchmarks.truth.checker.verdict import Verdict

NEAR_S = 4.0
SENT_S = 120.0  # after its measurement a reading has certainly been sent
ARRIVAL_S = 20.0  # a live beat is dated by its arrival: after its packets, lost SYNs, and waiting for an API

Name = tuple[str, str, int]  # site, boot, seq


@dataclass
class Account:
    measured: dict[Name, float] = field(default_factory=dict)  # true time
    tried: set[Name] = field(default_factory=set)
    acknowledged: set[Name] = field(default_factory=set)
    lost: set[Name] = field(default_factory=set)
    refused: dict[Name, str] = field(default_factory=dict)
    duplicates: int = 0  # rows reported as duplicates

    @classmethod
    def read(cls, lines: Iterable[Mapping[str, Any]]) -> "Account":
        account = cls()
        for line in lines:
            site = line["site"]
            if line["what"] == "measured":
                account.measured[site, line["boot"], line["seq"]] = line["at"]
                continue
            names = [(site, boot, seq) for boot, seq in line["rows"]]
            if line["what"] == "acknowledged":
                account.duplicates += line["duplicates"]
                account.refused |= {names[rejection["row"]]: rejection["code"] for rejection in line["rejected"]}
            {"tried": account.tried, "acknowledged": account.acknowledged, "lost": account.lost}[line["what"]].update(
                names
            )
        return account


def acknowledged(account: Account, facts: Facts) -> Verdict:
    """Check that each reading was acknowledged, unless lost with the power, and none rejected but out of service."""
    verdict = Verdict("readings acknowledged")
    for name in sorted(account.measured.keys() - account.lost):
        at, site = account.measured[name], facts.sites[name[0]]
        if at < facts.period.end - NEAR_S and not site.retired_at(at + SENT_S):
            verdict.expect(name in account.acknowledged, f"{_describe(account, name)} was never acknowledged")
    for name, code in sorted(account.refused.items()):
        if code != "not_active" or not facts.sites[name[0]].paused:
            verdict.invent(f"{_describe(account, name)} was refused: {code}")
    verdict.notes.append(
        f"{account.duplicates} rows arrived more than once; {len(account.lost)} were lost with the power"
    )
    return verdict


def stored(account: Account, facts: Facts) -> Verdict:
    """Check for one measurement of each acknowledged reading, at the time of the reading, and no other.

    A reading whose answer was lost may be stored. What was forged is stored, too: as a claim.
    """
    verdict = Verdict("readings stored once")
    wanted: dict[str, list[float]] = defaultdict(list)
    possible: dict[str, list[float]] = defaultdict(list)
    for name in account.tried:
        kept = name in account.acknowledged and name not in account.refused
        if kept or name not in account.acknowledged:
            (wanted if kept else possible)[name[0]].append(account.measured.get(name, 0.0))
    for site in facts.sites.values():
        if site.is_push:
            forged = [at for forgery in site.forged for at in forgery.rows]
            rows = [moment(row["slot"]) for row in site.readings if _is_device_row(row)]
            _match(verdict, site.code, sorted([*wanted[site.code], *forged]), possible[site.code], sorted(rows))
    return verdict


def _is_device_row(row: Mapping[str, Any]) -> bool:
    return bool(row["source"] == "agent" and row["reason"] != "arrival")


def _match(
    verdict: Verdict, site: str, wanted: Sequence[float], possible: Sequence[float], found: Sequence[float]
) -> None:
    if 0 < len(found) - len(wanted) <= len(possible):
        wanted = sorted([*wanted, *possible])
    verdict.expected += len(wanted)
    verdict.found += min(len(wanted), len(found))
    if len(wanted) != len(found):
        verdict.missed += max(0, len(wanted) - len(found))
        verdict.invented += max(0, len(found) - len(wanted))
        counts = f"{len(wanted)} readings acknowledged, {len(found)} stored"
        verdict.failures.append(f"{site}: {counts}{_where(wanted, found)}")
        return
    for at, slot in zip(wanted, found, strict=True):
        verdict.add_error(slot - at)
        if not -NEAR_S <= slot - at <= ARRIVAL_S:
            verdict.failures.append(f"{site}: taken at {at:.1f}, stored at {slot:.0f}")


def _where(wanted: Sequence[float], found: Sequence[float]) -> str:
    """Describe the first difference."""
    for n, at in enumerate(wanted):
        if n >= len(found) or abs(found[n] - at) > NEAR_S:
            near = [f"{slot:.0f}" for slot in found if abs(slot - at) < 60]
            return f"; first at {at:.1f}, stored near it: {', '.join(near)}"
    return f"; after {wanted[-1] if wanted else 0:.1f}"


def _describe(account: Account, name: Name) -> str:
    return "{} boot {} seq {}".format(*name) + f" (taken at {account.measured.get(name, 0.0):.1f})"
