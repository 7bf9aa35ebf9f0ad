"""A verdict in figures and in words: what counted, what was left out, and of how much of the period it speaks."""

from datetime import date, timedelta
from decimal import Decimal

from app.availability.contract_schemas import ContractVerdict
from app.availability.contract_tally import ContractTally
from app.availability.contract_verdict import ContractName, contract_fields, hide_contracts
from app.availability.intervals import IntervalMap
from app.availability.policy import DAY_S, ContractPolicy, TermsKey
from app.core.clock import midnight, to_slot
from app.core.periods import Period
from app.registry.models import LinkRole

DAY = to_slot(midnight(date(2026, 10, 1)))
OCTOBER = Period(midnight(date(2026, 10, 1)), midnight(date(2026, 11, 1)))
NAMES = {7: ContractName(7, "027/1123", "telkom-wms"), 8: ContractName(8, "K-8", "iconplus")}


def terms(contract_id: int = 7, role: LinkRole = LinkRole.PRIMARY, day: int = 1) -> TermsKey:
    return TermsKey(contract_id, role, date(2026, 10, day))


def days(first: int, last: int, key: TermsKey, target: str = "99") -> tuple[int, int, ContractPolicy]:
    """The key's terms from the first day of October to the last, exclusive."""
    return DAY + (first - 1) * DAY_S, DAY + (last - 1) * DAY_S, ContractPolicy(Decimal(target), terms=key)


def tally(days: int, counted: int = 0, unknown: int = 0, **excluded: int) -> ContractTally:
    seconds = days * DAY_S
    good = seconds - counted - unknown - sum(excluded.values())
    return ContractTally(seconds, seconds, good, counted, unknown, 0, excluded)


def test_a_verdict_says_what_it_covers_what_counted_and_what_was_left_out() -> None:
    key = terms(day=20)
    policies = [[days(20, 32, key)]]
    fields = contract_fields(
        policies, {key: tally(12, 9_120, 600, power=5_400, short=620, maintenance=3_600)}, NAMES, OCTOBER
    )
    contract = ContractVerdict.model_validate(fields["contract"])
    assert (fields["sla_verdict"], fields["sla_target_pct"], fields["contracts"]) == ("met", 99.0, [])
    assert (contract.contract.number, contract.link_role, contract.whole_period) == ("027/1123", "primary", False)
    assert (contract.covered.from_, contract.covered.to) == (midnight(date(2026, 10, 20)), OCTOBER.end)
    assert contract.stretches == []
    assert contract.reason.en == (
        "Met: at least 99.062% available, even if all of the unknown 10 min was down; 99% is required. "
        "Counted as down: 2 h 32 min. Left out: power 1 h 30 min, maintenance 1 h, "
        "shorter than the contract counts 10 min 20 s. It covers 12 days of 31 days."
    )
    assert contract.reason.id == (
        "Tercapai: ketersediaan sekurang-kurangnya 99,062%, sekalipun 10 menit yang tidak diketahui seluruhnya putus; "
        "yang disyaratkan 99%. Dihitung putus: 2 jam 32 menit. Tidak dihitung: listrik padam 1 jam 30 menit, "
        "pemeliharaan 1 jam, lebih pendek dari batas kontrak 10 menit 20 detik. Mencakup 12 hari dari 31 hari."
    )


def test_the_example_of_the_schema_is_what_is_said() -> None:
    key = terms(day=20)
    counted = tally(12, 9_120, 600, power=5_400, short=620, maintenance=3_600)
    names = {7: ContractName(7, "027/1123/DISKOMINFO/2026", "telkom-wms")}
    fields = contract_fields([[days(20, 32, key)]], {key: counted}, names, OCTOBER)
    (example,) = ContractVerdict.model_json_schema()["examples"]
    assert ContractVerdict.model_validate(example) == ContractVerdict.model_validate(fields["contract"])


