"""The OpenAPI document says what every operation, parameter, field, enum value and problem means, with examples."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from app.api.field_descriptions import COLUMNS, FIELDS, PARAMETERS
from app.core.errors import Problem
from app.web.problem_schemas import TYPE_BASE
from tests.support.openapi import objects, operations, read_document, referred

# Clients are generated from them: one that is here stays, a new one joins.
PROMISED = """
    add_contract_sites add_note cancel_maintenance_window change_password check_registry create_account
    create_contract create_diagnosis create_enrolment create_maintenance_window create_provider create_site
    create_stream_ticket create_token disable_account download_speedtest end_push export_sites get_account
    get_child_regions_uptime
    get_contract get_contract_site get_data_dictionary get_device get_diagnosis get_import_template get_incident
    get_maintenance_window get_me get_provider get_provider_latency get_provider_throughput get_provider_uptime
    get_ranking get_region get_region_latency get_region_throughput get_region_uptime get_session get_site
    get_site_latency get_site_throughput get_site_uptime get_sla get_status get_status_summary get_system healthz
    import_sites end_account_sessions issue_agent list_account_sessions list_accounts list_audit list_blind_ranges
    list_budgets
    list_contract_outages list_contract_sites list_contracts
    list_diagnoses list_incidents list_maintenance_windows list_provider_throughput list_providers
    list_region_throughput list_regions list_site_contracts list_site_measurements list_site_segments list_sites
    list_tokens patch_account patch_contract patch_contract_site patch_incident patch_incidents
    patch_maintenance_window patch_provider patch_site preview_agent push_readings readyz report_speedtest
    reset_password retire_site revoke_agent revoke_token sign_in sign_out stream_diagnosis stream_status
    upload_speedtest withdraw_contract_site get_site_explanation list_views save_view delete_view
    get_cause_effects get_ticket_text preview_maintenance_window
    list_channels create_channel get_channel patch_channel delete_channel send_test
    list_rules create_rule preview_rule get_rule patch_rule delete_rule
    list_notifications get_notification list_announcements
    list_contract_reports draft_report list_reports get_report patch_report issue_report correct_report
    list_objections file_objection decide_objection state_no_objections get_report_file
    get_compliance list_attested list_samples record_sample
    get_review add_decision list_evidence
    list_site_certificates create_certificate get_certificate get_certificate_document get_certificate_file
