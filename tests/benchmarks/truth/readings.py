"""Check that every reading of an agent is stored exactly once.

Three records are compared: agents.jsonl (measured, tried, acknowledged, lost with the power), the receipts, and the
measurements.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.benchmarks.truth.verdict import Verdict

NEAR_S = 4.0
LATE_S = 20.0  # a live beat is dated by its arrival: after its packets, lost SYNs, and waiting for an API

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


def arrived(account: Account) -> Verdict:
    """Check that each measured reading was acknowledged, unless lost with the power, and none was rejected."""
    verdict = Verdict("readings acknowledged")
    for name in sorted(account.measured.keys() - account.lost):
        verdict.expect(name in account.acknowledged, f"{_describe(account, name)} was never acknowledged")
    for name, code in sorted(account.refused.items()):
        verdict.invent(f"{_describe(account, name)} was refused: {code}")
    verdict.notes.append(
        f"{account.duplicates} rows arrived more than once; {len(account.lost)} were lost with the power"
    )
    return verdict


def received(account: Account, receipts: Mapping[tuple[str, str], Sequence[tuple[int, int]]]) -> Verdict:
    """Check for a receipt of each acknowledged reading, and of no other than those whose response was lost."""
    verdict = Verdict("receipts")
    held = {(*key, seq) for key, ranges in receipts.items() for low, high in ranges for seq in range(low, high)}
    for name in sorted(account.acknowledged - account.refused.keys()):
        verdict.expect(name in held, f"{_describe(account, name)} has no receipt")
    for name in sorted(held - account.acknowledged):
        if name not in account.tried:
            verdict.invent(f"{_describe(account, name)} has a receipt and was never sent")
    return verdict


def stored(
    account: Account, receipts: Mapping[tuple[str, str], Sequence[tuple[int, int]]], rows: Mapping[str, Sequence[float]]
) -> Verdict:
    """Check for as many measurements of each site as receipts, at the times of the readings. `rows`: slots by site."""
    verdict = Verdict("measurements")
    wanted: dict[str, list[float]] = defaultdict(list)
    for (site, boot), ranges in receipts.items():
        for low, high in ranges:
            wanted[site] += [account.measured.get((site, boot, seq), 0.0) for seq in range(low, high)]
    for site in sorted(wanted.keys() | rows.keys()):
        _match(verdict, site, sorted(wanted.get(site, ())), sorted(rows.get(site, ())))
    return verdict


def _match(verdict: Verdict, site: str, wanted: Sequence[float], found: Sequence[float]) -> None:
    verdict.expected += len(wanted)
    verdict.found += min(len(wanted), len(found))
    if len(wanted) != len(found):
        verdict.missed += max(0, len(wanted) - len(found))
        verdict.invented += max(0, len(found) - len(wanted))
        verdict.failures.append(f"{site}: {len(wanted)} readings received, {len(found)} stored{_where(wanted, found)}")
        return
    for at, slot in zip(wanted, found, strict=True):
        verdict.add_error(slot - at)
        if not -NEAR_S <= slot - at <= LATE_S:
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