def test_where_terms_change_each_stretch_needs_its_own_target_and_is_shown() -> None:
    first, second = terms(day=1), terms(day=11)
    policies = [[days(1, 11, first, "95"), days(11, 32, second, "99.5")]]
    fields = contract_fields(policies, {first: tally(10, 40_000), second: tally(21, 8_000)}, NAMES, OCTOBER)
    contract = fields["contract"]
    assert (fields["sla_target_pct"], fields["sla_verdict"], contract["target_pct"]) == (None, "met", None)
    assert "98.048% is required" in contract["reason"]["en"], "95% of ten days and 99.5% of twenty-one"
    for counted, required in (
        (200_000, 98.048),
        (52_281, 98.049),
    ):  # only told apart where the best would read the same
        missed = contract_fields(policies, {first: tally(10, counted), second: tally(21)}, NAMES, OCTOBER)["contract"]
        assert (missed["verdict"], missed["required_pct"]) == ("missed", required)
    shown = [(s["terms_on"], s["target_pct"], s["counted_down_s"], s["verdict"]) for s in contract["stretches"]]
    assert shown == [(date(2026, 10, 1), 95.0, 40_000, "met"), (date(2026, 10, 11), 99.5, 8_000, "met")]
    assert [s["from"] for s in contract["stretches"]] == [OCTOBER.start, midnight(date(2026, 10, 11))]
    assert contract["whole_period"] is True
    ContractVerdict.model_validate(contract)


def test_of_two_links_the_primarys_contract_is_the_rows_and_both_are_listed() -> None:
    own, backup = terms(7), terms(8, LinkRole.BACKUP)
    policies = [[days(1, 32, own)], [days(1, 32, backup)]]
    fields = contract_fields(policies, {own: tally(31), backup: tally(31, 90_000)}, NAMES, OCTOBER)
    assert (fields["contract"]["contract"]["id"], fields["sla_verdict"]) == (7, "met")
    assert [(c["link_role"], c["verdict"]) for c in fields["contracts"]] == [("primary", "met"), ("backup", "missed")]


def test_of_contracts_that_follow_each_other_none_is_the_rows_and_all_are_listed() -> None:
    first, second = terms(7), terms(8)
    policies: list[IntervalMap[ContractPolicy]] = [[days(1, 11, first), days(11, 32, second)]]
    fields = contract_fields(policies, {first: tally(10), second: tally(21)}, NAMES, OCTOBER)
    assert (fields["contract"], fields["sla_verdict"], fields["sla_target_pct"]) == (None, None, None)
    assert [c["covered"]["seconds"] // DAY_S for c in fields["contracts"]] == [10, 21]


def test_a_backups_contract_is_the_rows_where_there_is_no_other() -> None:
    key = terms(8, LinkRole.BACKUP)
    assert contract_fields([[days(1, 32, key)]], {key: tally(31)}, NAMES, OCTOBER)["sla_verdict"] == "met"


def test_a_site_that_left_and_came_back_is_covered_for_less_than_from_first_to_last() -> None:
    key = terms()
    (contract,) = (
        contract_fields([[days(1, 6, key), days(11, 16, key)]], {key: tally(10)}, NAMES, OCTOBER)["contract"],
    )
    covered = contract["covered"]
    assert covered["to"] - covered["from"] == timedelta(days=15)
    assert (covered["seconds"], contract["stretches"]) == (10 * DAY_S, [])


def test_without_a_second_of_service_there_is_no_verdict_and_that_is_said() -> None:
    key = terms()
    contract = contract_fields([[days(1, 32, key)]], {key: ContractTally(covered_s=31 * DAY_S)}, NAMES, OCTOBER)[
        "contract"
    ]
    assert (contract["verdict"], contract["availability_pct"]) == (None, None)
    assert contract["reason"]["en"] == "No verdict: not a second of service in this period."
    assert contract_fields([], {}, NAMES, OCTOBER)["contract"] is None


def test_a_provider_is_told_nothing_of_the_contracts_of_others() -> None:
    own, other = terms(7), terms(8)
    row = {"countable_down_s": 5}
    of_own = row | contract_fields([[days(1, 32, own)]], {own: tally(31)}, NAMES, OCTOBER)
    assert hide_contracts(of_own, of_others_than="telkom-wms") == of_own
    hidden = hide_contracts(of_own | {"correction": of_own}, of_others_than="iconplus")
    for shown in (hidden, hidden["correction"]):
        assert [shown[name] for name in ("contract", "sla_verdict", "sla_target_pct", "countable_down_s")] == [None] * 4
    both = row | contract_fields(
        [[days(1, 11, own), days(11, 32, other)]], {own: tally(10), other: tally(21)}, NAMES, OCTOBER
    )
    hidden = hide_contracts(both, of_others_than="iconplus")
    assert [c["contract"]["id"] for c in hidden["contracts"]] == [8]
    assert hidden["countable_down_s"] is None
