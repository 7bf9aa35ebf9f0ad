"""The files of a data set, byte for byte the same for the same data, and the hash over them. Pure."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from typing import Any

import orjson

from app.core.tabular import Cell, csv_text
from app.reports.recap_schemas import RecapData
from app.reports.schemas import ReportData

SECONDS = ("covered_s", "service_s", "good_s", "counted_down_s")
OUTAGE_FIELDS = (
    "site",
    "link_role",
    "terms_on",
    "kind",
    "last_ok_at",
    "started_at",
    "confirmed_at",
    "ended_at",
    "first_ok_after",
    "duration_s",
    "duration_min_s",
    "duration_max_s",
    "counted_s",
    "unknown_s",
    "contested_s",
    "compared_s",
    "min_outage_s",
    "cause",
    "cause_set_by",
    "cause_set_at",
    "incident_id",
    "ticket_no",
    "unreachable_s",
    "parent_code",
    "parent_name",
    "parent_incident_id",
    "parent_ticket_no",
    "parent_cause",
)


def report_files(data: ReportData | RecapData) -> dict[str, bytes]:
    """Return the files by name: `sites.csv`, `method.json`, and `outages.csv` or, of a year, `months.csv`."""
    if isinstance(data, RecapData):
        return {
            "months.csv": _rows_as_csv([row.model_dump() for row in data.months]),
            "sites.csv": _rows_as_csv([row.model_dump() for row in data.sites]),
            "method.json": _json(data, {"months", "sites", "objections", "warnings", "parties"}),
        }
    return {
        "sites.csv": _sites_csv(data),
        "outages.csv": _outages_csv(data),
        "method.json": _json(data, {"sites", "outages", "objections", "warnings", "parties"}),
    }


def data_hash(files: Mapping[str, bytes]) -> str:
    """Return the SHA-256 over the list of the files' SHA-256, as `sha256sum` prints it, by name."""
    lines = (f"{hashlib.sha256(files[name]).hexdigest()}  {name}\n" for name in sorted(files))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _json(data: ReportData | RecapData, left_out: set[str]) -> bytes:
    fields = data.model_dump(mode="json", by_alias=True, exclude=left_out)
    for terms in fields["contract"]["terms"]:
        if terms["recorded_at"] is None:  # of a report that was issued before this was kept: its hash stays
            for name in ("recorded_at", "recorded_by", "recorded_because"):
                del terms[name]
    return orjson.dumps(fields, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def _sites_csv(data: ReportData) -> bytes:
    """A row a stretch; what the line says as a whole stands in each of its rows."""
    reasons = sorted({reason for site in data.sites for reason in site.excluded})
    header = [
        *("site", "link_role", "service_no", "village_code", "village", "technology", "from", "to", "terms_on"),
        *SECONDS,
        *(f"excluded_{reason}_s" for reason in reasons),
        *("unknown_s", "claimed_s", "target_pct", "fee", "fee_idr", "verdict"),
        *("restitution_idr", "least_idr", "most_idr", "restitution_status"),
    ]
    rows: list[list[Cell]] = [
        [
            *(site.code, site.link_role.value, site.service_no, site.village_code, site.village, site.technology.value),
            *(stretch.from_, stretch.to, stretch.terms_on),
            *(getattr(stretch, name) for name in SECONDS),
            *(stretch.excluded.get(reason, 0) for reason in reasons),
            *(stretch.unknown_s, stretch.claimed_s, stretch.target_pct, stretch.fee, site.fee_idr),
            site.verdict and site.verdict.value,
            *(site.restitution.idr, site.restitution.least_idr, site.restitution.most_idr),
            site.restitution.status.value,
        ]
        for site in data.sites
        for stretch in site.stretches
    ]
    return _csv([header, *rows])


def _outages_csv(data: ReportData) -> bytes:
    reasons = sorted({reason for outage in data.outages for reason in outage.excluded})
    header = [*OUTAGE_FIELDS, *(f"excluded_{reason}_s" for reason in reasons)]
    rows = [
        [
            *(_cell(getattr(outage, name)) for name in OUTAGE_FIELDS),
            *(outage.excluded.get(reason, 0) for reason in reasons),
        ]
        for outage in data.outages
    ]
    return _csv([header, *rows])


def _rows_as_csv(rows: Sequence[dict[str, Any]]) -> bytes:
    """Return rows of one kind; their excluded seconds by reason come last."""
    reasons = sorted({reason for row in rows for reason in row["excluded"]})
    names = [name for name in (rows[0] if rows else {}) if name != "excluded"]
    header = [*names, *(f"excluded_{reason}_s" for reason in reasons)]
    cells = [[*(_cell(row[name]) for name in names), *(row["excluded"].get(r, 0) for r in reasons)] for row in rows]
    return _csv([header, *cells])


def _cell(value: Any) -> Cell:
    cell: Cell = value.value if isinstance(value, Enum) else value
    return cell


def _csv(rows: Iterable[Sequence[Cell]]) -> bytes:
    return csv_text(rows).encode()
