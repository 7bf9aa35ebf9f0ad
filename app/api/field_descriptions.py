"""What a field or a parameter means by its name, for OpenAPI: a schema describes what means something else there."""

from typing import Any, NamedTuple

from app.registry.spreadsheet_columns import SITE_COLUMNS


class Meaning(NamedTuple):
    description: str
    example: Any = None  # None: an enum or an object, which has its own


MOMENT, DAY = "2026-11-24T14:05:00+08:00", "2026-11-24"
REGION = "a Kemendagri region code, with dots"

COLUMN_EXAMPLES: dict[str, Any] = {
    "host": "198.51.100.20",
    "service_no": "4700001-0021",
    "location_note": "Di samping balai desa",
    "latitude": -0.3617,
    "longitude": 117.4391,
    "ssid": "Desa Digital",
    "public_hours": "08.00-22.00",
    "power_hours": "18.00-06.00",
    "port": 443,
    "url": "https://desa.example/",
    "speed_url": "https://desa.example/10MB.bin",
    "speed_budget_mb": 500,
    "device_model": "MikroTik hAP ac2",
    "contact_name": "Budi Santoso",
    "contact_phone": "0812-0000-0000",
    "vantages": [0, 2],
    "notes": "Kunci ada di kepala desa",
}
# The data dictionary of site tables (`GET /sites/export/dictionary`) says what the fields of a site mean.
COLUMNS = {
    column.field: Meaning(
        f"{column.meaning} ({column.unit})" if column.unit else column.meaning, COLUMN_EXAMPLES.get(column.field)
    )
    for column in SITE_COLUMNS
    if column.field not in {"contract", "parent"}  # a number and a code there; in the API ids
}

