"""The outages of a berita acara: those that count, with their evidence, and those that a decision excluded. Pure."""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from itertools import islice
from typing import Any

from app.availability.contract_columns import EXCLUDED, LINK_ROLES
from app.availability.contract_tally import SHORT
from app.core.clock import to_wita
from app.documents.figures import NOTHING, grouped, hours
from app.registry.indonesian import CAUSES
from app.reports.berita_acara_lines import by_length
from app.reports.figure_schemas import ReportOutage
from app.reports.schemas import ReportData

MAX_LISTED = 2_000  # outages that a table of a paper lists: some 50 pages and 8 MB; all are in the file inside
REST = "Di sini {n} yang terlama; semuanya ada di outages.csv di dalam PDF ini."
BEHIND = (
    "{n} di antaranya, dengan {seconds} detik yang dihitung, terjadi ketika induknya (menara atau simpul di atasnya) "
    "putus, dan ketentuan kontrak tidak mengecualikan waktu itu. Penyebab yang ditetapkan pada gangguan induk tidak "
    "mengubah hitungan titik akses di baliknya; yang mengubahnya ialah ketentuan kontrak yang memaafkan putusnya "
    "induk, sejak tanggal berlakunya."
)


def outage_annex(data: ReportData) -> dict[str, Any]:
    """Return both lists, and what is said of them."""
    counted = [outage for outage in data.outages if outage.counted_s]
    left_out = [outage for outage in data.outages if not outage.counted_s and decided_s(outage)]
    listed, listed_out = longest(counted, lambda outage: outage.counted_s), longest(left_out, decided_s)
    return {
        "outages_note": _note(data, counted, listed),
        "outages": list(_lines(data, listed)),
        "excluded_note": _excluded_note(data, left_out, listed_out, len(counted)),
        "excluded_outages": list(_lines(data, listed_out)),
    }


def decided_s(outage: ReportOutage) -> int:
    """Return the seconds that a cause, maintenance or the parent excludes: not those that are merely too short."""
    return sum(seconds for reason, seconds in outage.excluded.items() if reason != SHORT)


def longest(outages: Sequence[ReportOutage], seconds: Callable[[ReportOutage], int]) -> Sequence[ReportOutage]:
    """Return the outages that a table lists, in their order: those with the most seconds."""
    if len(outages) <= MAX_LISTED:
        return outages
    least = sorted(map(seconds, outages), reverse=True)[MAX_LISTED - 1]
    longer = sum(seconds(outage) > least for outage in outages)
    as_long = (number for number, each in enumerate(outages) if seconds(each) == least)
    kept = set(islice(as_long, MAX_LISTED - longer))
    return [each for number, each in enumerate(outages) if seconds(each) > least or number in kept]


def _note(data: ReportData, counted: Sequence[ReportOutage], listed: Sequence[ReportOutage]) -> str:
    counted_s, lines_s = sum(outage.counted_s for outage in counted), data.totals.counted_down_s
    notes = [f"{grouped(len(counted))} gangguan dihitung; detiknya berjumlah {grouped(counted_s)}."]
    if counted_s != lines_s:
        notes.append(f"Lampiran I menghitung {grouped(lines_s)}: lihat Catatan.")
    if len(listed) < len(counted):
        notes.append(REST.format(n=grouped(len(listed))))
    excusing = {terms.terms_on for terms in data.contract.terms if terms.excuses_parent}
    if behind := [each for each in counted if each.unreachable_s and each.terms_on not in excusing]:
        seconds = sum(outage.counted_s for outage in behind)
        notes.append(BEHIND.format(n=grouped(len(behind)), seconds=grouped(seconds)))
    return " ".join(notes)


