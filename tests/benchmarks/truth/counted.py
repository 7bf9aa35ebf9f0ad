"""Every reading that an agent took is counted exactly once: what agents wrote down against what the database holds.

Three accounts: agents.jsonl (measured, tried, acknowledged, lost with the power), the receipts, and the measurements.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.benchmarks.truth.verdict import Verdict

NEAR_S = 4.0
LATE_S = 20.0  # a live beat is placed when it came: after its packets, lost SYNs, and while no api was there

Name = tuple[str, str, int]  # site, boot, seq


@dataclass
class Account:
    measured: dict[Name, float] = field(default_factory=dict)  # when, truly
    tried: set[Name] = field(default_factory=set)
    acknowledged: set[Name] = field(default_factory=set)
    lost: set[Name] = field(default_factory=set)
    refused: dict[Name, str] = field(default_factory=dict)
    twice: int = 0  # rows that were answered as known already

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
                account.twice += line["duplicates"]
                account.refused |= {names[one["row"]]: one["code"] for one in line["rejected"]}
            {"tried": account.tried, "acknowledged": account.acknowledged, "lost": account.lost}[line["what"]].update(
                names
            )
        return account


def arrived(account: Account) -> Verdict:
    """Whatever was measured was acknowledged, unless the power went with it; nothing was refused."""
    verdict = Verdict("readings acknowledged")
    for name in sorted(account.measured.keys() - account.lost):
        verdict.expect(name in account.acknowledged, f"{_told(account, name)} was never acknowledged")
    for name, code in sorted(account.refused.items()):
        verdict.invent(f"{_told(account, name)} was refused: {code}")
    verdict.notes.append(f"{account.twice} rows came twice or more; {len(account.lost)} went with the power")
    return verdict


def received(account: Account, receipts: Mapping[tuple[str, str], Sequence[tuple[int, int]]]) -> Verdict:
    """A receipt for each that was acknowledged, and for no other, but such as were sent and lost before the answer."""
    verdict = Verdict("receipts")
    held = {(*key, seq) for key, ranges in receipts.items() for low, high in ranges for seq in range(low, high)}
    for name in sorted(account.acknowledged - account.refused.keys()):
        verdict.expect(name in held, f"{_told(account, name)} has no receipt")
    for name in sorted(held - account.acknowledged):
        if name not in account.tried:
            verdict.invent(f"{_told(account, name)} has a receipt and was never sent")
    return verdict


def stored(
    account: Account, receipts: Mapping[tuple[str, str], Sequence[tuple[int, int]]], rows: Mapping[str, Sequence[float]]
) -> Verdict:
    """As many measurements of each site as receipts, each at the time of its reading. `rows`: slots by site."""
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
        verdict.err(slot - at)
        if not -NEAR_S <= slot - at <= LATE_S:
            verdict.failures.append(f"{site}: taken at {at:.1f}, stored at {slot:.0f}")


def _where(wanted: Sequence[float], found: Sequence[float]) -> str:
    """The first place in which they part."""
    for n, at in enumerate(wanted):
        if n >= len(found) or abs(found[n] - at) > NEAR_S:
            near = [f"{slot:.0f}" for slot in found if abs(slot - at) < 60]
            return f"; first at {at:.1f}, stored near it: {', '.join(near)}"
    return f"; after {wanted[-1] if wanted else 0:.1f}"


def _told(account: Account, name: Name) -> str:
    return "{} boot {} seq {}".format(*name) + f" (taken at {account.measured.get(name, 0.0):.1f})"