FIELDS: dict[str, Meaning] = COLUMNS | {
    # names and references
    "id": Meaning("its id, which paths and filters take", 512),
    "kind": Meaning("its kind"),
    "technology": Meaning("its technology"),
    "probe": Meaning("how it is measured"),
    "link_role": Meaning("whether it is the place's first link or a second one"),
    "presence": Meaning("whether the device that reports is to be on day and night"),
    "power_source": Meaning("where its power comes from"),
    "lifecycle": Meaning("where it stands between planning and retirement"),
    "code": Meaning("the site's code; never changes", "64.02.05.2003-01"),
    "name": Meaning("its name, for people", "Kantor Desa Muara Badak Ulu"),
    "village_code": Meaning("Kemendagri code of the village, with dots", "64.02.05.2003"),
    "site_id": Meaning("id of the site", 512),
    "account_id": Meaning("id of the account", 3),
    "parent_id": Meaning("id of the node that the site depends on", 17),
    "contract_id": Meaning("id of the contract that covers the site today", 7),
    "incident_id": Meaning("id of its open incident", 71),
    "provider": Meaning("the provider's slug", "telkom-wms"),
    "slug": Meaning("its name in paths, filters and files; permanent", "telkom-wms"),
    "region": Meaning(REGION, "64.02.05"),
    "region_code": Meaning(f"the region of its scope: {REGION}; 64 is the province", "64.02"),
    "parent_code": Meaning("code of the region that it belongs to; null for the province", "64.02.05"),
    "province": Meaning("name of the province", "Kalimantan Timur"),
    "district": Meaning("name of the kabupaten or kota", "Kabupaten Kutai Kartanegara"),
    "subdistrict": Meaning("name of the kecamatan", "Muara Badak"),
    "village": Meaning("name of the desa or kelurahan", "Muara Badak Ulu"),
    "username": Meaning("what the account's owner signs in with", "ana"),
    "role": Meaning("what its owner may do within the scope"),
    # incidents and maintenance
    "assignee": Meaning("who deals with it", "Teknisi Berau"),
    "ticket_no": Meaning("number of the provider's ticket", "T-2026-118"),
    "reported_at": Meaning("when it was reported to the provider; null: it was not", MOMENT),
    "title": Meaning("what is done", "Penggantian kabel utama"),
    # who and when
    "created_at": Meaning("when it was created", MOMENT),
    "created_by": Meaning("username of who created it", "ana"),
    "updated_at": Meaning("when it was last changed", MOMENT),
    "cancelled_at": Meaning("when it was cancelled; null: it was not", MOMENT),
    "revoked_at": Meaning("when it was revoked; null: it was not", MOMENT),
    "revoked_by": Meaning("username of who revoked it", "sari"),
    "disabled_at": Meaning("when it was disabled; null: it is not", MOMENT),
    "expires_at": Meaning("when it expires; null: never", MOMENT),
    "at": Meaning("when it happened", MOMENT),
    "by": Meaning("name of who did it", "Ana"),
    "reason": Meaning("why", "addendum 2 of 20 November"),
    "before": Meaning("the changed fields as they were", {"status": "open"}),
    "after": Meaning("the changed fields as they became", {"status": "acknowledged"}),
    # periods
    "from": Meaning("start of the period, a whole second", "2026-11-24T00:00:00+08:00"),
    "to": Meaning("end of the period, exclusive", "2026-11-25T00:00:00+08:00"),
    "start": Meaning("start of the row, a whole second", "2026-11-24T14:00:00+08:00"),
    "end": Meaning("end of the row, exclusive", "2026-11-24T15:00:00+08:00"),
    "started_at": Meaning("its start", "2026-11-24T14:05:00+08:00"),
    "ended_at": Meaning("its end, exclusive; null while it lasts", "2026-11-24T14:09:50+08:00"),
    "duration_s": Meaning("its length in seconds", 290),
    "step": Meaning("length of the rows of `series`: hour, day or month, cut in WITA"),
    "series": Meaning("one row for each step of the period, oldest first"),
    "total": Meaning("the same figures for the whole period"),
    "generated_at": Meaning("when this was read", MOMENT),
    # pages
    "items": Meaning("the entries of this page"),
    "next_cursor": Meaning("`cursor` of the next page; null at the end", "NTEy"),
    "message": Meaning("what is wrong, in the caller's language", "There is no village 64.02.05.9999"),
    "suggestion": Meaning("what to do about it, in the caller's language", "Measure the position at the site"),
    # a site's state
    "state": Meaning("its state"),
    "since": Meaning("when its state began", MOMENT),
    "last_seen_at": Meaning("when it last answered or reported; null: never", MOMENT),
    "commissioned_at": Meaning("when it answered or reported for the first time; null: never", MOMENT),
    "unknown_reason": Meaning("why the state is unknown; null in every other state"),
    "maintenance": Meaning("whether a maintenance window is running", False),
    "acknowledged": Meaning("whether somebody deals with its incident", False),
    # availability, by what DESIGN calls good (up, degraded) and bad (down, unreachable)
    "seconds": Meaning("seconds of each state; they add up to the row's length"),
    "uptime_pct": Meaning("good/(good+bad), percent, rounded down; null when nothing was measured", 99.412),
    "coverage_pct": Meaning("share of the time in service that was measured, percent", 99.9),
    "worst_pct": Meaning("uptime in percent if all unmeasured time had been bad", 99.313),
    "best_pct": Meaning("uptime in percent if all unmeasured time had been good", 99.413),
    "outages": Meaning("outages, each from the first loss to the next answer", 3),
    "longest_outage_s": Meaning("seconds of the longest outage inside the period, without maintenance", 9120),
    "down_s": Meaning("seconds down inside the period", 15220),
    "down_by_cause": Meaning("seconds down by cause", {"power": 5400, "unclassified": 20}),
    "sites": Meaning("number of access points", 24),
    # latency and throughput
    "loss_pct": Meaning("packets lost of those sent, percent", 4.545),
    "down_mbps": Meaning("download speed, in Mbps", 17.4),
    "up_mbps": Meaning("upload speed, in Mbps", 4.9),
    "down_bytes": Meaning("bytes downloaded", 8_900_000),
    "up_bytes": Meaning("bytes uploaded", 2_900_000),
    "spent_mb": Meaning("data that measuring cost, in MB", 71.2),
    "tests_mb": Meaning("of it, for speed tests, in MB", 35.4),
    "down_p10_mbps": Meaning("download speed that nine of ten exceeded, in Mbps", 4.1),
    "up_p10_mbps": Meaning("upload speed that nine of ten exceeded, in Mbps", 0.9),
    "down_of_contract_pct": Meaning("median share of the contracted download speed, percent", 82.0),
    "up_of_contract_pct": Meaning("median share of the contracted upload speed, percent", 98.0),
    "rtt_idle_ms": Meaning("round-trip time before the test, in ms", 612.0),
    "rtt_loaded_ms": Meaning("round-trip time under load, during the test, in ms", 790.5),
    "bufferbloat_ms": Meaning("median increase of the round-trip time under load, in ms", 140.2),
    # contracts
    "number": Meaning("the contract's number", "027/1123/DISKOMINFO/2026"),
    "valid_from": Meaning("first day on which it is valid (WITA)", "2026-01-01"),
    "sla_target_pct": Meaning("availability that the contract promises, percent", 99.0),
    "min_outage_s": Meaning("outages proven shorter than so many seconds do not count", 300),
    "excluded_causes": Meaning("outages of these causes do not count", ["power"]),
    "excuses_parent": Meaning("whether the provider is excused while a parent node is down", False),
    "service_from": Meaning("start of the daily service hours (WITA, HH:MM); null: the whole day", "07:00"),
    "service_to": Meaning("end of the daily service hours (WITA, HH:MM); 00:00: midnight", "17:00"),
    "bandwidth_down_mbps": Meaning("contracted download speed, in Mbps", 50),
    "bandwidth_up_mbps": Meaning("contracted upload speed, in Mbps", 25),
    "monthly_fee_idr": Meaning("fee of a month before tax, in rupiah", 4_500_000),
}

# Query parameters and headers, in lower case.
PARAMETERS: dict[str, Meaning] = {
    "technology": Meaning("only sites of this technology"),
    "level": Meaning("only regions of this level"),
    "status": Meaning("only those of this status"),
    "check": Meaning("only findings of this check"),
    "source": Meaning("only those of this source"),
    "object": Meaning("only entries about this kind of object"),
    "object_id": Meaning("only entries about the object of this id", "7"),
    "actor": Meaning("only what this account did: its username", "sari"),
    "action": Meaning("only entries of this action", "change"),
    "by": Meaning("what is ranked"),
    "order": Meaning("which end of the ranking comes first"),
    "min_coverage_pct": Meaning("what was measured less than this, in percent, is not ranked", 80),
    "step": Meaning("length of a row, cut in WITA; default by the period: hour up to 3 days, day up to 92, else month"),
    "format": Meaning("format of the response", "json"),
    "separator": Meaning("of CSV; with semicolon, decimals are written with a comma"),
    "accept": Meaning("media types that the client takes", "text/csv"),
    "accept-language": Meaning("language of texts: `id` or `en`", "id"),
}
