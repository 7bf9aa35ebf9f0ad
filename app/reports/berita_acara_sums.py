"""Where the seconds went and what is paid: the sums of a berita acara. Pure."""

from collections.abc import Iterator
from typing import Any

from app.availability.contract_columns import EXCLUDED
from app.availability.percent import percent
from app.documents.figures import grouped, hours, rupiah, share
from app.documents.terbilang import rupiah_in_words
from app.registry.indonesian import VERDICTS
from app.reports.berita_acara_lines import by_length
from app.reports.figure_schemas import ReportTotals, SecondsCounted
from app.reports.recap_schemas import RecapTotals
from app.reports.schemas import ReportData

NOT_COMPUTED = {
    "not_provable": "{n} baris tidak dapat dibuktikan: terlalu sedikit yang terpantau untuk menagih seluruhnya.",
    "no_rule": "{n} baris tanpa aturan restitusi dalam kontrak: untuknya restitusi tidak dihitung.",
    "no_fee": "{n} baris tanpa biaya dalam kontrak: untuknya restitusi tidak dapat dihitung.",
}


def seconds_rows(counted: SecondsCounted, contested_s: int | None = None) -> Iterator[dict[str, Any]]:
    """Yield where the seconds of service went: they add up to those of service.

    `contested_s`: how many of the unknown ones are contested by devices; None: that is not known.
    """
    sums: list[tuple[str, str, int]] = [
        ("part", "Masa menurut kontrak", counted.covered_s),
        ("sum", "Masa layanan", counted.service_s),
        ("row", "Baik", counted.good_s),
        ("row", "Putus yang dihitung", counted.counted_down_s),
        ("row", "Dikecualikan", sum(counted.excluded.values())),
        *(("part", EXCLUDED.get(reason, reason), seconds) for reason, seconds in by_length(counted.excluded)),
        *_unknown(counted.unknown_s, contested_s),
    ]
    if counted.claimed_s:
        sums.append(("part", "di antara seluruhnya, menurut keterangan perangkat saja", counted.claimed_s))
    for position, (kind, label, seconds) in enumerate(sums):
        part = "" if position == 0 or not counted.service_s else share(percent(seconds, counted.service_s))
        yield {"kind": kind, "label": label, "seconds": grouped(seconds), "hours": hours(seconds), "share": part}


def _unknown(unknown_s: int, contested_s: int | None) -> Iterator[tuple[str, str, int]]:
    if contested_s is None:
        yield "row", "Tidak diketahui (tidak terukur oleh kami, atau dibantah perangkat)", unknown_s
        return
    contested_s = min(contested_s, unknown_s)
    yield "row", "Tidak diketahui", unknown_s
    if unknown_s > contested_s:
        yield "part", "tidak terukur oleh kami", unknown_s - contested_s
    if contested_s:
        yield "part", "terukur putus, dan dibantah keterangan perangkat di titik akses", contested_s


def verdicts(data: ReportData) -> str:
    counts, totals = data.totals.verdicts, data.totals
    words = {**VERDICTS, "no_service": "tanpa masa layanan"}
    parts = [f"{grouped(counts[verdict])} {word}" for verdict, word in words.items() if counts.get(verdict)]
    return f"Hasil menurut target: {', '.join(parts)}. Data terpantau seluruhnya {share(totals.coverage_pct)}."


def money_rows(data: ReportData) -> list[dict[str, Any]]:
    totals = data.totals
    is_computed = totals.statuses.get("no_rule", 0) < totals.sites
    return [
        money_row("Biaya layanan, sebelum pajak", totals.fee_idr),
        money_row("Restitusi", totals.restitution_idr if is_computed else None),
        money_row("Dibayarkan, sebelum pajak", totals.payable_idr, strong=True),
    ]


def money_row(label: str, amount: int | None, strong: bool = False) -> dict[str, Any]:
    words = None if amount is None else rupiah_in_words(amount)
    return {"label": label, "amount": rupiah(amount), "words": words, "strong": strong}


def money_notes(data: ReportData) -> Iterator[str]:
    yield from bounds_note(data.totals)
    for status, sentence in NOT_COMPUTED.items():
        if count := data.totals.statuses.get(status):
            yield sentence.format(n=grouped(count))


def bounds_note(totals: ReportTotals | RecapTotals) -> Iterator[str]:
    if totals.least_idr != totals.most_idr:
        yield (
            f"Seandainya seluruh waktu yang tidak diketahui normal, restitusi {rupiah(totals.least_idr)}; "
            f"seandainya seluruhnya putus, {rupiah(totals.most_idr)}."
        )