"""


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return read_document()


def is_described(document: dict[str, Any], schema: dict[str, Any]) -> bool:
    return bool(schema.get("description")) or any(target.get("description") for target in referred(document, schema))


def has_example(document: dict[str, Any], schema: dict[str, Any]) -> bool:
    """Whether it has one, is a choice of values or a truth value, or consists of what has its own."""
    parts = [schema, *schema.get("anyOf", ()), *referred(document, schema)]
    return any(
        part.keys() & {"examples", "enum", "const", "properties"} or part.get("type") == "boolean" for part in parts
    )


def test_every_property_has_a_description(document: dict[str, Any]) -> None:
    assert [
        f"{where}.{name}"
        for where, schema in objects(document)
        for name, field in schema["properties"].items()
        if not is_described(document, field)
    ] == []


def test_every_property_has_an_example(document: dict[str, Any]) -> None:
    assert [
        f"{where}.{name}"
        for where, schema in objects(document)
        for name, field in schema["properties"].items()
        if not any(name in example for example in schema.get("examples", ())) and not has_example(document, field)
    ] == []


def test_every_parameter_has_a_description_and_an_example(document: dict[str, Any]) -> None:
    parameters = [
        (f"{where} {parameter['name']}", parameter)
        for where, operation in operations(document)
        for parameter in operation.get("parameters", ())
    ]
    assert len(parameters) > 200
    assert [where for where, parameter in parameters if not parameter.get("description")] == []
    assert [where for where, parameter in parameters if not has_example(document, parameter["schema"])] == []


def test_every_parameter_with_a_default_states_it(document: dict[str, Any]) -> None:
    """A filter that is left out filters nothing; of all others something else follows."""
    names = {"from", "to", "step", "limit", "format", "level", "lang", "separator", "order", "by", "min_coverage_pct"}
    assert [
        f"{where} {parameter['name']}"
        for where, operation in operations(document)
        for parameter in operation.get("parameters", ())
        if parameter["name"] in names and not parameter.get("required") and where != "GET /api/v1/regions"
        if "default" not in parameter["schema"] and "default" not in parameter["description"]
    ] == []


def test_every_enum_explains_each_of_its_values(document: dict[str, Any]) -> None:
    assert [
        f"{name}: {value}"
        for name, schema in document["components"]["schemas"].items()
        for value in schema.get("enum", ())
        if f"`{value}`" not in schema.get("description", "")
    ] == []


def test_every_operation_has_a_summary_as_a_person_would_say_it(document: dict[str, Any]) -> None:
    summaries = {where: operation["summary"] for where, operation in operations(document)}
    made_up = {where: operation["operationId"].replace("_", " ").title() for where, operation in operations(document)}
    assert {where for where, summary in summaries.items() if summary == made_up[where] or len(summary) > 80} == set()
    assert len(set(summaries.values())) == len(summaries)


def test_every_operation_has_a_short_unique_id_that_stays(document: dict[str, Any]) -> None:
    ids = [operation["operationId"] for _, operation in operations(document)]
    assert [each for each in ids if not re.fullmatch(r"[a-z]+(_[a-z]+){0,4}", each)] == []
    assert len(set(ids)) == len(ids)
    assert set(PROMISED.split()) - set(ids) == set()


def test_every_tag_is_described_and_used(document: dict[str, Any]) -> None:
    used = {tag for _, operation in operations(document) for tag in operation["tags"]}
    assert used == {tag["name"] for tag in document["tags"] if tag["description"]}


def test_every_way_to_authenticate_is_described(document: dict[str, Any]) -> None:
    schemes = document["components"]["securitySchemes"]
    assert schemes.keys() == {"HTTPBearer", "APIKeyCookie", "DeviceToken", "ProberToken"}
    assert all(scheme["description"] for scheme in schemes.values())


def test_every_kind_of_problem_has_an_example_with_its_type(document: dict[str, Any]) -> None:
    def kinds(problem: type[Problem]) -> Iterator[type[Problem]]:
        yield problem
        for below in problem.__subclasses__():
            yield from kinds(below)

    responses = document["components"]["responses"]
    shown = {
        example["value"]["type"]
        for response in responses.values()
        for example in response["content"]["application/problem+json"]["examples"].values()
    }
    no_operation = {500, 405}  # ours, and what is no operation
    assert shown == {TYPE_BASE + kind.type for kind in kinds(Problem) if kind.status not in no_operation}
    assert all(response["description"] for response in responses.values())


def test_every_example_is_valid(document: dict[str, Any]) -> None:
    exemplified = [(where, schema) for where, schema in objects(document)]
    exemplified += [
        (f"{where}.{name}", field)
        for where, schema in objects(document)
        for name, field in schema["properties"].items()
    ]
    exemplified += [
        (f"{where} {parameter['name']}", parameter["schema"])
        for where, operation in operations(document)
        for parameter in operation.get("parameters", ())
    ]
    assert [
        f"{where}: {error.json_path} {error.message}"
        for where, schema in exemplified
        for example in schema.get("examples", ())
        for error in Draft202012Validator(schema | {"components": document["components"]}).iter_errors(example)
    ] == []


def test_no_shared_description_is_left_over(document: dict[str, Any]) -> None:
    fields = {
        (name, field.get("description"))
        for _, schema in objects(document)
        for name, field in schema["properties"].items()
    }
    parameters = {
        (parameter["name"].lower(), parameter.get("description"))
        for _, operation in operations(document)
        for parameter in operation.get("parameters", ())
    }
    own = FIELDS.keys() - COLUMNS.keys()
    assert [name for name in own if (name, FIELDS[name].description) not in fields] == []
    assert [name for name, meaning in PARAMETERS.items() if (name, meaning.description) not in parameters] == []
