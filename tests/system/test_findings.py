"""What is wrong with the service itself, judged from what its processes recorded."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.system.findings import Health, SystemCheck, SystemFacts, health_of, summarize
from app.system.problems import find_problems
from app.vantages.prober_facts import ProberFacts, VantageFacts

NOW = datetime(2026, 11, 24, 6, 5, tzinfo=UTC)
WELL = SystemFacts(
    now=NOW,
    beat_at=NOW - timedelta(seconds=2),
    has_pushing_sites=True,
    canaries={"203.0.113.1": True, "203.0.113.2": True},
    lag_s={"hours": 900, "days": 0, "availability": 0, "months": 0},
    inbox_age_s=3,
    buffered=10,
    buffer_limit=1000,
)
HEARD = ProberFacts(1, "kantor", 1, "telkom", silent_s=4, readings=900, sites=12)


def with_probers(*probers: ProberFacts, sites: int = 12) -> SystemFacts:
    return replace(WELL, vantages=[VantageFacts(0, "central", 0), VantageFacts(1, "telkom", sites, probers)])


def with_prober(**fields: Any) -> SystemFacts:
    """Of a vantage where another one looks as well."""
    return with_probers(replace(HEARD, **fields), replace(HEARD, id=2, name="gudang"))


def test_a_service_that_works_says_so() -> None:
    assert find_problems(WELL) == []
    assert health_of([]) is Health.WORKING
    assert summarize([])["id"] == "Pemantauan berjalan baik: titik akses diukur, dan hasil ukurnya dihitung."


@pytest.mark.parametrize(
    ("facts", "check", "health"),
    [
        (replace(WELL, beat_at=None), SystemCheck.WORKER_SILENT, Health.IMPAIRED),
        (replace(WELL, beat_at=NOW - timedelta(minutes=3)), SystemCheck.WORKER_SILENT, Health.IMPAIRED),
        (replace(WELL, blind_since=NOW), SystemCheck.BLIND, Health.IMPAIRED),
        (replace(WELL, deaf_since=NOW), SystemCheck.INGEST_UNPROVEN, Health.IMPAIRED),
        (replace(WELL, inbox_age_s=61), SystemCheck.INBOX_LATE, Health.IMPAIRED),
        (replace(WELL, rejected_sites=2), SystemCheck.SITES_NOT_SHOWN, Health.IMPAIRED),
        (replace(WELL, lag_s={"hours": 3601}), SystemCheck.COUNTING_LATE, Health.ATTENTION),
        (replace(WELL, lag_s={"months": 90_000}), SystemCheck.COUNTING_LATE, Health.ATTENTION),
        (replace(WELL, refused_pushes=1), SystemCheck.PUSHES_REFUSED, Health.ATTENTION),
        (replace(WELL, buffered=201), SystemCheck.BUFFER_FILLING, Health.ATTENTION),
        (replace(WELL, channels=1), SystemCheck.COURIER_SILENT, Health.ATTENTION),
        (replace(WELL, channels=1, courier_age_s=61), SystemCheck.COURIER_SILENT, Health.ATTENTION),
        (replace(WELL, corrupt_packs=2, corrupt_since=NOW), SystemCheck.PACKS_CORRUPT, Health.ATTENTION),
        (replace(WELL, packing_lag=timedelta(hours=6, seconds=1)), SystemCheck.PACKING_LATE, Health.ATTENTION),
        (replace(WELL, lost=1), SystemCheck.READINGS_LOST, Health.ATTENTION),
        (replace(WELL, canaries={"203.0.113.1": True}), SystemCheck.FEW_CANARIES, Health.ATTENTION),
        (with_probers(), SystemCheck.VANTAGE_UNWATCHED, Health.IMPAIRED),
        (with_prober(silent_s=61), SystemCheck.PROBER_SILENT, Health.ATTENTION),
        (with_prober(blind_since=NOW), SystemCheck.PROBER_BLIND, Health.ATTENTION),
        (with_prober(clock_offset_ms=-1_001), SystemCheck.PROBER_CLOCK, Health.ATTENTION),
        (with_prober(spooled=9, spool_age_s=601), SystemCheck.PROBER_LATE, Health.ATTENTION),
        (with_prober(spool_lost=9), SystemCheck.PROBER_LOST, Health.ATTENTION),
        (with_prober(is_durable=False), SystemCheck.PROBER_DISK, Health.ATTENTION),
        (replace(WELL, blocks_age_s=61), SystemCheck.BLOCKS_LATE, Health.IMPAIRED),
        (replace(WELL, refused_blocks=1), SystemCheck.BLOCKS_REFUSED, Health.ATTENTION),
        (with_prober(rejected=9, rejected_s=60, last_rejection="clock"), SystemCheck.PROBER_REJECTED, Health.ATTENTION),
        (with_prober(superseded=2, superseded_s=60), SystemCheck.PROBER_TOKEN_COPIED, Health.ATTENTION),
        (
            replace(WELL, canaries={"203.0.113.1": True, "203.0.113.2": False}),
            SystemCheck.CANARY_SILENT,
            Health.ATTENTION,
        ),
    ],
)
def test_each_fault_is_found_alone(facts: SystemFacts, check: SystemCheck, health: Health) -> None:
    findings = find_problems(facts)
    assert [finding.check for finding in findings] == [check]
    assert health_of(findings) is health


def test_probers_that_work_and_vantages_without_sites_are_no_fault() -> None:
    well = [with_prober(), with_probers(sites=0), with_prober(silent_s=None), with_prober(superseded=1, superseded_s=1)]
    well += [with_prober(rejected=9, rejected_s=90_000), with_prober(superseded=9, superseded_s=4_000)]
    assert [find_problems(facts) for facts in well] == [[]] * len(well)


def test_many_probers_are_one_sentence() -> None:
    silent = [replace(HEARD, id=n, name=f"pos-{n}", silent_s=n * 100) for n in range(1, 8)]
    (finding,) = find_problems(with_probers(*silent, HEARD))
    assert finding.message["id"] == (
        "tidak ada kabar selama 1 menit 40 detik atau lebih: pos-1 (telkom), pos-2 (telkom), pos-3 (telkom), … (+4)"
    )


def test_nobody_is_told_where_there_is_no_channel() -> None:
    assert find_problems(replace(WELL, courier_age_s=3_600)) == []
    assert find_problems(replace(WELL, channels=1, courier_age_s=12)) == []


def test_no_device_reports_so_none_can_be_missed() -> None:
    assert find_problems(replace(WELL, deaf_since=NOW, has_pushing_sites=False)) == []


def test_what_a_silent_worker_last_wrote_of_itself_is_not_held_against_the_present() -> None:
    silent = replace(WELL, beat_at=NOW - timedelta(hours=2), blind_since=NOW, lost=3, buffered=999)
    assert [finding.check for finding in find_problems(silent)] == [SystemCheck.WORKER_SILENT]


def test_the_sentence_names_the_gravest() -> None:
    findings = find_problems(replace(WELL, lost=1, blind_since=NOW))
    assert [finding.check for finding in findings] == [SystemCheck.BLIND, SystemCheck.READINGS_LOST]
    assert summarize(findings)["en"] == (
        "Monitoring itself is impaired: no canary has answered since 24 November 2026 14:05:00 WITA, "
        "so our own connection seems to be out."
    )


def test_damaged_packs_are_counted_and_dated_and_a_backlog_says_how_much_is_left() -> None:
    backlog = replace(WELL, packing_lag=timedelta(days=3, minutes=5), unpacked_bytes=7_290_000_000)
    facts = replace(backlog, corrupt_packs=2, corrupt_since=NOW)
    assert [finding.message["en"] for finding in find_problems(facts)] == [
        "packed readings are damaged: at least 2 packs, the first found at 24 November 2026 14:05:00 WITA",
        "packing of readings is 3 days late: 7.3 GB are left",
    ]
    assert find_problems(replace(WELL, packing_lag=timedelta(hours=6))) == []