def _excluded_note(
    data: ReportData, left_out: Sequence[ReportOutage], listed: Sequence[ReportOutage], counted: int
) -> str:
    seconds = sum(map(decided_s, left_out))
    notes = [
        f"{grouped(len(left_out))} gangguan dikecualikan seluruhnya menurut penyebab, pemeliharaan atau induk yang "
        f"putus; detiknya berjumlah {grouped(seconds)}. Gangguan yang dikecualikan sebagian ada di daftar di atas."
    ]
    if len(listed) < len(left_out):
        notes.append(REST.format(n=grouped(len(listed))))
    if others := len(data.outages) - counted - len(left_out):
        notes.append(
            f"{grouped(others)} gangguan lain lebih pendek dari batas kontrak, tidak diketahui, atau di luar jam "
            "layanan: satu per satu di outages.csv."
        )
    return " ".join(notes)


def _lines(data: ReportData, outages: Sequence[ReportOutage]) -> Iterator[dict[str, Any]]:
    names = {site.code: site.name for site in data.sites}
    for no, outage in enumerate(outages, 1):
        yield {
            "no": str(no),
            "site": f"{names.get(outage.site, '')} {outage.site}".strip(),
            "kind": _kind(outage),
            "last_ok": _clock(outage.last_ok_at),
            "started": _clock(outage.started_at),
            "confirmed": outage.confirmed_at and f"dipastikan {_clock(outage.confirmed_at, day=False)}",
            "ended": _clock(outage.ended_at),
            "duration": hours(outage.duration_s),
            "bounds": _duration_bounds(outage),
            "counted_s": grouped(outage.counted_s),
            "excluded_s": grouped(sum(outage.excluded.values())),
            "excluded": [EXCLUDED.get(reason, reason) for reason, _ in by_length(outage.excluded)],
            "unknown_s": grouped(outage.unknown_s),
            "cause": _cause(outage),
            "cause_set": outage.cause_set_by and f"oleh {outage.cause_set_by}, {_clock(outage.cause_set_at)}",
            "parent": _parent(outage),
            "ticket": outage.ticket_no or NOTHING,
            "incident": _incidents(outage),
        }


def _cause(outage: ReportOutage) -> str:
    if outage.cause is not None:
        return CAUSES[outage.cause]
    if not outage.unreachable_s:
        return "belum ditentukan"
    return "induk putus" if outage.parent_cause is None else f"induk putus ({CAUSES[outage.parent_cause]})"


def _parent(outage: ReportOutage) -> str | None:
    """Return which node it was behind, and for how long."""
    if not outage.unreachable_s:
        return None
    name = "simpul lain" if outage.parent_code is None else f"{outage.parent_name} {outage.parent_code}"
    return f"di balik {name} selama {hours(outage.unreachable_s)}"


def _incidents(outage: ReportOutage) -> str | None:
    """Return under which numbers the outage and that of its parent are recorded."""
    said = [] if outage.incident_id is None else [f"gangguan no. {outage.incident_id}"]
    if outage.parent_incident_id is not None:
        said.append(f"induk: gangguan no. {outage.parent_incident_id}")
    if outage.parent_ticket_no is not None:
        said.append(f"tiket {outage.parent_ticket_no}")
    return ", ".join(said) or None


def _duration_bounds(outage: ReportOutage) -> str:
    """Return the least and the most that it lasted; behind its parent, what its own losses prove of what may count."""
    proven = outage.compared_s if outage.duration_min_s is None else outage.duration_min_s
    if outage.duration_max_s is None:
        return f"terbukti {hours(proven)}"
    return f"{hours(proven)}–{hours(outage.duration_max_s)}"


def _kind(outage: ReportOutage) -> str | None:
    parts = ["menurun"] if outage.kind == "degraded" else []
    parts += [LINK_ROLES[outage.link_role]] if outage.link_role != "primary" else []
    return ", ".join(parts) or None


def _clock(moment: datetime | None, *, day: bool = True) -> str:
    if moment is None:
        return NOTHING
    return f"{to_wita(moment):%d-%m-%Y %H.%M.%S}" if day else f"{to_wita(moment):%H.%M.%S}"
