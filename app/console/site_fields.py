"""The fields of a site as a form has them: texts, written and read as people do."""

from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from app.console.forms import Form
from app.core.validation import FaultError
from app.importing import cells, positions
from app.registry import vantage_lists
from app.registry.schemas import EditableFields
from app.web.problem_details import fault_out
from probes.contract import ProbeKind

FIELDS = tuple(EditableFields.model_fields)
DEFAULTS = {
    "kind": "access_point",
    "lifecycle": "active",
    "link_role": "primary",
    "host_static": "true",
    "presence": "always",
    "vantages": "0",
}
NEEDED = {  # what each way of probing needs to know of a site
    ProbeKind.ICMP: ("host", "host_static"),
    ProbeKind.TCP: ("host", "host_static", "port"),
    ProbeKind.HTTP: ("host", "host_static", "url"),
    ProbeKind.PUSH: (),
}
MEASURED = ("host", "host_static", "port", "url")
# Read as a cell of a spreadsheet is: 0°21'42" LS, 12,5, 1.000, 50 Mbps.
READ_AS_CELLS = frozenset(
    {
        *("latitude", "longitude", "bandwidth_down_mbps", "bandwidth_up_mbps"),
        *("port", "speed_budget_mb", "vantages", "contact_phone"),
    }
)
CONCERNS = {  # fields whose change makes a warning worth telling
    "probe": {"probe", "technology"},
    "public_hours": {"public_hours", "presence"},
    "latitude": {"latitude", "longitude", "village_code"},
}
MAX_ORIGINAL = 100_000  # characters of a form's own record of what it showed at first

Texts = dict[str, str]


def written(site: Mapping[str, Any]) -> Texts:
    """Return the values of a site of the API as texts."""
    return {name: _written(site[name]) for name in FIELDS}


def _written(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return vantage_lists.written(value)
    return f"{value:.9f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def typed(form: Mapping[str, str]) -> Texts:
    """Return the texts of a posted form; of a latitude with both coordinates in it, as maps give them, each its own."""
    texts = {name: form[name].replace("\r\n", "\n") for name in FIELDS if name in form}
    if isinstance(form, Form) and "vantages" in texts:
        texts["vantages"] = _ticked(form.all("vantages"), read_original(form.get("original", "")).get("vantages", ""))
    if texts.get("latitude") and not texts.get("longitude"):
        parts = positions.split(texts["latitude"])
        texts |= {name: str(part).strip() for name, part in parts.items()}
    return texts


def _ticked(numbers: Iterable[str], before: str) -> str:
    """Return the vantages in the order before, where they are the same; else in the order of the boxes."""
    ticked = [number for number in numbers if number]
    return before if sorted(ticked) == sorted(before.split("; ")) else "; ".join(ticked)


def parse(texts: Mapping[str, str], names: Iterable[str], *, language: str) -> tuple[dict[str, Any], list[Any]]:
    """Return a body for the API, null for what is blank, and an error of the API's shape for each unreadable text."""
    body: dict[str, Any] = {}
    errors = []
    for name in names:
        try:
            body[name] = _value(name, texts.get(name, ""))
        except FaultError as error:
            errors.append(fault_out(error.fault, language))
    return body, errors


def _value(name: str, text: str) -> Any:
    if not text:
        return None
    if name == "host_static":
        return text == "true"
    return cells.read(name, text) if name in READ_AS_CELLS else text


def changed(texts: Mapping[str, str], original: Mapping[str, str]) -> list[str]:
    """Return the fields whose text differs from what the form showed at first."""
    return [name for name in FIELDS if name in texts and texts[name] != original.get(name, "").strip()]


def read_original(text: str) -> Texts:
    """Return what a form showed at first, as it recorded it; {} for anything else."""
    try:
        given = orjson.loads(text) if len(text) <= MAX_ORIGINAL else {}
    except orjson.JSONDecodeError:
        return {}
    items = given.items() if isinstance(given, dict) else ()
    return {name: value for name, value in items if name in FIELDS and isinstance(value, str)}


def concerned(warnings: Iterable[dict[str, Any]], names: Iterable[str]) -> list[dict[str, Any]]:
    """Return the warnings that a change of these fields brings up."""
    changed_fields = set(names)
    return [warning for warning in warnings if CONCERNS.get(warning["field"], {warning["field"]}) & changed_fields]
